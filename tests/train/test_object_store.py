"""Training from an object store: the same samples, several images at a time, with and without copies of them here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.engine.s3 import BUCKET, s3_server
from data.errors import InputError
from pdsl.cache import CacheReader, open_cache
from pdsl.config.tree import DataConfig
from pdsl.raw_sample import RawSample
from pdsl.train.loader import batches
from tests.train.makers import make_store


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a bucket of images and their store, which is served as S3."""
    folder = tmp_path_factory.mktemp("served")
    with s3_server(folder):
        make_store(folder / BUCKET)
        yield folder / BUCKET


def local(served: Path) -> CacheReader:
    return open_cache(DataConfig(stores=(str(served / "train.zarr"),)), {})


def remote(copies: Path | None = None) -> CacheReader:
    kept = None if copies is None else str(copies)
    places = {"stores": (f"s3://{BUCKET}/train.zarr",), "images": f"voc:s3://{BUCKET}/data"}
    return open_cache(DataConfig(**places, copies=kept), {})  # type: ignore[arg-type]


def same(one: RawSample, other: RawSample) -> bool:
    pairs = [(value, getattr(other, name)) for name, value in vars(one).items()]
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


def trained_on(cache: CacheReader, loaders: int, together: int) -> list[RawSample]:
    """The samples of five updates of four images."""
    given = {"seed": 1, "steps": range(2, 7), "images_per_step": 4, "rank": 0, "world_size": 1, "pin": False}
    found = list(batches(cache, loaders=loaders, together=together, **given))  # type: ignore[arg-type]
    assert [len(batch) for batch in found] == [4] * 5
    return [sample for batch in found for sample in batch]


@pytest.mark.parametrize(("loaders", "together"), [(0, 1), (0, 8), (2, 3), (2, 8)])
def test_the_samples_and_their_order_are_those_of_local_files(served: Path, loaders: int, together: int) -> None:
    expected = trained_on(local(served), 0, 1)
    assert all(map(same, trained_on(remote(), loaders, together), expected))


def test_from_the_second_epoch_on_copies_are_read(served: Path, tmp_path: Path) -> None:
    expected = trained_on(local(served), 0, 1)
    cache = remote(tmp_path / "copies")
    assert all(map(same, trained_on(cache, 2, 8), expected))
    assert len(list(cache.open_copies().folder.rglob("*.copy"))) == 2 * len(cache)  # type: ignore[union-attr]
    names = ("data/JPEGImages", "train.zarr/proposals/box/c", "train.zarr/grabcut/mask/c")
    for name in names:
        (served / name).rename(served / f"{name}-hidden")
    try:
        assert all(map(same, trained_on(cache, 2, 8), expected))
    finally:
        for name in names:
            (served / f"{name}-hidden").rename(served / name)


def test_an_image_that_can_not_be_read_is_named_and_those_before_it_are_not_lost(served: Path) -> None:
    cache = remote()
    wanted = [sample.index for sample in trained_on(cache, 0, 1)]
    record = cache.sources[0].images.records[cache.items[wanted[5]][1]]
    path = served / record.path.partition(f"{BUCKET}/")[2]
    content = path.read_bytes()
    path.write_bytes(b"no picture")
    given = {"seed": 1, "steps": range(2, 7), "images_per_step": 4, "rank": 0, "world_size": 1, "pin": False}
    try:
        found = batches(cache, loaders=0, together=8, **given)  # type: ignore[arg-type]
        assert len(next(found)) == 4
        with pytest.raises(InputError, match=rf"{path.name}: .*restore the file"):
            next(found)
    finally:
        path.write_bytes(content)


def test_a_folder_of_copies_that_others_may_write_into_is_refused_before_the_training(
    served: Path, tmp_path: Path
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(InputError, match="others own it or may write into it"):
        remote(tmp_path / "open")
    places = (str(served / "train.zarr"),)
    assert open_cache(DataConfig(stores=places, copies=str(tmp_path / "open")), {}).open_copies() is None, "not needed"
