"""The encoders: torchvision's networks without what GFM does not use, and a tiny one.

All give their features shallowest first, the last one at stride 32. Layers that ImageNet weights
exist for keep torchvision's names, so that its state dicts fit.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import ResNet, densenet121, resnet34, resnet101
from torchvision.models.resnet import BasicBlock

from mattingzoo.pretrained import fill_encoder, read_encoder

EncoderName = Literal["r34", "r101", "d121", "r34_2b", "tiny"]

#: What each starts from: torchvision's name and one of timm's.
PRETRAINED: dict[str, tuple[str, str]] = {
    "r34": ("resnet34", "resnet34.tv_in1k"),
    "r101": ("resnet101", "resnet101.tv_in1k"),
    "d121": ("densenet121", "densenet121.tv_in1k"),
    "r34_2b": ("resnet34", "resnet34.tv_in1k"),
}


class Encoder(nn.Module, ABC):
    """Input: image [B, 3, H, W] in [0, 255]; H and W multiples of 32.

    Attributes:
        channels: Channels of the features, shallowest first.
        left_out: Prefixes of torchvision's state that the encoder has no use for.
        own: Prefixes of its own state that torchvision's lacks.
    """

    channels: tuple[int, ...]
    left_out: tuple[str, ...] = ("fc.",)
    own: tuple[str, ...] = ()

    @abstractmethod
    def forward(self, image: Tensor) -> list[Tensor]:
        """Features, shallowest first."""


class ResNetEncoder(Encoder):
    """ResNet-34 or ResNet-101: stem at stride 2, then its four stages at 4, 8, 16 and 32."""

    def __init__(self, make: Callable[[], ResNet], channels: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels
        resnet = make()
        self.conv1, self.bn1 = resnet.conv1, resnet.bn1
        self.layer1, self.layer2 = resnet.layer1, resnet.layer2
        self.layer3, self.layer4 = resnet.layer3, resnet.layer4

    def forward(self, image: Tensor) -> list[Tensor]:
        """Five features; 64 channels at stride 2 to 512 or 2048 at 32."""
        e0 = F.relu(self.bn1(self.conv1(image)))
        e1 = self.layer1(F.max_pool2d(e0, kernel_size=3, stride=2, padding=1))
        e2 = self.layer2(e1)
        e3 = self.layer3(e2)
        return [e0, e1, e2, e3, self.layer4(e3)]


class ResNetTwoBlocksEncoder(Encoder):
    """ResNet-34 from full resolution on: a new stem, its stages at 1, 2, 4 and 8, two new ones."""

    channels = (64, 64, 128, 256, 512, 512, 512)
    left_out = ("conv1.", "bn1.", "fc.")
    own = ("stem.", "layer5.", "layer6.")

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=3, padding=1), nn.BatchNorm2d(64), nn.ReLU()
        )
        resnet = resnet34(weights=None)
        self.layer1, self.layer2 = resnet.layer1, resnet.layer2
        self.layer3, self.layer4 = resnet.layer3, resnet.layer4
        self.layer5 = stage(512, 512, blocks=3)
        self.layer6 = stage(512, 512, blocks=3)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Seven features; 64 channels at stride 1 to 512 at 32."""
        e0 = self.stem(image)
        e1 = self.layer1(e0)
        e2 = self.layer2(e1)
        e3 = self.layer3(e2)
        e4 = self.layer4(e3)
        e5 = self.layer5(F.max_pool2d(e4, kernel_size=2))
        return [e0, e1, e2, e3, e4, e5, self.layer6(F.max_pool2d(e5, kernel_size=2))]


