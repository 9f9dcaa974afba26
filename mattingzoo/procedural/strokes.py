"""Tapered curved strokes with analytic coverage: one brush for hairs, barbs, twigs, leaves, wires.

Numba, because a head of hair is fifty thousand segments and OpenCV's Python calls alone would cost
more than the whole picture may.
"""

from collections.abc import Callable
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mattingzoo.procedural.noise import Array


class Strokes(NamedTuple):
    """N strokes of K points, painted in order, later ones in front."""

    points: Array  # [N, K, 2], x and y in frame units: 0 is left or top, 1 right or bottom
    radius: Array  # [N, K] half widths in frame units
    colour: Array  # [N, K, 3] in [0, 1]
    opacity: Array  # [N] in [0, 1]
    tube: Array  # [N], 0 flat, 1 shaded across like a lit cylinder


def make_strokes(
    points: Array,
    radius: ArrayLike,
    colour: ArrayLike,
    opacity: ArrayLike = 1.0,
    tube: ArrayLike = 0.0,
) -> Strokes:
    """Strokes of points [N, K, 2]; everything else is broadcast to its full shape."""
    count, length = points.shape[:2]
    return Strokes(
        np.ascontiguousarray(points, np.float32),
        np.ascontiguousarray(np.broadcast_to(radius, (count, length)), np.float32),
        np.ascontiguousarray(np.broadcast_to(colour, (count, length, 3)), np.float32),
        np.ascontiguousarray(np.broadcast_to(opacity, (count,)), np.float32),
        np.ascontiguousarray(np.broadcast_to(tube, (count,)), np.float32),
    )


def draw(canvas: Array, strokes: Strokes, light: tuple[float, float] = (-0.5, -0.8)) -> None:
    """Paint strokes over a canvas [S, S, 4] in place.

    Within one stroke overlapping segments count once (their coverages' maximum), so a translucent
    hair is equally translucent at its joints.

    Args:
        canvas: Premultiplied layer, square.
        strokes: What to paint.
        light: Direction towards the light, x and y, for strokes shaded as tubes.
    """
    side = np.float32(canvas.shape[0])
    direction = np.array(light, np.float32)
    colour = np.clip(strokes.colour, 0, 1)
    _paint_strokes(
        canvas,
        strokes.points * side,
        strokes.radius * side,
        colour,
        strokes.opacity,
        strokes.tube,
        direction,
    )


def _direction_of(dx: np.float32, dy: np.float32) -> tuple[np.float32, np.float32, np.float32]:
    """Unit vector and length of a step; a dot points to the right."""
    length = np.sqrt(dx * dx + dy * dy)
    if length < np.float32(1e-4):
        return np.float32(1), np.float32(0), np.float32(1e-4)
    return dx / length, dy / length, length


def _overlap_of(distance: np.float32, radius: np.float32) -> np.float32:
    """Share of a pixel-wide window at a distance from the axis that a stroke covers."""
    half = np.float32(0.5)
    high, low = min(distance + half, radius), max(distance - half, -radius)
    return min(high - low, np.float32(1))


def _segment_loop(
    layer: Array,
    owner: NDArray[np.int32],
    cover: Array,
    n: int,
    ends: tuple[Array, Array],
    radii: tuple[np.float32, np.float32],
    hues: tuple[Array, Array],
    opacity: np.float32,
    tilt: tuple[np.float32, np.float32, np.float32],
) -> None:
    """Paint one tapered segment of stroke n behind what the layer [S, S, 4] already holds."""
    one, half = np.float32(1), np.float32(0.5)
    (start, end), (ra, rb), (ca, cb), (tube, tilt_x, tilt_y) = ends, radii, hues, tilt
    ax, ay = start[0], start[1]
    ux, uy, length = _direction(end[0] - ax, end[1] - ay)
    slant = tube * (tilt_y * ux - tilt_x * uy)
    reach = max(ra, rb) + half
    left, right = min(ax, end[0]) - reach, max(ax, end[0]) + reach
    top, bottom = min(ay, end[1]) - reach, max(ay, end[1]) + reach
    for y in range(max(0, int(top)), min(layer.shape[0], int(bottom) + 1)):
        py = np.float32(y) + half - ay
        low, high = left, right
        if abs(uy) > np.float32(0.02):  # the row's part of the infinite strip
            centre, width = ax + py * ux / uy, reach / abs(uy)
            low, high = max(left, centre - width), min(right, centre + width)
        for x in range(max(0, int(low)), min(layer.shape[1], int(high) + 1)):
            room = one - layer[y, x, 3]
            if room < np.float32(0.002):  # hidden
                continue
            px = np.float32(x) + half - ax
            along, across = px * ux + py * uy, py * ux - px * uy
            beyond = max(-along, along - length, np.float32(0))  # past a round end
            t = min(max(along / length, np.float32(0)), one)
            r = ra + (rb - ra) * t
            c = opacity * _overlap(np.sqrt(across * across + beyond * beyond), r)
            known = cover[y, x] if owner[y, x] == n else np.float32(0)
            if c <= known:
                continue
            owner[y, x] = n
            cover[y, x] = c
            k = room * (c - known) / (one - known)  # what this stroke adds to its own part
            s = across / max(r, half)
            shade = one + s * slant - np.float32(0.35) * tube * s * s
            for channel in range(3):
                hue = (ca[channel] + (cb[channel] - ca[channel]) * t) * shade
                layer[y, x, channel] += k * min(max(hue, np.float32(0)), one)
            layer[y, x, 3] += k


def _stroke_loop(
    canvas: Array,
    points: Array,
    radius: Array,
    colour: Array,
    opacity: Array,
    tube: Array,
    light: Array,
) -> None:
    """Paint strokes, front to back so that hidden ones are skipped, and lay them on the canvas."""
    layer = np.zeros_like(canvas)
    owner = np.full(canvas.shape[:2], -1, np.int32)
    cover = np.zeros(canvas.shape[:2], np.float32)
    for n in range(points.shape[0] - 1, -1, -1):
        tilt = (tube[n], light[0], light[1])
        for k in range(points.shape[1] - 1):
            ends = (points[n, k], points[n, k + 1])
            radii = (radius[n, k], radius[n, k + 1])
            hues = (colour[n, k], colour[n, k + 1])
            _paint_segment(layer, owner, cover, n, ends, radii, hues, opacity[n], tilt)
    for y in range(canvas.shape[0]):
        for x in range(canvas.shape[1]):
            room = np.float32(1) - layer[y, x, 3]
            for channel in range(4):
                canvas[y, x, channel] = layer[y, x, channel] + room * canvas[y, x, channel]


_direction: Callable[..., tuple[np.float32, np.float32, np.float32]]
_direction = numba.njit(cache=True)(_direction_of)
_overlap: Callable[..., np.float32] = numba.njit(cache=True)(_overlap_of)
_paint_segment: Callable[..., None] = numba.njit(cache=True)(_segment_loop)
_paint_strokes: Callable[..., None] = numba.njit(cache=True)(_stroke_loop)
