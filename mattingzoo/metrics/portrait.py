"""The two errors of mobile portrait matting, which are not those of the matting benchmark.

Seo et al., arXiv 1904.03816, and those who compare with them resize picture and matte to one size,
score the whole image, and mean a vector by gradient error: not a sum, not squared.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mattingzoo.metrics.mattes import check_same_shape

SIZE = (800, 600)  # height and width at which the paper scores
SIGMA = 1.4
RADIUS = int(3 * SIGMA + 0.5)  # 4, so the filters are 9 x 9


def portrait_scores(pred: Tensor, alpha: Tensor, size: tuple[int, int] = SIZE) -> dict[str, Tensor]:
    """Gradient error and MAD per image, both mattes resized to one size before.

    Args:
        pred: Predicted mattes [B, 1, H, W], floats in [0, 1]; not rounded to 8 bits, as there.
        alpha: True mattes [B, 1, H, W] in [0, 1]; the size may be another one.
        size: Height and width to score at.

    Returns:
        ``gradient`` and ``MAD`` [B], float32; the paper prints them x 1000 and x 100.

    Source:
        Seo et al., arXiv 1904.03816, section 4; hyperconnect/MMNet:scripts/valid_mmnet_*.sh.
    """
    pred, alpha = (_resized(matte, size) for matte in (pred, alpha))
    mad = (pred - alpha).abs().mean(dim=(1, 2, 3))
    return {"gradient": gradient_distance(pred, alpha), "MAD": mad}


def gradient_distance(pred: Tensor, alpha: Tensor) -> Tensor:
    """Mean length of the difference of two mattes' gradients, per image [B].

    Gradients are those of the mattes blurred by a Gaussian of 1.4 pixels; pixels whose 9 x 9
    filter leaves the picture do not count.

    Args:
        pred: Predicted mattes [B, 1, H, W] in [0, 1], at least 9 x 9.
        alpha: True mattes [B, 1, H, W] in [0, 1].

    Raises:
        ValueError: If shapes differ, or the mattes are smaller than the filter.
    """
    check_same_shape("alpha", alpha, pred)
    if min(pred.shape[-2:]) < 2 * RADIUS + 1:
        raise ValueError(
            f"mattes must have at least {2 * RADIUS + 1} x {2 * RADIUS + 1} pixels, got "
            f"{pred.shape[-2]} x {pred.shape[-1]}"
        )
    # Filters are linear: one pass over the difference will do.
    difference = pred.float() - alpha.float()
    offsets = torch.arange(-RADIUS, RADIUS + 1, device=difference.device, dtype=torch.float32)
    bell = torch.exp(-offsets.square() / (2 * SIGMA**2))
    bell = bell / bell.sum()
    across = torch.outer(bell, -offsets / SIGMA**2 * bell)
    filters = torch.stack([across, across.T])[:, None]  # [2, 1, 9, 9]
    gradients = F.conv2d(difference, filters)
    lengths: Tensor = torch.linalg.vector_norm(gradients, dim=1)
    return lengths.mean(dim=(1, 2))


def _resized(matte: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(matte.float(), size, mode="bilinear")
