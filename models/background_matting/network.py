"""The network of Background Matting: four encoders, a context-switching block, two decoders."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattingzoo.ops import pad_to_multiple

STRIDE = 4  # two halvings
SMALLEST = 8  # reflecting one pixel at stride 4 takes two


class BackgroundMattingOutput(NamedTuple):
    """What one forward pass predicts, float32 under autocast too."""

    alpha: Tensor  # [B, 1, H, W] in (0, 1)
    foreground: (
        Tensor  # [B, 3, H, W], nominally in [0, 1], not clamped; means something under alpha
    )


class ConvNorm(nn.Sequential):
    """Convolution that keeps the size or halves it, batch normalisation, and usually ReLU."""

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int = 3,
        stride: int = 1,
        reflect: bool = False,
        relu: bool = True,
    ) -> None:
        conv = nn.Conv2d(
            before,
            after,
            kernel,
            stride,
            padding=kernel // 2,
            bias=kernel > 1,
            padding_mode="reflect" if reflect else "zeros",
        )
        activation = [nn.ReLU(inplace=True)] if relu else []
        super().__init__(conv, nn.BatchNorm2d(after), *activation)


class ResidualBlock(nn.Module):
    """Two reflecting 3x3 convolutions added to their input; no ReLU after the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width, reflect=True)
        self.second = ConvNorm(width, width, reflect=True, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Refine features [B, C, H, W]."""
        refined: Tensor = x + self.second(self.first(x))
        return refined


class Up(nn.Sequential):
    """Bilinear doubling, corners aligned as in the reference, then convolution, norm, ReLU."""

    def __init__(self, before: int, after: int) -> None:
        double = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        super().__init__(double, ConvNorm(before, after))


class BackgroundMattingNet(nn.Module):
    """Context-switching network (Sengupta et al., CVPR 2020, section 3.1 and figure 2).

    Pictures lie in [0, 1] on the outside; inside, as in the reference, in [-1, 1].

    Input:  image and captured background [B, 3, H, W], soft segmentation [B, 1, H, W], motion
    [B, 4, H, W], all in [0, 1]; any H and W.

    Args:
        width: Channels at full resolution; 64 in the paper.
        n_blocks1: Residual blocks of the trunk, 7.
        n_blocks2: Residual blocks of each decoder, 3.
        use_motion: Switch between image and motion as the paper draws it. False feeds the features
            of the background in their place, as the released code does; the motion encoder then
            stands idle, frozen, so that weights have one layout.
    """

    def __init__(
        self, width: int = 64, n_blocks1: int = 7, n_blocks2: int = 3, use_motion: bool = True
    ) -> None:
        super().__init__()
        deep = 4 * width
        self.use_motion = use_motion
        self.image_fine = nn.Sequential(
            ConvNorm(3, width, kernel=7, reflect=True), ConvNorm(width, 2 * width, stride=2)
        )
        self.image_deep = ConvNorm(2 * width, deep, stride=2)
        self.background = encoder(3, width)
        self.segmentation = encoder(1, width)
        self.motion = encoder(4, width)
        self.switch_background = ConvNorm(2 * deep, width, kernel=1)
        self.switch_segmentation = ConvNorm(2 * deep, width, kernel=1)
        self.switch_motion = ConvNorm(2 * deep, width, kernel=1)
        self.merge = ConvNorm(deep + 3 * width, deep, kernel=1)
        self.trunk = residual_blocks(deep, n_blocks1)
        self.alpha_trunk = residual_blocks(deep, n_blocks2)
        self.alpha_up = nn.Sequential(Up(deep, 2 * width), Up(2 * width, width))
        self.to_alpha = head(width, 1)
        self.foreground_trunk = residual_blocks(deep, n_blocks2)
        self.foreground_up = Up(deep, 2 * width)
        self.foreground_fine = Up(deep, width)
        self.to_foreground = head(width, 3)
        self.apply(initialise)
        self.motion.requires_grad_(use_motion)

    def forward(
        self, image: Tensor, background: Tensor, segmentation: Tensor, motion: Tensor
    ) -> BackgroundMattingOutput:
        """Predict matte and foreground colours of pictures of any size."""
        height, width = image.shape[-2:]
        image, background, segmentation, motion = (
            (2 * padded(picture) - 1).contiguous(memory_format=torch.channels_last)
            for picture in (image, background, segmentation, motion)
        )
        fine, shared = self.encode(image, background, segmentation, motion)
        raw = self.to_alpha(self.alpha_up(self.alpha_trunk(shared)))  # [B, 1, H, W]
        colour = self.foreground_up(self.foreground_trunk(shared))  # [B, 2w, H/2, W/2]
        colour = self.to_foreground(self.foreground_fine(torch.cat([colour, fine], dim=1)))
        alpha = (raw[..., :height, :width].float().tanh() + 1) / 2
        foreground = (colour[..., :height, :width].float() + 1) / 2
        return BackgroundMattingOutput(alpha, foreground)

    def encode(
        self, image: Tensor, background: Tensor, segmentation: Tensor, motion: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Features of the image at stride 2 [B, 2w, H/2, W/2], of all at 4 [B, 4w, H/4, W/4]."""
        fine = self.image_fine(image)
        deep = self.image_deep(fine)  # [B, 4w, H/4, W/4], as all encoders give
        behind = self.background(background)
        moving = self.motion(motion) if self.use_motion else behind
        cues = [
            self.switch_background(torch.cat([deep, behind], dim=1)),  # [B, w, H/4, W/4] each
            self.switch_segmentation(torch.cat([deep, self.segmentation(segmentation)], dim=1)),
            self.switch_motion(torch.cat([deep, moving], dim=1)),
        ]
        return fine, self.trunk(self.merge(torch.cat([deep, *cues], dim=1)))


def encoder(channels: int, width: int) -> nn.Sequential:
    """From a cue [B, channels, H, W] to its features [B, 4 width, H/4, W/4]."""
    return nn.Sequential(
        ConvNorm(channels, width, kernel=7, reflect=True),
        ConvNorm(width, 2 * width, stride=2),
        ConvNorm(2 * width, 4 * width, stride=2),
    )


def residual_blocks(width: int, count: int) -> nn.Sequential:
    """So many residual blocks of one width."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))


def head(width: int, channels: int) -> nn.Conv2d:
    """The last convolution of a decoder, linear."""
    return nn.Conv2d(width, channels, kernel_size=7, padding=3, padding_mode="reflect")


def initialise(layer: nn.Module) -> None:
    """The reference's start: Xavier's uniform times the square root of 2, norms near 1."""
    if isinstance(layer, nn.Conv2d):
        nn.init.xavier_uniform_(layer.weight, gain=math.sqrt(2))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.2)
        nn.init.zeros_(layer.bias)


def padded(picture: Tensor) -> Tensor:
    """Pad right and bottom to a size that the network takes; crop back with ``[..., :H, :W]``."""
    picture = pad_to_multiple(picture, STRIDE)
    bottom, right = (max(SMALLEST - side, 0) for side in picture.shape[-2:])
    return F.pad(picture, (0, right, 0, bottom), mode="replicate") if bottom or right else picture
