"""One training image as a loader process hands it over."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from data.masks import MASK_SIDE
from pdsl.structures import Proposals, Sample, Seeds
from store import contents


@dataclass(frozen=True)
class RawSample:
    """One image with what the stages found, as it leaves a loader process; CPU tensors.

    image: (3, H, W) uint8 RGB. label: (C,) bool. box: (P, 4) float32 xyxy of the original image, score: (P,) float32;
    P is what this image has, at most n^P. seed: (Q,) int64 proposals with a mask; mask: (Q, 56, 7) uint8, bit-packed.
    index: place in the training set; row: place in its store.
    """

    image: Tensor
    label: Tensor
    box: Tensor
    score: Tensor
    seed: Tensor
    mask: Tensor
    index: int
    row: int
    image_id: str

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.image.shape[1], self.image.shape[2]

    def pin_memory(self) -> "RawSample":
        """The same in page-locked memory, from which copies to a CUDA device do not block."""
        tensors = {k: v.pin_memory() for k, v in vars(self).items() if isinstance(v, Tensor)}
        return RawSample(**(vars(self) | tensors))

    def some(self, n: int | None, generator: torch.Generator) -> "RawSample":
        """With `n` of its proposals, drawn evenly and still best first, and the seeds that are theirs; None: all."""
        if n is None or n >= len(self.box):
            return self
        kept = torch.randperm(len(self.box), generator=generator)[:n].sort().values
        place = torch.full((len(self.box),), -1).index_put((kept,), torch.arange(n))[self.seed]
        theirs = place >= 0
        box, score = self.box[kept], self.score[kept]
        return replace(self, box=box, score=score, seed=place[theirs], mask=self.mask[theirs])

    def to_sample(self, device: torch.device | str) -> Sample:
        """On the device, masks unpacked; the image still uint8."""
        box, score, seed, mask, image, label = (
            t.to(device, non_blocking=True)
            for t in (self.box, self.score, self.seed, self.mask, self.image, self.label)
        )
        all_of_them = torch.ones(len(box) + len(seed), dtype=torch.bool, device=device)
        every_proposal, every_seed = all_of_them.split([len(box), len(seed)])
        return Sample(
            image,
            label,
            Proposals(box, score, every_proposal),
            Seeds(seed, unpack(mask), every_seed),
            self.row,
            self.image_id,
        )


def unpack(packed: Tensor) -> Tensor:
    """(..., 56, 7) uint8 -> (..., 56, 56) bool; the most significant bit is the leftmost pixel."""
    shifted = packed[..., None] << torch.arange(8, dtype=torch.uint8, device=packed.device)
    return (shifted >= 128).reshape(*packed.shape[:-1], MASK_SIDE)


def raw_sample(
    image: np.ndarray,
    label: np.ndarray,
    proposals: contents.Proposals,
    seeds: contents.Seeds,
    *,
    used: tuple[int, float],
    place: tuple[int, int, str],
) -> RawSample:
    """One image as training gets it.

    image: (H, W, 3) uint8 RGB; label: (C,) bool in the run's classes. used: `max_proposals` and `min_size` of the
    configuration. place: in the training set, in its store, and the image's id.
    """
    kept = used_proposals(proposals.box, *used)
    place_of = np.full(len(proposals.box), -1)
    place_of[kept] = np.arange(len(kept))
    seed = place_of[seeds.proposal.astype(np.int64)]
    index, row, image_id = place
    return RawSample(
        image=torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
        label=torch.from_numpy(label),
        box=torch.from_numpy(proposals.box[kept]),
        score=torch.from_numpy(proposals.score[kept]),
        seed=torch.from_numpy(seed[seed >= 0]),
        mask=torch.from_numpy(seeds.mask[seed >= 0]),
        index=index,
        row=row,
        image_id=image_id,
    )


def used_proposals(box: np.ndarray, max_proposals: int, min_size: float) -> np.ndarray:
    """Which of an image's proposals (n, 4), best first, are used: indices of the first n^P that are large enough.

    Where none is large enough, size does not count.
    """
    large = np.flatnonzero((box[:, 2:] - box[:, :2]).min(1) >= min_size)
    return (large if len(large) else np.arange(len(box)))[:max_proposals]
