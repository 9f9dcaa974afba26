"""HAttMatting's two attentions: over channels of what is deep, over places of what is shallow."""

from typing import Literal

import torch
from torch import Tensor, nn

from mattingzoo.models.hattmatting.layers import conv_norm_relu

ChannelPool = Literal["max", "average", "both"]
AttentionMaps = Literal["one", "each"]


class FeatureDistillation(nn.Module):
    """Pyramidal features distillation: a weight in (0, 1) for each channel (paper's figure).

    Args:
        width: Channels.
        reduction: How many times narrower the hidden layer is.
        pool: What a channel is judged by: its ``max``, its ``average``, or ``both``, each through
            the same layers and added before the sigmoid.
    """

    def __init__(self, width: int, reduction: int = 16, pool: ChannelPool = "max") -> None:
        super().__init__()
        hidden = max(1, width // reduction)
        self.pool = pool
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, width)
        )

    def forward(self, pyramid: Tensor) -> Tensor:
        """Features [B, C, H, W], weighted."""
        return pyramid * self.weights(pyramid)[:, :, None, None]

    def weights(self, pyramid: Tensor) -> Tensor:
        """The weights [B, C]."""
        logits = torch.zeros_like(pyramid[:, :, 0, 0])
        if self.pool != "average":
            logits = logits + self.mlp(pyramid.amax(dim=(2, 3)))
        if self.pool != "max":
            logits = logits + self.mlp(pyramid.mean(dim=(2, 3)))
        return logits.sigmoid()


class SpatialAttention(nn.Module):
    """A map of where low-level features help, by long thin kernels both ways (paper's figure).

    Args:
        width: Channels of the features it is drawn from.
        maps: How many are drawn: one, or one for each channel they will filter.
        norm: Batch norm after the thin convolutions instead of a bias.
    """

    def __init__(self, width: int, maps: int = 1, norm: bool = False) -> None:
        super().__init__()
        tall, wide = (7, 1), (1, 7)
        self.tall_first = nn.Sequential(*thin(width, tall, norm), *thin(width, wide, norm))
        self.wide_first = nn.Sequential(*thin(width, wide, norm), *thin(width, tall, norm))
        self.to_map = nn.Conv2d(2 * width, maps, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """The map [B, maps, H, W] in (0, 1) of features [B, width, H, W]."""
        both = torch.cat([self.tall_first(x), self.wide_first(x)], dim=1)
        attention: Tensor = self.to_map(both).sigmoid()
        return attention


class AppearanceCues(nn.Module):
    """Appearance cues filtration: low-level features where they help, beside the deep ones.

    Args:
        low_channels: Channels of the low-level features.
        width: Channels of the deep ones.
        low_level: Use low-level features at all.
        spatial_attention: Filter them; else they come as they are. There is nothing to filter
            without ``low_level``.
        maps: ``one`` map filters all their channels, or ``each`` has its own.
        norm: Batch norm after the thin convolutions of the attention.
    """

    def __init__(
        self,
        low_channels: int,
        width: int,
        low_level: bool = True,
        spatial_attention: bool = True,
        maps: AttentionMaps = "one",
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.deepen = conv_norm_relu(width, width, 3)
        self.attend: SpatialAttention | None = None
        self.filter: nn.Module | None = None
        if low_level:
            self.filter = conv_norm_relu(low_channels, width, 3)
            if spatial_attention:
                self.attend = SpatialAttention(width, 1 if maps == "one" else low_channels, norm)
        self.out_channels = 2 * width if low_level else width

    def forward(self, low: Tensor, distilled: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features for the head, and the attention if there is one; all of one size.

        Args:
            low: Low-level features [B, low_channels, H, W].
            distilled: Deep features [B, width, H, W].
        """
        deep = self.deepen(distilled)
        if self.filter is None:
            return deep, None
        attention = None
        if self.attend is not None:
            attention = self.attend(deep)
            low = attention * low
        return torch.cat([self.filter(low), deep], dim=1), attention


def thin(width: int, kernel: tuple[int, int], norm: bool) -> list[nn.Module]:
    """A convolution by a kernel of one row or one column, and ReLU."""
    padding = (kernel[0] // 2, kernel[1] // 2)
    conv = nn.Conv2d(width, width, kernel, padding=padding, bias=not norm)
    return [conv, *([nn.BatchNorm2d(width)] if norm else []), nn.ReLU(inplace=True)]
