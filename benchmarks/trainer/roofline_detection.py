"""What detection would take on a device that is not there: the last tables of `--simulate`.

As in `roofline.py`, on fake tensors; only suppression, whose number of blocks depends on what it finds, runs on real
scores and boxes. Decoding and masks put into the image are not in it: threads do them beside the device.
"""

from dataclasses import dataclass
from inspect import unwrap
from unittest import mock

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.trainer.parts import told
from benchmarks.trainer.roofline import Costs, Device, part_table
from benchmarks.trainer.simulation import device_paths
from pdsl.config.load import load_config
from pdsl.config.shipped import find_config
from pdsl.config.tree import Config
from pdsl.evaluate.infer import detect_image
from pdsl.evaluate.postprocess import FinalBoxes, final_boxes
from pdsl.evaluate.suppression import DEVICE_BLOCK
from pdsl.evaluate.tta import views
from pdsl.model.build import build_model
from pdsl.model.precision import cast_once
from pdsl.structures import Proposals

SIZE = (375, 500)
"""(height, width) of the image, as of a photograph of VOC."""


@dataclass(frozen=True)
class Looked:
    """The costs of an image that is looked at in so many views."""

    costs: Costs
    views: int

    @property
    def seconds(self) -> float:
        """Device or host, whichever is longer."""
        whole = self.costs.whole
        return max(whole.seconds, whole.launches * self.costs.device.launch)


def predict_detection(config: Config, device: Device, n_classes: int, *, tta: bool) -> Looked:
    """Of an image with as many proposals and detections as there are at most, in bf16, the frozen norms folded."""
    inference, looks = config.inference, views(config.inference, tta)
    costs, rows, kept = Costs(device), config.data.max_proposals, config.inference.detections
    _count_suppression(costs, config, n_classes)
    with FakeTensorMode(allow_non_fake_inputs=True), device_paths():
        found = FinalBoxes(torch.empty(kept, 4), torch.empty(kept), torch.empty(kept, dtype=torch.int64))
        proposals = Proposals(torch.empty(rows, 4), torch.empty(rows), torch.empty(rows, dtype=torch.bool))
        image = torch.empty(3, *SIZE, dtype=torch.uint8)
        model = cast_once(build_model(config.model, n_classes))
        look = torch.no_grad()(unwrap(detect_image))  # in inference mode layers are not split into counted operators
        with mock.patch("pdsl.evaluate.infer.final_boxes", lambda *_: found):
            look(model, image, proposals, inference, looks[:1], bf16=True)  # folds the norms
            with told(costs.enter), costs:
                look(model, image, proposals, inference, looks, bf16=True)
    return Looked(costs, len(looks))


def _count_suppression(costs: Costs, config: Config, n_classes: int) -> None:
    """Of scores and boxes of an untrained model's kind, all alike and anywhere, in blocks of a device's size."""
    score, box = _boxes_to_suppress(config.data.max_proposals, n_classes)
    with mock.patch("pdsl.evaluate.suppression.BLOCK", DEVICE_BLOCK), costs, costs.enter("suppression"):
        final_boxes(score, box, SIZE, config.inference)


def _boxes_to_suppress(rows: int, n_classes: int) -> tuple[Tensor, Tensor]:
    """Scores (P, C) and boxes (P, C, 4) within the image."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(2, rows, 2, generator=generator) * torch.tensor([SIZE[1], SIZE[0]])
    box = torch.cat([corners.amin(0), corners.amax(0) + 1], 1)
    score = torch.rand(rows, n_classes, generator=generator)
    return score, box[:, None].expand(-1, n_classes, -1).contiguous()


def simulate_detection(name: str, device: Device, overrides: list[str]) -> None:
    """Print the tables: the parts of a look at a single scale, and single scale and all views of 20 and 80 classes."""
    rows = []
    for recipe, n_classes in (("voc-paper", 20), ("coco-paper", 80)):
        config = load_config(find_config(recipe), ["model.backbone.weights=FILE", *overrides])
        for tta in (False, True):
            found = predict_detection(config, device, n_classes, tta=tta)
            if not rows:
                print(f"\n{name}, {config.model.backbone.name}, detection of an image at a single scale\n")
                print(part_table(found.costs, 1))
            rows.append(detection_row(n_classes, found))
    columns = "classes | views | operators | TFLOP | GB moved | floor, ms | roofline, ms | host, ms | an image, ms"
    print(f"\n| Detection: {columns} |", "|---" * 9 + "|", *rows, sep="\n")


def detection_row(n_classes: int, found: Looked) -> str:
    """Markdown: an image looked at once or in all views."""
    whole, launch = found.costs.whole, found.costs.device.launch
    times = (1e3 * seconds for seconds in (whole.floor, whole.seconds, whole.launches * launch))
    cells = " | ".join(f"{x:.2f}" for x in (whole.flops / 1e12, whole.moved / 1e9, *times))
    return f"| {n_classes} | {found.views} | {whole.launches} | {cells} | **{1e3 * found.seconds:.1f}** |"
