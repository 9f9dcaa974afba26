"""Horizontal runs of equal level: what connected components are found on.

A matte of a million pixels has some ten thousand runs, so what is slow per pixel is cheap here.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mattingzoo.metrics.compiled import compiled

Bytes = NDArray[np.uint8]
Index = NDArray[np.int32]

LEVELS = 10


class Runs(NamedTuple):
    """The runs of level 1 and more, row by row from left to right."""

    start: Index  # [N], first column
    end: Index  # [N], one past the last column
    row: Index  # [N]
    level: Bytes  # [N], 1..10
    row_begin: Index  # [H + 2], the first run of each row; N behind the last row
    above: Index  # [N], first run of the row above that ends behind this one's start
    below: Index  # [N], first run of the row below that ends behind this one's start


@compiled
def level_image(pred: Bytes, alpha: Bytes) -> Bytes:
    """How many of the thresholds 0.1, 0.2, ..., 1.0 both mattes reach at each pixel [H, W]."""
    height, width = pred.shape
    levels = np.empty((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            # v / 255 reaches k / 10 if 10 v >= 255 k: exact where the two meet, as at 153 and 0.6.
            levels[y, x] = np.uint32(min(pred[y, x], alpha[y, x])) * np.uint32(10) // np.uint32(255)
    return levels


@compiled
def find_runs(levels: Bytes) -> Runs:
    """Cut a level image [H, W] into runs, and find each one's neighbours."""
    height, width = levels.shape
    most = height + _changes(levels)
    start, end, row = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.int32)
    level = np.empty(most, np.uint8)
    row_begin = np.empty(height + 2, np.int32)
    n = 0
    for y in range(height):
        row_begin[y] = n
        x = 0
        while x < width:
            here, first = levels[y, x], x
            while x < width and levels[y, x] == here:
                x += 1
            if here:
                start[n], end[n], row[n], level[n] = first, x, y, here
                n += 1
    row_begin[height:] = n
    start, end, row, level = start[:n], end[:n], row[:n], level[:n]
    above, below = np.empty(n, np.int32), np.empty(n, np.int32)
    for y in range(height):
        up, down = row_begin[max(y - 1, 0)], row_begin[y + 1]
        for r in range(row_begin[y], row_begin[y + 1]):
            while up < row_begin[y] and end[up] <= start[r]:
                up += 1
            while down < row_begin[y + 2] and end[down] <= start[r]:
                down += 1
            above[r], below[r] = up, down
    return Runs(start, end, row, level, row_begin, above, below)


@compiled
def _changes(levels: Bytes) -> int:
    """How often the level changes along the rows."""
    height, width = levels.shape
    count = 0
    for y in range(height):
        row = 0
        for x in range(1, width):
            row += levels[y, x] != levels[y, x - 1]
        count += row
    return count


@compiled
def by_falling_level(level: Bytes) -> tuple[Index, NDArray[np.int64]]:
    """The runs from level 10 down to 1, in raster order within a level.

    Returns:
        Their indices [N], and [12] at which place those of level k begin: at ``10 - k``.
    """
    begin = np.zeros(LEVELS + 2, np.int64)
    for r in range(level.size):
        begin[LEVELS - level[r] + 1] += 1
    begin = np.cumsum(begin)
    free = begin.copy()
    order = np.empty(level.size, np.int32)
    for r in range(level.size):
        order[free[LEVELS - level[r]]] = r
        free[LEVELS - level[r]] += 1
    return order, begin
