"""The gradient error on a CPU: both mattes filtered and compared row by row, nothing stored.

Nine filtered rows of each matte are kept. Rows, and ends of rows, that nothing asks for or where
both mattes are flat are not filtered at all.
"""

import numpy as np
from numpy.typing import NDArray

from mattingzoo.metrics.compiled import compiled, vectorised
from mattingzoo.metrics.gradient import DERIVATIVE, GAUSSIAN, RADIUS

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Row = NDArray[np.float32]  # [W]
Ring = NDArray[np.float32]  # [KEPT, W], row y of an image at y % KEPT
Ends = NDArray[np.int64]  # [H, 2], begin and end of a part of each row; equal where there is none

KEPT = 2 * RADIUS + 1
G0, G1, G2, G3, G4 = (np.float32(tap) for tap in GAUSSIAN)
_, D1, D2, D3, D4 = (np.float32(tap) for tap in DERIVATIVE)
SMOOTH, SLOPE = np.array([GAUSSIAN, DERIVATIVE], dtype=np.float32)


@compiled
def grad_sums(pred: Bytes, alpha: Bytes, mask: Mask, whole: bool) -> tuple[float, float]:
    """Sums of the squared differences of the gradient magnitudes.

    Args:
        pred: Predicted matte [H, W], contiguous.
        alpha: True matte [H, W], contiguous.
        mask: Pixels of a region [H, W]; one of no size stands for none.
        whole: Whether the sum over the whole image is asked for, too.

    Returns:
        Over the whole image (0 if not asked for) and over the mask; filtered in float32, so true
        to about 1e-7 relative.

    Source:
        As :func:`mattingzoo.metrics.gradient.grad_map`.
    """
    height, width = pred.shape
    wanted = _not_flat(pred, alpha) if whole else _masked(mask)
    filtered = _joined(wanted)
    smooth = np.empty((2, KEPT, width), np.float32)  # pred and alpha, filtered along x
    slope = np.empty((2, KEPT, width), np.float32)
    padded = np.empty(width + 2 * RADIUS, np.float32)
    along_x, along_y = np.empty(width, np.float32), np.empty(width, np.float32)
    length = np.empty((2, width), np.float32)
    # Each matte is stretched by its own range: shifted before the filter, divided after it.
    low, scale = np.empty(2, np.float32), np.empty(2, np.float32)
    for i, matte in enumerate((pred, alpha)):
        low[i] = matte.min()
        scale[i] = 1 / max(matte.max() - low[i], 1)
    ready, total, inside = 0, 0.0, 0.0
    for y in range(height):
        begin, end = wanted[y]
        if begin == end:
            continue
        for row in range(max(ready, y - RADIUS), min(y + RADIUS + 1, height)):
            b, e = filtered[row]
            for i, matte in enumerate((pred, alpha)):
                around = _padded(matte[row], low[i], b, e, padded)
                _filter_row(around, smooth[i, row % KEPT][b:e], slope[i, row % KEPT][b:e])
        ready = y + RADIUS + 1
        for i in range(2):
            _smooth_column(slope[i], y, height, begin, along_x[begin:end])
            _slope_column(smooth[i], y, height, begin, along_y[begin:end])
            _lengths(along_x[begin:end], along_y[begin:end], scale[i], length[i][begin:end])
        p, a = length[0][begin:end], length[1][begin:end]
        if whole:
            total += _squared(p, a)
        if mask.size:
            inside += _squared_in(p, a, mask[y][begin:end])
    return total, inside


@compiled
def _masked(mask: Mask) -> Ends:
    """First to last pixel of the mask in each row."""
    height, width = mask.shape
    ends = np.zeros((height, 2), np.int64)
    for y in range(height):
        begin, end = 0, width
        while begin < width and not mask[y, begin]:
            begin += 1
        while end > begin and not mask[y, end - 1]:
            end -= 1
        ends[y] = begin, end
    return ends


@compiled
def _not_flat(pred: Bytes, alpha: Bytes) -> Ends:
    """Where a gradient may differ from 0: near what is not as the first pixel, in each row."""
    height, width = pred.shape
    ends = np.zeros((height, 2), np.int64)
    p, a = pred[0, 0], alpha[0, 0]
    for y in range(height):
        begin, end = 0, width
        while begin < width and pred[y, begin] == p and alpha[y, begin] == a:
            begin += 1
        while end > begin and pred[y, end - 1] == p and alpha[y, end - 1] == a:
            end -= 1
        ends[y] = begin, end
    near = _joined(ends)
    for y in range(height):
        if near[y, 0] < near[y, 1]:
            near[y] = max(near[y, 0] - RADIUS, 0), min(near[y, 1] + RADIUS, width)
    return near


