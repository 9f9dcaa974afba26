"""Solid things with a hard outline: blobs, fruit, tools, birds, toys; the material for blurs."""

import cv2
import numpy as np

from mattingzoo.procedural.layer import blank, fill, over, paint, resize
from mattingzoo.procedural.materials import lit, texture
from mattingzoo.procedural.noise import Array, Rng


def solid(rng: Rng, size: int) -> Array:
    """Layer [size, size, 4] of one thing of one to four parts, each with its material."""
    canvas = blank(size)
    for outline in (_blob, _ball, _bird, _tool, _toy, _star, _mug)[rng.integers(7)](rng):
        mask = fill(size, outline)
        half = (size + 1) // 2
        surface = lit(rng, texture(rng, half), resize(mask, half))
        paint(canvas, resize(surface, size), mask)
    return canvas


def solids(rng: Rng, size: int, count: int, spread: float = 0.25) -> Array:
    """Layer of several things in front of each other, the later the nearer."""
    canvas = blank(size)
    for _ in range(count):
        scale, shift = rng.uniform(0.4, 0.8), rng.uniform(-spread, spread, 2)
        place = np.array([[scale, 0, 0.5 - 0.5 * scale], [0, scale, 0.5 - 0.5 * scale]])
        place[:, 2] += shift
        canvas = over(move(solid(rng, size), place), canvas)
    return canvas


def move(layer: Array, matrix: Array) -> Array:
    """A layer moved by an affine map [2, 3] of frame coordinates; empty beyond its border."""
    size = layer.shape[0]
    pixel = np.array(matrix, np.float64)
    pixel[:, 2] = pixel[:, 2] * size + 0.5 * pixel[:, :2].sum(axis=1) - 0.5
    moved = cv2.warpAffine(layer, pixel, (size, size), flags=cv2.INTER_LINEAR)
    return np.asarray(moved, np.float32)


def _round(centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> Array:
    """An ellipse as a polygon [72, 2]."""
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    u, v = radii[0] * np.cos(t), radii[1] * np.sin(t)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + cos * u - sin * v, centre[1] + sin * u + cos * v], axis=-1)


def _wavy(rng: Rng, centre: tuple[float, float], radius: float, rough: float) -> Array:
    """A closed curve [120, 2] of a few random harmonics around a circle."""
    t = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    reach = np.ones_like(t)
    for k in range(2, 8):
        reach += rough / k * rng.normal() * np.cos(k * t + rng.uniform(0, 6))
    reach = radius * np.clip(reach, 0.3, 1.7)
    return np.stack([centre[0] + reach * np.cos(t), centre[1] + reach * np.sin(t)], axis=-1)


def _band(points: list[tuple[float, float]], width: list[float]) -> Array:
    """A limb: a polygon of some width along a line."""
    line, half = np.array(points), np.array(width)[:, None]
    tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.stack([-tangent[:, 1], tangent[:, 0]], axis=-1) * half
    return np.concatenate([line + side, (line - side)[::-1]])


def _blob(rng: Rng) -> list[Array]:
    return [_wavy(rng, (0.5, 0.5), rng.uniform(0.26, 0.4), rng.uniform(0.1, 0.45))]


def _ball(rng: Rng) -> list[Array]:
    r = rng.uniform(0.24, 0.4)
    return [_round((0.5, 0.5), (r, r * rng.uniform(0.7, 1.1)), rng.uniform(0, 3))]


def _bird(rng: Rng) -> list[Array]:
    wing = rng.uniform(0.2, 0.45)
    far = np.array(
        [(0.45, 0.48), (0.36, 0.5 - wing), (0.3, 0.47 - wing), (0.34, 0.5), (0.38, 0.55)]
    )
    near = np.array(
        [(0.56, 0.47), (0.62, 0.5 - 1.1 * wing), (0.52, 0.42 - wing), (0.42, 0.5), (0.45, 0.57)]
    )
    tail = np.array([(0.28, 0.52), (0.06, 0.46), (0.03, 0.56), (0.08, 0.62), (0.3, 0.58)])
    beak = np.array([(0.82, 0.42), (0.93, 0.46), (0.82, 0.48)])
    return [
        far,
        tail,
        beak,
        _round((0.76, 0.44), (0.085, 0.075)),
        _round((0.52, 0.53), (0.28, 0.12), -0.2),
        near,
    ]


def _tool(rng: Rng) -> list[Array]:
    w = rng.uniform(0.03, 0.06)
    handle = _band([(0.2, 0.85), (0.45, 0.55), (0.62, 0.34)], [w, 0.8 * w, w])
    if rng.random() < 0.5:
        return [handle, _round((0.7, 0.25), (0.2, 0.13), rng.uniform(0, 3))]
    head = np.array([(0.5, 0.22), (0.62, 0.12), (0.88, 0.38), (0.78, 0.48)])
    return [handle, head]


def _toy(rng: Rng) -> list[Array]:
    ears = [_round((0.5 + s * 0.14, 0.16), (0.07, 0.07 * rng.uniform(1, 1.8))) for s in (-1, 1)]
    limbs = [
        _round((0.5 + s * 0.24, y), (0.08, 0.15), -s * 0.6) for s in (-1, 1) for y in (0.52, 0.84)
    ]
    return [*limbs, _round((0.5, 0.66), (0.21, 0.24)), *ears, _round((0.5, 0.32), (0.2, 0.18))]


def _star(rng: Rng) -> list[Array]:
    points = int(rng.integers(4, 10))
    t = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False) + rng.uniform(0, 1)
    reach = np.where(np.arange(2 * points) % 2 == 0, 0.42, rng.uniform(0.15, 0.34))
    return [np.stack([0.5 + reach * np.cos(t), 0.5 + reach * np.sin(t)], axis=-1)]


def _mug(rng: Rng) -> list[Array]:
    tall, wide = rng.uniform(0.22, 0.32), rng.uniform(0.16, 0.24)
    t = np.linspace(-1.3, 1.3, 16)
    arc = [(0.5 + wide + 0.13 * np.cos(a) - 0.02, 0.5 + 0.15 * np.sin(a)) for a in t]
    body = np.array(
        [
            (0.5 - wide, 0.5 - tall),
            (0.5 + wide, 0.5 - tall),
            (0.5 + 0.88 * wide, 0.5 + tall),
            (0.5 - 0.88 * wide, 0.5 + tall),
        ]
    )
    return [_band(arc, [0.03] * 16), body, _round((0.5, 0.5 - tall), (wide, 0.05))]
