"""The error of predicted foreground colours, where there is foreground."""

import torch
from torch import Tensor

from mattingzoo.metrics.accumulate import PerImage
from mattingzoo.metrics.mattes import check_matte, to_8_bit


def mse_fg(
    pred_foreground: Tensor, foreground: Tensor, alpha: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Mean squared error of the foreground colour where the true alpha is above 0, plain.

    The mean runs over those pixels and the three channels. All is rounded to the nearest k/255
    first, as both protocols read 8-bit files, so an alpha below 1/510 counts as 0.

    Args:
        pred_foreground: Predicted foregrounds [B, 3, H, W], floats in [0, 1] or uint8, not
            multiplied by alpha.
        foreground: True foregrounds, likewise.
        alpha: True mattes [B, 1, H, W], floats in [0, 1] or uint8.
        mask: Pixels to score [B, 1, H, W], bool; None scores the whole image.

    Returns:
        Errors [B], float64; NaN if no pixel of the mask has an alpha above 0.

    Raises:
        ValueError: If shapes differ, values leave [0, 1] or the mask is not bool.

    Source:
        "fgr_mse" of PeterL1n/RobustVideoMatting:evaluation/evaluate_lr.py: whole image, frame by
        frame, printed times 1000. PeterL1n/BackgroundMattingV2:eval/benchmark.m, plain, adds up
        the same errors over the unknown pixels, but divides by all of these, also where alpha is
        0. Its value is this one with mask=trimap == 128, times the share of the unknown pixels
        that have an alpha above 0.
    """
    check_matte("alpha", alpha)
    _check_colour("pred_foreground", pred_foreground, alpha)
    _check_colour("foreground", foreground, alpha)
    scored = quantise_image("alpha", alpha) > 0
    if mask is not None:
        _check_mask(mask, alpha)
        scored &= mask
    difference = quantise_image("pred_foreground", pred_foreground).int()
    difference -= quantise_image("foreground", foreground).int()
    total = (difference.square() * scored).sum(dim=(1, 2, 3), dtype=torch.int64).double()
    return total / (3 * 255**2 * scored.sum(dim=(1, 2, 3)))  # 0 / 0 is NaN


def quantise_image(name: str, image: Tensor) -> Tensor:
    """Check values of any shape and round them to the nearest k/255.

    Args:
        name: What the image is called in errors.
        image: Floats in [0, 1] or uint8.

    Returns:
        The numbers k as uint8, of the same shape and device.

    Raises:
        ValueError: If it is neither float nor uint8, leaves [0, 1] or holds NaN.
    """
    if image.is_floating_point():
        low, high = torch.stack(image.detach().aminmax()).tolist()
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"{name} must lie in [0, 1], got [{low:g}, {high:g}]; "
                "divide 8-bit values by 255, clamp a network's raw output"
            )
    elif image.dtype != torch.uint8:
        raise ValueError(
            f"{name} must be uint8 or floats in [0, 1], got {image.dtype}; "
            f"convert it with {name}.to(torch.uint8) or {name}.float()"
        )
    return to_8_bit(image)


def _check_colour(name: str, colour: Tensor, alpha: Tensor) -> None:
    """Refuse what are not three channels over the mattes."""
    expected = (len(alpha), 3, *alpha.shape[2:])
    if colour.shape != expected:
        raise ValueError(
            f"{name} must be {expected} over alpha {tuple(alpha.shape)}, "
            f"got shape {tuple(colour.shape)}; bring it to the size of the ground truth"
        )


def _check_mask(mask: Tensor, alpha: Tensor) -> None:
    """Refuse what does not choose pixels of the mattes."""
    if mask.shape != alpha.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"mask must be bool {tuple(alpha.shape)} over alpha, "
            f"got {mask.dtype} {tuple(mask.shape)}; compare a trimap, as in trimap == 0.5"
        )


class ForegroundMSE(PerImage):
    """Mean over images of :func:`mse_fg`; images without foreground are left out."""

    def __init__(self) -> None:
        super().__init__(["ForegroundMSE"])

    def update(
        self,
        pred_foreground: Tensor,
        foreground: Tensor,
        alpha: Tensor,
        mask: Tensor | None = None,
        index: Tensor | None = None,
    ) -> None:
        """Take in a batch as :func:`mse_fg` does; ``index`` [B] as in :class:`PerImage`."""
        self.add(mse_fg(pred_foreground, foreground, alpha, mask)[:, None], index)

    def compute(self) -> Tensor:
        """The mean so far, a float64 scalar."""
        return self.mean()[0]
