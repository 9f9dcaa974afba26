"""Random weights to start from."""

from typing import Literal

import torch
from torch import Tensor, nn

from mattingzoo.models.adamatting.decoder import Level
from mattingzoo.models.adamatting.encoder import Encoder

Start = Literal["xavier", "he"]


def initialise(network: nn.Module, encoder: Encoder, start: Start) -> None:
    """Draw all weights: He's for the encoder, ``start`` for the rest, zeros for biases."""
    in_encoder = set(encoder.modules())
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            draw(layer.weight, "he" if layer in in_encoder else start)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for layer in network.modules():
        if isinstance(layer, Level) and layer.subpixel is not None:
            even_out(layer.subpixel.weight)


def draw(weight: Tensor, start: Start) -> None:
    """Normal weights after He et al., ICCV 2015, or after Glorot and Bengio, AISTATS 2010."""
    if start == "he":
        nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
    else:
        nn.init.xavier_normal_(weight)


@torch.no_grad()
def even_out(weight: Tensor) -> None:
    """Give the four pixels that share a channel the same weights: no checkerboard to begin with.

    Source:
        Aitken et al., Checkerboard artifact free sub-pixel convolution, arXiv 1707.02937.
    """
    weight.copy_(weight[::4].repeat_interleave(4, dim=0))
