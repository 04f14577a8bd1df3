"""The Semantic Boundaries Dataset: extra VOC images with instance masks (`img`, `inst/*.mat`, train.txt, val.txt)."""

import io
from typing import Any

import numpy as np

from data.errors import InputError
from data.files import Folder
from data.mat_structure import check_structure

RECORD = "GTinst"
INNER_FOLDERS = ((), ("dataset",), ("benchmark_RELEASE", "dataset"))
"""Where the published archive puts the data, as unpacked by different users."""


def find(folder: Folder, required: bool) -> Folder | None:
    """The folder that holds `inst`, at `folder` or in the archive's sub-folders; None if absent and not required."""
    for parts in INNER_FOLDERS:
        if folder.has(*parts, "inst"):
            return folder.below(*parts) if parts else folder
    if required:
        raise InputError(f"{folder.url}: no folder inst in it; give the folder of SBD that holds img and inst")
    return None


def ids(folder: Folder) -> frozenset[str]:
    """Ids of the images that have an instance annotation."""
    return frozenset(name.removesuffix(".mat") for name in folder.names("inst") if name.endswith(".mat"))


def instances(folder: Folder, image_id: str) -> tuple[np.ndarray, list[int]]:
    """Instance numbers of an image (H, W) int64, 0 for none, and the VOC category (1-based) of each instance in order.

    Raises InputError for a file that is no record `GTinst` of the two.
    """
    path = folder.path("inst", f"{image_id}.mat")
    record = _record(folder, image_id)
    try:
        numbers = np.atleast_2d(record.Segmentation).astype(np.int64)
        categories = np.atleast_1d(record.Categories).astype(np.int64).ravel().tolist()
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: not an SBD instance annotation ({error}); restore the file") from error
    if any(not 1 <= number <= 20 for number in categories):
        raise InputError(f"{path}: category outside 1..20; restore the file")
    return numbers, categories


def categories(folder: Folder, image_id: str) -> list[int]:
    """VOC category (1-based) of each instance in order: all that an image-level label needs."""
    return instances(folder, image_id)[1]


def _record(folder: Folder, image_id: str) -> Any:
    import scipy.io  # here: most data sets have no .mat

    path = folder.path("inst", f"{image_id}.mat")
    try:
        content = folder.read("inst", f"{image_id}.mat")
        if check_structure(content, (RECORD,)) is None:
            raise ValueError("another version than MATLAB 5")
        return scipy.io.loadmat(io.BytesIO(content), squeeze_me=True, struct_as_record=False, variable_names=(RECORD,))[
            RECORD
        ]
    except InputError:
        raise
    except Exception as error:  # damaged .mat files raise anything
        raise InputError(f"{path}: not an SBD instance annotation ({error}); restore the file") from error
