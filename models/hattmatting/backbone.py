"""HAttMatting's encoder: timm's ResNeXt, but without its max-pool and at output stride 8."""

from typing import Any, Literal, NamedTuple, get_args

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mattingzoo.models.hattmatting.layers import run
from mattingzoo.pretrained import fill_encoder, read_encoder

BackboneName = Literal["resnext101_32x8d", "resnext101_32x4d", "resnext50_32x4d", "tiny"]

STRIDE = 8  # of the deepest features

#: What timm calls the weights that torchvision's models of these names have, or would have.
OF_TIMM = {
    "resnext101_32x8d": "resnext101_32x8d.tv_in1k",
    "resnext101_32x4d": "resnext101_32x4d.gluon_in1k",
    "resnext50_32x4d": "resnext50_32x4d.tv_in1k",
}


class Features(NamedTuple):
    """What the decoder sees."""

    low: Tensor  # [B, 256, H/2, W/2], after layer1: appearance
    high: Tensor  # [B, 2048, H/8, W/8], after layer4: meaning


class Backbone(nn.Module):
    """ResNeXt whose layers are named as torchvision's, so that its ImageNet weights fit.

    The max-pool after the stem is left out, and the last stage dilates where it would stride:
    layer1 works at stride 2, layer4 at stride 8.

    Input:  images [B, 3, H, W], normalised; H and W multiples of 8.

    Args:
        name: ``resnext101_32x8d``, ``resnext101_32x4d``, ``resnext50_32x4d`` or ``tiny``.
        tiny_width: Planes of the first stage of ``tiny``, doubled in each of the others; stages
            put out four times as many channels. A multiple of 4.
        tiny_blocks: Blocks of the stages of ``tiny``.
        dilation: Of the last stage, from its second block on.
        freeze_bn: Keep batch statistics as they are, in training too.
        checkpointing: Keep the inputs of the blocks only, and compute the rest twice.
    """

    def __init__(
        self,
        name: BackboneName = "resnext101_32x8d",
        tiny_width: int = 16,
        tiny_blocks: tuple[int, int, int, int] = (2, 2, 3, 2),
        dilation: int = 2,
        freeze_bn: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.freeze_bn, self.checkpointing = freeze_bn, checkpointing
        net = build(name, tiny_width, tiny_blocks)
        self.conv1, self.bn1 = net.conv1, net.bn1
        self.layer1, self.layer2 = net.layer1, net.layer2
        self.layer3, self.layer4 = net.layer3, net.layer4
        for block in self.layer4[1:]:
            block.conv2.dilation = block.conv2.padding = (dilation, dilation)
        self.low_channels = self.layer1[-1].conv3.out_channels
        self.high_channels = self.layer4[-1].conv3.out_channels
        if freeze_bn:
            self.train()

    def forward(self, x: Tensor) -> Features:
        """Features of a batch."""
        x = F.relu(self.bn1(self.conv1(x)))  # [B, 64, H/2, W/2]
        low = self.stage(self.layer1, x)  # [B, 256, H/2, W/2]
        x = self.stage(self.layer2, low)  # [B, 512, H/4, W/4]
        x = self.stage(self.layer3, x)  # [B, 1024, H/8, W/8]
        return Features(low, self.stage(self.layer4, x))  # [B, 2048, H/8, W/8]

    def stage(self, blocks: nn.Sequential, x: Tensor) -> Tensor:
        """Run the blocks of one stage."""
        for block in blocks:
            x = run(block, x, sparing=self.checkpointing)
        return x

    def train(self, mode: bool = True) -> "Backbone":
        """Switch to training, but for statistics that are to stay."""
        super().train(mode)
        if self.freeze_bn:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def build(name: str, width: int, blocks: tuple[int, int, int, int]) -> Any:
    """The network of timm that the stages are taken from.

    Raises:
        ValueError: If there is no such backbone, or the tiny one cannot be as wide.
    """
    from timm import create_model  # slow to import
    from timm.models.resnet import Bottleneck, ResNet

    if name not in get_args(BackboneName):
        known = ", ".join(get_args(BackboneName))
        raise ValueError(f"backbone must be one of {known}, got {name!r}")
    # timm counts the stride of the max-pool, too: 16 for it is 8 here
    if name != "tiny":
        return create_model(name, pretrained=False, num_classes=0, output_stride=2 * STRIDE)
    if width < 4 or width % 4:
        raise ValueError(f"tiny_width must be a multiple of 4, got {width}")
    return ResNet(
        Bottleneck,
        blocks,
        num_classes=0,
        output_stride=2 * STRIDE,
        channels=(width, 2 * width, 4 * width, 8 * width),
        cardinality=8,
        base_width=16,  # as in 32x4d, the grouped convolutions are twice as wide as the planes
    )


def load_resnext(backbone: Backbone, source: str) -> None:
    """Initialise the backbone from a ResNeXt trained on ImageNet.

    Args:
        backbone: Backbone to fill.
        source: As for :func:`mattingzoo.pretrained.read_encoder`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds another network, or timm cannot give it.
    """
    fits = "a state dict of torchvision's or timm's model of the backbone's name (tiny has none)"
    fill_encoder(backbone, read_encoder(source), source, fits)
