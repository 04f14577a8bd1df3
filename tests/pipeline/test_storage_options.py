"""The file that PDSL_STORAGE_OPTIONS names reaches whatever lies behind a URL: images, labels, proposals and stores."""

import io
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import scipy.io
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from commands import precompute
from data.errors import InputError
from data.files import open_filesystem, storage_options
from store.storage import open_objects

OPTIONS = "memory: {mark: mine}\ns3: {key: other}\nshared: true\n"


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "options.yaml"
    path.write_text(OPTIONS)
    monkeypatch.setenv("PDSL_STORAGE_OPTIONS", str(path))
    return path


def test_images_labels_proposals_and_store_get_them(options: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = fsspec.filesystem("memory")
    picture, proposals = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (30, 20)).save(picture, "PNG")
    scipy.io.savemat(proposals, {"boxes": np.array([[2.0, 2, 10, 10]]), "scores": np.array([[1.0]])})
    files.pipe_file("/options/data/labels.csv", b"image,labels\na.png,cat\n")
    files.pipe_file("/options/data/images/a.png", picture.getvalue())
    files.pipe_file("/options/mcg/a.mat", proposals.getvalue())
    real, opened = fsspec.core.url_to_fs, {}

    def spy(url: str, **given: Any) -> Any:
        opened[url] = given
        return real(url, **given)

    monkeypatch.setattr("fsspec.core.url_to_fs", spy)
    wanted = {"data": "folder:memory://options/data", "split": "all", "stage": "all", "workers": 0}
    settings = {"proposals": {"max_proposals": 2}, "iou_graph": {"neighbors": 2}}
    store, mcg = "memory://options/a.zarr", "memory://options/mcg"
    assert precompute.run(store=store, proposals_from=mcg, settings=settings, **wanted) == 0  # type: ignore[arg-type]
    assert {store, mcg, f"{mcg}/a.mat"} <= set(opened)
    assert {f"memory://options/data/{name}" for name in ("labels.csv", "images/a.png")} <= set(opened)
    assert all(given == {"mark": "mine", "shared": True} for given in opened.values())


def test_options_are_for_all_protocols_or_for_one(options: Path) -> None:
    assert storage_options("memory") == {"mark": "mine", "shared": True}
    assert storage_options("s3") == {"key": "other", "shared": True}
    assert storage_options("gs") == {"shared": True}


def test_a_flat_file_reaches_every_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "flat.json"
    path.write_text('{"key": "k", "client_kwargs": {"endpoint_url": "http://x"}}')
    monkeypatch.setenv("PDSL_STORAGE_OPTIONS", str(path))
    assert storage_options("s3") == storage_options("gs") == {"key": "k", "client_kwargs": {"endpoint_url": "http://x"}}
    monkeypatch.delenv("PDSL_STORAGE_OPTIONS")
    assert storage_options("s3") == {}


@pytest.mark.parametrize(("content", "message"), [(None, "can not be read"), ("- a", "a mapping"), ("a: [", "read")])
def test_a_wrong_file_is_named(content: str | None, message: str, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "wrong.yaml"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("PDSL_STORAGE_OPTIONS", str(path))
    with pytest.raises(InputError, match=f"PDSL_STORAGE_OPTIONS={path}: .*{message}"):
        open_objects("memory://a.zarr")


class StrictFileSystem(MemoryFileSystem):
    """Knows no option."""

    protocol = "strict"

    def __init__(self) -> None:
        super().__init__()


def test_options_that_a_file_system_refuses(options: Path) -> None:
    fsspec.register_implementation("strict", StrictFileSystem, clobber=True)
    with pytest.raises(InputError, match=r"strict://a: cannot use strict:// .*'shared'.*PDSL_STORAGE_OPTIONS"):
        open_filesystem("strict://a")
