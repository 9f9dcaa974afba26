"""The encoder: ResNet-50 up to its third stage, with names of layers as torchvision has them."""

from typing import Literal, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

EXPANSION = 4  # channels of a bottleneck's output over those inside


class Features(NamedTuple):
    """What the encoder gives; channels at its default widths."""

    shallow: Tensor  # [B, 64, H/2, W/2]
    middle: Tensor  # [B, 256, H/4, W/4]
    deep: Tensor  # [B, 512, H/8, W/8]
    bottom: Tensor  # [B, 1024, H/16, W/16]


class Encoder(nn.Module):
    """Stem, max-pool and three stages of bottlenecks (He et al., CVPR 2016).

    Input: normalised image and trimap [B, 4, H, W].

    Args:
        width: Channels of the stem.
        planes: Channels inside the bottlenecks of each stage; outputs have four times as many.
        blocks: Bottlenecks of each stage.
        stem_stride: 2 puts the max-pool after the shallow features, as ResNet; 1 before them, and
            the halving it saves into the first stage.
        stem_kernel: Kernel of the stem, odd; 7 in ResNet.
    """

    def __init__(
        self,
        width: int,
        planes: tuple[int, int, int],
        blocks: tuple[int, int, int],
        stem_stride: Literal[1, 2],
        stem_kernel: int,
    ) -> None:
        super().__init__()
        self.stem_stride = stem_stride
        padding = stem_kernel // 2
        self.conv1 = nn.Conv2d(4, width, stem_kernel, stem_stride, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = stage(width, planes[0], blocks[0], stride=3 - stem_stride)
        self.layer2 = stage(EXPANSION * planes[0], planes[1], blocks[1], stride=2)
        self.layer3 = stage(EXPANSION * planes[1], planes[2], blocks[2], stride=2)

    def forward(self, x: Tensor) -> Features:
        """Encode a batch; H and W are multiples of 16."""
        shallow = F.relu(self.bn1(self.conv1(x)))
        pooled = F.max_pool2d(shallow, kernel_size=3, stride=2, padding=1)
        if self.stem_stride == 1:
            shallow = pooled
        middle = self.layer1(pooled)
        deep = self.layer2(middle)
        return Features(shallow, middle, deep, self.layer3(deep))


class Bottleneck(nn.Module):
    """Residual block of a 1x1, a 3x3 and a 1x1 convolution; the middle one has the stride."""

    def __init__(self, before: int, planes: int, stride: int) -> None:
        super().__init__()
        after = EXPANSION * planes
        self.conv1 = nn.Conv2d(before, planes, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, after, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.downsample = None
        if stride > 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, C, H, W] to [B, 4 planes, H/stride, W/stride]."""
        straight = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + straight)


def stage(before: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    """Bottlenecks of one size, the first of which has the stride."""
    first = Bottleneck(before, planes, stride)
    others = (Bottleneck(EXPANSION * planes, planes, stride=1) for _ in range(blocks - 1))
    return nn.Sequential(first, *others)
