"""Low-rank adaptation: a frozen layer plus a small trained one, mergeable into it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

#: Layers of SAM's image encoder that are adapted, by the last part of their name. ``proj`` is the
#: output of the attention and the patch embedding as well.
ADAPTED = ("qkv", "proj")


class LoRALinear(nn.Linear):
    """y = W x + b + s B A dropout(x), with s = alpha / rank (Hu et al., ICLR 2022).

    The weights of the layer it takes over keep their names, so that a state of the plain network
    still fits; A and B come beside them.

    Args:
        base: Layer to adapt; its weights are taken over, not copied.
        rank: Rows of A.
        alpha: Numerator of the scale.
        dropout: Probability of dropping an input of A.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float, dropout: float) -> None:
        has_bias = base.bias is not None
        super().__init__(base.in_features, base.out_features, has_bias, device="meta")
        self.weight, self.bias = base.weight, base.bias
        device = base.weight.device
        self.lora_a = nn.Linear(base.in_features, rank, bias=False, device=device)
        self.lora_b = nn.Linear(rank, base.out_features, bias=False, device=device)
        self.dropout = nn.Dropout(dropout)
        self.scale = alpha / rank
        self.active = True
        initialise(self.lora_a, self.lora_b, rank)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in] to [..., out]."""
        y = super().forward(x)
        return y + self.scale * self.lora_b(self.lora_a(self.dropout(x))) if self.active else y

    def merged(self) -> nn.Linear:
        """The plain layer that computes the same in evaluation mode."""
        layer = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        added = self.scale * self.lora_b.weight @ self.lora_a.weight
        layer.weight, layer.bias = frozen(self.weight + added), self.bias
        return layer


class LoRAConv2d(nn.Conv2d):
    """The same for a convolution: A has its kernel and stride, B is 1x1."""

    def __init__(self, base: nn.Conv2d, rank: int, alpha: float, dropout: float) -> None:
        shape = (base.kernel_size, base.stride, base.padding)
        super().__init__(base.in_channels, base.out_channels, *shape, device="meta")  # type: ignore[arg-type]
        self.weight, self.bias = base.weight, base.bias
        device = base.weight.device
        self.lora_a = nn.Conv2d(base.in_channels, rank, *shape, bias=False, device=device)  # type: ignore[arg-type]
        self.lora_b = nn.Conv2d(rank, base.out_channels, 1, bias=False, device=device)
        self.dropout = nn.Dropout(dropout)
        self.scale = alpha / rank
        self.active = True
        initialise(self.lora_a, self.lora_b, rank)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in, H, W] to [B, out, H', W']."""
        y = super().forward(x)
        return y + self.scale * self.lora_b(self.lora_a(self.dropout(x))) if self.active else y

    def merged(self) -> nn.Conv2d:
        """The plain layer that computes the same in evaluation mode."""
        shape = (self.kernel_size, self.stride, self.padding)
        layer = nn.Conv2d(self.in_channels, self.out_channels, *shape, device="meta")  # type: ignore[arg-type]
        b, a = self.lora_b.weight[:, :, 0, 0], self.lora_a.weight
        added = self.scale * torch.einsum("or,rikl->oikl", b, a)
        layer.weight, layer.bias = frozen(self.weight + added), self.bias
        return layer


def initialise(lora_a: nn.Linear | nn.Conv2d, lora_b: nn.Linear | nn.Conv2d, rank: int) -> None:
    """A normal with deviation 1 / rank, B zero: the adapted layer starts as it was."""
    nn.init.normal_(lora_a.weight, std=1 / rank)
    nn.init.zeros_(lora_b.weight)


def frozen(weight: Tensor) -> nn.Parameter:
    """A parameter that is not trained."""
    return nn.Parameter(weight.detach(), requires_grad=False)


def add_lora(network: nn.Module, rank: int, alpha: float, dropout: float) -> None:
    """Adapt every layer of a network that :data:`ADAPTED` names, in place."""
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if name in ADAPTED and isinstance(layer, nn.Linear):
                setattr(parent, name, LoRALinear(layer, rank, alpha, dropout))
            elif name in ADAPTED and isinstance(layer, nn.Conv2d):
                setattr(parent, name, LoRAConv2d(layer, rank, alpha, dropout))


def merge_lora(network: nn.Module) -> None:
    """Replace every adapted layer by the plain one that computes the same, in place."""
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, LoRALinear | LoRAConv2d):
                setattr(parent, name, layer.merged())


@contextmanager
def without_lora(network: nn.Module) -> Iterator[None]:
    """Let every adapted layer of a network compute what it did before it was adapted."""
    layers = [layer for layer in network.modules() if isinstance(layer, LoRALinear | LoRAConv2d)]
    for layer in layers:
        layer.active = False
    try:
        yield
    finally:
        for layer in layers:
            layer.active = True
