"""Human hair: long, wavy, curly, short and wind-blown, from behind or in front; loose locks."""

from typing import NamedTuple

import numpy as np

from mattingzoo.procedural.layer import blank, fill, paint, resize
from mattingzoo.procedural.materials import PALETTES, lit, shade, texture
from mattingzoo.procedural.noise import Array, Rng, fractal_noise, grid, smoothstep
from mattingzoo.procedural.strands import (
    Growth,
    Head,
    curl_guides,
    grow_guides,
    hair_colour,
    light_strands,
    normal,
    spread,
    unit,
)
from mattingzoo.procedural.strokes import draw, make_strokes

#: length, lift, gravity, wander, curl, turns, clump: the low and high end of each.
STYLES: dict[str, tuple[tuple[float, float], ...]] = {
    "long": ((0.5, 0.85), (0.1, 0.3), (11, 22), (0.05, 0.2), (0, 0), (0, 0), (0.2, 0.7)),
    "wavy": ((0.45, 0.75), (0.2, 0.4), (8, 16), (0.1, 0.25), (0.008, 0.02), (2, 4), (0.4, 0.8)),
    "curly": ((0.3, 0.6), (0.4, 0.7), (1, 4), (0.2, 0.5), (0.012, 0.028), (4, 8), (0.5, 0.9)),
    "afro": ((0.12, 0.24), (0.8, 1.0), (0, 0.5), (0.5, 0.9), (0.008, 0.018), (3, 7), (0.1, 0.5)),
    "bob": ((0.24, 0.36), (0.15, 0.35), (12, 22), (0.05, 0.2), (0, 0), (0, 0), (0.2, 0.6)),
    "short": ((0.08, 0.17), (0.4, 0.8), (0, 5), (0.2, 0.7), (0, 0), (0, 0), (0.5, 0.9)),
    "windy": ((0.4, 0.8), (0.3, 0.5), (1, 4), (0.2, 0.4), (0.004, 0.012), (1, 3), (0.2, 0.7)),
}


class Person(NamedTuple):
    """Where a head is, which way it looks and how its hair grows."""

    head: Head
    gaze: Array  # [3], unit; z > 0 looks at the viewer
    growth: Growth
    clump: float
    behind: bool


def portrait(rng: Rng, size: int) -> Array:
    """Layer [size, size, 4] of a person's head and shoulders."""
    person = _pose(rng)
    side = size
    strands, flying = _all_strands(rng, person)
    base, highlight = hair_colour(rng)
    gloss = rng.uniform(0.15, 0.6)
    canvas = blank(side)
    order = strands[:, :, 2].mean(axis=1) + 0.02 * normal(rng, (len(strands),))
    strands = strands[np.argsort(order)]
    colour = light_strands(rng, strands, base, highlight, gloss)
    width = rng.uniform(0.0008, 0.0014)
    front = strands[:, :, 2].mean(axis=1) > (-2.0 if person.behind else 0.0)
    if person.behind:
        _draw_body(rng, canvas, person, base)
        _draw_locks(rng, canvas, strands, colour, width)
    else:
        _draw_locks(rng, canvas, strands[~front], colour[~front], width)
        _draw_body(rng, canvas, person, base)
        _draw_locks(rng, canvas, strands[front], colour[front], width)
    shine = light_strands(rng, flying, 0.8 * base + 0.2 * highlight, highlight, gloss)
    tips = _taper(flying.shape[1], 0.6) * np.float32(0.7 * width)
    draw(canvas, make_strokes(flying[..., :2], tips, shine, rng.uniform(0.4, 0.9, len(flying))))
    return resize(canvas, size)


def _pose(rng: Rng) -> Person:
    style = tuple(STYLES)[rng.choice(7, p=[0.2, 0.2, 0.15, 0.1, 0.1, 0.1, 0.15])]
    length, lift, fall, wander, curl, turns, clump = (
        rng.uniform(low, high) for low, high in STYLES[style]
    )
    scale = rng.uniform(0.85, 1.25)
    radius = 0.145 * scale
    centre = (rng.uniform(0.4, 0.6), rng.uniform(0.3, 0.42), 0.0)
    radii = (radius, 1.32 * radius, 1.15 * radius)
    pull = np.array([rng.normal(0, 0.5), fall, 0], np.float32)
    if style == "windy":
        pull[0] = rng.choice([-1, 1]) * rng.uniform(4, 9)
    behind = bool(rng.random() < 0.55)
    yaw = np.pi if behind else rng.uniform(-0.7, 0.7)
    gaze = unit(np.array([np.sin(yaw), 0.2, np.cos(yaw)], np.float32))
    head = Head(np.array(centre, np.float32), np.array(radii, np.float32))
    growth = Growth(length * scale, lift, pull, wander, curl, turns, 0 * gaze if behind else gaze)
    return Person(head, gaze, growth, clump, behind)


