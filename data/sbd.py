"""The Semantic Boundaries Dataset: extra VOC images with instance masks (`img`, `inst/*.mat`, train.txt, val.txt)."""

from typing import Any

import numpy as np

from data.errors import InputError
from data.files import Folder

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


def read(folder: Folder, image_id: str) -> Any:
    """The record `GTinst` of an image: `Segmentation` (H, W) uint8 instance numbers, `Categories` (1-based VOC ids)."""
    import scipy.io  # here: most data sets have no .mat

    path = folder.path("inst", f"{image_id}.mat")
    try:
        with folder.open("inst", f"{image_id}.mat") as stream:
            return scipy.io.loadmat(stream, squeeze_me=True, struct_as_record=False)["GTinst"]
    except InputError:
        raise
    except Exception as error:  # damaged .mat files raise anything
        raise InputError(f"{path}: not an SBD instance annotation ({error}); restore the file") from error


def categories(folder: Folder, image_id: str) -> list[int]:
    """VOC category (1-based) of each instance in order: all that an image-level label needs."""
    numbers = np.atleast_1d(read(folder, image_id).Categories).astype(int).tolist()
    if any(not 1 <= number <= 20 for number in numbers):
        raise InputError(f"{folder.path('inst', image_id + '.mat')}: category outside 1..20; restore the file")
    return list(numbers)
