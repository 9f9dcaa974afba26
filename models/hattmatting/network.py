"""The network of HAttMatting: what is deep says where, what is shallow says how exactly."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattingzoo.arguments import check_choice
from mattingzoo.models.hattmatting.aspp import ASPP
from mattingzoo.models.hattmatting.attention import (
    AppearanceCues,
    AttentionMaps,
    ChannelPool,
    FeatureDistillation,
)
from mattingzoo.models.hattmatting.backbone import STRIDE, Backbone, BackboneName
from mattingzoo.models.hattmatting.layers import run

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


class HAttMattingOutput(NamedTuple):
    """Predictions of one forward pass."""

    alpha: Tensor  # [B, 1, H, W] in (0, 1), float32
    attention: Tensor | None  # [B, 1, H/2, W/2] in (0, 1), where low-level features help


class HAttMattingNet(nn.Module):
    """Matte of the subject of a picture, with no hint where it is (Qiao et al., CVPR 2020).

    Input:  image [B, 3, H, W] in [0, 1]; H and W multiples of 8.

    Args:
        backbone: ``resnext101_32x8d``, ``resnext101_32x4d``, ``resnext50_32x4d`` or ``tiny``.
        width: Channels of the pyramid and all that follows.
        tiny_width: Planes of the first stage of ``tiny``.
        tiny_blocks: Blocks of its stages.
        dilation: Of the last stage of the backbone.
        aspp_rates: Dilations of the pyramid.
        align_corners: How features and matte are enlarged, see ``torch``'s ``interpolate``.
        channel_attention: Weigh the channels of the pyramid.
        channel_pool: What a channel is judged by: its ``max``, its ``average`` or ``both``.
        reduction: How many times narrower the hidden layer of that judgement is.
        low_level: Use low-level features.
        spatial_attention: Filter them, if they are used.
        attention_maps: ``one`` map for all their channels, or one for ``each``.
        asymmetric_norm: Batch norm after the thin convolutions of the spatial attention.
        statistics: Normalise images with ImageNet's mean and deviation.
        freeze_bn: Keep batch statistics of the backbone as they are.
        checkpointing: Compute blocks of the backbone and the cue filtration twice to save memory.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: BackboneName = "resnext101_32x8d",
        width: int = 256,
        tiny_width: int = 16,
        tiny_blocks: tuple[int, int, int, int] = (2, 2, 3, 2),
        dilation: int = 2,
        aspp_rates: tuple[int, ...] = (6, 12, 18),
        align_corners: bool = False,
        channel_attention: bool = True,
        channel_pool: ChannelPool = "max",
        reduction: int = 16,
        low_level: bool = True,
        spatial_attention: bool = True,
        attention_maps: AttentionMaps = "one",
        asymmetric_norm: bool = False,
        statistics: bool = True,
        freeze_bn: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        check_choice("channel_pool", channel_pool, ("max", "average", "both"))
        check_choice("attention_maps", attention_maps, ("one", "each"))
        self.align_corners, self.checkpointing = align_corners, checkpointing
        self.backbone = Backbone(
            backbone, tiny_width, tiny_blocks, dilation, freeze_bn, checkpointing
        )
        self.aspp = ASPP(self.backbone.high_channels, width, aspp_rates)
        self.pfd: nn.Module = nn.Identity()
        if channel_attention:
            self.pfd = FeatureDistillation(width, reduction, channel_pool)
        low = self.backbone.low_channels
        self.acf = AppearanceCues(
            low, width, low_level, spatial_attention, attention_maps, asymmetric_norm
        )
        self.head = nn.Conv2d(self.acf.out_channels, 1, kernel_size=3, padding=1)
        # constants, so they stay out of checkpoints
        mean, std = (MEAN, STD) if statistics else ((0.0,), (1.0,))
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> HAttMattingOutput:
        """Predict the mattes of a batch."""
        check_size(image)
        image = (image - self.mean) / self.std
        low, high = self.backbone(image.contiguous(memory_format=torch.channels_last))
        pyramid = self.enlarge(self.aspp(high), 4)  # [B, 256, H/2, W/2]
        distilled = self.pfd(pyramid)
        # [B, 512, H/2, W/2] and [B, 1, H/2, W/2]
        cues, attention = run(self.acf, low, distilled, sparing=self.checkpointing)
        # float32 from here on, under autocast too; enlarged before the sigmoid, as in the figure
        logits = self.enlarge(self.head(cues).float(), 2)  # [B, 1, H, W]
        return HAttMattingOutput(logits.sigmoid(), attention)

    def enlarge(self, x: Tensor, times: int) -> Tensor:
        """Enlarge bilinearly."""
        return F.interpolate(
            x, scale_factor=times, mode="bilinear", align_corners=self.align_corners
        )


def check_size(image: Tensor) -> None:
    """Refuse a picture that three halvings do not divide evenly."""
    height, width = image.shape[-2:]
    if height % STRIDE or width % STRIDE:
        raise ValueError(
            f"image must have sides that are multiples of {STRIDE}, got {height} x {width}; pad "
            f"it with mattingzoo.ops.pad_to_multiple(image, {STRIDE}) and crop the matte back"
        )
