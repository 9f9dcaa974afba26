"""Furry animals: overlapping round parts, each with its own coat, eyes and a nose."""

from typing import NamedTuple

import numpy as np

from mattingzoo.procedural.layer import blank
from mattingzoo.procedural.materials import any_colour, palette, shade
from mattingzoo.procedural.noise import Array, Rng, fractal_noise, sample
from mattingzoo.procedural.strands import normal
from mattingzoo.procedural.strokes import draw, make_strokes


class Part(NamedTuple):
    """An ellipse of fur."""

    centre: tuple[float, float]  # in frame units
    radii: tuple[float, float]
    angle: float  # of the first radius, radians
    length: float  # of the fur, relative to the animal's


class Coat(NamedTuple):
    """How an animal's fur looks."""

    pattern: Array  # [S, S, 3], colour before light
    length: float  # in frame units
    radius: float  # half width of a hair in frame units
    tangle: float  # spread of directions, radians
    flow: Array  # [2], direction all hair leans to
    light: Array  # [3]


def animal(rng: Rng, size: int) -> Array:
    """Layer [size, size, 4] of a furry animal or a part of one."""
    canvas = blank(size)
    coat = _coat(rng, size)
    scale = rng.uniform(0.85, 1.2)
    shift = np.array([rng.normal(0, 0.04), 0.5 * (scale - 1) + rng.uniform(-0.02, 0.08)])
    kind = int(rng.integers(4))
    parts = (_sitting, _face_on, _walking, _ball)[kind](rng)
    for part in parts:
        centre = 0.5 + (np.array(part.centre) - 0.5) * scale + shift
        radii = (part.radii[0] * scale, part.radii[1] * scale)
        placed = part._replace(centre=(float(centre[0]), float(centre[1])), radii=radii)
        _draw_part(rng, canvas, placed, coat)
    if kind < 2:
        head = parts[-1]
        centre = 0.5 + (np.array(head.centre) - 0.5) * scale + shift
        _draw_face(rng, canvas, centre, head.radii[0] * scale, coat)
    return canvas


def _coat(rng: Rng, size: int) -> Coat:
    colours = palette(rng, "earth", "stone", "wood", "autumn", "plaster", "night")
    field = fractal_noise(rng, size, rng.uniform(1.5, 4), 3)
    style = rng.integers(4)
    if style == 0:  # plain
        field = 0.15 * field
    elif style == 1:  # tabby
        field = np.sin(
            field * 2 + np.linspace(0, rng.uniform(30, 90), size, dtype=np.float32)[:, None]
        )
    elif style == 2:  # patches
        field = np.tanh(4 * field)
    pattern = shade(colours, rng.uniform(0.35, 0.75) + 0.22 * field)
    belly = np.linspace(0, 1, size, dtype=np.float32)[:, None, None] ** 3
    pattern = pattern + rng.uniform(0, 0.4) * belly * (np.float32(0.9) - pattern)
    angle = rng.uniform(0, 2 * np.pi)
    flow = np.array([np.cos(angle), 0.5 + np.sin(angle)], np.float32) * np.float32(0.4)
    light = np.array([rng.uniform(-0.7, 0.7), -0.7, 0.6], np.float32)
    length = float(np.exp(rng.uniform(np.log(0.04), np.log(0.15))))
    return Coat(pattern, length, rng.uniform(0.0009, 0.0018), rng.uniform(0.2, 0.7), flow, light)


