"""`check`: whether the images, annotations and proposals of a data set are all there, before anything runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data.catalog import load_images, parse_spec, splits_of
from data.errors import InputError, some
from data.published import PublishedSplit, recognise
from data.records import ImageList
from pipeline.spec import Stage
from stages.proposals.stage import refuse_foreign_files
from stages.registry import STAGE_NAMES, build_stage


@dataclass(frozen=True)
class _Finding:
    """What is wrong with a split. stops: nothing can be computed from it; else some images are missing."""

    split: str
    text: str
    stops: bool


def run(*, data: str, splits: Sequence[str] = (), proposals_from: str | None = None) -> int:
    """Print images and annotations of each split beside the published numbers, and what is missing.

    splits: those that are wanted; all that there are if none is named. proposals_from: published proposals, which must
    know the images. Returns 0 if all is there, 2 if a split cannot be used as it is, 3 if images, masks or proposals
    are missing from it. Raises InputError for folders that hold no such data set or no proposals.
    """
    there = splits_of(data)
    proposals = build_stage(STAGE_NAMES[0], proposals_from=proposals_from) if proposals_from else None
    findings: list[_Finding] = []
    lists: dict[str, ImageList] = {}
    for split in splits or there:
        try:
            lists[split] = load_images(data, split)
        except InputError as error:
            findings.append(_Finding(split, str(error), stops=True))
    ids = [record.id for images in lists.values() for record in images.records]
    names = next((images.class_names for images in lists.values()), ())
    known = recognise(parse_spec(data).scheme, names, ids, there)
    published = known[1] if known else {}
    print(f"{data}: {known[0] if known else 'not one of the published data sets this program knows'}")
    for line in _table(splits or there, lists, published, absent=not splits):
        print(line)
    for split, images in lists.items():
        findings += _short(split, images, published.get(split))
        findings += _without_masks(data, split, images)
        if proposals:
            findings += _without_proposals(proposals, split, images)
    for finding in findings:
        print(f"{finding.split}: {finding.text}")
    if not findings:
        print("all there")
    return 2 if any(finding.stops for finding in findings) else 3 if findings else 0


def _table(
    splits: Sequence[str], lists: dict[str, ImageList], published: dict[str, PublishedSplit], absent: bool
) -> Iterator[str]:
    """Lines: split, images found and published. absent: last the published splits that are not there."""
    yield f"{'split':<22}{'images':>9}{'published':>11}  labelled"
    for split in splits:
        images, expected = lists.get(split), published.get(split)
        count, labelled = ("-", "-") if images is None else (f"{len(images)}", f"{_labelled(images)}")
        yield f"{split:<22}{count:>9}{expected.images if expected else '-':>11}  {labelled}"
    for split, expected in published.items():
        if absent and split not in splits:
            yield f"{split:<22}{'-':>9}{expected.images:>11}  not there; it comes with {expected.archive}"


def _labelled(images: ImageList) -> int:
    return sum(bool(record.label) for record in images.records)


def _short(split: str, images: ImageList, expected: PublishedSplit | None) -> Iterator[_Finding]:
    if expected and len(images) != expected.images:
        text = f"{len(images)} images, published are {expected.images}; unpack {expected.archive} again"
        yield _Finding(split, text, stops=False)


def _without_masks(data: str, split: str, images: ImageList) -> Iterator[_Finding]:
    """VOC's `seg-` splits: each image has a PNG of instances."""
    spec = parse_spec(data)
    if spec.scheme != "voc" or not split.startswith("seg-"):
        return
    folder = spec.voc().folder
    masks = {name.removesuffix(".png") for name in folder.names("SegmentationObject")}
    if lacking := [record.id for record in images.records if record.id not in masks]:
        where = folder.path("SegmentationObject")
        yield _Finding(split, f"{where}: lacks the masks of {len(lacking)} images: {some(lacking)}", stops=False)


def _without_proposals(proposals: Stage, split: str, images: ImageList) -> Iterator[_Finding]:
    try:
        told = refuse_foreign_files(proposals, [record.id for record in images.records])
    except InputError as error:
        yield _Finding(split, str(error), stops=True)
        return
    if told:
        yield _Finding(split, told, stops=False)
