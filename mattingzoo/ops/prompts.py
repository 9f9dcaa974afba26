"""Boxes and clicks a person would have given, made from alpha."""

import torch
from torch import Tensor


def box_from_alpha(alpha: Tensor, jitter: float, generator: torch.Generator) -> Tensor:
    """Bounding box of alpha > 0, each side moved at random.

    Args:
        alpha: Mattes [B, 1, H, W] in [0, 1].
        jitter: Largest shift of a side, as a share of the box's width or height; 0.1 in SEMat.
        generator: Source of the shifts, on the CPU.

    Returns:
        Boxes [B, 4]: x0, y0, x1, y1 in pixels, x1 and y1 exclusive, clipped to the picture, never
        inverted; all 0 for an empty matte.

    Source:
        Xia et al., SEMat (arXiv 2410.06593), training of the released configuration.
    """
    covered = alpha[:, 0] >= 0.5 / 255
    height, width = covered.shape[-2:]
    x0, x1 = _extent(covered.any(dim=1))
    y0, y1 = _extent(covered.any(dim=2))
    tight = torch.stack([x0, y0, x1, y1], dim=1).float()  # [B, 4]
    extent = torch.stack([x1 - x0, y1 - y0], dim=1).repeat(1, 2)
    shift = jitter * (2 * torch.rand(tight.shape, generator=generator) - 1)
    box = (tight + shift.to(tight, non_blocking=True) * extent).round()
    x0, x1 = _ordered(box[:, 0], box[:, 2], width)
    y0, y1 = _ordered(box[:, 1], box[:, 3], height)
    empty = ~covered.flatten(1).any(dim=1, keepdim=True)
    return torch.stack([x0, y0, x1, y1], dim=1).masked_fill(empty, 0)


def points_from_alpha(
    alpha: Tensor, foreground: int, background: int, generator: torch.Generator
) -> Tensor:
    """Random clicks on opaque and on empty pixels.

    Args:
        alpha: Mattes [B, 1, H, W] in [0, 1].
        foreground: Clicks on alpha above 0.95.
        background: Clicks on alpha below 0.05.
        generator: Source of the clicks, on the CPU.

    Returns:
        [B, foreground + background, 3]: x, y in pixels and the label, 1 or 0. Where the matte has
        no such pixel the label is −1 (padding, to be ignored) and the position 0.
    """
    flat = alpha.flatten(1)
    clicks = [
        _click(flat > 0.95, foreground, 1, alpha.shape[-1], generator),
        _click(flat < 0.05, background, 0, alpha.shape[-1], generator),
    ]
    return torch.cat(clicks, dim=1)


def _click(
    allowed: Tensor, count: int, label: int, width: int, generator: torch.Generator
) -> Tensor:
    """``count`` clicks [B, count, 3] on allowed pixels [B, H·W]."""
    none = ~allowed.any(dim=1, keepdim=True)
    # The n-th allowed pixel, n drawn uniformly: exact, and without a loop over the batch.
    rank = allowed.long().cumsum(dim=1)
    draw = torch.rand((len(allowed), count), generator=generator)
    nth = (draw.to(allowed.device, non_blocking=True) * rank[:, -1:]).floor().long() + 1
    index = torch.searchsorted(rank, nth).clamp(max=allowed.shape[1] - 1)
    x, y = index % width, torch.div(index, width, rounding_mode="floor")
    x, y, labels = x.masked_fill(none, 0), y.masked_fill(none, 0), torch.full_like(x, label)
    return torch.stack([x, y, labels.masked_fill(none, -1)], dim=-1).float()


def _ordered(low: Tensor, high: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Both ends of a side within 0 and ``length``, at least one pixel apart."""
    low = low.clamp(0, length - 1)
    return low, torch.maximum(high, low + 1).clamp(max=length)


def _extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """First and one past the last true position along the last axis [B, N]."""
    count = occupied.shape[-1]
    first = occupied.int().argmax(dim=-1)
    last = count - occupied.flip(-1).int().argmax(dim=-1)
    return first, last
