"""The compositing equation I = αF + (1 − α)B and what goes with it."""

import torch
import torch.nn.functional as F
from torch import Tensor


def composite(foreground: Tensor, alpha: Tensor, background: Tensor) -> Tensor:
    """Lay a foreground over a background: I = αF + (1 − α)B.

    Args:
        foreground: Colours [B, 3, H, W] in [0, 1], not multiplied by alpha.
        alpha: Opacity [B, 1, H, W] in [0, 1].
        background: Colours [B, 3, H, W] in [0, 1].

    Returns:
        Image [B, 3, H, W] in [0, 1].
    """
    return torch.lerp(background, foreground, alpha.expand_as(foreground))


def combine_foregrounds(
    front: Tensor, front_alpha: Tensor, back: Tensor, back_alpha: Tensor
) -> tuple[Tensor, Tensor]:
    """Merge two foregrounds into one, the first in front of the second.

    α = 1 − (1 − α₁)(1 − α₂) and αF = α₁F₁ + (1 − α₁)α₂F₂, so that compositing the result equals
    compositing the second and then the first (Tang et al., CVPR 2019, section 3.3; the colour rule
    follows from the equation).

    Args:
        front: Colours [B, 3, H, W] in [0, 1].
        front_alpha: Opacity [B, 1, H, W] in [0, 1].
        back: Colours [B, 3, H, W] in [0, 1].
        back_alpha: Opacity [B, 1, H, W] in [0, 1].

    Returns:
        Colours and opacity of the merged foreground; where it is empty, the colours of ``front``.
    """
    alpha = 1 - (1 - front_alpha) * (1 - back_alpha)
    behind = (1 - front_alpha) * back_alpha
    colour = (front_alpha * front + behind * back) / alpha.clamp(min=1e-6)
    return torch.where(alpha > 1e-6, colour, front).clamp(0, 1), alpha


def extend_foreground(foreground: Tensor, alpha: Tensor) -> Tensor:
    """Carry foreground colours outward into the region where alpha is 0.

    Cut-outs hold arbitrary colours there (often black), which bleed into hair as soon as the
    picture is resampled. Pull-push: average the colours under alpha above 0 down a pyramid, fill
    from coarse to fine.

    Args:
        foreground: Colours [B, 3, H, W] in [0, 1].
        alpha: Opacity [B, 1, H, W] in [0, 1].

    Returns:
        Colours [B, 3, H, W], unchanged wherever alpha is above 0; black if it never is.
    """
    known = (alpha > 0).to(foreground.dtype)
    return torch.where(known > 0, foreground, _push_pull(foreground * known, known))


def _push_pull(total: Tensor, weight: Tensor) -> Tensor:
    mean = _ratio(total, weight)
    height, width = total.shape[-2:]
    if min(height, width) < 2:
        everywhere = _ratio(total.sum((-2, -1), keepdim=True), weight.sum((-2, -1), keepdim=True))
        return torch.where(weight > 0, mean, everywhere)
    coarse_total = F.avg_pool2d(total, 2, ceil_mode=True, count_include_pad=False)
    coarse_weight = F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
    coarse = _push_pull(coarse_total, coarse_weight)
    filled = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
    return torch.where(weight > 0, mean, filled)


def _ratio(total: Tensor, weight: Tensor) -> Tensor:
    """``total / weight``, 0 where there is no weight; one pixel of many leaves little of it."""
    return total / weight.clamp(min=torch.finfo(weight.dtype).tiny)
