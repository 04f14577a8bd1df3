"""The formats of published proposals: MCG's .mat and detectron2's pickle. Boxes become xyxy, half-open, 0-based."""

from collections.abc import Mapping
from enum import IntEnum
from typing import IO, Any

import numpy as np

from data.boxes import xywh_to_xyxy
from data.errors import InputError
from data.files import open_binary
from data.unpickle import load_plain

PICKLE_SUFFIXES = (".pkl", ".pickle")


class BoxMode(IntEnum):
    """detectron2's, as its pickles name it: what the four or five numbers of a box are."""

    XYXY_ABS = 0
    XYWH_ABS = 1
    XYXY_REL = 2
    XYWH_REL = 3
    XYWHA_ABS = 4


class BadProposals(Exception):
    """The proposals of one image cannot be used; the message says why."""


def read_mat(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) and scores (n,) of one MCG file, floats, in its order.

    The file has `boxes` and `scores`, or `bboxes` and `bboxes_scores`, at the top or in a struct `proposals`; rows are
    (y1, x1, y2, x2), 1-based and inclusive. Without scores the order is the ranking. Raises BadProposals.
    """
    content = _mat_content(path)
    fields = content
    if "proposals" in content:
        struct = content["proposals"]
        fields = {name: getattr(struct, name) for name in getattr(struct, "_fieldnames", ())}
    boxes = next((fields[name] for name in ("boxes", "bboxes") if name in fields), None)
    scores = next((fields[name] for name in ("scores", "bboxes_scores") if name in fields), None)
    if boxes is None:
        raise BadProposals(f"no MCG proposals: it holds {', '.join(sorted(fields)) or 'nothing'}, not boxes or bboxes")
    corners, ranking = _table(boxes, scores)
    return corners[:, [1, 0, 3, 2]] - np.array([1, 1, 0, 0]), ranking


def read_pickle(stream: IO[bytes], where: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(boxes, scores) by image id of a detectron2 proposal file, in the file's order.

    A dict of equally long lists: `boxes`, `scores` or `objectness_logits`, `ids` or `indexes`; perhaps `bbox_mode`
    (XYXY_ABS, the default, or XYWH_ABS). Raises InputError for anything else, and for an id that occurs twice.
    """
    content = load_plain(stream, where, {("detectron2.structures.boxes", "BoxMode"): BoxMode})
    if not isinstance(content, Mapping):
        raise InputError(f"{where}: holds a {type(content).__name__}, not the dict of a detectron2 proposal file")
    boxes = _field(content, ("boxes",), where)
    scores = _field(content, ("objectness_logits", "scores"), where)
    ids = _field(content, ("ids", "indexes"), where)
    if not len(boxes) == len(scores) == len(ids):
        raise InputError(f"{where}: {len(boxes)} boxes, {len(scores)} scores, {len(ids)} ids; expected as many of each")
    mode = content.get("bbox_mode", BoxMode.XYXY_ABS)
    if mode not in (BoxMode.XYXY_ABS, BoxMode.XYWH_ABS):
        raise InputError(f"{where}: bbox_mode {mode!r} is not supported; write absolute XYXY (0) or XYWH (1) boxes")
    table: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for image_id, some_boxes, some_scores in zip(ids, boxes, scores, strict=True):
        if (key := str(image_id)) in table:
            raise InputError(f"{where}: image {key} occurs twice; keep one of them")
        try:
            corners, ranking = _table(some_boxes, some_scores)
        except BadProposals as error:
            raise InputError(f"{where}: image {key}: {error}") from error
        table[key] = (xywh_to_xyxy(corners) if mode == BoxMode.XYWH_ABS else corners), ranking
    return table


def _mat_content(path: str) -> dict[str, Any]:
    import scipy.io  # here, because other methods do not need it

    try:
        with open_binary(path) as stream:
            content: dict[str, Any] = scipy.io.loadmat(stream, squeeze_me=True, struct_as_record=False)
    except InputError:
        raise
    except FileNotFoundError:
        raise BadProposals("the file has vanished") from None
    except NotImplementedError:
        raise BadProposals("MATLAB 7.3 (HDF5) files are not supported; save with -v7") from None
    except Exception as error:  # damaged .mat files raise anything
        raise BadProposals(f"not a readable .mat file ({error})") from error
    return {name: value for name, value in content.items() if not name.startswith("__")}


def _table(boxes: Any, scores: Any | None) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) and scores (n,) as floats; falling scores if there are none."""
    try:
        corners = _as_float(boxes)
        corners = corners.reshape(-1, 4) if corners.size in (0, 4) else corners
        ranking = np.linspace(1, 0, len(corners), endpoint=False) if scores is None else _as_float(scores)
    except (TypeError, ValueError) as error:
        raise BadProposals(f"boxes or scores are not numbers ({error})") from error
    if corners.ndim != 2 or corners.shape[1] != 4 or ranking.size != len(corners):
        raise BadProposals(f"boxes {corners.shape} and scores {ranking.shape}; expected (n, 4) and (n,)")
    return corners, ranking.reshape(-1)


def _as_float(values: Any) -> np.ndarray:
    """float32 and float64 as they are, without a copy (a pickle of COCO holds gigabytes); anything else as float32."""
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _field(content: Mapping[Any, Any], names: tuple[str, ...], where: str) -> Any:
    for name in names:
        if name in content and hasattr(content[name], "__len__"):
            return content[name]
    raise InputError(f"{where}: no '{' or '.join(names)}' in it; it holds {', '.join(map(str, content))}")
