"""Feathers: a shaft, two vanes of barbs that part here and there, down at the foot."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mattingzoo.procedural.layer import blank, resize
from mattingzoo.procedural.materials import any_colour, palette, shade
from mattingzoo.procedural.noise import Array, Rng
from mattingzoo.procedural.strands import normal
from mattingzoo.procedural.strokes import Strokes, draw, make_strokes


class Shaft(NamedTuple):
    """A quadratic curve from the foot to the tip of a feather."""

    foot: Array  # [2] in frame units
    middle: Array  # [2], control point
    tip: Array  # [2]

    def at(self, t: Array) -> tuple[Array, Array]:
        """Points and unit tangents [..., 2] at t in [0, 1]."""
        u = t[..., None]
        point = (1 - u) ** 2 * self.foot + 2 * u * (1 - u) * self.middle + u**2 * self.tip
        tangent = (1 - u) * (self.middle - self.foot) + u * (self.tip - self.middle)
        return point, tangent / np.linalg.norm(tangent, axis=-1, keepdims=True)


def feather(rng: Rng, size: int) -> Array:
    """Layer [size, size, 4] of one feather, a few, or a plume."""
    canvas = blank(3 * size // 2)
    if rng.random() < 0.3:
        _draw_plume(rng, canvas, _shaft(rng, rng.normal(0, 0.3), 0.0, 0.9))
        return resize(canvas, size)
    count = int(rng.choice([1, 1, 2, 3, 4]))
    lean = rng.normal(0, 0.4)
    pattern = _pattern(rng)
    for k in range(count):
        turn = (k - (count - 1) / 2) * rng.uniform(0.25, 0.5)
        _draw_vaned(rng, canvas, _shaft(rng, lean, turn, rng.uniform(0.75, 1.0)), pattern)
    return resize(canvas, size)


def _shaft(rng: Rng, lean: float, turn: float, length: float) -> Shaft:
    """A shaft across the frame, turned about its foot."""
    up = np.array([np.sin(lean + turn), -np.cos(lean + turn)], np.float32)
    side = np.array([-up[1], up[0]], np.float32)
    foot = np.array([0.5 - 0.48 * np.sin(lean), 0.52 + 0.48 * np.cos(lean)], np.float32)
    foot = foot + 0.02 * normal(rng, (2,))
    bend = np.float32(rng.normal(0, 0.14))
    return Shaft(foot, foot + 0.55 * length * up + bend * side, foot + length * up)


def _pattern(rng: Rng) -> Callable[[Array, Array], Array]:
    """Colour [..., 3] as a function of the place along the shaft and out from it, both 0 to 1."""
    base = shade(palette(rng), rng.uniform(0.2, 0.95))
    second = any_colour(rng)
    style = int(rng.integers(5))
    count, slant = rng.uniform(4, 12), rng.uniform(-1, 1)

    def colour(along: Array, out: Array) -> Array:
        if style == 0:  # plain, darker rim
            amount = 0.5 * out**2
        elif style == 1:  # bars
            amount = 0.5 + 0.5 * np.tanh(
                4 * np.sin(2 * np.pi * count * (along + 0.1 * slant * out))
            )
        elif style == 2:  # tip
            amount = 1 / (1 + np.exp(-14 * (along - 0.7 + 0.1 * out)))
        elif style == 3:  # eye
            far = np.sqrt(((along - 0.78) / 0.13) ** 2 + (out / 0.75) ** 2)
            amount = np.exp(-((far - 0.8) ** 2) * 9) + (far < 0.45)
        else:  # spots
            amount = (np.sin(count * 7 * along) * np.cos(6 * out - 1) > 0.45).astype(np.float32)
        return np.asarray(base + np.clip(amount, 0, 1)[..., None] * (second - base))

    return colour


def _vane(along: Array) -> Array:
    """Relative length of the barbs at a place along the shaft."""
    rise = np.clip((along - 0.1) / 0.22, 0, 1) ** 0.7
    fall = np.sqrt(np.clip((1.02 - along) / 0.3, 0, 1))
    return np.asarray(rise * fall, np.float32)


def _draw_vaned(
    rng: Rng, canvas: Array, shaft: Shaft, pattern: Callable[[Array, Array], Array]
) -> None:
    width = rng.uniform(0.1, 0.17)
    draw(canvas, _down(rng, shaft, width))
    light = rng.uniform(0.75, 1.1)
    narrow = rng.uniform(0.55, 1)
    for sign, reach in ((-1, width), (1, width * narrow)):
        draw(canvas, _barbs(rng, shaft, sign, reach, light, pattern))
    t = np.linspace(-0.08, 0.985, 24, dtype=np.float32)
    points, _ = shaft.at(t)
    quill = shade(palette(rng, "plaster", "dry", "earth"), rng.uniform(0.4, 0.9))
    draw(canvas, make_strokes(points[None], 0.0055 * (1.02 - t) ** 0.8, quill, tube=0.6))


def _barbs(
    rng: Rng,
    shaft: Shaft,
    sign: int,
    width: float,
    light: float,
    pattern: Callable[[Array, Array], Array],
) -> Strokes:
    """One vane, as strokes of 9 points; barbs of one group close up, groups part at the rim."""
    count, steps = 340, 9
    along = np.sort(rng.uniform(0.1, 0.99, count)).astype(np.float32)
    cuts = np.sort(rng.uniform(0.1, 1, int(rng.integers(4, 14))))
    group = np.searchsorted(cuts, along)
    pull = rng.uniform(-0.06, 0.1, len(cuts) + 1)[group].astype(np.float32)
    s = np.linspace(0, 1, steps, dtype=np.float32)
    root, tangent = shaft.at(along)
    side = sign * np.stack([-tangent[:, 1], tangent[:, 0]], axis=-1)
    length = width * _vane(along) * (1 + 0.03 * normal(rng, (count,)))
    angle = (0.95 - 0.35 * along)[:, None] - 0.35 * s + pull[:, None] * s * 4
    angle = angle + 0.02 * normal(rng, (count, 1))
    step = (length / (steps - 1) / np.sin(0.75))[:, None, None]
    heading = np.cos(angle)[..., None] * tangent[:, None] + np.sin(angle)[..., None] * side[:, None]
    points = root[:, None] + np.cumsum(step * heading, axis=1) - step * heading[:, :1]
    hue = pattern(
        np.broadcast_to(along[:, None], (count, steps)), np.broadcast_to(s, (count, steps))
    )
    lines = np.clip(normal(rng, (count, 1, 1)) * 0.09 + 1, 0.6, 1.4) * light
    relief = (1 - 0.18 * sign * (1 - s))[None, :, None]
    spacing = 0.9 / count
    radius = spacing * rng.uniform(0.75, 1.05) * (1 - 0.55 * s**2)
    return make_strokes(points, radius, hue * lines * relief, 0.93, 0.25)


def _down(rng: Rng, shaft: Shaft, width: float) -> Strokes:
    """Fluff at the foot: thin wavy barbs that keep no order."""
    count, steps = 260, 10
    along = rng.uniform(0.04, 0.26, count).astype(np.float32)
    root, tangent = shaft.at(along)
    sign = rng.choice([-1, 1], count).astype(np.float32)
    angle = sign * rng.uniform(0.5, 1.9, count).astype(np.float32)
    length = width * rng.uniform(0.3, 1.15, count).astype(np.float32)
    points, course = [root], np.arctan2(tangent[:, 1], tangent[:, 0]) + angle
    for _ in range(steps - 1):
        course = course + 0.35 * normal(rng, (count,))
        heading = np.stack([np.cos(course), np.sin(course)], axis=-1)
        points.append(points[-1] + heading * (length / (steps - 1))[:, None])
    tone = rng.uniform(0.6, 0.95) * (1 + 0.08 * normal(rng, (count, 1, 1)))
    hue = tone * np.array([1, 0.98, 0.94], np.float32)
    return make_strokes(np.stack(points, axis=1), 0.0007, hue, rng.uniform(0.3, 0.8, count))


def _draw_plume(rng: Rng, canvas: Array, shaft: Shaft) -> None:
    """An ostrich plume: long drooping barbs, each set with short barbules."""
    count, steps = 150, 12
    along = np.sort(rng.uniform(0.1, 1, count)).astype(np.float32)
    root, tangent = shaft.at(along)
    sign = np.where(rng.random(count) < 0.5, -1, 1)
    angle = sign[:, None] * (0.9 - 0.5 * along[:, None] + np.linspace(0, 0.9, steps))
    stray = 0.25 * normal(rng, (count, 1)) + np.cumsum(0.1 * normal(rng, (count, steps)), axis=1)
    course = np.arctan2(tangent[:, 1], tangent[:, 0])[:, None] + angle + stray
    length = rng.uniform(0.16, 0.3) * np.maximum(_vane(along), 0.35) * rng.uniform(0.6, 1.1, count)
    heading = np.stack([np.cos(course), np.sin(course)], axis=-1)
    barbs = root[:, None] + np.cumsum(heading * (length / steps)[:, None, None], axis=1)
    base = any_colour(rng)
    draw(canvas, _barbules(rng, barbs, course, base))
    draw(canvas, make_strokes(barbs, 0.0011, 0.85 * base, 0.8))
    t = np.linspace(-0.05, 1, 24, dtype=np.float32)
    draw(canvas, make_strokes(shaft.at(t)[0][None], 0.004 * (1.05 - t), 0.7 * base, tube=0.5))


def _barbules(rng: Rng, barbs: Array, course: Array, base: Array) -> Strokes:
    """Fluff on both sides of barbs [N, K, 2] that run in directions [N, K]."""
    count, steps = course.shape
    tufts = 34
    place = rng.integers(0, steps, (count, tufts))
    start = np.take_along_axis(barbs, place[..., None], axis=1).reshape(-1, 2)
    around = np.take_along_axis(course, place, axis=1).reshape(-1)
    around = around + rng.choice([-1, 1], len(around)) * rng.uniform(0.5, 1.2, len(around))
    reach = rng.uniform(0.012, 0.035, len(around))[:, None]
    first = start + reach * np.stack([np.cos(around), np.sin(around)], axis=-1)
    around = around + 0.6 * normal(rng, around.shape)
    second = first + reach * np.stack([np.cos(around), np.sin(around)], axis=-1)
    tone = np.repeat(0.7 + 0.3 * rng.random(count), tufts)[:, None, None]
    hue = base * tone * np.array([0.8, 0.95, 1.1])[:, None]
    fluff = np.stack([start, first, second], axis=1)
    return make_strokes(fluff, (0.0012, 0.0009, 0.0004), hue, rng.uniform(0.35, 0.75))