def _draw_part(rng: Rng, canvas: Array, part: Part, coat: Coat) -> None:
    """The fur of one ellipse: a dark undercoat, then hairs from the rim inwards."""
    area = part.radii[0] * part.radii[1]
    count = int(np.clip(58000 * area * (0.05 / coat.length) ** 0.3, 150, 4200))
    inside = np.sqrt(rng.uniform(0, 1, count)).astype(np.float32)
    inside = np.sort(inside)[::-1] + 0.1 * normal(rng, (count,))
    inside = np.clip(inside[np.argsort(-inside)], 0, 1)
    angle = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
    around = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    turn = np.array(
        [[np.cos(part.angle), np.sin(part.angle)], [-np.sin(part.angle), np.cos(part.angle)]],
        np.float32,
    )
    radii = np.array(part.radii, np.float32)
    roots = np.array(part.centre, np.float32) + (inside[:, None] * around * radii * 0.93) @ turn
    outward = (around / radii) @ turn
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    colour = _fur_light(rng, coat, roots, outward, inside)
    deep = inside < rng.uniform(0.7, 0.97, count)
    _undercoat(canvas, roots[deep], colour[deep], float(min(part.radii)))
    points = _fur_points(rng, coat, roots, outward * inside[:, None], part.length)
    taper = np.linspace(1, 0.15, points.shape[1], dtype=np.float32)
    width = coat.radius * rng.uniform(0.7, 1.4, (count, 1)).astype(np.float32)
    fade = np.linspace(0.72, 1.12, points.shape[1], dtype=np.float32)[:, None]
    opacity = rng.uniform(0.7, 1, count)
    draw(canvas, make_strokes(points, width * taper, colour[:, None] * fade, opacity))


def _undercoat(canvas: Array, roots: Array, colour: Array, extent: float) -> None:
    """Soft dabs under the hairs, so that a body is closed."""
    dabs = np.stack([roots, roots + np.float32(0.004)], axis=1)[::3]
    radius = min(0.026, 0.2 * extent)
    draw(canvas, make_strokes(dabs, radius, 0.62 * colour[::3, None]))


def _fur_light(rng: Rng, coat: Coat, roots: Array, outward: Array, inside: Array) -> Array:
    """Colours [N, 3]: pattern times the light on an ellipsoid, each hair a little different."""
    height = np.sqrt(np.maximum(0, 1 - inside**2))
    facing = inside * (outward @ coat.light[:2]) + height * coat.light[2]
    bright = 0.55 + 0.55 * np.clip(facing, -0.3, 1)
    vary = np.clip(rng.normal(1, 0.14, len(roots)), 0.5, 1.5).astype(np.float32)
    return np.asarray(sample(coat.pattern, roots) * (bright * vary)[:, None], np.float32)


def _fur_points(rng: Rng, coat: Coat, roots: Array, lean: Array, length: float) -> Array:
    """Curved hairs [N, 6, 2], clumped: neighbours share a direction drawn from smooth noise."""
    count, steps = len(roots), 6
    bend = fractal_noise(rng, 64, 9, 2)
    course = lean + coat.flow
    angle = np.arctan2(course[:, 1], course[:, 0])
    angle = angle + coat.tangle * (0.8 * sample(bend, roots) + 0.6 * normal(rng, (count,)))
    curve = 0.25 * normal(rng, (count,)) + 0.3 * sample(bend[::-1], roots)
    strand = coat.length * length * rng.uniform(0.5, 1.15, count).astype(np.float32)
    strand = strand * np.where(rng.random(count) < 0.03, 1.6, 1).astype(np.float32)
    point, points = roots, [roots]
    for _ in range(steps - 1):
        step = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        point = point + step * (strand / (steps - 1))[:, None]
        angle = angle + curve + 0.12 * normal(rng, (count,))
        points.append(point)
    return np.stack(points, axis=1)


def _draw_face(rng: Rng, canvas: Array, centre: Array, radius: float, coat: Coat) -> None:
    """Eyes with a glint, a nose and whiskers."""
    iris = any_colour(rng) if rng.random() < 0.5 else np.array([0.09, 0.06, 0.04], np.float32)
    eyes = centre + radius * np.array([[-0.4, -0.12], [0.4, -0.12]])
    glint = eyes + radius * np.array([-0.04, -0.05])
    nose = centre + radius * np.array([[-0.07, 0.33], [0.07, 0.33]])
    black, white = (0.04, 0.03, 0.03), (0.95, 0.95, 0.95)
    for spots, size, colour in (
        (eyes, 0.14, black),
        (eyes, 0.115, iris),
        (eyes, 0.07, black),
        (glint, 0.03, white),
    ):
        draw(canvas, make_strokes(_dots(spots), size * radius, colour))
    draw(
        canvas,
        make_strokes(nose[None].astype(np.float32), 0.08 * radius, (0.12, 0.07, 0.07), tube=0.4),
    )
    t = np.linspace(0, 1, 8, dtype=np.float32)
    count = 14
    sign = np.where(np.arange(count) % 2 == 0, 1, -1)[:, None]
    spread, droop = rng.normal(0, 0.22, (count, 1)), rng.normal(0.2, 0.25, (count, 1))
    reach = radius * rng.uniform(0.9, 1.5, (count, 1))
    x = centre[0] + sign * (0.2 * radius + reach * t)
    y = centre[1] + 0.42 * radius + reach * (spread * t + droop * t * t)
    whiskers = np.stack([x, y], axis=-1).astype(np.float32)
    draw(canvas, make_strokes(whiskers, coat.radius * 0.9 * (1 - 0.8 * t), 0.85, 0.8))