def _roots(rng: Rng, count: int, gaze: Array) -> Array:
    """Points [G, 3] on the unit sphere where hair grows: not in the face, not under the ears."""
    points = unit(normal(rng, (4 * count, 3)))
    facing = points @ gaze
    fringe = rng.uniform(0.45, 0.75)
    scalp = (facing < fringe - 0.5 * np.maximum(points[:, 1], 0)) & (points[:, 1] < 0.55)
    return points[scalp][:count]


def _all_strands(rng: Rng, person: Person) -> tuple[Array, Array]:
    """Strands of the hair-do [N, K, 3] and those flying away [M, K, 3]."""
    growth, steps = person.growth, 16
    guides = grow_guides(rng, person.head, _roots(rng, 240, person.gaze), growth, steps)
    guides = curl_guides(rng, guides, growth.curl, growth.turns)
    width = rng.uniform(0.008, 0.016)
    strands = spread(rng, guides, 11, width, person.clump)
    loose = growth._replace(
        wander=growth.wander + 0.25, pull=0.5 * growth.pull, lift=min(1, growth.lift + 0.2)
    )
    few = int(rng.integers(10, 45))
    flying = grow_guides(rng, person.head, _roots(rng, few, person.gaze), loose, steps)
    flying = curl_guides(rng, flying, 1.3 * growth.curl + 0.002, growth.turns + 1)
    return strands, spread(rng, flying, 3, 2 * width, 0.0)


def _taper(steps: int, power: float) -> Array:
    """Relative radius [K] along a strand, thin at the tip."""
    return (1 - np.linspace(0, 1, steps, dtype=np.float32) * np.float32(0.97)) ** power


def _draw_locks(rng: Rng, canvas: Array, strands: Array, colour: Array, width: float) -> None:
    """Strands over a dark mass of themselves, so that no skin shines through."""
    steps = strands.shape[1]
    mass, dark = strands[::9, ::2], 0.45 * colour[::9, ::2]
    bulge = _taper(mass.shape[1], 1.6)
    bulge[0] = 0.3
    draw(canvas, make_strokes(mass[..., :2], 0.011 * bulge, dark))
    thick = width * rng.uniform(0.6, 1.3, (len(strands), 1)).astype(np.float32)
    opacity = rng.uniform(0.65, 1, len(strands))
    draw(canvas, make_strokes(strands[..., :2], thick * _taper(steps, 0.6), colour, opacity))


def _draw_body(rng: Rng, canvas: Array, person: Person, hair: Array) -> None:
    """Shoulders in some fabric, neck and head in skin; a face unless seen from behind."""
    side = canvas.shape[0]
    tones = np.array(PALETTES["skin"], np.float32) / 255
    skin = np.asarray(shade(tones, rng.uniform(0.35, 1)), np.float32)
    low = side
    tone = skin * (1 + 0.03 * fractal_noise(rng, low, 20, 4)[..., None])
    for name in ("neck", "shoulders", "head"):
        mask = _part(rng, side, person.head, name)
        colour = texture(rng, low) if name == "shoulders" else tone
        if name == "head" and person.behind:
            colour = np.broadcast_to(0.3 * hair, tone.shape)
        surface = lit(rng, np.asarray(colour, np.float32), resize(mask, low))
        if name == "head" and not person.behind:
            surface = _face(surface, person, skin, hair)
        paint(canvas, resize(surface, side), mask)


