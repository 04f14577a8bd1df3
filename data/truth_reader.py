"""The only entrance to ground truth: for evaluation and pictures, never for a stage or a trainer."""

from data import coco_truth, voc_truth
from data.catalog import load_images, parse_spec
from data.errors import InputError
from data.truth import ImageTruth


def load_truth(spec: str, split: str) -> list[ImageTruth]:
    """Boxes, masks, difficult, crowd and void of every image of a split, in the order of `load_images(spec, split)`.

    Raises InputError for bad input and for `folder:`, which has image-level labels only.
    """
    parsed = parse_spec(spec)
    if parsed.scheme == "folder":
        raise InputError(f"data '{spec}': a plain folder has no ground truth; use the VOC or COCO layout to evaluate")
    images = load_images(spec, split)
    if parsed.scheme == "voc":
        return voc_truth.load_truth(parsed.voc(), images)
    return coco_truth.load_truth(parsed.coco(), images)
