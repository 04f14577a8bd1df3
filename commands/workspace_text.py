"""What `init` writes: a `pdsl.yaml` that explains itself."""

from collections.abc import Mapping
from typing import Any

import yaml

TEMPLATE = """\
# A workspace: in this folder `precompute`, `status`, `verify`, `train`, `eval` and `predict` need no options.
# Options on the command line override what is written here.

# The data set: voc:DIR, coco:DIR or folder:DIR, and its splits.
data: {data}
train_split: {train}
val_split: {val}

# Where the stages keep their results: a folder, or an fsspec URL such as s3://bucket/train.zarr.
# One store may hold both splits: name it twice.
stores:
  train: {train_store}
  val: {val_store}

# Parameters of the stages, as for `precompute --set`.
{stages}
# Proposals of others, as for `precompute --proposals-from`: a folder or file, for both splits.
proposals_from: {proposals_from}

# Where the stages run: a Dask scheduler (tcp://host:8786), or a YAML file that describes a SLURM or SSH cluster.
# Without either: processes on this machine (--workers).
scheduler: null
cluster: null

# Training: a configuration (a file, or the name of one that ships with pdsl: voc-official and coco-official have the
# schedule of the authors' release, for a GPU; photographs is for some hundred images and two cores) and the run folder.
config: {config}
run: runs/default

# Options of training, as `train key=value` takes them; words on the command line go over these. The backbone begins
# with ImageNet weights, which have to be named: `pdsl weights` lists the files and fetches those of torchvision.
training: {{}}
#  model.backbone.weights: weights/resnet18_ws_model_120.pkl
#  optimizer.images_per_step: 4
"""

STAGES = """\
stages: {}
#  proposals: {method: mcg, max_proposals: 2000}
#  grabcut: {seeds: cover}
"""
"""Without parameters: what they look like."""
ONE_STORE = "stores/images.zarr"
TWO_STORES = {"train_store": "stores/train.zarr", "val_store": "stores/val.zarr"}


def workspace_text(
    *,
    data: str,
    train: str,
    val: str,
    config: str,
    stages: Mapping[str, Any] | None = None,
    proposals_from: str | None = None,
    one_store: bool = False,
) -> str:
    """The content of a new `pdsl.yaml`, whatever characters the names consist of. one_store: for both splits."""
    texts = {"data": data, "train": train, "val": val, "config": config}
    texts |= dict.fromkeys(("train_store", "val_store"), ONE_STORE) if one_store else TWO_STORES
    parameters = yaml.safe_dump({"stages": stages}, default_flow_style=None, sort_keys=False)
    return TEMPLATE.format(
        **{key: _scalar(value) for key, value in texts.items()},
        stages=parameters if stages else STAGES,
        proposals_from=_scalar(proposals_from) if proposals_from else "null",
    )


def _scalar(text: str) -> str:
    """Text as one line of YAML, in quotes where YAML would take it for anything else."""
    if len(f"{text}.".splitlines()) > 1:  # only escapes keep line breaks
        escaped: str = yaml.safe_dump(text, default_style='"', width=float("inf"))
        return escaped.removesuffix("\n")
    written: str = yaml.safe_dump(text, allow_unicode=True, width=float("inf"))
    return written.removesuffix("\n").removesuffix("\n...")
