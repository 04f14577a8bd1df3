"""Figures of a model while it trains: what `validation:` of the configuration asks for (Fig. 3 of the paper)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from data.records import ImageList
from data.truth import ImageTruth
from pdsl.classes import class_ids
from pdsl.config.tree import Config
from pdsl.evaluate.infer import detect_images
from pdsl.evaluate.metrics import coco_metrics
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.stored_proposals import StoredProposals
from pdsl.model.pdsl import PDSL
from pdsl.train.distributed import World
from pdsl.train.log import Figures
from store.store import Store


class Validator:
    """Evaluates a model under training on one split, at a single scale, without touching what it learns.

    images, truth: aligned, in the order of `store`, which holds the proposals. class_names: of the model.
    Raises InputError at once if the proposals are incomplete or the split has none of the model's classes.
    """

    def __init__(
        self, config: Config, class_names: Sequence[str], images: ImageList, truth: Sequence[ImageTruth], store: Store
    ) -> None:
        self.config, self.images, self.truth = config, images, truth
        self.proposals = StoredProposals(store)
        self.class_ids = class_ids(class_names, images, config.classes)

    def __call__(self, model: PDSL, world: World, advance: Callable[[int, int], None]) -> Figures:
        """AP of boxes and masks in percent, the same in every process; each looks at its share of the images.

        The model is left in training mode. advance: told (images looked at, images) of this process.
        """
        share = replace(self.images, records=self.images.records[world.rank :: world.size])
        outcomes = detect_images(
            model,
            share,
            self.proposals,
            self.config.inference,
            class_ids=self.class_ids,
            data=self.config.data,
        )
        found: list[Prediction] = []
        failed = 0
        for number, (_, outcome) in enumerate(outcomes, 1):
            if isinstance(outcome, str):
                failed += 1
            else:
                found += outcome
            advance(number, len(share))
        model.train()
        parts = world.gather((found, failed))
        everything = [prediction for part, _ in parts for prediction in part]
        metrics = coco_metrics(everything, self.truth, self.images.class_names)
        figures: Figures = {
            kind: {name: value for name, value in metrics[kind].items() if name != "per_class"}
            for kind in ("mask", "box")
        }
        return figures | {"images": len(self.images), "failed": sum(count for _, count in parts)}