def _dots(places: Array) -> Array:
    """Strokes [N, 2, 2] of no length at places [N, 2]."""
    return np.stack([places, places], axis=1).astype(np.float32)


def _face_on(rng: Rng) -> list[Part]:
    """A head close up: cheeks, ears, face."""
    ear, tall = rng.uniform(0.1, 0.17), rng.uniform(1.0, 2.2)
    lift, slant = rng.uniform(0.26, 0.32), rng.uniform(0.2, 0.6)
    ears = [
        Part((0.5 + sign * 0.19, 0.52 - lift), (ear * 0.75, ear * tall * 0.75), sign * slant, 0.6)
        for sign in (-1, 1)
    ]
    return [Part((0.5, 1.0), (0.38, 0.35), 0, 1.3), *ears, Part((0.5, 0.52), (0.29, 0.27), 0, 1)]


def _sitting(rng: Rng) -> list[Part]:
    """A whole animal from the front: tail, body, legs, ears, head."""
    ear, tall = rng.uniform(0.04, 0.08), rng.uniform(1, 2.4)
    sign = rng.choice([-1, 1])
    tail = [
        Part((0.5 + sign * (0.2 + 0.09 * k), 0.85 - 0.07 * k**1.3), (0.07, 0.06), 0, 1.5)
        for k in range(4)
    ]
    ears = [
        Part((0.5 + s * 0.1, 0.2 - 0.3 * ear), (ear, ear * tall), s * 0.35, 0.5) for s in (-1, 1)
    ]
    legs = [Part((0.5 + s * 0.11, 0.85), (0.065, 0.14), 0, 0.7) for s in (-1, 1)]
    return [
        *tail,
        Part((0.5, 0.72), (0.23, 0.26), 0, 1.1),
        *legs,
        *ears,
        Part((0.5, 0.32), (0.17, 0.15), 0, 0.8),
    ]


def _walking(rng: Rng) -> list[Part]:
    """An animal from the side: tail, legs, trunk, neck, head, ear."""
    low, thin = rng.uniform(0.1, 0.2), rng.uniform(0.035, 0.055)
    legs = [Part((x, 0.62 + low / 2), (thin, 0.1 + low), 0, 0.5) for x in (0.25, 0.33, 0.62, 0.7)]
    tail = [Part((0.13 - 0.03 * k, 0.42 + 0.06 * k), (0.05, 0.06), 0, 1.6) for k in range(3)]
    trunk = Part((0.46, 0.48), (0.31, rng.uniform(0.14, 0.19)), rng.normal(0, 0.08), 1)
    neck = Part((0.74, 0.37), (0.16, 0.1), -0.8, 1.2)
    ear = Part((0.8, 0.17), (0.03, 0.06), -0.3, 0.5)
    muzzle = Part((0.93, 0.31), (0.07, 0.05), 0.3, 0.4)
    return [*tail, *legs, trunk, neck, ear, muzzle, Part((0.83, 0.27), (0.11, 0.09), 0.3, 0.7)]


def _ball(rng: Rng) -> list[Part]:
    """A ball of fluff, or the edge of something much larger."""
    if rng.random() < 0.5:
        return [Part((0.5, 0.52), (0.3, 0.3 * rng.uniform(0.8, 1.1)), 0, 1.6)]
    x, y = rng.uniform(0.1, 0.9), rng.uniform(0.9, 1.1)
    return [Part((x, y), (0.62, 0.52), rng.normal(0, 0.3), 1.4)]
