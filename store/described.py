"""What stands beside the arrays for readers that know nothing of this program: names of dimensions, units, meanings.

It goes into the arrays' documents (zarr.json) and is read by nobody here. Each name of a dimension has one length
within a group, and is no name of an array, so that xarray opens every group. docs/store.md says the same in prose.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

IMAGE = "image"
"""The first dimension of every array."""


class Description(NamedTuple):
    """dimensions: names after IMAGE; attributes: what a reader has to know."""

    dimensions: tuple[str, ...]
    attributes: Mapping[str, Any]


_BOX_FRAME = (
    "bits of 56 x 56 cells that divide the row's box evenly: one byte for eight columns, the most significant bit "
    "leftmost (numpy.unpackbits(mask, axis=-1))"
)
_MASK = {"frame": "box", "encoding": _BOX_FRAME, "bit_order": "big", "cells": [56, 56]}
_MASK_DIMENSIONS = ("mask_row", "mask_byte")

DESCRIPTIONS = {
    "images/id": Description((), {"description": "id of the image as the data set names it"}),
    "images/size": Description(
        ("axis",),
        {
            "description": "size of the image as it is decoded; 0 where its header can not be read",
            "axis": ["height", "width"],
            "units": "pixel",
        },
    ),
    "images/label": Description(
        ("class",),
        {"description": "image-level label: whether the image shows the class; names: class_names of the root group"},
    ),
    "proposals/box": Description(
        ("proposal", "corner"),
        {
            "description": "proposals, best first; rows from proposals/count on are padding (0)",
            "corner": ["x0", "y0", "x1", "y1"],
            "units": "pixel",
            "frame": "original image, origin at the outer corner of its upper left pixel; half-open",
        },
    ),
    "proposals/score": Description(
        ("proposal",), {"description": "objectness by the method of the stage: only its order means something"}
    ),
    "proposals/count": Description((), {"description": "number of proposals of the image"}),
    "proposals/mask": Description(
        ("proposal", *_MASK_DIMENSIONS), {"description": "the region that a proposal was made from", **_MASK}
    ),
    "iou_graph/neighbor": Description(
        ("proposal", "neighbor_rank"),
        {"description": "rows of proposals/box of highest IoU with this one: itself first, then falling, ties by row"},
    ),
    "iou_graph/iou": Description(
        ("proposal", "neighbor_rank"), {"description": "their IoU; 0: no neighbour, the index means nothing"}
    ),
    "iou_graph/degree": Description(
        ("proposal",), {"description": "number of proposals with an IoU of 0.5 or more, itself included"}
    ),
    "grabcut/seed": Description(
        ("seed_rank",),
        {"description": "rows of proposals/box that have a seed mask; rows from grabcut/count on are padding (0)"},
    ),
    "grabcut/mask": Description(
        ("seed_rank", *_MASK_DIMENSIONS),
        {"description": "seed mask, in the frame of the box of proposal grabcut/seed", **_MASK},
    ),
    "grabcut/quality": Description(
        ("seed_rank",),
        {
            "description": "estimate of the IoU of the seed mask with the object that its box overlaps by half or more",
            "valid_range": [0, 1],
        },
    ),
    "grabcut/count": Description((), {"description": "number of seeds of the image"}),
}
STATUS = Description(
    (),
    {
        "description": "whether the stage was computed for the image",
        "flag_values": [0, 1, 2],
        "flag_meanings": "pending done failed",
    },
)
"""Of every stage."""


def describe(name: str, n_dimensions: int) -> Description:
    """Of array `name` with so many dimensions after the first; dimensions of unknown arrays get names of their own."""
    group, _, leaf = name.rpartition("/")
    found = STATUS if leaf == "status" and group != "images" else DESCRIPTIONS.get(name)
    if found is not None and len(found.dimensions) == n_dimensions:
        return found
    return Description(tuple(f"{leaf}_{axis}" for axis in range(1, n_dimensions + 1)), {})
