"""The contour network: 199,000 parameters, strides 2, 4, 8 with dilated residuals, and back to full resolution."""

from torch import Tensor, nn
from torch.nn import functional as F

from stages.contours.detector import STRIDE
from stages.contours.onnx_model import DILATIONS


class ConvBlock(nn.Sequential):
    """Convolution, batch normalisation, ReLU; keeps the spatial size for stride 1."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


def _upsample(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class ContourNet(nn.Module):
    """Lab image -> boundary logit of every pixel.

    `forward(x)`: (B, 3, H, W) float32 of `detector.lab_planes` -> (B, 1, H, W) logits. With `auxiliary=True` also the
    logits predicted at stride 4, upsampled, which steady the training.
    """

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 64), dilations: tuple[int, ...] = DILATIONS) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.encode2 = nn.Sequential(ConvBlock(3, fine, kernel=5, stride=2), ConvBlock(fine, fine))
        self.encode4 = nn.Sequential(ConvBlock(fine, middle, stride=2), ConvBlock(middle, middle))
        self.encode8 = ConvBlock(middle, coarse, stride=2)
        self.context = nn.ModuleList(ConvBlock(coarse, coarse, dilation=d) for d in dilations)
        self.reduce8 = ConvBlock(coarse, middle, kernel=1)
        self.decode4 = ConvBlock(middle, middle)
        self.reduce4 = ConvBlock(middle, fine, kernel=1)
        self.decode2 = ConvBlock(fine, fine)
        self.logit = nn.Conv2d(fine, 4, 3, padding=1)  # the four pixels of a stride-2 cell
        self.logit4 = nn.Conv2d(middle, 1, 1)

    def forward(self, x: Tensor, auxiliary: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        x2 = self.encode2(x)
        x4 = self.encode4(x2)
        x8 = self.encode8(x4)
        for block in self.context:
            x8 = x8 + block(x8)
        y4 = self.decode4(x4 + _upsample(self.reduce8(x8), 2))
        y2 = self.decode2(x2 + _upsample(self.reduce4(y4), 2))
        logit = F.pixel_shuffle(self.logit(y2), 2)[..., :height, :width]
        if not auxiliary:
            return logit
        return logit, _upsample(self.logit4(y4), 4)[..., :height, :width]
