"""The detail decoder: a U-Net over picture and logits that draws the matte at full resolution."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

LOGIT_SCALE = 6.5  # what the reference divides logits by, to bring them to the picture's range


class Down(nn.Module):
    """Halve the sides: two pairs of 5x5 convolutions beside one strided 5x5 convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = conv_pair(nn.Conv2d(before, after, 5, stride=2, padding=2), 5)
        self.second = conv_pair(nn.Conv2d(after, after, 5, padding=2), 5)
        self.shortcut = nn.Conv2d(before, after, 5, stride=2, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, before, H, W] to [B, after, H/2, W/2]."""
        return F.gelu(self.second(F.gelu(self.first(x))) + self.shortcut(x))


class Up(nn.Module):
    """Add the skip and double the sides: a pair after a 2x2 transposed convolution, and a pair."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = conv_pair(nn.ConvTranspose2d(before, after, 2, stride=2), 3)
        self.second = conv_pair(nn.Conv2d(after, after, 3, padding=1), 3)
        self.shortcut = nn.Conv2d(before, after, 3, padding=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """[B, before, H, W] twice to [B, after, 2H, 2W]."""
        x = x + skip
        wide = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return F.gelu(self.second(F.gelu(self.first(x))) + self.shortcut(wide))


class DetailDecoder(nn.Module):
    """U-Net whose deepest level, at a sixteenth of the frame, also sees the image encoder.

    Args:
        vit_width: Channels of the image encoder.
        taps: Number of its intermediate maps.
        widths: Channels at a half, a quarter, an eighth and a sixteenth of the frame; the stem has
            half the first, then the first.
        stem_kernel: Kernel of the two convolutions at full resolution, odd.
        checkpointing: Keep the inputs of the blocks only, and compute the rest twice.
    """

    def __init__(
        self,
        vit_width: int,
        taps: int,
        widths: tuple[int, int, int, int] = (32, 64, 128, 256),
        stem_kernel: int = 13,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        check_widths(widths, stem_kernel)
        w1, w2, w3, w4 = widths
        same = stem_kernel // 2
        self.stem = nn.Sequential(
            *conv_norm_gelu(nn.Conv2d(6, w1 // 2, stem_kernel, padding=same)),
            *conv_norm_gelu(nn.Conv2d(w1 // 2, w1, stem_kernel, padding=same)),
        )
        self.downs = nn.ModuleList([Down(w1, w1), Down(w1, w2), Down(w2, w3), Down(w3, w4)])
        self.tap_proj = nn.ModuleList(
            nn.Conv2d(vit_width, vit_width // taps, 1) for _ in range(taps)
        )
        together = vit_width // taps * taps
        self.fusion = nn.Sequential(*conv_norm_gelu(nn.Conv2d(together, w4, 3, padding=1)))
        self.middle = nn.Sequential(*conv_norm_gelu(nn.Conv2d(2 * w4, w4, 1)))
        self.ups = nn.ModuleList([Up(w4, w3), Up(w3, w2), Up(w2, w1), Up(w1, w1 // 2)])
        self.to_alpha = nn.Conv2d(w1 // 2, 1, 3, padding=1)
        self.checkpointing = checkpointing

    def forward(self, image: Tensor, logits: Tensor, taps: tuple[Tensor, ...]) -> Tensor:
        """Predict mattes [B, 1, S, S] in (0, 1), float32.

        Args:
            image: Normalised pictures [B, 3, S, S].
            logits: Trimap logits [B, 3, S/4, S/4].
            taps: Intermediate maps of the image encoder [B, S/16, S/16, C].
        """
        logits = F.interpolate(logits, image.shape[-2:], mode="bilinear", align_corners=False)
        x = torch.cat([image, logits / LOGIT_SCALE], dim=1)
        # Convolutions of few channels are a fifth faster so; everything after follows.
        x = self.run(self.stem, x.contiguous(memory_format=torch.channels_last))
        skips = []
        for down in self.downs:
            x = self.run(down, x)
            skips.append(x)
        seen = [p(t.permute(0, 3, 1, 2)) for p, t in zip(self.tap_proj, taps, strict=True)]
        seen_at_once = self.fusion(torch.cat(seen, dim=1))  # [B, w4, S/16, S/16]
        x = self.middle(torch.cat([x, seen_at_once], dim=1))
        for up in self.ups:
            x = self.run(up, x, skips.pop())
        alpha: Tensor = self.to_alpha(x)
        return alpha.float().sigmoid()

    def run(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        """Run a block, checkpointed if asked for."""
        if not (self.checkpointing and torch.is_grad_enabled()):
            out: Tensor = block(*inputs)
            return out
        again = (nullcontext(), still_statistics(block))
        kept: Tensor = checkpoint(block, *inputs, use_reentrant=False, context_fn=lambda: again)
        return kept


@contextmanager
def still_statistics(block: nn.Module) -> Iterator[None]:
    """Keep a block's running statistics: what is computed twice must be counted once."""
    norms: list[Any] = [layer for layer in block.modules() if isinstance(layer, _BatchNorm)]
    kept = [(norm, norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, batches in kept:
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(batches)


def conv_norm_gelu(conv: nn.Conv2d) -> tuple[nn.Module, ...]:
    """A convolution, batch normalisation and GELU."""
    return conv, nn.BatchNorm2d(conv.out_channels), nn.GELU()


def conv_pair(first: nn.Conv2d | nn.ConvTranspose2d, kernel: int) -> nn.Sequential:
    """Two normalised convolutions with GELU between; the second keeps size and width."""
    width = first.out_channels
    second = nn.Conv2d(width, width, kernel, padding=kernel // 2)
    norms = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
    return nn.Sequential(first, norms[0], nn.GELU(), second, norms[1])


def check_widths(widths: tuple[int, ...], stem_kernel: int) -> None:
    """Refuse sizes that no decoder can have."""
    if len(widths) != 4 or min(widths) < 2 or widths[0] % 2:
        raise ValueError(f"widths must be four of at least 2, the first even, got {widths}")
    if stem_kernel < 1 or stem_kernel % 2 == 0:
        raise ValueError(f"stem_kernel must be odd, got {stem_kernel}")
