"""The gradient error: how far apart the gradient magnitudes of two mattes are."""

import math

import torch.nn.functional as F
from torch import Tensor

SIGMA = 1.4
# Offset at which the Gaussian falls to a hundredth, rounded up: 4, so the filter is 9 x 9.
RADIUS = math.ceil(SIGMA * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * SIGMA * 0.01)))


def _unit_norm(right: list[float]) -> tuple[float, ...]:
    """Scale the taps at offsets 0..RADIUS so that the squares of all 2 RADIUS + 1 sum to 1."""
    norm = math.sqrt(right[0] ** 2 + 2 * sum(tap**2 for tap in right[1:]))
    return tuple(tap / norm for tap in right)


GAUSSIAN = _unit_norm([math.exp(-(k**2) / (2 * SIGMA**2)) for k in range(RADIUS + 1)])  # even
DERIVATIVE = _unit_norm([k * GAUSSIAN[k] for k in range(RADIUS + 1)])  # odd; its sign is free


def grad_map(pred: Tensor, alpha: Tensor) -> Tensor:
    """Squared difference of the gradient magnitudes at every pixel.

    Args:
        pred: Predicted mattes [B, 1, H, W], uint8.
        alpha: True mattes [B, 1, H, W], uint8.

    Returns:
        Errors [B, 1, H, W], float32; Grad is their sum over a region.

    Source:
        Yaoyi-Li/GCA-Matting:DIM_evaluation_code/compute_gradient_loss.m (Rhemann et al.,
        CVPR 2009).
    """
    difference = gradient_magnitude(pred) - gradient_magnitude(alpha)
    return difference * difference


def gradient_magnitude(matte: Tensor) -> Tensor:
    """Length of the Gaussian gradient of mattes stretched to [0, 1] by their own range.

    The filters are shifts, products and sums in float32: those never run in half precision or
    TF32, whatever autocast or the backends are set to, which a convolution may.

    Args:
        matte: [B, 1, H, W], uint8.

    Returns:
        Magnitudes [B, 1, H, W], float32; 0 for a constant matte.
    """
    low = matte.amin(dim=(2, 3), keepdim=True)
    high = matte.amax(dim=(2, 3), keepdim=True)
    # Integers are shifted exactly, and 0 to 255 keeps float32 precise; the division waits.
    margins = (RADIUS, RADIUS, RADIUS, RADIUS)
    padded = F.pad((matte - low).float(), margins, mode="replicate")
    along_x = _smooth(_differentiate(padded, dim=3), dim=2)
    along_y = _differentiate(_smooth(padded, dim=3), dim=2)
    squared = along_x * along_x + along_y * along_y
    return squared.sqrt() / (high - low).clamp(min=1)


def _shifted(image: Tensor, offset: int, dim: int) -> Tensor:
    """The image seen ``offset`` pixels further along ``dim``, its margins of RADIUS cut off."""
    return image.narrow(dim, RADIUS + offset, image.shape[dim] - 2 * RADIUS)


def _smooth(image: Tensor, dim: int) -> Tensor:
    """Filter one axis with the unit-norm Gaussian; it gets 2 RADIUS shorter."""
    total = GAUSSIAN[0] * _shifted(image, 0, dim)
    for k in range(1, RADIUS + 1):
        total += GAUSSIAN[k] * (_shifted(image, k, dim) + _shifted(image, -k, dim))
    return total


def _differentiate(image: Tensor, dim: int) -> Tensor:
    """Filter one axis with the unit-norm derivative of a Gaussian; it gets 2 RADIUS shorter."""
    total = DERIVATIVE[1] * (_shifted(image, 1, dim) - _shifted(image, -1, dim))
    for k in range(2, RADIUS + 1):
        total += DERIVATIVE[k] * (_shifted(image, k, dim) - _shifted(image, -k, dim))
    return total
