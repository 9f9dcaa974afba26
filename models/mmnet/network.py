"""The network of MMNet: blocks of parallel dilated depthwise convolutions, a light decoder."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 16  # four halvings
NORM_EPS = 1e-3  # TF-slim's, as the authors'


class MMNetOutput(NamedTuple):
    """Predictions of one forward pass, float32; channel 0 is background, 1 is foreground."""

    logits: Tensor  # [B, 2, H, W]
    auxiliary: Tensor  # [B, 2, H/16, W/16] logits at the bottom, for training only

    @property
    def alpha(self) -> Tensor:
        """The matte [B, 1, H, W] in [0, 1]: the probability of foreground."""
        return self.logits.softmax(dim=1)[:, 1:]


class Block(NamedTuple):
    """One line of the encoder's table, at width 1."""

    expanded: int  # channels of every branch
    after: int  # channels of the merger
    rates: tuple[int, ...]  # dilation of each branch
    stride: int = 1


ENCODER = (
    Block(16, 16, (1, 2, 4, 8), stride=2),
    Block(16, 24, (1, 2, 4, 8)),
    Block(24, 24, (1, 2, 4, 8)),
    Block(24, 24, (1, 2, 4, 8)),
    Block(32, 40, (1, 2, 4), stride=2),
    Block(64, 40, (1, 2, 4)),
    Block(64, 40, (1, 2, 4)),
    Block(64, 40, (1, 2, 4)),
    Block(80, 80, (1, 2), stride=2),
    Block(120, 80, (1, 2)),
)
DECODER = Block(40, 40, (1, 2, 4))  # two of these at a quarter of the size
SKIPS = (4, 0)  # encoder blocks whose features join the decoder, in its order


class MMNetwork(nn.Module):
    """Portrait matting on a phone (Seo et al., arXiv 1904.03816, 2019).

    Input: image [B, 3, H, W] in [0, 1], neither mean nor deviation taken out; H and W multiples
    of 16. Shapes below are those of width 1.

    Args:
        width: Multiplies all channels but the two of the output; the paper has 0.5, 0.75, 1, 1.4.
        momentum: Share of a batch in the running statistics. The authors' 0.001 takes thousands
            of steps until evaluation makes sense; shorter runs want 0.01 to 0.1.
    """

    def __init__(self, width: float = 1.0, momentum: float = 0.001) -> None:
        super().__init__()
        if width <= 0:
            raise ValueError(f"width must be above 0, got {width:g}; the paper has 0.5 to 1.4")
        if not 0 < momentum <= 1:
            raise ValueError(
                f"momentum must lie in (0, 1], got {momentum:g}; the authors' is 0.001"
            )

        def scaled(depth: int) -> int:
            return scale_depth(depth, width)

        channels = scaled(32)
        self.init = conv_norm(3, channels, kernel=3, stride=2)
        blocks, widths = [], []
        for number, (expanded, after, rates, stride) in enumerate(ENCODER):
            last = number == len(ENCODER) - 1
            block = EncoderBlock(channels, scaled(expanded), scaled(after), rates, stride, last)
            blocks.append(block)
            channels = scaled(after)
            widths.append(channels)
        self.encoder = nn.ModuleList(blocks)
        self.auxiliary = nn.Conv2d(channels, 2, kernel_size=1)
        deep, shallow = (widths[number] for number in SKIPS)
        self.dec0 = DecoderBlock(channels, deep, scaled(64))
        self.dec1 = DecoderBlock(2 * scaled(64), shallow, scaled(40))
        expanded, after = scaled(DECODER.expanded), scaled(DECODER.after)
        self.dec2 = EncoderBlock(2 * scaled(40), expanded, after, DECODER.rates)
        self.dec3 = EncoderBlock(after, expanded, after, DECODER.rates)
        self.dec4 = conv_norm(after, scaled(16))
        self.final = nn.Conv2d(scaled(16), 2, kernel_size=1)
        initialise(self, momentum)

    def forward(self, image: Tensor) -> MMNetOutput:
        """Predict logits of a batch."""
        check_size(image)
        x = self.init(image)  # [B, 32, H/2, W/2]
        features = []
        for block in self.encoder:
            x = block(x)  # [B, 16 to 80, H/4 to H/16, ...]
            features.append(x)
        deep, shallow = (features[number] for number in SKIPS)
        auxiliary = self.auxiliary(x)  # [B, 2, H/16, W/16]
        x = self.dec0(x, deep)  # [B, 128, H/8, W/8]
        x = self.dec1(x, shallow)  # [B, 80, H/4, W/4]
        x = self.dec3(self.dec2(x))  # [B, 40, H/4, W/4]
        x = enlarge(enlarge(self.dec4(x)))  # [B, 16, H, W]
        # float32 from here on, under autocast too
        return MMNetOutput(self.final(x).float(), auxiliary.float())


