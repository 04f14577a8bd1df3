"""examples/cluster_s3: its files, with this machine's addresses: a real SSH server or SLURM, a real S3 server."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.engine.s3 import BUCKET, s3_server
from benchmarks.engine.toy import chunk_bytes
from commands import precompute
from data.scenes import write_scenes
from tests.examples.makers import EXAMPLES, ROOT, run

FOLDER = EXAMPLES / "cluster_s3"
SETTINGS = {"proposals": {"max_proposals": 24}, "grabcut": {"seeds": "all"}, "store": {"shard": 2}}
OF_RCLONE = {
    "config_kwargs": {
        "response_checksum_validation": "when_required",
        "request_checksum_calculation": "when_required",
        "region_name": "us-east-1",
    }
}
"""What its S3 server needs and others do not."""

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example's folder with a bucket of six scenes; keys stand in storage.yaml alone."""
    folder = tmp_path / "pdsl-s3"
    shutil.copytree(FOLDER, folder)
    write_scenes(tmp_path / "scenes", train=6, val=2, side=64)
    with s3_server(tmp_path / "served") as port:
        shutil.copytree(tmp_path / "scenes", tmp_path / "served" / BUCKET / "scenes")
        keys = {"key": os.environ["AWS_ACCESS_KEY_ID"], "secret": os.environ["AWS_SECRET_ACCESS_KEY"]}
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
            monkeypatch.delenv(name)
        change(folder / "storage.yaml", {"s3": {"endpoint_url": f"http://127.0.0.1:{port}", **keys, **OF_RCLONE}})
        stores = {split: f"s3://{BUCKET}/stores/{split}.zarr" for split in ("train", "val")}
        there = {"data": f"voc:s3://{BUCKET}/scenes", "train_split": "train", "val_split": "val", "stores": stores}
        change(folder / "pdsl.yaml", {**there, "stages": SETTINGS})
        wrapper = folder / "worker-python.sh"
        wrapper.write_text(wrapper.read_text().replace("/opt/pdsl/bin/python", sys.executable))
        monkeypatch.setenv("PDSL_STORAGE_OPTIONS", str(folder / "storage.yaml"))
        yield folder


def change(file: Path, values: dict[str, Any]) -> None:
    """Put this machine's values in the place of those that a user is to adapt; all of them stand in the file."""
    content = yaml.safe_load(file.read_text())
    assert set(values) - {"stages"} <= set(content)
    file.write_text(yaml.safe_dump({**content, **values}))


def computed_and_the_same_as_here(place: Path) -> None:
    pdsl = (sys.executable, "-m", "pdsl")
    run(*pdsl, "precompute", "--stage", "all", folder=place)
    assert "nothing to do" in run(*pdsl, "precompute", "--stage", "all", folder=place)
    run(*pdsl, "verify", folder=place)
    local = place.parent / "local.zarr"
    wanted = {"split": "train", "stage": "all", "settings": SETTINGS, "store": str(local), "workers": 0}
    assert precompute.run(data=f"voc:{place.parent / 'scenes'}", **wanted) == 0
    assert chunk_bytes(place.parent / "served" / BUCKET / "stores/train.zarr") == chunk_bytes(local)


def test_over_ssh(place: Path, cluster_file: Path) -> None:
    here = yaml.safe_load(cluster_file.read_text())["options"]
    change(
        place / "ssh.yaml",
        {"workers": 2, "options": {**here, "remote_python": str(place / "worker-python.sh")}},
    )
    computed_and_the_same_as_here(place)


def test_on_slurm(place: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    options = yaml.safe_load((place / "slurm.yaml").read_text())["options"]
    own = {"queue": "test", "memory": "400MB", "interface": "lo", "python": str(place / "worker-python.sh")}
    assert set(own) - {"interface"} <= set(options)
    change(place / "slurm.yaml", {"workers": 2, "options": {**options, **own}})
    change(place / "pdsl.yaml", {"cluster": "slurm.yaml"})
    computed_and_the_same_as_here(place)
