"""Labels that can teach nothing, or not everything, are named before training."""

from pathlib import Path

import numpy as np
import pytest

from commands import train
from pdsl.learnable import unlearnable
from store.store import open_store


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([[1, 0], [0, 1], [1, 1]], []),
        ([[1], [1]], ["'cat' is the only class"]),
        ([[1], [0]], ["'cat' is the only class"]),
        ([[1, 0], [1, 1]], ["every training image has cat:"]),
        ([[1, 0, 0], [0, 1, 0]], ["no training image has elk:"]),
        ([[1, 0, 0], [1, 1, 0]], ["every training image has cat:", "no training image has elk:"]),
        ([[1, 1], [1, 1]], ["every training image has cat, dog:"]),
    ],
)
def test_what_can_not_be_learnt(labels: list[list[int]], expected: list[str]) -> None:
    matrix = np.array(labels, bool)
    found = unlearnable(matrix, ("cat", "dog", "elk")[: matrix.shape[1]])
    assert len(found) == len(expected) and all(f.startswith(e) for f, e in zip(found, expected, strict=True))


def test_train_says_so_before_the_first_update(
    store: str, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = open_store(store).images().class_names
    dropped = "{" + ", ".join(f"{name}: null" for name in names[1:]) + "}"
    status = train.run(
        config=config, stores=[store], out=str(tmp_path / "run"), resume=False, init=None, data=None,
        overrides=[f"classes={dropped}", "steps=1"],
    )  # fmt: skip
    said = capsys.readouterr()
    text = said.out + said.err
    assert status == 0 and f"warning: '{names[0]}' is the only class" in text
    assert "left out: train_000009: stage 'proposals' failed: a name that ends in 9" in text
