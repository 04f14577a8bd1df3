"""What a machine can not carry is refused before the first update, with the key."""

from pathlib import Path

import pytest
import torch

from data.errors import InputError
from data.parameters import nest, replace
from pdsl.cache import CacheReader, open_cache
from pdsl.config.load import load_config
from pdsl.config.tree import Config
from pdsl.train import limits
from tests.train.makers import CONFIG, make_store

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, CacheReader]:
    folder = tmp_path_factory.mktemp("limits")
    (folder / "tiny.yaml").write_text(CONFIG)
    config = load_config(folder / "tiny.yaml", [("data.stores", [make_store(Path(folder))])])
    return config, open_cache(config.data, config.classes)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"model.mask.pool": 3000}, r"model\.mask\.pool=3000"),
        ({"augment.scales": [16000], "augment.max_side": 16384}, r"augment\.scales=\[16000\]"),
        ({"optimizer.images_per_step": 4096, "optimizer.images_per_pass": 4096}, r"optimizer\.images_per_pass=4096"),
        ({"model.box_head.hidden": [32, 10**8]}, r"model\.box_head\.hidden=\[32, 100000000\]"),
    ],
)
def test_an_update_beyond_the_machine(
    given: tuple[Config, CacheReader], values: dict[str, object], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, cache = given
    monkeypatch.setattr(limits, "_memory_of", lambda device: 3 * 10**9)
    with pytest.raises(InputError, match=rf"^{named}: .*3 GB of memory there is.*give smaller numbers"):
        limits.refuse_large_model(replace(config, nest(values.items())), cache, 1, CPU)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"model.mask.capacity": None},
        {"model.mask.capacity": 10**11},
        {"model.mask.n_seed": 10**14},
        {"model.box_head.chunk": 10**14},
        {"data.max_proposals": 10**14},
        {"model.mask.cascade.classes": 10**9, "model.mask.source": "cascade"},
    ],
)
def test_numbers_that_bound_nothing_are_welcome(given: tuple[Config, CacheReader], values: dict[str, object]) -> None:
    config, cache = given
    limits.refuse_beyond_machine(replace(config, nest(values.items())), cache, 1, CPU)
