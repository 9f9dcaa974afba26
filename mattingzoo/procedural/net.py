"""Nets: wire mesh, chain link, fishing net, lace, tulle and cobweb, hung in folds."""

from collections.abc import Callable

import numpy as np

from mattingzoo.procedural.layer import blank, resize
from mattingzoo.procedural.materials import any_colour, palette, shade
from mattingzoo.procedural.noise import Array, Rng, fractal_noise, sample
from mattingzoo.procedural.strands import normal
from mattingzoo.procedural.strokes import draw, make_strokes

#: Moves points [..., 2] of a flat net to where they hang, and gives their light [...].
Drape = Callable[[Array], tuple[Array, Array]]


def net(rng: Rng, size: int) -> Array:
    """Layer [size, size, 4] of a net."""
    canvas = blank(2 * size)
    kind = (_mesh, _chain_link, _lace, _cobweb)[rng.choice(4, p=[0.35, 0.2, 0.3, 0.15])]
    kind(rng, canvas, _drape(rng))
    return resize(canvas, size)


def _drape(rng: Rng) -> Drape:
    """Perspective, a turn, folds and sag."""
    angle = rng.normal(0, 0.25)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    far = rng.normal(0, 0.25, 2).astype(np.float32)
    strength = rng.uniform(0.0, 0.045)
    waves = [fractal_noise(rng, 128, rng.uniform(1.5, 3.5), 3, 0.4) for _ in range(2)]
    folds, depth, lean = rng.uniform(2, 7), rng.choice([0, 0, 0.012, 0.022]), rng.normal(0, 0.4)

    def move(points: Array) -> tuple[Array, Array]:
        spot = points * np.float32(0.5) + np.float32(0.25)
        wave = np.stack([sample(field, spot) for field in waves], axis=-1)
        phase = 2 * np.pi * folds * (points[..., 0] + lean * points[..., 1])
        centred = points - 0.5 + strength * wave
        centred = centred + depth * np.stack([np.sin(phase), 0.3 * np.cos(phase)], axis=-1)
        moved = (centred @ turn) / (1 + (centred @ far))[..., None] + 0.5
        light = 1 + 10 * depth * np.cos(phase) + 0.1 * wave[..., 0]
        return moved.astype(np.float32), np.clip(light, 0.4, 1.5).astype(np.float32)

    return move


def _lay(
    canvas: Array,
    drape: Drape,
    lines: Array,
    radius: Array | float,
    colour: Array,
    opacity: float = 1.0,
    tube: float = 0.6,
) -> None:
    """Draw lines [N, K, 2] of the flat net where they hang."""
    points, light = drape(lines.astype(np.float32))
    draw(canvas, make_strokes(points, radius, colour * light[..., None], opacity, tube))


def _thread_colour(rng: Rng) -> Array:
    if rng.random() < 0.5:
        return np.asarray(shade(palette(rng, "stone", "plaster", "night"), rng.random()))
    return any_colour(rng)


def _mesh(rng: Rng, canvas: Array, drape: Drape) -> None:
    """Two families of threads, knotted where they cross; torn here and there."""
    columns = rng.uniform(7, 26)
    slant = rng.choice([0, np.pi / 4])
    t = np.linspace(-0.8, 0.8, 90, dtype=np.float32)
    offsets = np.arange(-0.8, 0.8, 1 / columns, dtype=np.float32)
    radius = rng.uniform(0.06, 0.16) / columns
    colour = _thread_colour(rng)
    families = []
    for angle in (slant, slant + np.pi / 2):
        ahead = np.array([np.cos(angle), np.sin(angle)])
        aside = np.array([-np.sin(angle), np.cos(angle)])
        families.append(0.5 + offsets[:, None, None] * aside + t[:, None] * ahead)
    grown = np.concatenate(families)
    grown = grown + 0.06 / columns * normal(rng, (len(grown), 1, 2))
    if rng.random() < 0.4:  # only a part of the frame is covered
        cut = rng.uniform(0.3, 0.75)
        grown = grown[(grown.mean(axis=1) @ _direction(rng)) < cut]
    vary = rng.uniform(0.8, 1.15, (len(grown), 1, 1))
    _lay(canvas, drape, grown, radius, colour * vary, rng.uniform(0.75, 1.0))
    if rng.random() < 0.5:
        knots = _crossings(offsets, slant)
        _lay(canvas, drape, knots[:, None] + np.zeros((1, 2, 1)), 2 * radius, 0.85 * colour)


def _direction(rng: Rng) -> Array:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


def _crossings(offsets: Array, slant: float) -> Array:
    """Points [N, 2] where the threads of a mesh cross."""
    u, v = np.meshgrid(offsets, offsets)
    x = 0.5 + np.cos(slant) * u - np.sin(slant) * v
    y = 0.5 + np.sin(slant) * u + np.cos(slant) * v
    return np.stack([x.ravel(), y.ravel()], axis=-1)


def _chain_link(rng: Rng, canvas: Array, drape: Drape) -> None:
    """Zigzag wires hooked into each other, with posts or rails at times."""
    columns = rng.uniform(5, 13)
    steps = int(4.6 * columns) + 2
    y = -0.3 + np.arange(steps, dtype=np.float32) / (2.3 * columns)
    x = np.arange(-0.4, 1.4, 1 / columns, dtype=np.float32)
    zigzag = np.where(np.arange(steps) % 2 == 0, -0.27, 0.27) / columns
    sign = np.where(np.arange(len(x)) % 2 == 0, 1, -1)[:, None]
    lines = np.stack(np.broadcast_arrays(x[:, None] + 2 * sign * zigzag, y), axis=-1)
    steel = shade(palette(rng, "stone", "sea", "earth"), rng.uniform(0.3, 0.95))
    thick = rng.uniform(0.035, 0.07) / columns
    _lay(canvas, drape, lines, thick, steel, tube=0.9)
    if rng.random() < 0.5:
        t = np.linspace(-0.3, 1.3, 30, dtype=np.float32)
        place = rng.uniform(0.15, 0.85)
        post = np.stack([np.full_like(t, place), t], axis=-1)
        _lay(canvas, drape, post[None], rng.uniform(0.012, 0.025), 0.9 * steel, tube=0.9)


