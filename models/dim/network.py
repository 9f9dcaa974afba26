"""The network of Deep Image Matting: VGG-16 encoder, unpooling decoder, residual refiner."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattingzoo.arguments import check_choice

STRIDE = 32  # five halvings

Conv6 = Literal["fc6", "conv3", "conv1"]
Activation = Literal["sigmoid", "clamp"]


class DIMOutput(NamedTuple):
    """Mattes of one forward pass; both lie in [0, 1] except under ``clamp`` while training."""

    alpha: Tensor  # [B, 1, H, W] the matte to use: refined where there is a refiner
    coarse: Tensor  # [B, 1, H, W] the matte of the encoder-decoder


class EncoderOutput(NamedTuple):
    """What the encoder hands to the decoder; lists run from full resolution to stride 16."""

    deep: Tensor  # [B, D, H/32, W/32] after conv6
    maps: list[Tensor]  # five maps [B, C_k, H/2^k, W/2^k], each before its max-pool
    indices: list[Tensor]  # five maps [B, C_k, H/2^(k+1), W/2^(k+1)] of argmax positions


class Encoder(nn.Module):
    """VGG-16 whose max-pools remember their argmax, then conv6 (paper, section 4.1)."""

    def __init__(
        self, widths: tuple[int, ...], convs: tuple[int, ...], conv6: Conv6, batch_norm: bool
    ) -> None:
        super().__init__()
        blocks, channels = [], 4
        for width, count in zip(widths, convs, strict=True):
            blocks.append(vgg_block(channels, width, count, batch_norm))
            channels = width
        self.blocks = nn.ModuleList(blocks)
        self.conv6 = conv6_layer(channels, 64 * widths[0], conv6)

    def forward(self, x: Tensor) -> EncoderOutput:
        """Encode the image and trimap [B, 4, H, W]."""
        maps, indices = [], []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
            x, index = F.max_pool2d(x, 2, return_indices=True)  # halves H and W
            indices.append(index)
        return EncoderOutput(F.relu(self.conv6(x)), maps, indices)


class Decoder(nn.Module):
    """1x1 convolution, then five times unpooling and a 5x5 convolution, then the raw matte."""

    def __init__(self, deep: int, widths: tuple[int, ...], skips: bool) -> None:
        super().__init__()
        self.skips = skips
        self.deconv6 = nn.Conv2d(deep, widths[-1], kernel_size=1)
        # deconv5 to deconv1: each ends with the width of the next map to be unpooled into.
        outputs = (*reversed(widths[:-1]), widths[0])
        self.deconvs = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=5, padding=2)
            for before, after in zip(reversed(widths), outputs, strict=True)
        )
        self.to_alpha = nn.Conv2d(widths[0], 1, kernel_size=5, padding=2)

    def forward(self, encoded: EncoderOutput) -> Tensor:
        """Raw matte [B, 1, H, W], before the output activation."""
        x = F.relu(self.deconv6(encoded.deep))
        levels = zip(self.deconvs, reversed(encoded.maps), reversed(encoded.indices), strict=True)
        for deconv, fine, index in levels:
            x = unpool(x, index)  # doubles H and W
            if self.skips:
                x = x + fine
            x = F.relu(deconv(x))
        raw: Tensor = self.to_alpha(x)
        return raw


class Refiner(nn.Sequential):
    """Four convolutions at full resolution, from image and matte to a residual (section 4.2)."""

    def __init__(self, width: int) -> None:
        super().__init__(
            *(nn.Conv2d(4, width, kernel_size=3, padding=1), nn.ReLU()),
            *(nn.Conv2d(width, width, kernel_size=3, padding=1), nn.ReLU()),
            *(nn.Conv2d(width, width, kernel_size=3, padding=1), nn.ReLU()),
            nn.Conv2d(width, 1, kernel_size=3, padding=1),
        )


class DIMNet(nn.Module):
    """Encoder-decoder over image and trimap with an optional refiner (Xu et al., CVPR 2017).

    Input:  image [B, 3, H, W] in [0, 1], trimap [B, 1, H, W] in {0, 0.5, 1}; H and W multiples
    of 32.

    Args:
        width: Channels at full resolution; the deeper blocks have 2, 4, 8 and 8 times as many.
        convs: Convolutions in each of the five encoder blocks; VGG-16 has (2, 2, 3, 3, 3).
        conv6: The layer at stride 32. ``fc6`` is VGG's first fully connected layer as a 7x7
            convolution, 64 times ``width`` wide, as in the paper; ``conv3`` and ``conv1`` keep
            the width with a 3x3 and a 1x1 convolution.
        refine: Add the refiner.
        skips: Add each encoder map to the unpooled map of its size.
        batch_norm: Normalise after each of the 13 encoder convolutions.
        activation: ``sigmoid``, or ``clamp``: linear while training and cut to [0, 1] afterwards,
            for a hard cut would stop the gradient of every pixel outside [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        width: int = 64,
        convs: tuple[int, int, int, int, int] = (2, 2, 3, 3, 3),
        conv6: Conv6 = "fc6",
        refine: bool = False,
        skips: bool = False,
        batch_norm: bool = False,
        activation: Activation = "sigmoid",
    ) -> None:
        super().__init__()
        check_choice("activation", activation, ("sigmoid", "clamp"))
        self.activation = activation
        widths = tuple(width * factor for factor in (1, 2, 4, 8, 8))
        self.encoder = Encoder(widths, convs, conv6, batch_norm)
        self.decoder = Decoder(self.encoder.conv6.out_channels, widths, skips)
        self.refiner = Refiner(width) if refine else None
        # ImageNet statistics; constants, so they stay out of checkpoints
        statistics = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
        self.register_buffer("mean", statistics[0].view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", statistics[1].view(1, 3, 1, 1), persistent=False)
        self.apply(initialise_he)
        for part in (self.decoder, self.refiner):
            if part is not None:
                part.apply(initialise_xavier)

    def forward(self, image: Tensor, trimap: Tensor) -> DIMOutput:
        """Predict the mattes of a batch."""
        check_size(image)
        image = (image - self.mean) / self.std
        encoded = self.encoder(torch.cat([image, trimap], dim=1))
        raw = self.decoder(encoded).float()  # float32 from here on, under autocast too
        coarse = self.activate(raw)
        if self.refiner is None:
            return DIMOutput(alpha=coarse, coarse=coarse)
        # The residual is added to the logits of a sigmoid, to the matte itself under clamp.
        first = raw.sigmoid() if self.activation == "sigmoid" else raw.clamp(0, 1)
        residual = self.refiner(torch.cat([image, first], dim=1)).float()
        base = raw if self.activation == "sigmoid" else first
        return DIMOutput(alpha=self.activate(base + residual), coarse=coarse)

    def activate(self, raw: Tensor) -> Tensor:
        """Output activation, linear under ``clamp`` while training."""
        if self.activation == "sigmoid":
            return raw.sigmoid()
        return raw if self.training else raw.clamp(0, 1)


def vgg_block(before: int, after: int, convs: int, batch_norm: bool) -> nn.Sequential:
    """Convolutions 3x3, each with ReLU and, on demand, batch normalisation between them."""
    layers: list[nn.Module] = []
    for channels in [before] + [after] * (convs - 1):
        layers.append(nn.Conv2d(channels, after, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def conv6_layer(channels: int, fc6_channels: int, conv6: Conv6) -> nn.Conv2d:
    """The convolution at stride 32; padding keeps the size that unpooling needs."""
    check_choice("conv6", conv6, ("fc6", "conv3", "conv1"))
    if conv6 == "fc6":
        return nn.Conv2d(channels, fc6_channels, kernel_size=7, padding=3)
    if conv6 == "conv3":
        return nn.Conv2d(channels, channels, kernel_size=3, padding=1)
    return nn.Conv2d(channels, channels, kernel_size=1)


def unpool(x: Tensor, indices: Tensor) -> Tensor:
    """Put each value [B, C, h, w] back where its max-pool found it, zeros elsewhere.

    The same as `F.max_unpool2d(x, indices, 2)`, which refuses to run where deterministic
    algorithms are asked for: it allows for repeated indices, and 2x2 windows never repeat one.

    Returns:
        [B, C, 2h, 2w].
    """
    height, width = x.shape[-2:]
    empty = x.new_zeros(*x.shape[:2], 4 * height * width)
    filled = empty.scatter_(2, indices.flatten(2), x.flatten(2))
    return filled.view(*x.shape[:2], 2 * height, 2 * width)


def check_size(image: Tensor) -> None:
    """Refuse a picture that five max-pools cannot halve evenly."""
    height, width = image.shape[-2:]
    if height % STRIDE or width % STRIDE:
        raise ValueError(
            f"image must have sides that are multiples of {STRIDE}, got {height} x {width}; pad "
            f"it with mattingzoo.ops.pad_to_multiple(image, {STRIDE}) and crop the matte back"
        )


def zero_bias(conv: nn.Conv2d) -> None:
    """Start a convolution without bias."""
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def initialise_he(module: nn.Module) -> None:
    """Normal weights that keep the variance through ReLU (He et al., ICCV 2015), zero biases."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        zero_bias(module)


def initialise_xavier(module: nn.Module) -> None:
    """Normal weights after Glorot and Bengio, AISTATS 2010, zero biases: the paper's decoder."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_normal_(module.weight)
        zero_bias(module)
