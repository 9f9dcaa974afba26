"""The connectivity error: how differently two mattes hang together with the main object.

The definition asks for the largest component at each of ten thresholds, searched in the whole
image. As the threshold falls components only grow and merge, so one union-find that takes the
pixels in from level 10 down to level 1 meets all of them; a merger remembers its level.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mattingzoo.metrics.compiled import compiled
from mattingzoo.metrics.runs import (
    LEVELS,
    Bytes,
    Index,
    Runs,
    by_falling_level,
    find_runs,
    level_image,
)

# An alpha counts as disconnected from 0.15 above its connection level; in units of 1/2550.
DISCONNECTED = 383


def connection_levels(pred: Bytes, alpha: Bytes) -> Bytes:
    """Up to which alpha each pixel is connected with the main object of both mattes.

    At each threshold 0.1, 0.2, ..., 1.0 the main object is the largest 4-connected component of
    the pixels that reach it in both mattes, searched in the whole image; of equally large ones it
    is, as in MATLAB, the one that owns the first pixel in column-major order (smallest column,
    then smallest row). A pixel keeps the last threshold before the first one at which it is
    outside; there is no way back.

    Args:
        pred: Predicted matte [H, W].
        alpha: True matte [H, W].

    Returns:
        Ten times the level l [H, W], 0..10.
    """
    return connect(np.ascontiguousarray(pred), np.ascontiguousarray(alpha))


def conn_map(pred: Tensor, alpha: Tensor) -> Tensor:
    """Absolute difference of the disconnected parts of alpha at every pixel, exact.

    Args:
        pred: Predicted mattes [B, 1, H, W], uint8, on the CPU.
        alpha: True mattes [B, 1, H, W], uint8, on the CPU.

    Returns:
        Errors [B, 1, H, W], int16, in units of 1/2550; :func:`conn_sums` adds them up.
    """
    pairs = zip(pred[:, 0].numpy(), alpha[:, 0].numpy(), strict=True)
    levels = np.stack([connection_levels(p, a) for p, a in pairs])[:, None]  # [B, 1, H, W]
    excess = torch.stack([pred, alpha]).short() * 10 - torch.from_numpy(levels).short() * 255
    ours, theirs = excess * (excess >= DISCONNECTED)
    errors: Tensor = (ours - theirs).abs()
    return errors


@compiled
def conn_sums(pred: Bytes, alpha: Bytes, mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Sums of the absolute differences of the disconnected parts of alpha, exact.

    Args:
        pred: Predicted matte [H, W], contiguous.
        alpha: True matte [H, W], contiguous.
        mask: Pixels of a region [H, W]; one of no size stands for none.

    Returns:
        Over the whole image and over the mask, in units of 1/2550.

    Source:
        Yaoyi-Li/GCA-Matting:DIM_evaluation_code/compute_connectivity_error.m, the copy in which a
        threshold that no pixel reaches ends the search (Rhemann et al., CVPR 2009, undamped).
    """
    height, width = pred.shape
    levels = connect(pred, alpha)
    masked = mask.size > 0
    total, inside = 0, 0
    for y in range(height):
        row = row_inside = np.int64(0)
        for x in range(width):
            connected = np.int32(levels[y, x]) * np.int32(255)
            p = _disconnected(pred[y, x], connected)
            a = _disconnected(alpha[y, x], connected)
            error = np.int32(abs(p - a))
            row += error
            if masked:
                row_inside += error * mask[y, x]
        total += int(row)
        inside += int(row_inside)
    return total, inside


@compiled
def _disconnected(value: np.uint8, connected: np.int32) -> np.int32:
    """What exceeds the connection level by 0.15 or more, else 0; in units of 1/2550."""
    excess = np.int32(value) * np.int32(10) - connected
    return excess if excess >= DISCONNECTED else np.int32(0)


@compiled
def connect(pred: Bytes, alpha: Bytes) -> Bytes:
    """:func:`connection_levels` of contiguous mattes."""
    levels = level_image(pred, alpha)
    runs = find_runs(levels)
    levels[:] = 0
    if runs.level.size == 0:
        return levels
    forest = _plant(runs, len(levels))
    main, deepest = _merge(runs, forest)
    connected = _trace(forest, main, deepest)
    for r in range(connected.size):
        if connected[r]:
            levels[runs.row[r], runs.start[r] : runs.end[r]] = connected[r]
    return levels


