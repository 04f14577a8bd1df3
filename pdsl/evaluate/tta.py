"""Views of an image: one scale at plain inference; several scales, each also mirrored, at test-time augmentation."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pdsl.augment import Transform, resized, transform_image, transform_proposals
from pdsl.config.inference import InferenceConfig
from pdsl.structures import Proposals


@dataclass(frozen=True)
class View:
    """One way to look at an image: its shorter side in pixels, and whether it is mirrored."""

    scale: int
    flip: bool


def views(config: InferenceConfig, tta: bool) -> list[View]:
    """The single plain view, or those of test-time augmentation."""
    if not tta:
        return [View(config.scale, False)]
    return [View(scale, flip) for scale in config.tta_scales for flip in (False, True)]


@dataclass(frozen=True)
class ViewFrame:
    """One view of an image of `size` (height, width): pixels and boxes go there, boxes and masks come back."""

    transform: Transform
    size: tuple[int, int]

    @classmethod
    def of(cls, view: View, size: tuple[int, int], max_side: int) -> "ViewFrame":
        """The frame of `view` of an image of `size`, whose longer side stays within `max_side`."""
        height, width = resized(size, view.scale, max_side)
        return cls(Transform((height, width), view.flip, (0, 0, width, height)), size)

    def image(self, image: Tensor) -> Tensor:
        """(3, H, W) RGB in 0..255, any dtype -> (3, h, w) float32."""
        return transform_image(self.transform, image)

    def proposals(self, proposals: Proposals) -> Proposals:
        """Proposals in the view's frame."""
        return transform_proposals(self.transform, proposals, self.size)

    def boxes(self, box: Tensor) -> Tensor:
        """(..., 4) xyxy of the original image -> of the view."""
        return self._mirror(box * self._scale(box))

    def boxes_back(self, box: Tensor) -> Tensor:
        """(..., 4) xyxy of the view -> of the original image."""
        return self._mirror(box) / self._scale(box)

    def masks_back(self, mask: Tensor) -> Tensor:
        """(D, m, m) box-frame masks: a mirrored view shows them mirrored."""
        return mask.flip(-1) if self.transform.flip else mask

    def _scale(self, box: Tensor) -> Tensor:
        (height, width), (own_height, own_width) = self.size, self.transform.size
        return box.new_tensor([own_width / width, own_height / height]).repeat(2)

    def _mirror(self, box: Tensor) -> Tensor:
        """Left and right exchanged within the view's width; its own inverse."""
        if not self.transform.flip:
            return box
        x0, y0, x1, y1 = box.unbind(-1)
        width = self.transform.size[1]
        return torch.stack([width - x1, y0, width - x0, y1], -1)
