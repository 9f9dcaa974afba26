"""Bundles of hair: guides grown in space, strands spread around them, and the light on both."""

from typing import NamedTuple

import numpy as np

from mattingzoo.procedural.materials import palette, shade
from mattingzoo.procedural.noise import Array, Rng


class Head(NamedTuple):
    """An ellipsoid that hair grows on and falls around; x right, y down, z to the viewer."""

    centre: Array  # [3] in frame units
    radii: Array  # [3] in frame units


class Growth(NamedTuple):
    """How hair grows."""

    length: float  # of a strand in frame units
    lift: float  # 0 lies flat from the root, 1 stands off the skin
    pull: Array  # [3], gravity and wind per unit of length
    wander: float  # how far a guide strays from its neighbours
    curl: float  # radius of curls in frame units
    turns: float  # curls along a strand
    part: Array  # [3], the way the face looks, which hair falls aside of; zero for none


def unit(vectors: Array) -> Array:
    """Vectors [..., 3] scaled to length 1."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-6), np.float32)


def grow_guides(rng: Rng, head: Head, roots: Array, growth: Growth, steps: int) -> Array:
    """Guide curves [G, steps, 3] from roots on the unit sphere [G, 3], kept outside the head."""
    count = len(roots)
    crown = unit(np.array([rng.uniform(-0.3, 0.3), -0.95, rng.uniform(-0.3, 0.3)], np.float32))
    along = unit(roots - crown + 0.3 * normal(rng, (count, 3)))  # away from the crown
    along = unit(along - (along * roots).sum(axis=1, keepdims=True) * roots)
    heading = unit(growth.lift * roots + (1 - growth.lift) * along)
    heading = unit(heading + growth.wander * 0.5 * normal(rng, (count, 3)))
    step = growth.length / (steps - 1) * rng.uniform(0.7, 1.1, (count, 1)).astype(np.float32)
    drift = growth.wander * normal(rng, (count, 3))
    place = roots * 1.02
    curve = np.empty((count, steps, 3), np.float32)
    for k in range(steps):
        curve[:, k] = head.centre + place * head.radii
        facing = np.maximum(place @ growth.part - 0.2, 0)[:, None]  # parts before the face
        aside = np.where(place @ side_of(growth.part) > 0, 1, -1)[:, None] * side_of(growth.part)
        heading = unit(heading + step * (growth.pull + 6 * drift + 12 * facing * aside))
        drift = 0.8 * drift + 0.5 * growth.wander * normal(rng, (count, 3))
        place = place + step * heading / head.radii
        place = place * np.maximum(1, 1.03 / np.linalg.norm(place, axis=-1, keepdims=True))
    return curve


def side_of(gaze: Array) -> Array:
    """The horizontal direction [3] to the side of a gaze [3]."""
    return np.array([gaze[2], 0, -gaze[0]], np.float32)


def curl_guides(rng: Rng, guides: Array, radius: float, turns: float) -> Array:
    """Guides [G, K, 3] wound into helices of growing radius."""
    if radius == 0:
        return guides
    count, steps = guides.shape[:2]
    t = np.linspace(0, 1, steps, dtype=np.float32)
    rate = turns * rng.uniform(0.7, 1.3, (count, 1)).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, (count, 1)).astype(np.float32) + 2 * np.pi * rate * t
    reach = radius * np.minimum(1, 3 * t)
    offset = np.stack([np.cos(phase), 0.4 * np.sin(phase), np.sin(phase)], axis=-1)
    return np.asarray(guides + reach[:, None] * offset, np.float32)


def spread(rng: Rng, guides: Array, each: int, width: float, clump: float) -> Array:
    """Strands [G * each, K, 3] around guides [G, K, 3].

    Strands start ``width`` apart, draw together by ``clump`` towards the tip and wander a little.
    """
    count, steps = guides.shape[:2]
    t = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    offset = width * normal(rng, (count, each, 1, 3))
    bend = width * normal(rng, (count, each, 1, 3))
    ripple = 0.25 * width * normal(rng, (count, each, 1, 3))
    phase = rng.uniform(0, 2 * np.pi, (count, each, 1, 1)).astype(np.float32)
    shift = offset * (1 - clump * t) + bend * t * t * (1.2 - clump)
    shift = shift + ripple * np.sin(phase + 9 * t)
    reach = rng.uniform(0.75, 1.0, (count, each, 1, 1)).astype(np.float32)
    strands = guides[:, None] + shift
    root = strands[:, :, :1]
    strands = root + (strands - root) * reach
    return np.asarray(strands.reshape(count * each, steps, 3), np.float32)


def hair_colour(rng: Rng) -> tuple[Array, Array]:
    """Base [3] and highlight [3] colour of hair."""
    bases = {
        "black": (30, 25, 24),
        "brown": (74, 50, 36),
        "chestnut": (98, 58, 38),
        "auburn": (128, 62, 34),
        "blond": (176, 138, 88),
        "fair": (205, 178, 132),
        "grey": (146, 143, 140),
        "white": (214, 210, 204),
    }
    names = tuple(bases)
    base: Array = np.array(bases[names[rng.integers(len(names))]], np.float32) / 255
    if rng.random() < 0.08:  # dyed
        base = shade(palette(rng, "rose", "sea", "cloth"), rng.uniform(0.3, 0.8))
    base = np.clip(base * rng.normal(1, 0.08, 3).astype(np.float32), 0, 1)
    return base, np.clip(0.35 * base + 0.65 * np.array([1, 0.93, 0.82], np.float32), 0, 1)


def light_strands(rng: Rng, strands: Array, base: Array, highlight: Array, gloss: float) -> Array:
    """Colours [N, K, 3] of strands [N, K, 3] in drawing order, back to front.

    Roots and strands drawn early are in shadow; a streak lies where a strand is at right angles
    to the half vector (Kajiya and Kay, SIGGRAPH 1989).
    """
    count, steps = strands.shape[:2]
    t = np.linspace(0, 1, steps, dtype=np.float32)
    light = unit(np.array([rng.uniform(-0.8, 0.8), -0.8, rng.uniform(0.2, 0.9)], np.float32))
    half = unit(light + np.array([0, 0, 1], np.float32))
    tangent = unit(np.gradient(strands, axis=1).astype(np.float32))
    streak = np.sqrt(np.maximum(0, 1 - (tangent @ half) ** 2)) ** 30
    diffuse = np.sqrt(np.maximum(0, 1 - (tangent @ light) ** 2))
    depth = 0.35 + 0.65 * np.linspace(0, 1, count, dtype=np.float32)[:, None] ** 0.8
    root = 0.6 + 0.4 * np.minimum(1, 2.5 * t)
    vary = np.clip(rng.normal(1, 0.17, (count, 1)), 0.4, 1.6).astype(np.float32)
    bright = depth * root * vary * (0.45 + 0.75 * diffuse)
    shiny = gloss * streak * depth**2 * vary
    warm = 1 + rng.normal(0, 0.04, (count, 1, 3)).astype(np.float32)
    colour = base * warm * bright[..., None] + highlight * shiny[..., None]
    return np.asarray(np.clip(colour, 0, 1), np.float32)


def normal(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Standard normal draws as float32."""
    return rng.standard_normal(shape, np.float32)
