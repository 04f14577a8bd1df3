"""What the arrays say of themselves: every one is described, xarray can open the groups, older stores stay whole."""

import json
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import zarr

from benchmarks.engine.toy import first_stage, image_list, noise, second_stage
from data.masks import MASK_SIDE, pack
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage, stage_layouts
from stages.registry import STAGE_NAMES, build_stage
from store import layout as layout_module
from store.create import create_or_open, relabel
from store.described import DESCRIPTIONS, IMAGE, Description, describe
from store.layout import ArrayLayout, image_layouts
from store.store import open_store
from store.verify import verify_store

PAGE = (Path(__file__).parents[2] / "docs/store.md").read_text()
SETTINGS = {
    "proposals": {"max_proposals": 30, "masks": True},
    "grabcut": {"capacity": 9},
    "iou-graph": {"neighbors": 5},
}


def layouts() -> list[ArrayLayout]:
    """Those of the image list and of every stage, with all that a stage may write."""
    found = [*image_layouts(70, 20, 32)]
    for name in STAGE_NAMES:
        found += stage_layouts(build_stage(name, SETTINGS[name], capacity=30), 70, 32)
    return found


def test_every_array_is_described_and_nothing_else() -> None:
    names = {layout.name for layout in layouts()}
    assert names - {name for name in names if name.endswith("/status")} == set(DESCRIPTIONS)
    for layout in layouts():
        found = describe(layout.name, len(layout.row_shape))
        assert found.attributes["description"] and len(found.dimensions) == len(layout.row_shape), layout.name


def test_the_page_has_every_array_with_its_dimensions() -> None:
    for layout in layouts():
        name = layout.name if not layout.name.endswith("/status") else "*/status"
        dimensions = ", ".join([IMAGE, *describe(layout.name, len(layout.row_shape)).dimensions])
        kind = "string" if layout.dtype == "str" else layout.dtype
        assert f"| `{name}` | {dimensions} | {kind} |" in PAGE


def test_dimensions_fit_in_every_group() -> None:
    """One length a name, and no array of more dimensions under the name of one: what xarray asks of a group."""
    lengths: dict[tuple[str, str], set[int]] = defaultdict(set)
    leaves = {layout.name for layout in layouts()}
    for layout in layouts():
        group = layout.name.partition("/")[0]
        for name, length in zip(describe(layout.name, len(layout.row_shape)).dimensions, layout.row_shape, strict=True):
            lengths[group, name].add(length)
            assert f"{group}/{name}" not in leaves
    assert max(map(len, lengths.values())) == 1


def test_the_order_of_corners_and_bits_is_the_stated_one() -> None:
    attributes = DESCRIPTIONS["grabcut/mask"].attributes
    mask = np.zeros((MASK_SIDE, MASK_SIDE), bool)
    mask[0, 0] = mask[3, 17] = True
    packed = pack(mask)
    assert list(attributes["cells"]) == [MASK_SIDE, MASK_SIDE]
    assert (np.unpackbits(packed, axis=-1, bitorder=attributes["bit_order"]) == mask).all()
    assert DESCRIPTIONS["proposals/box"].attributes["corner"] == ["x0", "y0", "x1", "y1"]


def test_arrays_nobody_described_get_names_of_their_own() -> None:
    assert describe("toy/box", 2) == Description(("box_1", "box_2"), {})
    assert describe("grabcut/mask", 1).dimensions == ("mask_1",)  # another shape than the described one
    assert describe("toy/status", 0).attributes["flag_values"] == [0, 1, 2]


def test_documents_say_it(url: str) -> None:
    images = image_list(40)
    run_stage(create_or_open(url, images), images, first_stage(), SerialExecutor())
    size = zarr.open_group(url, mode="r")["images/size"]
    assert size.metadata.dimension_names == ("image", "axis")
    assert size.attrs["units"] == "pixel" and size.attrs["axis"] == ["height", "width"]
    assert zarr.open_group(url, mode="r")["toy/box"].metadata.dimension_names == ("image", "box_1", "box_2")


def test_a_store_of_an_earlier_version(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its documents have neither names nor attributes. It verifies, opens, takes labels, goes on without computing
    anything again, and verifies with its new documents."""
    images = image_list(70)
    with monkeypatch.context() as patch:
        patch.setattr(layout_module, "describe", lambda name, n: Description((None,) * n, {}))  # type: ignore[arg-type]
        run_stage(create_or_open(url, images), images, first_stage(), SerialExecutor())
    document = Path(url) / "toy/box/zarr.json"
    assert json.loads(document.read_bytes())["dimension_names"] == ["image", None, None]
    assert verify_store(open_store(url)).damage == []
    store = create_or_open(url, images)
    assert np.array_equal(store.read("toy/box", 69), noise("im00069", (5, 4)))
    summary = run_stage(store, images, first_stage(), SerialExecutor())
    assert summary.computed.images == 0
    assert json.loads(document.read_bytes())["dimension_names"] == ["image", "box_1", "box_2"]
    run_stage(store, images, second_stage(), SerialExecutor())
    relabel(store, images)
    assert verify_store(open_store(url)).damage == []


def test_xarray_opens_every_group(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray", reason="xarray: not installed; pip install xarray")
    for layout in layouts():
        for key, document in layout_module.array_documents([layout]).items():
            (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / key).write_bytes(document)
    for group in ("images", "proposals", "iou_graph", "grabcut"):
        (tmp_path / group / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
        with warnings.catch_warnings(action="ignore"):
            opened = xarray.open_zarr(tmp_path, group=group, consolidated=False)
        assert opened.sizes["image"] == 70 and all(v.attrs["description"] for v in opened.data_vars.values())