@compiled
def _joined(ends: Ends) -> Ends:
    """From the first begin to the last end of each row and of those up to RADIUS away."""
    height = len(ends)
    joined = np.zeros((height, 2), np.int64)
    for y in range(height):
        for row in range(max(y - RADIUS, 0), min(y + RADIUS + 1, height)):
            begin, end = ends[row]
            if begin == end:
                continue
            if joined[y, 0] == joined[y, 1]:
                joined[y] = begin, end
            joined[y] = min(joined[y, 0], begin), max(joined[y, 1], end)
    return joined


@compiled
def _padded(row: NDArray[np.uint8], low: np.float32, begin: int, end: int, padded: Row) -> Row:
    """A part of a row, less ``low``, and RADIUS pixels on either side; the border is replicated."""
    width = row.size
    first, last = max(begin - RADIUS, 0), min(end + RADIUS, width)
    _shift(row[first:last], low, padded[first + RADIUS : last + RADIUS])
    padded[:RADIUS] = row[0] - low
    padded[width + RADIUS :] = row[width - 1] - low
    return padded[begin : end + 2 * RADIUS]


@vectorised
def _shift(row: NDArray[np.uint8], low: np.float32, out: Row) -> None:
    for x in range(row.size):
        out[x] = np.float32(row[x]) - low


@vectorised
def _filter_row(r: Row, smooth: Row, slope: Row) -> None:
    """Both filters along x; one pass is twice as fast as one per tap."""
    for x in range(smooth.size):
        smooth[x] = (
            G0 * r[x + 4]
            + G1 * (r[x + 3] + r[x + 5])
            + G2 * (r[x + 2] + r[x + 6])
            + G3 * (r[x + 1] + r[x + 7])
            + G4 * (r[x] + r[x + 8])
        )
        slope[x] = (
            D1 * (r[x + 5] - r[x + 3])
            + D2 * (r[x + 6] - r[x + 2])
            + D3 * (r[x + 7] - r[x + 1])
            + D4 * (r[x + 8] - r[x])
        )


@compiled
def _smooth_column(ring: Ring, y: int, height: int, begin: int, out: Row) -> None:
    """The Gaussian along y of rows filtered along x, at row y."""
    end = begin + out.size
    _scaled(out, ring[y % KEPT][begin:end], SMOOTH[0])
    for k in (1, 3):
        near = _row(ring, y - k, height, begin, end), _row(ring, y + k, height, begin, end)
        far = _row(ring, y - k - 1, height, begin, end), _row(ring, y + k + 1, height, begin, end)
        _add_even(out, near[0], near[1], SMOOTH[k], far[0], far[1], SMOOTH[k + 1])


@compiled
def _slope_column(ring: Ring, y: int, height: int, begin: int, out: Row) -> None:
    """The derivative along y of rows filtered along x, at row y."""
    end = begin + out.size
    out[:] = 0
    for k in (1, 3):
        near = _row(ring, y - k, height, begin, end), _row(ring, y + k, height, begin, end)
        far = _row(ring, y - k - 1, height, begin, end), _row(ring, y + k + 1, height, begin, end)
        _add_odd(out, near[0], near[1], SLOPE[k], far[0], far[1], SLOPE[k + 1])


@compiled
def _row(ring: Ring, y: int, height: int, begin: int, end: int) -> Row:
    """A part of a row held in the ring; the border is replicated."""
    row: Row = ring[min(max(y, 0), height - 1) % KEPT][begin:end]
    return row


@vectorised
def _scaled(out: Row, row: Row, tap: np.float32) -> None:
    for x in range(out.size):
        out[x] = tap * row[x]


@vectorised
def _add_even(out: Row, a: Row, b: Row, near: np.float32, c: Row, d: Row, far: np.float32) -> None:
    for x in range(out.size):
        out[x] += near * (a[x] + b[x]) + far * (c[x] + d[x])


@vectorised
def _add_odd(out: Row, a: Row, b: Row, near: np.float32, c: Row, d: Row, far: np.float32) -> None:
    for x in range(out.size):
        out[x] += near * (b[x] - a[x]) + far * (d[x] - c[x])


@vectorised
def _lengths(along_x: Row, along_y: Row, scale: np.float32, out: Row) -> None:
    for x in range(out.size):
        out[x] = np.sqrt(along_x[x] * along_x[x] + along_y[x] * along_y[x]) * scale


@vectorised
def _squared(pred: Row, alpha: Row) -> float:
    total = 0.0
    for x in range(pred.size):
        difference = pred[x] - alpha[x]
        total += np.float64(difference * difference)
    return total


@vectorised
def _squared_in(pred: Row, alpha: Row, mask: Mask) -> float:
    total = 0.0
    for x in range(pred.size):
        difference = (pred[x] - alpha[x]) * np.float32(mask[x])
        total += np.float64(difference * difference)
    return total
