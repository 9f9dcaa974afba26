"""Instance matting quality: are all instances of an image found, and how good is each matte.

Instances are matched by the overlap of their supports, each matched pair is scored between 0 and
1, and what is not matched counts against the sum, as in panoptic quality.
"""

from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mattingzoo.metrics.accumulate import PerImage
from mattingzoo.metrics.functional import conn, mse, sad
from mattingzoo.metrics.gradient import gradient_magnitude
from mattingzoo.metrics.mattes import check_matte, quantise, to_8_bit

#: Errors of a pair, in the order of the columns of :func:`instance_errors`.
ERRORS = ("MAD", "MSE", "Grad", "Conn")
THRESHOLD = 0.5
STEEPNESS = 10  # an error of a tenth is as bad as can be


class Matches(NamedTuple):
    """Which prediction belongs to which instance; what is in neither list is left over."""

    pred: list[int]
    alpha: list[int]


def instance_iou(pred: Tensor, alpha: Tensor) -> Tensor:
    """Overlap of the supports (alpha > 0 in 8 bits) of every prediction with every instance.

    Args:
        pred: Predicted mattes of one image [N, 1, H, W], floats in [0, 1] or uint8; N may be 0.
        alpha: True mattes [M, 1, H, W], likewise.

    Returns:
        Intersection over union [N, M], float64; 0 where both are empty.

    Raises:
        ValueError: If these are no mattes, or their sizes differ.
    """
    ours, theirs = (_support(name, m) for name, m in (("pred", pred), ("alpha", alpha)))
    iou = torch.zeros((len(ours), len(theirs)), dtype=torch.float64)
    if iou.numel() == 0:
        return iou
    if ours.shape[2:] != theirs.shape[2:]:
        raise ValueError(
            f"shapes differ: pred {tuple(pred.shape)}, alpha {tuple(alpha.shape)}; bring the "
            "predictions to the size of the image"
        )
    for i, mine in enumerate(ours):
        both = (mine & theirs).sum(dim=(1, 2, 3)).double()
        either = (mine | theirs).sum(dim=(1, 2, 3)).clamp(min=1)
        iou[i] = (both / either).cpu()
    return iou


def match_instances(iou: Tensor, threshold: float = THRESHOLD) -> Matches:
    """One-to-one matching of the largest total overlap; pairs below the threshold are undone.

    Args:
        iou: [N, M], from :func:`instance_iou`.
        threshold: Smallest overlap of a pair that counts.
    """
    rows, columns = linear_sum_assignment(iou.numpy(), maximize=True)
    pairs = [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if iou[i, j] >= threshold]
    return Matches([i for i, _ in pairs], [j for _, j in pairs])


def instance_errors(pred: Tensor, alpha: Tensor) -> Tensor:
    """Errors of pairs of mattes on the union of their supports, all per pixel.

    Unlike the field's other scores, gradient and connectivity errors are means here, too, and the
    gradients are those of the mattes as they are, not stretched to [0, 1]. Sums are divided by the
    number of pixels plus one, as in the source.

    Args:
        pred: Predicted mattes [B, 1, H, W], floats in [0, 1] or uint8.
        alpha: True mattes [B, 1, H, W], likewise; the b-th belongs to the b-th prediction.

    Returns:
        [B, 4], float64 on the CPU, in the order of :data:`ERRORS`.

    Raises:
        ValueError: If these are no mattes, or their shapes differ.

    Source:
        SHI-Labs/Matting-Anything:evaluation/metrics.py, the same as nowsyn/InstMatt's.
    """
    pred, alpha = quantise(pred, alpha, mask=None)
    union = (pred > 0) | (alpha > 0)
    pixels = union.sum(dim=(1, 2, 3)).double()
    magnitude = (_slope(pred) - _slope(alpha)).double()
    total = [
        1000 * sad(pred, alpha, union),
        (mse(pred, alpha, union) * pixels).nan_to_num(0),  # an empty union has no mean
        (magnitude * magnitude * union).sum(dim=(1, 2, 3)),
        1000 * conn(pred, alpha, union),
    ]
    return torch.stack([(t.to(pixels) / (pixels + 1)).cpu() for t in total], dim=1)


def instance_similarity(pred: Tensor, alpha: Tensor) -> Tensor:
    """Scores of pairs of mattes, 1 - min(10 error, 1): [B, 4] by :func:`instance_errors`."""
    return 1 - (STEEPNESS * instance_errors(pred, alpha)).clamp(max=1)


