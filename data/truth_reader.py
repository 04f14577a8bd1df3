"""The only entrance to ground truth: for evaluation and pictures, never for a stage or a trainer."""

from data import coco_truth, voc_truth
from data.catalog import load_images, parse_spec, split_parts
from data.errors import InputError
from data.truth import ImageTruth


def load_truth(spec: str, split: str) -> list[ImageTruth]:
    """Boxes, masks, difficult, crowd and void of every image of a split, in the order of `load_images(spec, split)`.

    Raises InputError for bad input and for `folder:`, which has image-level labels only (`has_objects`).
    """
    parsed = parse_spec(spec)
    if not has_objects(spec):
        raise InputError(
            f"data '{spec}': a plain folder has no ground truth but its labels; use VOC's or COCO's layout"
        )
    found: dict[str, ImageTruth] = {}
    for part in split_parts(spec, split):
        images = load_images(spec, part)
        read = (
            voc_truth.load_truth(parsed.voc(), images)
            if parsed.scheme == "voc"
            else coco_truth.load_truth(parsed.coco(), images)
        )
        found = {truth.id: truth for truth in read} | found
    return [found[record.id] for record in load_images(spec, split).records]


def has_objects(spec: str) -> bool:
    """Whether data of this kind can be annotated with boxes or masks."""
    return parse_spec(spec).scheme != "folder"
