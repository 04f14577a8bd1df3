"""What a model is evaluated on: images, their truth and their proposals, in one order."""

from collections.abc import Sequence
from dataclasses import dataclass

from data.catalog import load_images
from data.errors import InputError
from data.records import ImageList
from data.truth import ImageTruth
from data.truth_reader import has_objects, load_truth
from pdsl.evaluate.protocols import PROTOCOLS, ProtocolName, default_protocol
from pdsl.evaluate.targets import ImageTargets
from store.store import Store, open_store


@dataclass(frozen=True)
class EvaluationSet:
    """images: N, in the store's order (in the reader's without a store). truth: N, aligned with them; their targets are
    made once for all figures and pictures. store: holds their proposals; None if only results are evaluated.
    labels_only: nobody annotated objects, so that the truth has none, and image-level labels are all there is."""

    images: ImageList
    truth: Sequence[ImageTargets]
    store: Store | None = None
    labels_only: bool = False

    def proposals(self) -> Store:
        """The store. Raises InputError if none was named."""
        if self.store is None:
            raise InputError("--store: the store with the split's proposals is needed; `precompute` makes one")
        return self.store


def read_evaluation_set(
    data: str, split: str, store: str | None, protocol: ProtocolName | None = None
) -> EvaluationSet:
    """Images and truth of a split of `data` ("voc:DIR", "coco:DIR", "folder:DIR"), in the order of the store at URL
    `store`, which may hold more images.

    protocol: what counts as an object; by default that of the published figures of such data (`protocols`).
    Raises InputError for bad input, for a protocol where there are no objects, and for images that the store lacks.
    """
    images, opened = load_images(data, split), None
    if store is not None:
        opened = open_store(store)
        images, _ = opened.locate(images)
    counted = PROTOCOLS[protocol] if protocol else default_protocol(data)
    if not has_objects(data):
        if protocol:
            raise InputError(
                f"--protocol {protocol}: says which objects count, and {data} has labels only; leave it out"
            )
        truth = [ImageTargets(ImageTruth(record.id, record.size, ()), counted) for record in images.records]
        return EvaluationSet(images, truth, opened, labels_only=True)
    by_id = {truth.id: ImageTargets(truth, counted) for truth in load_truth(data, split)}
    return EvaluationSet(images, [by_id[record.id] for record in images.records], opened)