class Forest(NamedTuple):
    """Components of runs under a falling threshold; a component's root is its first run."""

    parent: Index  # [N], towards the root, shortened on the way
    attached_to: Index  # [N], the root that took this one in, when it was one
    attached_at: Bytes  # [N], the level at which that happened; 0: never
    size: NDArray[np.int64]  # [N], pixels, valid at roots
    first: NDArray[np.int64]  # [N], first pixel in column-major order, valid at roots


@compiled
def _plant(runs: Runs, height: int) -> Forest:
    """Every run a component of its own."""
    n = runs.level.size
    size = np.empty(n, np.int64)
    first = np.empty(n, np.int64)
    for r in range(n):
        size[r] = runs.end[r] - runs.start[r]
        first[r] = np.int64(runs.start[r]) * height + runs.row[r]
    parent = np.arange(n).astype(np.int32)
    return Forest(parent, np.zeros(n, np.int32), np.zeros(n, np.uint8), size, first)


@compiled
def _merge(runs: Runs, forest: Forest) -> tuple[Index, int]:
    """Let the runs in from level 10 down to 1 and join those that touch.

    Returns:
        The root of the largest component at each level [12], -1 for none; and the highest level
        up to which these lie within each other: what lies deeper is connected to nothing.
    """
    order, begin = by_falling_level(runs.level)
    main = np.full(LEVELS + 2, -1, np.int32)
    deepest, best = LEVELS, -1
    for k in range(LEVELS, 0, -1):
        for i in range(begin[LEVELS - k], begin[LEVELS - k + 1]):
            root = _join_neighbours(runs, forest, order[i])
            # Components only grow: comparing the one that just grew with the best is enough.
            if best < 0:
                best = root
            best = _root(forest.parent, best)
            if _is_larger(forest, root, best):
                best = root
        main[k] = best
        if main[k + 1] < 0 or _root(forest.parent, main[k + 1]) != best:
            deepest = k
    return main, deepest


@compiled
def _join_neighbours(runs: Runs, forest: Forest, r: int) -> int:
    """Join a run with those it touches that are already in; the root of what it then is part of.

    Runs of a higher level are in; of runs of the same level, which are never side by side, the
    lower one does the joining.
    """
    k, y = runs.level[r], runs.row[r]
    root = r
    if r > runs.row_begin[y] and runs.end[r - 1] == runs.start[r] and runs.level[r - 1] > k:
        root = _join(forest, root, r - 1, k)
    if r + 1 < runs.row_begin[y + 1] and runs.start[r + 1] == runs.end[r] and runs.level[r + 1] > k:
        root = _join(forest, root, r + 1, k)
    j = runs.above[r]
    while j < runs.row_begin[y] and runs.start[j] < runs.end[r]:
        if runs.level[j] >= k:
            root = _join(forest, root, j, k)
        j += 1
    j = runs.below[r]
    while j < runs.row_begin[y + 2] and runs.start[j] < runs.end[r]:
        if runs.level[j] > k:
            root = _join(forest, root, j, k)
        j += 1
    return root


@compiled
def _join(forest: Forest, root: int, other: int, k: int) -> int:
    """Join the component of ``root`` with that of any run at level k; the common root."""
    other = _root(forest.parent, other)
    if other == root:
        return root
    low, high = min(root, other), max(root, other)
    forest.parent[high] = low
    forest.attached_to[high] = low
    forest.attached_at[high] = k
    forest.size[low] += forest.size[high]
    forest.first[low] = min(forest.first[low], forest.first[high])
    return low


@compiled
def _root(parent: Index, run: int) -> int:
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@compiled
def _is_larger(forest: Forest, one: int, other: int) -> bool:
    """Whether a component comes before another: more pixels, or as many and an earlier first."""
    if forest.size[one] != forest.size[other]:
        return bool(forest.size[one] > forest.size[other])
    return bool(forest.first[one] < forest.first[other])


@compiled
def _trace(forest: Forest, main: Index, deepest: int) -> Bytes:
    """The highest level, up to ``deepest``, at which each run is part of the main object [N]."""
    own = np.zeros(forest.parent.size, np.uint8)
    for k in range(1, deepest + 1):
        own[main[k]] = k  # rising: the highest one stays
    connected = np.zeros(own.size, np.uint8)
    for r in range(own.size):  # a run is attached to an earlier one, which is done by then
        if own[r]:
            connected[r] = own[r]
        elif forest.attached_at[r]:
            connected[r] = min(forest.attached_at[r], connected[forest.attached_to[r]])
    return connected
