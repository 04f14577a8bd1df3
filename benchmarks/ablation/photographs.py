"""What each part of the method is worth on photographs, at one reduced budget of the recipe `photographs-with-coco`.

    python -m benchmarks.ablation.photographs --voc DIR --coco DIR --weights VGG16.pth --out DIR
        [--seeds 3] [--only NAME …] [--workers N] [key=value …]

Learns from the labels of VOC's `train` and of COCO's `train2017` (their images of VOC's twenty classes) and measures on
VOC's `val` and COCO's `val2017`, means over the twenty classes. Masks are those of the mask heads alone (no seeds at
inference), unless the variant says otherwise. What is in --out is kept; interrupted, it goes on where it stopped. As
the trunk is fixed, variants of the mask branch have the same boxes, so that their masks differ by nothing else. Rows
that decide something have as many seeds as are asked for, the others one.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.ablation.stand_ins import FewSeeds, WholeBoxes, store_with
from benchmarks.ablation.tables import paired, table
from benchmarks.ablation.used_seeds import note_nearest, read_used, recorded
from data.catalog import load_images
from data.errors import InputError
from data.parameters import parse_assignment
from pdsl.config.shipped import find_config
from pdsl.evaluate.evaluation import known_classes
from pdsl.evaluate.evaluation_set import EvaluationSet, read_evaluation_set
from pdsl.evaluate.metrics import coco_metrics, means_over
from pdsl.evaluate.predictions import Prediction, fill_boxes
from pdsl.evaluate.split import detect_split
from pdsl.run.folder import training_config
from pdsl.run.trained import TrainedModel, load_trained, untrained
from pdsl.train.loop import train
from pipeline.compute import compute_stages
from pipeline.executors.choose import DeferredExecutor
from pipeline.spec import Stage
from stages.grabcut.parameters import GrabcutParams
from stages.registry import STAGE_NAMES, stage_for
from store.store import Store, open_store

CONFIG = "photographs-with-coco"
BUDGET = {"steps": 1000, "checkpoint_every": 1000, "schedule.drops": [800], "threads": 1}
SPLITS = {"voc": ("train", "val"), "coco": ("train2017", "val2017")}
MCG = {"proposals": {"max_proposals": 500}, "grabcut": {"seeds": "all"}}
FIGURES = (("voc", "box", "AP50"), ("voc", "mask", "AP50"), ("voc", "mask", "AP75"))
FIGURES += (("coco", "box", "AP50"), ("coco", "mask", "AP50"), ("coco", "mask", "AP75"))


@dataclass(frozen=True)
class Variant:
    """seeds: which stores are learnt from (`Stores`). training: what differs from the recipe. blended: weight of the
    seeds in the masks that are measured; of_opencv: whether these are of OpenCV's GrabCut. mil_weight: weight of S^0 in
    the scores. detections: how many of an image count (None: the recipe's). filled: whole boxes are measured as masks.
    trained: whether the model has learnt. decides: whether several seeds are worth their time."""

    seeds: str = "ours"
    training: tuple[str, ...] = ()
    blended: float = 0.0
    of_opencv: bool = False
    detections: int | None = None
    mil_weight: float = 0.75
    filled: bool = False
    trained: bool = True
    decides: bool = False

    def run(self, seed: int) -> str:
        """Name of the run folder; variants that differ in what is measured only share it."""
        changes = (text.partition("=") for text in self.training)
        words = (f"{key.rpartition('.')[2]}={value.replace('/', '+')}" for key, _, value in changes)
        return "-".join([self.seeds, *words, str(seed)]).replace(" ", "_")


FULL = "full"
WSDDN = ("model.detection.n_r=0", "model.mask.n_m=0", "model.correlation.enabled=false")
RELEASE = (
    "base=model/official.yaml",
    "model.detection.objectness_prior=0",
    "model.mask.trunk_gradient=all",
    "augment.proposals=null",
    "optimizer.weight_decay=0.0005",
)
"""What the authors' release computes (docs/model.md), with the recipe's sizes of image, trunk and heads."""
OWN_SEEDS = "n^m = 0, n^seed = 1"
HEAD_0 = ("model.mask.n_m=0",)
NEAREST = (*HEAD_0, "model.mask.n_seed=1")
"""Head 0 learns of the seeds alone, and the boxes nothing of the masks: which seeds are taken depends on nothing they
hold. A box of OpenCV's GrabCut costs 0.3 s, so that those alone are computed (`used_seeds`)."""
VARIANTS: Mapping[str, Variant] = {
    FULL: Variant(decides=True),
    "untrained": Variant(trained=False),
    "WSDDN alone, boxes filled": Variant(training=WSDDN, filled=True, decides=True),
    "without refinement": Variant(training=("model.detection.n_r=0",), decides=True),
    "without the mask branch, boxes filled": Variant(filled=True, decides=True),
    "whole boxes as seeds": Variant("whole boxes", decides=True),
    "without correlation": Variant(training=("model.correlation.enabled=false",)),
    "n^m = 0": Variant(training=HEAD_0, decides=True),
    OWN_SEEDS: Variant(training=NEAREST, decides=True),
    "n^m = 0, n^seed = 1, seeds of the authors' GrabCut": Variant("opencv", NEAREST, decides=True),
    "n^m = 0, n^seed = 1, whole boxes as seeds": Variant("whole boxes", NEAREST, decides=True),
    "n^m = 4": Variant(training=("model.mask.n_m=4",)),
    "n^seed = 1": Variant(training=("model.mask.n_seed=1",)),
    "n^seed = 50": Variant(training=("model.mask.n_seed=50",)),
    "seeds of a cover": Variant("cover"),
    "MCG's region masks as seeds": Variant("region masks"),
    "selective search": Variant("selective search"),
    "the release's method": Variant(training=RELEASE, mil_weight=0.0, decides=True),
    "trunk taught by all mask heads": Variant(training=("model.mask.trunk_gradient=all",)),
    "soft self-training": Variant(training=("model.mask.self_training=soft",)),
    "without regression": Variant(training=("model.detection.regression=false",)),
    "scores of the refinement heads alone": Variant(mil_weight=0.0, decides=True),
    "all 500 proposals in every update": Variant(training=("augment.proposals=null",)),
    "without the objectness prior": Variant(training=("model.detection.objectness_prior=0",)),
    "masks blended with seeds": Variant(blended=0.4, decides=True),
    "n^m = 0, masks blended with seeds": Variant(training=HEAD_0, blended=0.4, decides=True),
    "20 detections, heads alone": Variant(detections=20, decides=True),
    "20 detections, blended with seeds": Variant(detections=20, blended=0.4, decides=True),
    "20 detections, blended with seeds of the authors' GrabCut": Variant(
        detections=20, blended=0.4, of_opencv=True, decides=True
    ),
}


@dataclass(frozen=True)
class Stores:
    """Stores in folder `out`, made when first asked for. specs: of the data sets, by name."""

    out: Path
    specs: Mapping[str, str]
    workers: int

    def of(self, data: str, split: str, seeds: str) -> str:
        """URL of the store of a split of data set `data` whose seeds are `seeds`."""
        if seeds in ("ours", "selective search", "region masks"):
            return self._computed(data, split, seeds)
        build = {"whole boxes": WholeBoxes.stage, "cover": partial(_built, {}, "grabcut")}[seeds]
        return self._with(build, data, split, seeds)

    def of_opencv(self, data: str, split: str, used: Path, name: str) -> str:
        """As `of`, with masks of OpenCV's GrabCut for the seeds in file `used`; `name` tells these from others."""
        build = partial(FewSeeds.stage, GrabcutParams(method="opencv"), read_used(used))
        return self._with(build, data, split, f"opencv {name}")

    def _with(self, build: Callable[[Store], Stage], data: str, split: str, seeds: str) -> str:
        base, place = self.of(data, split, "ours"), self._place(data, split, seeds)
        executor = DeferredExecutor(workers=self.workers, scheduler=None, cluster=None)
        with closing(executor):
            return store_with(build, base, place, load_images(self.specs[data], split), executor)

    def _computed(self, data: str, split: str, seeds: str) -> str:
        stages: dict[str, dict[str, Any]] = {name: dict(params) for name, params in MCG.items()}
        if seeds == "selective search":
            stages["proposals"]["method"] = "selective-search"
        if seeds == "region masks":
            stages["proposals"]["masks"] = True
            stages["grabcut"]["method"] = "proposal-masks"
        url = str(self._place(data, split, seeds))
        build = partial(_built, stages)
        if compute_stages(url, load_images(self.specs[data], split), STAGE_NAMES, build, self.workers):
            raise InputError(f"{url}: images failed; the same command continues")
        return url

    def _place(self, data: str, split: str, seeds: str) -> Path:
        return self.out / "stores" / f"{data}-{split}-{seeds.replace(' ', '-')}.zarr"


def _built(stages: Mapping[str, Mapping[str, Any]], name: str, store: Store) -> Stage:
    return stage_for(store, name, stages.get(name))


@dataclass(frozen=True)
class Bench:
    """Trains and measures variants. overrides: "key=value" of every run."""

    out: Path
    stores: Stores
    weights: str
    overrides: Sequence[str]

    def figures(self, variant: Variant, name: str, seed: int) -> dict[str, float]:
        """In percent, by "voc box AP50" and the like; read where they were measured before."""
        run = self.out / "runs" / variant.run(seed)
        found = run / f"figures-{name.replace(' ', '-')}.json"
        if found.exists():
            return dict(json.loads(found.read_text()))
        self._train(run, variant, seed)
        trained = load_trained(run)
        model = self._as_measured(trained if variant.trained else untrained(trained), variant)
        metrics = {data: self._measured(model, data, variant, run.name) for data in SPLITS}
        figures = {f"{data} {kind} {figure}": metrics[data][kind][figure] for data, kind, figure in FIGURES}
        found.write_text(json.dumps(figures))
        return figures

    def _train(self, run: Path, variant: Variant, seed: int) -> None:
        stores = [self._store(data, split, variant, seed) for data, (split, _) in SPLITS.items()]
        fixed = {"model.backbone.weights": self.weights, "features.cache": str(self.out / "features"), "seed": seed}
        given = [parse_assignment(text) for text in (*self.overrides, *variant.training)]
        changes = [*BUDGET.items(), *fixed.items(), ("data.stores", stores), *given]
        with recorded(self._used(seed)) if variant == VARIANTS[OWN_SEEDS] else nullcontext():
            outcome = train(training_config(run, find_config(CONFIG), changes, resume=True), run, resume=True)
        if outcome.signal:
            raise SystemExit(outcome.exit_status)

    def _store(self, data: str, split: str, variant: Variant, seed: int) -> str:
        if variant.seeds != "opencv":
            return self.stores.of(data, split, variant.seeds)
        if not self._used(seed).exists():
            self.figures(VARIANTS[OWN_SEEDS], OWN_SEEDS, seed)
        return self.stores.of_opencv(data, split, self._used(seed), str(seed))

    def _used(self, seed: int) -> Path:
        return self.out / "stores" / f"used-seeds-{seed}.json"

    def _as_measured(self, trained: TrainedModel, variant: Variant) -> TrainedModel:
        inference = trained.config.inference
        inference = replace(
            inference,
            seed_weight=variant.blended,
            mil_weight=variant.mil_weight,
            detections=variant.detections or inference.detections,
        )
        return replace(trained, config=replace(trained.config, inference=inference))

    def _measured(self, trained: TrainedModel, data: str, variant: Variant, run: str) -> dict[str, dict[str, Any]]:
        """Means over the classes that the model and the data set share, which have objects. run: name of its folder."""
        split = SPLITS[data][1]
        proposals = variant.seeds if variant.seeds == "selective search" else "ours"
        dataset = read_evaluation_set(self.stores.specs[data], split, self.stores.of(data, split, proposals))
        found, _ = detect_split(trained, dataset.images, dataset.proposals())
        if variant.of_opencv:
            found = self._blended_with_opencv(trained, dataset, found, data, run)
        if variant.filled:
            found = fill_boxes(found, {record.id: record.size for record in dataset.images.records})
        metrics = coco_metrics(found, dataset.truth, dataset.images.class_names)
        known = known_classes(trained, dataset)
        return {kind: means_over(metrics[kind], known) for kind in ("box", "mask")}

    def _blended_with_opencv(
        self, trained: TrainedModel, dataset: EvaluationSet, found: list[Prediction], data: str, run: str
    ) -> list[Prediction]:
        """The detections `found` again, their masks blended with OpenCV's seeds, where there are true masks."""
        masked = {image.id for image in dataset.truth if image.truth.has_masks}
        used = self.out / "stores" / f"nearest-seeds-{data}-{run}.json"
        note_nearest(used, [one for one in found if one.image_id in masked], dataset.proposals())
        url = self.stores.of_opencv(data, SPLITS[data][1], used, f"nearest {run}")
        return detect_split(trained, dataset.images, open_store(url))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("voc", "coco", "weights"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3, help="of the rows that decide")
    parser.add_argument("--workers", type=int, default=2, help="processes of the offline stages")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), metavar="NAME")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of the recipe, for every run")
    options: Any = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    specs = {data: f"{data}:{getattr(options, data)}" for data in SPLITS}
    bench = Bench(options.out, Stores(options.out, specs, options.workers), options.weights, options.overrides)
    results: dict[str, list[dict[str, float]]] = {}
    for seed in range(options.seeds):
        for name in dict.fromkeys([FULL, *options.only]):
            if seed == 0 or VARIANTS[name].decides:
                results.setdefault(name, []).append(bench.figures(VARIANTS[name], name, seed))
                print(f"\n{table(results, FULL)}\n\n{paired(results, FULL)}", flush=True)


if __name__ == "__main__":
    main()
