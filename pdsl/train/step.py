"""One update: augmentation, forward and backward passes, summed gradients, a step that the device may block.

Nothing in here waits for the device. How a step's images are split over processes and passes changes memory and speed
only: each image draws from its own generators, and losses are averaged over all images of the step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pdsl.augment import apply, draw
from pdsl.cache import RawSample
from pdsl.config.tree import Config
from pdsl.model.pdsl import PDSL
from pdsl.train.distributed import World
from pdsl.train.meters import Meters
from pdsl.train.optimizer import gradient_norm, learning_rate, trainable, update
from pdsl.train.randomness import Purpose, generator_for


class Stepper:
    """Runs updates of one model, which is on the device and in training mode."""

    def __init__(self, model: PDSL, optimizer: torch.optim.Optimizer, config: Config, world: World, meters: Meters):
        self.model, self.optimizer, self.config, self.world, self.meters = model, optimizer, config, world, meters
        self.gradients = [p.grad for p in trainable(optimizer) if p.grad is not None]
        self.bf16 = use_bfloat16(config.precision, world.device)

    def run(self, step: int, images: Sequence[RawSample]) -> None:
        """Update `step` (0-based) with this process's share of the step's images."""
        torch._foreach_zero_(self.gradients)
        size = self.config.optimizer.images_per_pass
        losses = []
        for start in range(0, len(images), size):
            losses += self._forward_backward(step, images[start : start + size])
        terms = {name: torch.stack([image[name] for image in losses]) for name in losses[0]}
        bad = (~torch.isfinite(torch.stack(list(terms.values())))).any().float()
        self.world.sum([*self.gradients, bad])
        norm = gradient_norm(self.optimizer)
        blocked = ((bad > 0) | ~torch.isfinite(norm)).float()
        update(self.optimizer, learning_rate(step, self.config.optimizer.lr, self.config.schedule), blocked)
        self.meters.add(step + 1, [image.image_id for image in images], terms, norm, blocked)

    def _forward_backward(self, step: int, images: Sequence[RawSample]) -> list[dict[str, Tensor]]:
        """Add the images' share of the gradients; their detached loss terms."""
        device, seed = self.world.device, self.config.seed
        samples, generators = [], []
        for image in images:
            sample = image.to_sample(device)
            transform = draw(self.config.augment, image.size, generator_for(Purpose.AUGMENT, seed, step, image.index))
            samples.append(apply(transform, sample))
            generators.append(generator_for(Purpose.MODEL, seed, step, image.index, device))
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            losses = self.model.losses(samples, generators)
        total = torch.stack([image.total() for image in losses]).sum()  # Eq. 1
        (total / self.config.optimizer.images_per_step).backward()
        return [{name: term.detach() for name, term in image.named().items()} for image in losses]


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether passes run under bf16 autocast: as asked, or by default on CUDA."""
    return precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