def instance_row(pred: Tensor, alpha: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """What one image adds to the instance matting quality of a data set.

    Args:
        pred: All predicted instances [N, 1, H, W], floats in [0, 1] or uint8; N may be 0.
        alpha: All true instances [M, 1, H, W], likewise.
        threshold: Smallest overlap of a pair.

    Returns:
        [7], float64: the sums of the four scores over matched pairs, in the order of
        :data:`ERRORS`; then TP, FP and FN.

    Raises:
        ValueError: If these are no mattes, or their sizes differ.
    """
    matches = match_instances(instance_iou(pred, alpha), threshold)
    found = len(matches.pred)
    counts = torch.tensor([found, len(pred) - found, len(alpha) - found], dtype=torch.float64)
    quality = torch.zeros(len(ERRORS), dtype=torch.float64)
    if found:
        quality = instance_similarity(pred[matches.pred], alpha[matches.alpha]).sum(dim=0)
    return torch.cat([quality, counts])


def imq_of(rows: Tensor) -> dict[str, Tensor]:
    """``IMQ/MAD``, ``IMQ/MSE``, ``IMQ/Grad``, ``IMQ/Conn`` and ``RQ`` of a data set.

    Args:
        rows: :func:`instance_row` of each image [N, 7].

    Returns:
        Float64 scalars in [0, 1], larger is better; NaN if there was no instance at all. Papers
        print them times 100.
    """
    *quality, found, wrong, missed = rows.sum(dim=0)
    weight = found + (wrong + missed) / 2
    scores = {f"IMQ/{name}": total / weight for name, total in zip(ERRORS, quality, strict=True)}
    return {**scores, "RQ": found / weight}


class IMQ(PerImage):
    """Instance matting quality, accumulated over all images and divided at the end.

    IMQ = sum of the scores of matched pairs / (TP + FP / 2 + FN / 2), for each of the four scores;
    TP counts matched pairs, FP predictions and FN instances that are left over. The same sum over
    TP is the matting quality alone, TP over the same denominator the recognition quality ``RQ``.

    Differs from the source where that leaves out images without any prediction: here their
    instances count as missed. Per image, :meth:`per_image` has the sums of scores and the counts.

    Args:
        threshold: Smallest overlap of a pair.

    Source:
        Sun et al., Human Instance Matting via Mutual Guidance and Multi-Instance Refinement,
        CVPR 2022; SHI-Labs/Matting-Anything:evaluation/IMQ.py.
    """

    higher_is_better = True

    def __init__(self, threshold: float = THRESHOLD) -> None:
        super().__init__([*ERRORS, "TP", "FP", "FN"])
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must lie in (0, 1], got {threshold}")
        self.threshold = threshold

    def update(self, pred: Tensor, alpha: Tensor, index: Tensor | None = None) -> None:
        """Take in one image.

        Args:
            pred: All predicted instances [N, 1, H, W], floats in [0, 1] or uint8; N may be 0.
            alpha: All true instances [M, 1, H, W], likewise.
            index: Position of the image in the data set [1], int64.

        Raises:
            ValueError: If these are no mattes, or their sizes differ.
        """
        row = instance_row(pred, alpha, self.threshold)
        self.add(row[None].to(self.device), index)

    def compute(self) -> dict[str, Tensor]:
        """The scores of :func:`imq_of`, over all images."""
        return imq_of(self._in_order()[0])


def _support(name: str, mattes: Tensor) -> Tensor:
    """Where mattes are not 0 in 8 bits, bool; there may be none of them."""
    if len(mattes) == 0:
        return mattes.bool()
    check_matte(name, mattes)
    if mattes.is_floating_point() and not ((mattes >= 0) & (mattes <= 1)).all():
        raise ValueError(f"{name} must lie in [0, 1], got other values; clamp it, or pass uint8")
    return to_8_bit(mattes) > 0


def _slope(matte: Tensor) -> Tensor:
    """Gradient magnitudes of uint8 mattes in units of alpha, without the stretch to [0, 1]."""
    span = matte.amax(dim=(2, 3), keepdim=True) - matte.amin(dim=(2, 3), keepdim=True)
    return gradient_magnitude(matte) * (span.float() / 255)