class DenseNetEncoder(Encoder):
    """DenseNet-121 without its first pooling; what it saves comes after the last dense block."""

    channels = (64, 128, 256, 512, 512)
    left_out = ("features.norm5.", "classifier.")
    own = ("squeeze.",)
    #: Layers of each stage: the stem, three dense blocks with their transitions, the last block.
    stages = (slice(0, 3), slice(3, 5), slice(5, 7), slice(7, 9), slice(9, 10))

    def __init__(self) -> None:
        super().__init__()
        self.features: nn.Sequential = densenet121(weights=None).features
        del self.features.pool0, self.features.norm5
        self.squeeze = nn.Sequential(
            nn.Conv2d(1024, 512, kernel_size=3, padding=1), nn.BatchNorm2d(512), nn.ReLU()
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Five features; 64 channels at stride 2 to 512 at 32."""
        features, x = [], image
        for layers in self.stages:
            x = self.features[layers](x)
            features.append(x)
        features[-1] = F.max_pool2d(self.squeeze(x), kernel_size=2)
        return features


class TinyEncoder(Encoder):
    """A residual network of a few narrow blocks, trained from scratch.

    Args:
        widths: Channels at strides 2, 4, 8, 16 and 32.
        blocks: Residual blocks at strides 4, 8, 16 and 32.
    """

    def __init__(
        self, widths: tuple[int, int, int, int, int], blocks: tuple[int, int, int, int]
    ) -> None:
        super().__init__()
        self.channels = widths
        self.conv1 = nn.Conv2d(3, widths[0], kernel_size=3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1 = stage(widths[0], widths[1], blocks[0], stride=2)
        self.layer2 = stage(widths[1], widths[2], blocks[1], stride=2)
        self.layer3 = stage(widths[2], widths[3], blocks[2], stride=2)
        self.layer4 = stage(widths[3], widths[4], blocks[3], stride=2)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Five features, at strides 2 to 32."""
        e0 = F.relu(self.bn1(self.conv1(image)))
        e1 = self.layer1(e0)
        e2 = self.layer2(e1)
        e3 = self.layer3(e2)
        return [e0, e1, e2, e3, self.layer4(e3)]


def stage(before: int, after: int, blocks: int, stride: int = 1) -> nn.Sequential:
    """Residual blocks of two 3x3 convolutions each; the first has the stride."""
    shortcut = None
    if stride > 1 or before != after:
        shortcut = nn.Sequential(
            nn.Conv2d(before, after, kernel_size=1, stride=stride, bias=False),
            nn.BatchNorm2d(after),
        )
    first = BasicBlock(before, after, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(after, after) for _ in range(blocks - 1)))


def make_encoder(
    name: EncoderName,
    widths: tuple[int, int, int, int, int],
    blocks: tuple[int, int, int, int],
) -> Encoder:
    """An encoder by name; ``widths`` and ``blocks`` are the tiny one's.

    Raises:
        ValueError: If there is none of that name.
    """
    makers: dict[str, Callable[[], Encoder]] = {
        "r34": lambda: ResNetEncoder(resnet34, (64, 64, 128, 256, 512)),
        "r101": lambda: ResNetEncoder(resnet101, (64, 256, 512, 1024, 2048)),
        "d121": DenseNetEncoder,
        "r34_2b": ResNetTwoBlocksEncoder,
        "tiny": lambda: TinyEncoder(widths, blocks),
    }
    if name not in makers:
        raise ValueError(f"encoder must be one of {', '.join(get_args(EncoderName))}, got {name!r}")
    return makers[name]()


def load_imagenet(encoder: Encoder, name: EncoderName, source: str) -> None:
    """Start an encoder from weights of torchvision's network; what is its own stays random.

    Args:
        encoder: Encoder to fill.
        name: What it is called.
        source: A file or ``timm:NAME``, see :func:`mattingzoo.pretrained.read_encoder`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds another network, or the encoder is the tiny one.
    """
    if name not in PRETRAINED:
        raise ValueError(
            f"encoder={name!r} has no ImageNet weights, but encoder_weights={source} was given; "
            f"leave it out, or choose one of {', '.join(PRETRAINED)}"
        )
    state = read_encoder(source, encoder.left_out)
    # torchvision's files of DenseNet still have the names of an early version.
    state = {re.sub(r"\.(norm|conv)\.([12])\.", r".\1\2.", k): v for k, v in state.items()}
    own = {k: v for k, v in encoder.state_dict().items() if k.startswith(encoder.own or "\0")}
    fits = f"a state dict of torchvision.models.{PRETRAINED[name][0]}"
    fill_encoder(encoder, {**own, **state}, source, fits)