class EncoderBlock(nn.Module):
    """Depthwise convolutions of several dilations side by side, merged by one 1x1 convolution.

    Args:
        before: Channels of the input.
        expanded: Channels of every branch.
        after: Channels of the output.
        rates: Dilation of each branch.
        stride: 2 halves the sides.
        activate: End with ReLU6; all mergers but the encoder's last are linear bottlenecks.
    """

    def __init__(
        self,
        before: int,
        expanded: int,
        after: int,
        rates: tuple[int, ...],
        stride: int = 1,
        activate: bool = False,
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branch(before, expanded, rate, stride) for rate in rates)
        self.merge = conv_norm(len(rates) * expanded, after, activate=activate)

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, before, H, W] to [B, after, H/stride, W/stride]."""
        merged: Tensor = self.merge(torch.cat([branch(x) for branch in self.branches], dim=1))
        return merged


def branch(before: int, expanded: int, rate: int, stride: int) -> nn.Sequential:
    """Expansion, a strided depthwise convolution if the sides are halved, and a dilated one."""
    layers = [conv_norm(before, expanded)]
    if stride > 1:
        layers.append(conv_norm(expanded, expanded, 3, stride, depthwise=True))
    layers.append(conv_norm(expanded, expanded, 3, dilation=rate, depthwise=True))
    return nn.Sequential(*layers)


class DecoderBlock(nn.Module):
    """Reduce, enlarge, and take the refined skip in: [decoder, skip]."""

    def __init__(self, before: int, skip: int, after: int) -> None:
        super().__init__()
        self.reduce = conv_norm(before, after)
        self.refine = nn.Sequential(
            conv_norm(skip, skip, kernel=3, depthwise=True), conv_norm(skip, after)
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features [B, before, H, W] and a skip [B, skip, 2H, 2W] to [B, 2 after, 2H, 2W]."""
        return torch.cat([enlarge(self.reduce(x)), self.refine(skip)], dim=1)


def conv_norm(
    before: int,
    after: int,
    kernel: int = 1,
    stride: int = 1,
    dilation: int = 1,
    depthwise: bool = False,
    activate: bool = True,
) -> nn.Sequential:
    """Convolution with TensorFlow's ``SAME`` padding, normalisation and ReLU6.

    On even sides, stride 2 pads at the right and bottom only. The usual padding of one on all
    sides would sample the neighbouring pixels.
    """
    groups = after if depthwise else 1
    inner = dilation * (kernel // 2) if stride == 1 else 0
    layers: list[nn.Module] = [
        nn.Conv2d(before, after, kernel, stride, inner, dilation, groups, bias=False),
        nn.BatchNorm2d(after, eps=NORM_EPS),
    ]
    if stride > 1:
        layers.insert(0, nn.ZeroPad2d((0, 1, 0, 1)))
    if activate:
        layers.append(nn.ReLU6())
    return nn.Sequential(*layers)


def enlarge(x: Tensor) -> Tensor:
    """Double the sides bilinearly, pixel centres at half-integers."""
    return F.interpolate(x, scale_factor=2, mode="bilinear")


def initialise(network: nn.Module, momentum: float) -> None:
    """Xavier-uniform weights, biases of zero, and the momentum of the running statistics."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.momentum = momentum


def scale_depth(depth: int, width: float) -> int:
    """Channels of a layer at a width: a multiple of 8, at least 8; halves round to even."""
    return max(8, (round(depth * width) + 4) // 8 * 8)


def check_size(image: Tensor) -> None:
    """Refuse a picture that four halvings do not divide evenly."""
    height, width = image.shape[-2:]
    if height % STRIDE or width % STRIDE:
        raise ValueError(
            f"image must have sides that are multiples of {STRIDE}, got {height} x {width}; resize "
            "it and the matte back, as mattingzoo.models.MMNet does"
        )
