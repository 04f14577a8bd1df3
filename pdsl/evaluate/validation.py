"""Figures of a model while it trains: what `validation:` of the configuration asks for (Fig. 3 of the paper)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pdsl.classes import class_ids
from pdsl.config.tree import Config
from pdsl.evaluate.evaluation_set import EvaluationSet, read_evaluation_set
from pdsl.evaluate.image_level import image_metrics
from pdsl.evaluate.infer import detect_images
from pdsl.evaluate.metrics import coco_metrics
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.seed_masks import require_seeds
from pdsl.figures import Figures
from pdsl.model.pdsl import PDSL
from pdsl.train.distributed import World
from store.contents import PROPOSALS
from store.store import open_store


class Validator:
    """Evaluates a model under training on one split, at a single scale, without touching what it learns.

    class_names: of the model. Raises InputError at once if the proposals are incomplete or the split has none of the
    model's classes.
    """

    def __init__(self, config: Config, class_names: Sequence[str], dataset: EvaluationSet) -> None:
        self.config, self.dataset, self.store = config, dataset, dataset.proposals()
        rows = self.store.rows(record.id for record in dataset.images.records)
        self.store.require(PROPOSALS, rows=rows)
        require_seeds(self.store, config.inference.seed_weight, rows)
        self.class_ids = class_ids(class_names, dataset.images, config.classes)

    def __call__(self, model: PDSL, world: World, advance: Callable[[int, int], None]) -> Figures:
        """AP of boxes, masks and image-level labels in percent, the same in every process; each looks at its share of
        the images.

        The model is left in training mode. advance: told (images looked at, images) of this process.
        """
        images = self.dataset.images
        share = replace(images, records=images.records[world.rank :: world.size])
        found: list[Prediction] = []
        failed = 0
        outcomes = detect_images(model, self.config, share, self.store, self.class_ids)
        for number, (_, outcome) in enumerate(outcomes, 1):
            if isinstance(outcome, str):
                failed += 1
            else:
                found += outcome
            advance(number, len(share))
        model.train()
        parts = world.gather((found, failed))
        everything = [prediction for part, _ in parts for prediction in part]
        metrics = coco_metrics(everything, self.dataset.truth, images.class_names)
        figures: Figures = {
            kind: {name: value for name, value in metrics[kind].items() if name != "per_class"}
            for kind in ("mask", "box")
        }
        figures["image"] = {"mAP": image_metrics(everything, images)["mAP"]}
        return figures | {"images": len(images), "failed": sum(count for _, count in parts)}


def build_validator(config: Config, class_names: Sequence[str]) -> Validator:
    """The validator on `config.validation`'s store: `validation` of `pdsl.train.loop.train`.

    Raises InputError for a store or truth that can not be read.
    """
    wanted = config.validation
    stored = open_store(str(wanted.store)).attributes
    data, split = wanted.images or stored["spec"], wanted.split or stored["split"]
    return Validator(config, class_names, read_evaluation_set(data, split, wanted.store))
