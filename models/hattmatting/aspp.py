"""Atrous spatial pyramid pooling: one map seen at several scales."""

import torch
from torch import Tensor, nn

from mattingzoo.models.hattmatting.layers import PooledNorm, conv_norm_relu


class ASPP(nn.Module):
    """Five views of the deepest features, joined (paper's figure; Chen et al., 2017).

    A 1x1 convolution, dilated 3x3 convolutions and the mean of the whole picture, side by side;
    one 3x3 convolution joins them.

    Args:
        channels: Channels of the features.
        width: Channels of each view, and of the result.
        rates: Dilations of the 3x3 convolutions.
    """

    def __init__(self, channels: int, width: int, rates: tuple[int, ...] = (6, 12, 18)) -> None:
        super().__init__()
        self.point = conv_norm_relu(channels, width, 1)
        self.dilated = nn.ModuleList(conv_norm_relu(channels, width, 3, rate) for rate in rates)
        self.pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, width, 1, bias=False),
            PooledNorm(width),
            nn.ReLU(inplace=True),
        )
        self.fuse = conv_norm_relu((2 + len(rates)) * width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Pyramid features [B, width, H, W] of features [B, channels, H, W]."""
        views = [self.point(x), *(view(x) for view in self.dilated)]
        views.append(self.pool(x).expand_as(views[0]))
        fused: Tensor = self.fuse(torch.cat(views, dim=1))
        return fused
