"""The small backbone's layers are compiled once for each size of picture, not for every picture."""

import os
import subprocess
import sys

import pytest

PASSES = """
import torch
from pdsl.config.load import load_config
from pdsl.config.shipped import find_config
from pdsl.model.build import build_model, equip_backbone
torch.set_num_threads(1)
config = load_config(find_config("demo"))
model = build_model(config.model, 2).eval()
equip_backbone(model, config, begin_cache=False)
for _ in range(2):
    print("all sizes", flush=True)
    for height in range(104, 584, 4):
        with torch.no_grad():
            model.backbone(torch.zeros(1, 3, height, 100))
"""


def test_shapes_of_layers_are_kept() -> None:
    """More of them than oneDNN keeps by itself are there when all sizes come for the second time."""
    environment = {**os.environ, "ONEDNN_VERBOSE": "profile_create"}
    environment.pop("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None)
    told = subprocess.run([sys.executable, "-c", PASSES], env=environment, capture_output=True, text=True, check=True)
    _, first, second = told.stdout.split("all sizes\n")
    if "create:cache_miss" not in first:
        pytest.skip("this torch computes without oneDNN, or does not tell what it compiles")
    assert first.count("create:cache_miss") > 1024
    assert second.count("create:cache_hit") > 1024 and second.count("create:cache_miss") == 0
