"""The two decoders. Glance tells background, transition and foreground; focus the opacity.

Both begin at stride 32 and double the size level by level. Every level of glance sees the pyramid
pooling of the encoder's bottom, every level of focus the encoder's feature of its size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POOLED = (1, 3, 5)  # sides of the grids of the pyramid pooling


@dataclass(frozen=True)
class Plan:
    """Widths of a decoder; both decoders of a network have the same.

    Attributes:
        bottom: Channels of the encoder's last feature.
        levels: Channels after each of a level's three convolutions, deepest level first.
        full: The last level stands at full resolution already: it does not enlarge, and the head
            is one convolution. Else it stands at stride 2, and the head is a level, too.
    """

    bottom: int
    levels: tuple[tuple[int, int, int], ...]
    full: bool = False


def make_plan(encoder: str, channels: Sequence[int]) -> Plan:
    """The plan that goes with an encoder of these channels, shallowest first."""
    if encoder == "r101":
        levels = ((2048, 1024, 1024), (1024, 512, 512), (512, 256, 256), (256, 128, 64))
        return Plan(2048, levels)
    if encoder == "d121":
        channels = (64, 64, 128, 256, 512)  # decoded as ResNet-34
    c0, c1, c2, c3, c4 = channels[:5]
    levels = ((c4, c4, c3), (c3, c3, c2), (c2, c2, c1), (c1, c1, c0))
    if encoder == "r34_2b":
        return Plan(c4, ((c4, c4, c4), (c4, c4, c4), *levels), full=True)
    return Plan(c4, levels)


class GlanceDecoder(nn.Module):
    """Coarse classes of every pixel, from the encoder's bottom alone.

    Args:
        plan: Widths.
        classes: Channels of each prediction; there are several where representations are blended.
    """

    def __init__(self, plan: Plan, classes: Sequence[int]) -> None:
        super().__init__()
        outputs = [level[-1] for level in plan.levels]
        self.pool = PyramidPooling(plan.bottom)
        self.levels = make_levels(plan, joined=[plan.bottom, *outputs[:-1]])
        enlarged = outputs[:-1] if plan.full else outputs
        self.contexts = nn.ModuleList(
            context(plan.bottom, channels, 2**k) for k, channels in enumerate(enlarged, start=1)
        )
        self.heads = make_heads(plan, outputs[-1], classes)

    def forward(self, bottom: Tensor) -> list[Tensor]:
        """Logits [B, classes, H, W] of each prediction, from features [B, C, H/32, W/32]."""
        pooled = self.pool(bottom)
        x = self.levels[0](torch.cat([pooled, bottom], dim=1))  # [B, c, H/16, W/16]
        for enlarge, level in zip(self.contexts, self.levels[1:], strict=False):
            x = level(torch.cat([enlarge(pooled), x], dim=1))  # [B, c, H/8, W/8] and so on
        if len(self.contexts) == len(self.levels):
            x = torch.cat([self.contexts[-1](pooled), x], dim=1)
        return [head(x) for head in self.heads]


class FocusDecoder(nn.Module):
    """Opacity in the transition, from all features of the encoder.

    Args:
        plan: Widths.
        channels: Those of the encoder's features, shallowest first.
        count: Predictions, of one channel each.
    """

    def __init__(self, plan: Plan, channels: Sequence[int], count: int) -> None:
        super().__init__()
        shallow, *others = channels
        self.full = plan.full
        self.bridge = bridge(plan.bottom)
        self.levels = make_levels(plan, joined=others[::-1])
        self.heads = make_heads(plan, shallow, [1] * count)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Logits [B, 1, H, W] of each prediction, from features, shallowest first."""
        shallow, *others = features
        x = self.bridge(others[-1])  # [B, C, H/32, W/32]
        for level, feature in zip(self.levels, others[::-1], strict=True):
            x = level(torch.cat([x, feature], dim=1))  # [B, c, H/16, W/16] and so on
        if not self.full:
            x = torch.cat([x, shallow], dim=1)
        return [head(x) for head in self.heads]


class PyramidPooling(nn.Module):
    """What the whole picture and parts of it hold, at every place (PSP; Zhao et al., CVPR 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(side), nn.Conv2d(channels, channels, kernel_size=1, bias=False)
            )
            for side in POOLED
        )
        self.fuse = nn.Conv2d((len(POOLED) + 1) * channels, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, C, H, W] to as many of the same size."""
        size = x.shape[-2:]
        # Corners are aligned here and nowhere else in the network.
        pooled = [
            F.interpolate(stage(x), size=size, mode="bilinear", align_corners=True)
            for stage in self.stages
        ]
        return F.relu(self.fuse(torch.cat([*pooled, x], dim=1)))


def bridge(channels: int) -> nn.Sequential:
    """Bridge block (BB): three dilated convolutions that widen what focus sees."""
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += conv_norm_relu(channels, channels, dilation=2)
    return nn.Sequential(*layers)


def context(before: int, after: int, scale: int) -> nn.Sequential:
    """The pooled features brought to a level (PU): a convolution, then enlarged ``scale`` times."""
    return nn.Sequential(*conv_norm_relu(before, after), enlarge(scale))


def block(
    before: int, widths: tuple[int, int, int], normalise: bool = True, double: bool = True
) -> nn.Sequential:
    """Decoder block (D): three convolutions, then twice the size.

    Args:
        before: Channels of the input.
        widths: Channels after each convolution.
        normalise: Let normalisation and ReLU follow the last convolution as they do the others.
        double: Double the size.
    """
    first, second, last = widths
    layers = [*conv_norm_relu(before, first), *conv_norm_relu(first, second)]
    if normalise:
        layers += conv_norm_relu(second, last)
    else:
        layers += [nn.Conv2d(second, last, kernel_size=3, padding=1)]
    if double:
        layers += [enlarge(2)]
    return nn.Sequential(*layers)


def make_levels(plan: Plan, joined: Sequence[int]) -> nn.ModuleList:
    """The blocks of a decoder; each sees the one before and ``joined`` channels more."""
    levels, before = nn.ModuleList(), plan.bottom
    for number, (widths, more) in enumerate(zip(plan.levels, joined, strict=True), start=1):
        last = number == len(plan.levels)
        levels.append(block(before + more, widths, double=not (last and plan.full)))
        before = widths[-1]
    return levels


def make_heads(plan: Plan, joined: int, classes: Sequence[int]) -> nn.ModuleList:
    """The predictions, linear and at full resolution."""
    before = plan.levels[-1][-1]
    if plan.full:
        return nn.ModuleList(nn.Conv2d(before, c, kernel_size=3, padding=1) for c in classes)
    return nn.ModuleList(
        block(before + joined, (before, before, c), normalise=False) for c in classes
    )


def conv_norm_relu(before: int, after: int, dilation: int = 1) -> list[nn.Module]:
    """Convolution 3x3 with bias, batch normalisation and ReLU."""
    return [
        nn.Conv2d(before, after, kernel_size=3, padding=dilation, dilation=dilation),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    ]


def enlarge(scale: int) -> nn.Upsample:
    """Bilinear enlargement."""
    return nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=False)
