"""Proposals of a whole data set in one file: MATLAB cells, as selective search's authors publish them; tiny bombs."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import InputError
from pipeline.spec import ImageFailure
from stages.proposals.files import ProposalFiles
from tests.stages.test_proposal_files import BOXES, MCG, SCORES, SIZE, SORTED, write_mat


def cells(*values: Any) -> np.ndarray:
    """A MATLAB cell array of one row."""
    row = np.empty((1, len(values)), object)
    for place, value in enumerate(values):
        row[0, place] = value
    return row


OTHER = np.array([[2, 2, 39, 59]], np.float64)


@pytest.mark.parametrize(
    ("content", "image_id", "boxes"),
    [
        ({"boxes": cells(MCG, OTHER), "images": cells("000005", "000007")}, "000005", BOXES),
        ({"boxes": cells(MCG, OTHER), "images": cells("000005", "000007")}, "000007", [[1, 1, 59, 39]]),
        ({"boxes": cells(MCG, OTHER).T, "images": cells("a", "b").T}, "b", [[1, 1, 59, 39]]),
        ({"boxes": cells(MCG.astype(np.uint16)), "images": cells("000005")}, "000005", BOXES),
        ({"boxes": cells(OTHER), "images": cells("000005")}, "000005", [[1, 1, 59, 39]]),
        ({"boxes": cells(OTHER, OTHER), "images": cells("x/000005.jpg", "x/7.jpg")}, "000005", [[1, 1, 59, 39]]),
        (
            {"boxes": cells(MCG, OTHER), "scores": cells(SCORES, np.ones(1)), "images": cells("a", "b")},
            "a",
            SORTED,
        ),
    ],
)
def test_a_mat_file_of_a_whole_data_set(
    tmp_path: Path, content: dict[str, Any], image_id: str, boxes: list[list[int]]
) -> None:
    """Selective search as Fast R-CNN's and its successors' users publish it: cells boxes and images."""
    write_mat(tmp_path / "voc_2007_train.mat", content)
    files = pickle.loads(pickle.dumps(ProposalFiles(str(tmp_path / "voc_2007_train.mat"))))
    found, scores = files.lookup(image_id, SIZE)
    assert found.tolist() == boxes and (np.diff(scores) <= 0).all()
    with pytest.raises(ImageFailure, match=r"^not in file$"):
        files.lookup("000099", SIZE)
    assert files.missing([image_id, "000099"])[0] == ["000099"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"boxes": cells(MCG, OTHER)}, "boxes of 2 images but no cell 'images'"),
        ({"boxes": cells(MCG, OTHER), "images": cells("a")}, "1 names in 'images', but not as many"),
        ({"boxes": cells(MCG, OTHER), "scores": cells(SCORES), "images": cells("a", "b")}, "not as many cells"),
        ({"boxes": cells(MCG, "x"), "images": cells("a", "b")}, "image b: boxes or scores are not numbers"),
        ({"boxes": cells(MCG, OTHER), "images": cells("a", "a")}, "image a occurs twice"),
    ],
)
def test_bad_mat_files_of_a_whole_data_set(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    write_mat(tmp_path / "a.mat", content)
    with pytest.raises(InputError, match=rf"a\.mat: .*{message}"):
        ProposalFiles(str(tmp_path / "a.mat"))


@pytest.mark.parametrize(
    "content",
    [b"\x80\x02]r\xff\xff\xff\x7f.", b"]p2000000000\n.", b"\x80\x05\x96" + b"\xff" * 5 + b"\0\0\0."],
)
def test_a_few_bytes_can_not_ask_for_gigabytes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.pkl").write_bytes(content)
    with pytest.raises(InputError, match=r"p\.pkl: refused.*(places in memory|bytes in a bytearray8|MemoryError)"):
        ProposalFiles(str(tmp_path / "p.pkl"))
