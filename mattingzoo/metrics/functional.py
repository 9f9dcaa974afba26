"""The five scores of image matting as pure functions of a batch of mattes, exact to the reference.

The reference is the MATLAB code of Deep Image Matting (Xu et al., CVPR 2017) as in
Yaoyi-Li/GCA-Matting:DIM_evaluation_code. All functions take predictions and true mattes
[B, 1, H, W] as floats in [0, 1], rounded to the nearest k/255, or as uint8, and return float64 [B].
A mask only selects the pixels that are summed: Grad and Conn look at the whole image before.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from mattingzoo.metrics.mattes import (
    Check,
    Region,
    check_same_shape,
    quantise,
    quantise_later,
    unknown_later,
)
from mattingzoo.metrics.sums import (
    ABSOLUTE,
    CONNECTIVITY,
    GRADIENT,
    MASKED,
    PIXELS,
    SQUARED,
    WHOLE,
    Part,
    sums_later,
)


class Score(NamedTuple):
    """A metric: a sum of errors over a region, divided."""

    part: Part
    column: int  # of a table of sums
    unit: int  # what the sum is divided by
    per_pixel: bool  # whether it is divided by the number of pixels, too

    def of(self, table: Tensor, row: int) -> Tensor:
        """The score per image [B], float64, from a table of sums [B, 2, 5]."""
        total = table[:, row, self.column]
        if self.per_pixel:
            return total / (self.unit * table[:, row, PIXELS])  # 0 / 0 is NaN
        return total / self.unit


SCORES = {
    "SAD": Score("difference", ABSOLUTE, 255 * 1000, per_pixel=False),
    "MSE": Score("difference", SQUARED, 255**2, per_pixel=True),
    "MAD": Score("difference", ABSOLUTE, 255, per_pixel=True),
    "Grad": Score("gradient", GRADIENT, 1000, per_pixel=False),
    "Conn": Score("connectivity", CONNECTIVITY, 2550 * 1000, per_pixel=False),
}


def sad(pred: Tensor, alpha: Tensor, mask: Tensor | None = None) -> Tensor:
    """Sum of absolute differences per image, in thousands of alpha units.

    Args:
        pred: Predicted mattes [B, 1, H, W], floats in [0, 1] or uint8.
        alpha: True mattes, likewise.
        mask: Pixels to score [B, 1, H, W], bool; None scores the whole image.

    Returns:
        Errors [B], float64; 1.0 is one thousand fully wrong pixels, an empty mask gives 0.

    Raises:
        ValueError: If shapes differ, values leave [0, 1] or the mask is not bool.

    Source:
        Yaoyi-Li/GCA-Matting:DIM_evaluation_code/compute_sad_loss.m.
    """
    return _score("SAD", pred, alpha, mask)


def mse(pred: Tensor, alpha: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared error per image, plain; many papers print it times 1000.

    Args:
        pred: Predicted mattes [B, 1, H, W], floats in [0, 1] or uint8.
        alpha: True mattes, likewise.
        mask: Pixels to score [B, 1, H, W], bool; None scores the whole image.

    Returns:
        Errors [B], float64; an empty mask gives NaN.

    Raises:
        ValueError: If shapes differ, values leave [0, 1] or the mask is not bool.

    Source:
        Yaoyi-Li/GCA-Matting:DIM_evaluation_code/compute_mse_loss.m.
    """
    return _score("MSE", pred, alpha, mask)