def _part(rng: Rng, side: int, head: Head, name: str) -> Array:
    """Coverage [S, S] of one part of the body."""
    x, y = head.centre[:2]
    rx, ry = head.radii[:2]
    if name == "head":
        angle = np.linspace(0, 2 * np.pi, 64)
        narrow = 1 - 0.2 * np.maximum(np.sin(angle), 0)  # the chin
        outline = np.stack([x + rx * narrow * np.cos(angle), y + ry * np.sin(angle)], axis=-1)
    elif name == "neck":
        corners = [(-0.5, 0.5), (0.5, 0.5), (0.55, 1.6), (-0.55, 1.6)]
        outline = np.array([(x + a * rx, y + b * ry) for a, b in corners])
    else:
        wide, drop = rng.uniform(2.1, 2.8), rng.uniform(0.25, 0.5)
        t = np.linspace(-1, 1, 41)
        slope = y + ry * (1.15 + drop * np.abs(t) + 2.2 * np.abs(t) ** 9)
        ridge = np.stack([x + wide * rx * t, slope], axis=-1)
        outline = np.concatenate([ridge, [[x + wide * rx, 1.2], [x - wide * rx, 1.2]]])
    return fill(side, outline)


def _face(surface: Array, person: Person, skin: Array, hair: Array) -> Array:
    """Eyes, brows, nose and mouth as soft shadows on a head's surface [S, S, 3]."""
    side = surface.shape[0]
    x, y = grid(side)
    turn = person.gaze[0]
    centre, radii = person.head.centre, person.head.radii
    u = (x - centre[0]) / radii[0] - 0.75 * turn
    v = (y - centre[1]) / radii[1]
    shadow = np.zeros((side, side), np.float32)
    for place in (-0.36, 0.36):
        socket = ((u - place) / 0.22) ** 2 + ((v - 0.1) / 0.11) ** 2
        eye = ((u - place) / 0.12) ** 2 + ((v - 0.1) / 0.05) ** 2
        brow = ((u - place) / 0.24) ** 2 + ((v + 0.13 - 1.2 * (abs(u) - 0.36) ** 2) / 0.035) ** 2
        shadow += 0.25 * np.exp(-socket) + 0.55 * np.exp(-(eye**2)) + 0.4 * np.exp(-(brow**2))
    nose = ((u - 0.05) / 0.12) ** 2 + ((v - 0.4) / 0.05) ** 2
    mouth = (u / 0.28) ** 2 + ((v - 0.64) / 0.045) ** 2
    shadow += 0.25 * np.exp(-nose)
    red = (0.5 * np.exp(-(mouth**2)))[..., None]
    lips = skin * np.array([0.8, 0.5, 0.5], np.float32)
    scalp = smoothstep(-0.45, -0.6, v - 0.35 * u**2)[..., None]
    surface = surface + scalp * (0.4 * hair - surface)
    surface = surface * (1 - np.minimum(shadow, 0.85))[..., None] * (1 - red) + red * lips
    return np.asarray(surface, np.float32)


def lock(rng: Rng, size: int) -> Array:
    """Layer [size, size, 4] of a loose tail, tuft or tangle of hair without a head."""
    canvas = blank(size)
    start = np.array([rng.uniform(0.25, 0.75), rng.uniform(-0.05, 0.15), 0], np.float32)
    count, steps = 70, 18
    base, highlight = hair_colour(rng)
    head = Head(start, np.array([rng.uniform(0.03, 0.2), 0.05, 0.05], np.float32))
    pull = np.array([rng.normal(0, 3), rng.uniform(1, 8), 0], np.float32)
    growth = Growth(
        rng.uniform(0.6, 1), rng.uniform(0.1, 0.6), pull, rng.uniform(0.1, 0.6), 0, 0, 0 * start
    )
    guides = grow_guides(rng, head, unit(normal(rng, (count, 3))), growth, steps)
    guides = curl_guides(rng, guides, rng.uniform(0, 0.03), rng.uniform(1, 4))
    strands = spread(rng, guides, 36, rng.uniform(0.008, 0.02), rng.uniform(-0.3, 0.8))
    colour = light_strands(rng, strands, base, highlight, rng.uniform(0.2, 0.7))
    order = rng.permutation(len(strands))
    width = rng.uniform(0.0007, 0.0013)
    taper = width * _taper(steps, 0.6)
    draw(
        canvas,
        make_strokes(strands[order][..., :2], taper, colour, rng.uniform(0.6, 1, len(order))),
    )
    return resize(canvas, size)
