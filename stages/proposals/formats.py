"""The formats of published proposals: MCG's and selective search's .mat, detectron2's pickle. Boxes become xyxy,
half-open, 0-based."""

import io
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import IO, Any

import numpy as np

from data.boxes import xywh_to_xyxy
from data.errors import InputError
from data.files import open_binary
from data.mat_structure import check_structure
from data.numbers import identifier
from data.unpickle import load_plain

PICKLE_SUFFIXES = (".pkl", ".pickle")
VARIABLES = ("proposals", "boxes", "bboxes", "scores", "bboxes_scores", "boxScores", "images")
"""Variables of .mat files that are read."""
SCORES = ("objectness_logits", "scores")


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
    _, boxes, scores = _mat_fields(_mat_content(path))
    return _from_matlab(boxes, scores)


def read_mat_table(path: str) -> dict[str, tuple[np.ndarray, np.ndarray]] | None:
    """(boxes, scores) by image of a .mat file of a whole data set, as selective search and its users publish them.

    It has cells `boxes`, perhaps `scores`, and `images` with the images' names; rows as in `read_mat`. None for a file
    of one image.

    Raises InputError, naming the image.
    """
    try:
        names, boxes, scores = _mat_fields(_mat_content(path))
    except BadProposals as error:
        raise InputError(f"{path}: {error}") from error
    if names is None:
        if isinstance(boxes, np.ndarray) and boxes.dtype == object:
            raise InputError(f"{path}: has boxes of {len(boxes)} images but no cell 'images' that names them; add it")
        return None
    ids = [str(name).strip() for name in np.atleast_1d(names).ravel()]
    cells, rankings = _cells(boxes, len(ids)), _cells(scores, len(ids))
    if cells is None or (scores is not None and rankings is None):
        raise InputError(f"{path}: {len(ids)} names in 'images', but not as many cells of boxes and scores")
    rows = zip(ids, cells, rankings or [None] * len(ids), strict=True)
    return _collected(((key, box, score) for key, box, score in rows), path, _from_matlab)


def _mat_fields(content: Mapping[str, Any]) -> tuple[Any | None, Any, Any | None]:
    """(names of images, boxes, scores) of a .mat file, as they lie there, at the top or in a struct `proposals`."""
    fields = content
    if "proposals" in content:
        struct = content["proposals"]
        fields = {name: getattr(struct, name) for name in getattr(struct, "_fieldnames", ())}
    boxes = next((fields[name] for name in ("boxes", "bboxes") if name in fields), None)
    scores = next((fields[name] for name in ("scores", "bboxes_scores", "boxScores") if name in fields), None)
    if boxes is None:
        raise BadProposals(f"no MCG proposals: it holds {', '.join(sorted(fields)) or 'nothing'}, not boxes or bboxes")
    return fields.get("images"), boxes, scores


def _cells(values: Any | None, n: int) -> list[Any] | None:
    """The n cells of a MATLAB cell array, as scipy squeezes it; None if there are not as many."""
    if values is None:
        return None
    if n == 1 and not (isinstance(values, np.ndarray) and values.dtype.hasobject):
        return [values]
    return list(values) if hasattr(values, "__len__") and len(values) == n else None


def _from_matlab(boxes: Any, scores: Any | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows (y1, x1, y2, x2), 1-based and inclusive, as xyxy."""
    corners, ranking = _table(boxes, scores)
    return corners[:, [1, 0, 3, 2]] - np.array([1, 1, 0, 0]), ranking


def read_pickle(stream: IO[bytes], where: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(boxes, scores) by image id of a detectron2 proposal file, in the file's order.

    A dict of equally long lists: `boxes`, `ids` or `indexes`, perhaps `scores` or `objectness_logits` (without them the
    order is the ranking) and `bbox_mode` (XYXY_ABS, the default, or XYWH_ABS). Raises InputError for anything else, and
    for an id that occurs twice.
    """
    content = load_plain(stream, where, {("detectron2.structures.boxes", "BoxMode"): BoxMode})
    if not isinstance(content, Mapping):
        raise InputError(f"{where}: holds a {type(content).__name__}, not the dict of a detectron2 proposal file")
    boxes = _field(content, ("boxes",), where)
    ids = _field(content, ("ids", "indexes"), where)
    named = any(name in content for name in SCORES)
    scores = _field(content, SCORES, where) if named else [None] * len(boxes)
    if not len(boxes) == len(scores) == len(ids):
        raise InputError(f"{where}: {len(boxes)} boxes, {len(scores)} scores, {len(ids)} ids; expected as many of each")
    mode = content.get("bbox_mode", BoxMode.XYXY_ABS)
    if mode not in (BoxMode.XYXY_ABS, BoxMode.XYWH_ABS):
        raise InputError(f"{where}: bbox_mode {mode!r} is not supported; write absolute XYXY (0) or XYWH (1) boxes")

    def read(some_boxes: Any, some_scores: Any | None) -> tuple[np.ndarray, np.ndarray]:
        corners, ranking = _table(some_boxes, some_scores)
        return (xywh_to_xyxy(corners) if mode == BoxMode.XYWH_ABS else corners), ranking

    try:
        names = [_name(image_id) for image_id in ids]
    except ValueError as error:
        raise InputError(f"{where}: {error}; write the ids of the data set's images") from error
    return _collected(zip(names, boxes, scores, strict=True), where, read)


def _name(image_id: Any) -> str:
    """An id as text; a number or name may be wrapped in an array of one element. ValueError for what is no id."""
    plain = isinstance(image_id, np.generic) or (isinstance(image_id, np.ndarray) and image_id.size == 1)
    return identifier(image_id.item() if plain else image_id, "ids")


def _collected(
    rows: Iterable[tuple[Any, ...]], where: str, read: Callable[[Any, Any | None], tuple[np.ndarray, np.ndarray]]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(boxes, scores) by image of rows (id, boxes, scores); InputError for an id that occurs twice."""
    table: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for key, boxes, scores in rows:
        if key in table:
            raise InputError(f"{where}: image {key} occurs twice; keep one of them")
        try:
            table[key] = read(boxes, scores)
        except BadProposals as error:
            raise InputError(f"{where}: image {key}: {error}") from error
    return table


def _mat_content(path: str) -> dict[str, Any]:
    import scipy.io  # here, because other methods do not need it

    try:
        with open_binary(path) as stream:
            data = stream.read()
        names = check_structure(data, VARIABLES)
        content: dict[str, Any] = scipy.io.loadmat(
            io.BytesIO(data), squeeze_me=True, struct_as_record=False, variable_names=names and VARIABLES
        )
    except InputError:
        raise
    except FileNotFoundError:
        raise BadProposals("the file has vanished") from None
    except NotImplementedError:
        raise BadProposals("MATLAB 7.3 (HDF5) files are not supported; save with -v7") from None
    except Exception as error:  # damaged .mat files raise anything
        raise BadProposals(f"not a readable .mat file ({error})") from error
    others = dict.fromkeys(names or ())  # not read, but named where what is needed is not among them
    return {**others, **{name: value for name, value in content.items() if not name.startswith("__")}}


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
