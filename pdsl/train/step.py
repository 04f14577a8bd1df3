"""One update: augmentation, forward and backward passes, summed gradients, a step that the device may block.

Nothing in here waits for the device. How a step's images are split over processes and passes changes memory and speed
only: each image draws from its own generators, losses are averaged over all images of the step, and gradients are
summed in an order of their own, in float32.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from pdsl.augment import apply, draw
from pdsl.config.tree import Config
from pdsl.model.losses import LossTerms
from pdsl.model.pdsl import PDSL
from pdsl.model.precision import use_bfloat16
from pdsl.raw_sample import RawSample
from pdsl.train.distributed import World
from pdsl.train.gradients import GradientSum, WorkingWeights
from pdsl.train.meters import Meters
from pdsl.train.optimizer import gradient_norm, learning_rate, trainable, update
from pdsl.train.randomness import Purpose, generator_for


class Stepper:
    """Runs updates of one model, which is on the device and in training mode."""

    def __init__(self, model: PDSL, optimizer: torch.optim.Optimizer, config: Config, world: World, meters: Meters):
        self.model, self.optimizer, self.config, self.world, self.meters = model, optimizer, config, world, meters
        self.gradients = GradientSum([p.grad for p in trainable(optimizer) if p.grad is not None])
        self.bf16 = use_bfloat16(config.precision, world.device)
        self.weights = WorkingWeights(model, optimizer, bf16=self.bf16)
        # the images of a pass share their gradients' sum, which bf16 would round: there each passes alone
        self.images_per_pass = 1 if self.bf16 else config.optimizer.images_per_pass
        self.share = torch.full((), 1 / config.optimizer.images_per_step, device=world.device)

    def run(self, step: int, images: Sequence[RawSample]) -> None:
        """Update `step` (0-based) with this process's share of the step's images."""
        size = self.images_per_pass
        starts = range(0, len(images), size)
        self.weights.refresh()
        self.gradients.begin(len(starts))
        passes = [self._forward_backward(step, images[start : start + size]) for start in starts]
        names = passes[0][0]
        values = torch.stack([value for _, image_values in passes for value in image_values], 1)
        bad = (values * 0).sum()  # not 0, but NaN, as soon as one of them is not finite
        self.world.sum([*self.gradients.total, bad])
        norm = gradient_norm(self.optimizer)
        blocked = (bad + norm * 0 != 0).float()
        update(self.optimizer, learning_rate(step, self.config.optimizer.lr, self.config.schedule), blocked)
        terms = dict(zip(names, values.unbind(), strict=True))
        self.meters.add(step + 1, [image.image_id for image in images], terms, norm, blocked)

    def _forward_backward(self, step: int, images: Sequence[RawSample]) -> tuple[list[str], list[Tensor]]:
        """Add the images' share of the gradients; the names of the loss terms, and their values of each image."""
        device, seed = self.world.device, self.config.seed
        samples, generators = [], []
        for image in images:
            augmenting = generator_for(Purpose.AUGMENT, seed, step, image.index)
            transform = draw(self.config.augment, image.size, augmenting)
            samples.append(apply(transform, image.some(self.config.augment.proposals, augmenting).to_sample(device)))
            generators.append(generator_for(Purpose.MODEL, seed, step, image.index, device))
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            losses: list[LossTerms] = functional_call(self.model, self.weights.by_name, (samples, generators))
        values = [image.values() for image in losses]  # their sum is what is learnt from, Eq. 1
        share = [self.share.expand_as(value) for value in values]
        self.gradients.add(
            torch.autograd.grad(values, self.weights.leaves, share, allow_unused=True, materialize_grads=True)
        )
        return list(losses[0].named()), [value.detach() for value in values]
