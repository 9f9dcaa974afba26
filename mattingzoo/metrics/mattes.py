"""What comes before every metric: check the mattes, bring them to 8 bits, pick the pixels."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Region = Literal["unknown", "whole"]
Check = Callable[[], None]  # raises ValueError

UNKNOWN_8_BIT = 128
UNKNOWN_FLOAT = 0.5


def quantise(pred: Tensor, alpha: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Check two mattes and bring them to the 8 bits the reference code reads from files.

    Floats are rounded to the nearest k/255, so a matte that is k/255 already scores the same as
    uint8 and as any float, down to bfloat16.

    Args:
        pred: Predicted mattes [B, 1, H, W], floats in [0, 1] or uint8.
        alpha: True mattes, likewise.
        mask: Pixels to score [B, 1, H, W], bool; None scores the whole image. Only checked here.

    Returns:
        Both mattes [B, 1, H, W] as uint8 on their device.

    Raises:
        ValueError: If a matte is not [B, 1, H, W], is neither float nor uint8, leaves [0, 1] or
            holds NaN; if shapes differ; if the mask is not bool.
    """
    pred, alpha, in_range = quantise_later(pred, alpha, mask)
    in_range()
    return pred, alpha


def quantise_later(
    pred: Tensor, alpha: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Check]:
    """As :func:`quantise`, but values are checked by calling what is returned last.

    To look at values means to wait for a GPU; shapes and dtypes are checked at once.
    """
    check_matte("pred", pred)
    check_matte("alpha", alpha)
    check_same_shape("alpha", alpha, pred)
    if mask is not None:
        if mask.dtype != torch.bool:
            raise ValueError(
                f"mask must be bool, got {mask.dtype}; compare it, as in trimap == 0.5"
            )
        check_same_shape("mask", mask, pred)
    check_pred, check_alpha = _range_check("pred", pred), _range_check("alpha", alpha)

    def check() -> None:
        check_pred()
        check_alpha()

    return to_8_bit(pred), to_8_bit(alpha), check


def to_8_bit(matte: Tensor) -> Tensor:
    """Round floats in [0, 1] to the nearest k/255 and give k; uint8 passes unchanged."""
    if matte.dtype == torch.uint8:
        return matte
    exact = matte if matte.dtype == torch.float64 else matte.float()
    return (exact.detach() * 255).round().to(torch.uint8)


def check_matte(name: str, matte: Tensor) -> None:
    """Refuse what is not a batch of mattes by shape and dtype."""
    if matte.ndim != 4 or matte.shape[1] != 1 or matte.numel() == 0:
        raise ValueError(
            f"{name} must be [B, 1, H, W] and not empty, got shape {tuple(matte.shape)}; "
            f"a single matte [H, W] becomes a batch by {name}[None, None]"
        )
    if matte.dtype != torch.uint8 and not matte.is_floating_point():
        raise ValueError(
            f"{name} must be uint8 or floats in [0, 1], got {matte.dtype}; "
            f"convert it with {name}.to(torch.uint8) or {name}.float()"
        )


def _range_check(name: str, matte: Tensor) -> Check:
    """What refuses values outside [0, 1] when called; the extremes are under way already."""
    if matte.dtype == torch.uint8:
        return lambda: None
    extremes = torch.stack(matte.detach().aminmax())

    def check() -> None:
        low, high = extremes.tolist()
        if low != low:
            raise ValueError(f"{name} must lie in [0, 1], got NaN; find out where the NaN arises")
        if low < 0 or high > 1:
            raise ValueError(
                f"{name} must lie in [0, 1], got [{low:g}, {high:g}]; "
                "divide 8-bit mattes by 255, clamp a network's raw output"
            )

    return check


def check_same_shape(name: str, tensor: Tensor, pred: Tensor) -> None:
    """Refuse a tensor that does not lie pixel by pixel over the prediction."""
    if tensor.shape != pred.shape:
        raise ValueError(
            f"shapes differ: pred {tuple(pred.shape)}, {name} {tuple(tensor.shape)}; "
            f"bring the prediction to the size of the ground truth"
        )


def region_mask(trimap: Tensor, region: Region) -> Tensor:
    """Pixels of a trimap that belong to a region.

    Args:
        trimap: [B, 1, H, W], floats in {0, 0.5, 1} or uint8. Unknown is 0.5, or exactly 128 in
            uint8: 127 and 129 are not unknown, as in the reference code.
        region: "unknown" or "whole" (every pixel).

    Returns:
        Mask [B, 1, H, W], bool.

    Raises:
        ValueError: If the region has another name, or the trimap another dtype, or floats outside
            {0, 0.5, 1}.
    """
    if region == "whole":
        return torch.ones_like(trimap, dtype=torch.bool)
    if region != "unknown":
        raise ValueError(f"region must be 'unknown' or 'whole', got {region!r}; choose one of them")
    mask, check = unknown_later(trimap)
    check()
    return mask


def unknown_later(trimap: Tensor) -> tuple[Tensor, Check]:
    """The unknown region, see :func:`region_mask`; values are checked by calling the second."""
    if trimap.dtype == torch.uint8:
        return trimap == UNKNOWN_8_BIT, lambda: None
    if not trimap.is_floating_point():
        raise ValueError(
            f"trimap must be uint8 or floats in {{0, 0.5, 1}}, got {trimap.dtype}; "
            "convert 8-bit values with trimap.to(torch.uint8)"
        )
    unknown = trimap == UNKNOWN_FLOAT
    strange = ~(unknown | (trimap == 0) | (trimap == 1))
    found = strange.any()

    def check() -> None:
        if found:
            raise ValueError(
                f"trimap must be in {{0, 0.5, 1}}, got {trimap[strange][0].item():g}; "
                "pass an 8-bit trimap as uint8, not divided by 255"
            )

    return unknown, check