def mad(pred: Tensor, alpha: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference per image, plain; some papers print it times 1000.

    Args:
        pred: Predicted mattes [B, 1, H, W], floats in [0, 1] or uint8.
        alpha: True mattes, likewise.
        mask: Pixels to score [B, 1, H, W], bool; None scores the whole image.

    Returns:
        Errors [B], float64; an empty mask gives NaN.

    Raises:
        ValueError: If shapes differ, values leave [0, 1] or the mask is not bool.

    Source:
        JizhiziLi/GFM:core/evaluate.py, which is :func:`sad` per pixel.
    """
    return _score("MAD", pred, alpha, mask)


def grad(pred: Tensor, alpha: Tensor, mask: Tensor | None = None) -> Tensor:
    """Gradient error per image, in thousands.

    The squared difference of the magnitudes of two Gaussian gradients (sigma 1.4, 9 x 9), each
    matte stretched to [0, 1] by the value range of its whole image, the border replicated.

    Args:
        pred: Predicted mattes [B, 1, H, W], floats in [0, 1] or uint8.
        alpha: True mattes, likewise.
        mask: Pixels to score [B, 1, H, W], bool; None scores the whole image.

    Returns:
        Errors [B], float64; an empty mask gives 0.

    Raises:
        ValueError: If shapes differ, values leave [0, 1] or the mask is not bool.

    Source:
        Yaoyi-Li/GCA-Matting:DIM_evaluation_code/compute_gradient_loss.m, the 1/1000 as in its
        evaluate.m (Rhemann et al., CVPR 2009).
    """
    return _score("Grad", pred, alpha, mask)


def conn(pred: Tensor, alpha: Tensor, mask: Tensor | None = None) -> Tensor:
    """Connectivity error per image, in thousands; computed on the CPU.

    The absolute difference of what either matte has at least 0.15 above the level to which a
    pixel is connected with the largest 4-connected component the two mattes share.

    Args:
        pred: Predicted mattes [B, 1, H, W], floats in [0, 1] or uint8.
        alpha: True mattes, likewise.
        mask: Pixels to score [B, 1, H, W], bool; None scores the whole image.

    Returns:
        Errors [B], float64; an empty mask gives 0.

    Raises:
        ValueError: If shapes differ, values leave [0, 1] or the mask is not bool.

    Source:
        Yaoyi-Li/GCA-Matting:DIM_evaluation_code/compute_connectivity_error.m, the 1/1000 as in its
        evaluate.m (Rhemann et al., CVPR 2009).
    """
    return _score("Conn", pred, alpha, mask)


def scores(
    pred: Tensor,
    alpha: Tensor,
    trimap: Tensor | None = None,
    regions: Sequence[Region] = ("unknown", "whole"),
) -> dict[str, Tensor]:
    """All five scores per image over several regions; what regions share is computed once.

    Args:
        pred: Predicted mattes [B, 1, H, W], floats in [0, 1] or uint8. The known region is scored
            as it is, not overwritten with the trimap.
        alpha: True mattes, likewise.
        trimap: [B, 1, H, W], floats in {0, 0.5, 1} or uint8 with 128 for unknown; may be None if
            only the whole image is scored.
        regions: Any of "unknown" and "whole".

    Returns:
        "SAD/unknown" and so on, named by :func:`score_names`, to errors [B], float64; see
        :func:`sad`, :func:`mse`, :func:`mad`, :func:`grad` and :func:`conn` for the units.

    Raises:
        ValueError: If shapes differ, values are outside their range, a region is unheard of, or
            the trimap is missing.
    """
    return scores_later(pred, alpha, trimap, regions)()


def scores_later(
    pred: Tensor,
    alpha: Tensor,
    trimap: Tensor | None = None,
    regions: Sequence[Region] = ("unknown", "whole"),
) -> Callable[[], dict[str, Tensor]]:
    """Begin to score; what is returned gives :func:`scores`.

    On a GPU nothing here waits for the device: sums are queued on it, and connectivity is found on
    CPU threads once the mattes have arrived there. Values out of range are found by the call.
    """
    names = score_names(regions)
    pred, alpha, check_mattes = quantise_later(pred, alpha, mask=None)
    mask: Tensor | None = None
    check_trimap: Check = _nothing
    if "unknown" in regions:
        if trimap is None:
            raise ValueError(
                "trimap must be given to score the region 'unknown', got None; "
                "pass a trimap or regions=('whole',)"
            )
        check_same_shape("trimap", trimap, pred)
        mask, check_trimap = unknown_later(trimap)
    table_later = sums_later(pred, alpha, mask, whole="whole" in regions)

    def result() -> dict[str, Tensor]:
        check_mattes()
        check_trimap()
        table = table_later()
        rows = [WHOLE if region == "whole" else MASKED for region in regions]
        values = [score.of(table, row) for row in rows for score in SCORES.values()]
        return dict(zip(names, values, strict=True))

    return result


def score_names(regions: Sequence[Region]) -> tuple[str, ...]:
    """Names of all scores over the regions, such as "SAD/unknown".

    Raises:
        ValueError: If a region is unheard of or named twice, or there is none.
    """
    if not regions or len(set(regions)) < len(regions) or set(regions) - {"unknown", "whole"}:
        raise ValueError(
            f"regions must be 'unknown', 'whole' or both, got {tuple(regions)}; "
            "pass a tuple such as ('unknown', 'whole')"
        )
    return tuple(f"{name}/{region}" for region in regions for name in SCORES)


def _nothing() -> None:
    pass


def _score(name: str, pred: Tensor, alpha: Tensor, mask: Tensor | None) -> Tensor:
    """One score of :data:`SCORES` per image."""
    score = SCORES[name]
    pred, alpha = quantise(pred, alpha, mask)
    table = sums_later(pred, alpha, mask, mask is None, frozenset({score.part}))()
    return score.of(table, WHOLE if mask is None else MASKED)
