"""Absolute and squared differences of two mattes, summed as integers in one pass."""

import numpy as np
from numpy.typing import NDArray

from mattingzoo.metrics.compiled import compiled

PIECE = 1 << 15  # pixels whose squares 32 bits can hold


@compiled
def difference_sums(
    pred: NDArray[np.uint8], alpha: NDArray[np.uint8], mask: NDArray[np.bool_], whole: bool
) -> tuple[int, int, int, int]:
    """Sums of absolute and squared differences over a whole image and over a mask, exact.

    Args:
        pred: Predicted matte [H, W], contiguous.
        alpha: True matte [H, W], contiguous.
        mask: Pixels of a region [H, W]; one of no size stands for none.
        whole: Whether the sums over the whole image are asked for, too.

    Returns:
        Absolute over the whole image, over the mask (units of 1/255); squared likewise (1/255²).
        What is not asked for is 0.
    """
    height, width = pred.shape
    absolute, absolute_in, squared, squared_in = 0, 0, 0, 0
    for y in range(height):
        for begin in range(0, width, PIECE):
            end = min(begin + PIECE, width)
            p, a = pred[y][begin:end], alpha[y][begin:end]
            if whole:
                sums = _sums(p, a)
                absolute += sums[0]
                squared += sums[1]
            if mask.size:
                sums = _sums_in(p, a, mask[y][begin:end])
                absolute_in += sums[0]
                squared_in += sums[1]
    return absolute, absolute_in, squared, squared_in


# The narrowest types that hold a value: numba computes in 64 bits what it is not told otherwise,
# and a vector holds eight times as many bytes.


@compiled
def _sums(pred: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> tuple[int, int]:
    absolute = squared = np.uint32(0)
    for x in range(pred.size):
        difference = np.uint16(max(pred[x], alpha[x]) - min(pred[x], alpha[x]))
        absolute = np.uint32(absolute + difference)
        squared = np.uint32(squared + np.uint32(difference) * np.uint32(difference))
    return int(absolute), int(squared)


@compiled
def _sums_in(
    pred: NDArray[np.uint8], alpha: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> tuple[int, int]:
    absolute = squared = np.uint32(0)
    for x in range(pred.size):
        difference = np.uint16(max(pred[x], alpha[x]) - min(pred[x], alpha[x]))
        difference = difference if mask[x] else np.uint16(0)
        absolute = np.uint32(absolute + difference)
        squared = np.uint32(squared + np.uint32(difference) * np.uint32(difference))
    return int(absolute), int(squared)