def _lace(rng: Rng, canvas: Array, drape: Drape) -> None:
    """Rosettes on a fine ground, with a scalloped hem."""
    colour = np.clip(0.6 + 0.4 * any_colour(rng), 0, 1) if rng.random() < 0.7 else any_colour(rng)
    hem = rng.uniform(0.6, 0.95) if rng.random() < 0.7 else 1.4
    columns = int(rng.integers(24, 44))
    _ground(rng, canvas, drape, columns, hem, colour)
    repeat = rng.uniform(0.16, 0.32)
    petals, rings = int(rng.integers(5, 10)), int(rng.integers(1, 4))
    motif = _rosette(petals, rings) * (0.42 * repeat)
    x = np.arange(-0.3, 1.3, repeat)
    centres = [
        (u + (row % 2) * repeat / 2, hem - 0.55 * repeat - row * 0.85 * repeat)
        for row in range(int(1.3 / repeat))
        for u in x
    ]
    places = np.array(centres, np.float32)[:, None, None]
    curves = (places + motif).reshape(-1, *motif.shape[1:])
    _lay(canvas, drape, curves, rng.uniform(0.0018, 0.0035), colour, 0.95, 0.4)
    t = np.linspace(-0.3, 1.3, 240, dtype=np.float32)
    scallop = hem + 0.035 * np.abs(np.sin(np.pi * t / repeat * 2))
    for shift, radius in ((0, 0.0045), (0.014, 0.0022)):
        edge = np.stack([t, scallop + shift], axis=-1)[None]
        _lay(canvas, drape, edge, radius, colour, 0.95, 0.4)


def _ground(rng: Rng, canvas: Array, drape: Drape, columns: int, hem: float, colour: Array) -> None:
    """Tulle: thin threads in three directions."""
    t = np.linspace(-0.9, 0.9, 40, dtype=np.float32)
    offsets = np.arange(-0.9, 0.9, 1 / columns, dtype=np.float32)
    for angle in (0, np.pi / 3, 2 * np.pi / 3):
        ahead = np.array([np.cos(angle), np.sin(angle)])
        lines = 0.5 + offsets[:, None, None] * np.array([-ahead[1], ahead[0]]) + t[:, None] * ahead
        inside = np.where(lines[..., 1] < hem, 1, 0)
        radius = inside * rng.uniform(0.0006, 0.001)
        _lay(canvas, drape, lines, radius, 0.97 * colour, 0.75, 0.0)


def _rosette(petals: int, rings: int) -> Array:
    """A flower of threads [N, 25, 2] within the unit circle."""
    t = np.linspace(0, 2 * np.pi, 25, dtype=np.float32)
    circle = np.stack([np.cos(t), np.sin(t)], axis=-1)
    curves = [circle * (0.18 + 0.1 * ring) for ring in range(rings)] + [circle * 0.98]
    for k in range(petals):
        angle = 2 * np.pi * k / petals
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        for wide in (1.0, 0.62, 0.3):
            petal = np.stack(
                [0.62 + 0.34 * wide * circle[:, 0], wide * circle[:, 1] * 1.6 / petals], axis=-1
            )
            curves.append((petal @ turn).astype(np.float32))
    return np.stack(curves)


def _cobweb(rng: Rng, canvas: Array, drape: Drape) -> None:
    """Spokes and a sagging spiral, beaded with dew at times."""
    spokes, rounds = int(rng.integers(11, 22)), int(rng.integers(14, 30))
    angle = (np.arange(spokes) + 0.3 * rng.random(spokes)) * 2 * np.pi / spokes
    hub = np.array([0.5, 0.5]) + 0.08 * normal(rng, (2,))
    reach = rng.uniform(0.4, 0.75, spokes)
    ray = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    t = np.linspace(0, 1, 6, dtype=np.float32)[:, None]
    colour = np.float32(0.85) + 0.1 * any_colour(rng)
    thin = rng.uniform(0.0008, 0.0016)
    _lay(canvas, drape, hub + t * (ray * (reach + 0.3)[:, None])[:, None], 1.3 * thin, colour, 0.8)
    threads = []
    for turn in range(rounds):
        far = reach * (0.1 + 0.9 * (turn + np.arange(spokes) / spokes) / rounds)
        knot = hub + ray * far[:, None]
        after = np.roll(knot, -1, axis=0)
        middle = 0.5 * (knot + after) * 0.94 + 0.06 * hub
        threads.append(
            np.stack([knot, 0.3 * knot + 0.7 * middle, 0.3 * after + 0.7 * middle, after], axis=1)
        )
    spiral = np.concatenate(threads)
    spiral = spiral[rng.random(len(spiral)) < 0.96]
    _lay(canvas, drape, spiral, thin, colour, rng.uniform(0.55, 0.9))
    if rng.random() < 0.5:
        beads = spiral[:, 1:2] + rng.random((len(spiral), 1, 1)) * (spiral[:, 2:3] - spiral[:, 1:2])
        _lay(canvas, drape, np.repeat(beads, 2, axis=1), 2.2 * thin, 0.95 * colour, 0.85, 0.8)
