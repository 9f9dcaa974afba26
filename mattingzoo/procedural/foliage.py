"""Plants: twigs with leaves, trees and bushes, grass, ferns and flowers."""

import numpy as np

from mattingzoo.procedural.layer import blank, resize
from mattingzoo.procedural.materials import any_colour, palette, shade
from mattingzoo.procedural.noise import Array, Rng
from mattingzoo.procedural.strands import normal
from mattingzoo.procedural.strokes import Strokes, draw, make_strokes


def foliage(rng: Rng, size: int) -> Array:
    """Layer [size, size, 4] of some plant."""
    canvas = blank(3 * size // 2)
    plant = (_twig, _tree, _grass, _fern, _bare)[rng.choice(5, p=[0.3, 0.25, 0.2, 0.15, 0.1])]
    plant(rng, canvas)
    return resize(canvas, size)


def _greens(rng: Rng) -> Array:
    return palette(rng, "leaves", "leaves", "leaves", "autumn", "dry")


def _branches(
    rng: Rng, levels: int, forks: int, start: Array, angle: float, length: float
) -> list[Array]:
    """Curved branches by level, [N, 8, 2] each; a level's branches fork off those before."""
    steps = 8
    point, course = start[None].astype(np.float32), np.array([angle], np.float32)
    result: list[Array] = []
    for level in range(levels):
        count = len(point)
        reach = length * 0.66**level * rng.uniform(0.6, 1.15, count).astype(np.float32)
        turn = rng.normal(0, 0.03 + 0.03 * level, (count, 1)) + 0.12 * normal(rng, (count, steps))
        turn[:, 0] = 0
        heading = course[:, None] + np.cumsum(turn, axis=1)
        step = (
            np.stack([np.cos(heading), np.sin(heading)], axis=-1)
            * (reach / (steps - 1))[:, None, None]
        )
        curve = point[:, None] + np.cumsum(step, axis=1) - step[:, :1]
        result.append(curve.astype(np.float32))
        place = np.sort(rng.uniform(0.3, 1, (count, forks)), axis=1)
        place[:, -1] = 1
        index = np.minimum((place * (steps - 1)).astype(int), steps - 1)
        point = (
            np.take_along_axis(curve, index[..., None], axis=1).reshape(-1, 2).astype(np.float32)
        )
        side = np.where(np.arange(count * forks) % 2 == 0, 1, -1) * rng.uniform(
            0.25, 0.95, count * forks
        )
        course = (np.take_along_axis(heading, index, axis=1).reshape(-1) + side).astype(np.float32)
    return result


def _fit(branches: list[Array], wide: float, tall: float) -> list[Array]:
    """Branches stretched evenly so that they fill a part of the frame, standing on its bottom."""
    points = np.concatenate([curve.reshape(-1, 2) for curve in branches])
    low, high = points.min(axis=0), points.max(axis=0)
    scale = min(wide / (high[0] - low[0]), tall / (high[1] - low[1]))
    middle = np.array([0.5 * (low[0] + high[0]), high[1]])
    return [((c - middle) * scale + (0.5, 1.02)).astype(np.float32) for c in branches]


def _draw_branches(
    rng: Rng, canvas: Array, branches: list[Array], radius: float, bark: Array
) -> None:
    for level in reversed(range(len(branches))):
        curve = branches[level]
        thin = radius * 0.6**level * np.linspace(1, 0.55, curve.shape[1], dtype=np.float32)
        vary = np.clip(rng.normal(1, 0.15, (len(curve), curve.shape[1], 1)), 0.6, 1.4)
        draw(canvas, make_strokes(curve, thin, bark * vary, tube=0.6))


def _leaves(
    rng: Rng, canvas: Array, foot: Array, course: Array, length: Array, colours: Array, slim: float
) -> None:
    """Leaves from their feet [N, 2] along directions [N]; a lit blade, a rib, veins if large."""
    count, steps = len(foot), 9
    t = np.linspace(0, 1, steps, dtype=np.float32)
    bend = rng.normal(0, 0.5, (count, 1)).astype(np.float32)
    heading = course[:, None] + bend * t
    ahead = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    step = ahead * (length / (steps - 1))[:, None, None]
    curve = foot[:, None] + np.cumsum(step, axis=1) - step[:, :1]
    turned = rng.uniform(0.35, 1, (count, 1)).astype(np.float32)  # seen from the side: narrow
    profile = np.maximum(np.sin(np.pi * t**0.75), 0) ** 0.85 + 0.03
    width = slim * length[:, None] * turned * profile
    tone = np.clip(0.25 + 0.5 * rng.random(count) + 0.25 * np.linspace(0, 1, count), 0, 1)
    hue = shade(colours, tone.astype(np.float32))[:, None] * rng.uniform(0.75, 1.2, (count, 1, 1))
    hue = hue * np.linspace(0.88, 1.08, steps)[:, None]
    blades = make_strokes(curve, width, hue, tube=0.5)
    if np.median(length) < 0.06:
        draw(canvas, blades)
        return
    group = 1 + count // 6  # in groups, so that ribs lie under later leaves
    for start in range(0, count, group):
        _ribbed(canvas, Strokes(*(array[start : start + group] for array in blades)))


def _ribbed(canvas: Array, blades: Strokes) -> None:
    """Leaf blades with their midribs and side veins on top."""
    draw(canvas, blades)
    rib = np.clip(blades.colour * 1.25 + 0.04, 0, 1)
    t = np.linspace(0, 1, rib.shape[1], dtype=np.float32)
    draw(canvas, make_strokes(blades.points, 0.0016 * (1.1 - t), rib))
    veins = _veins(blades.points, blades.radius)
    hue = np.repeat(rib[:, :1], veins.shape[1], axis=0)
    draw(canvas, make_strokes(veins.reshape(-1, 3, 2), 0.0007, hue, 0.6))


def _veins(curve: Array, width: Array) -> Array:
    """Side veins [N, 12, 3, 2] of leaves along curves [N, K, 2] with half widths [N, K]."""
    tangent = np.gradient(curve, axis=1)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 1e-6)
    normal_ = np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1)
    sides = []
    for sign in (-1, 1):
        foot = curve[:, 1:7]
        out = sign * normal_[:, 1:7] * width[:, 1:7, None]
        ahead = tangent[:, 1:7] * width[:, 1:7, None]
        sides.append(
            np.stack(
                [foot, foot + 0.45 * out + 0.3 * ahead, foot + 0.8 * out + 0.75 * ahead], axis=2
            )
        )
    return np.concatenate(sides, axis=1).astype(np.float32)


def _twig(rng: Rng, canvas: Array) -> None:
    """A branch with large leaves, from one side of the frame; flowers at times."""
    angle = rng.uniform(0, 2 * np.pi)
    start = 0.5 - 0.55 * np.array([np.cos(angle), np.sin(angle)])
    branches = _branches(rng, 3, 3, start, angle + rng.normal(0, 0.2), 0.5)
    _draw_branches(
        rng, canvas, branches, rng.uniform(0.006, 0.012), palette(rng, "wood", "earth")[1]
    )
    joints = np.concatenate([curve[:, 2:].reshape(-1, 2) for curve in branches[1:]])
    course = np.concatenate([_course(curve)[:, 2:].reshape(-1) for curve in branches[1:]])
    chosen = rng.permutation(len(joints))[: int(rng.integers(25, 65))]
    side = rng.choice([-1, 1], len(chosen)) * rng.uniform(0.3, 1.2, len(chosen))
    length = rng.uniform(0.09, 0.2) * rng.uniform(0.5, 1.2, len(chosen)).astype(np.float32)
    slim = rng.uniform(0.12, 0.34)
    _leaves(rng, canvas, joints[chosen], course[chosen] + side, length, _greens(rng), slim)
    if rng.random() < 0.3:
        _flowers(rng, canvas, joints[rng.permutation(len(joints))[:6]])


def _course(curve: Array) -> Array:
    """Directions [N, K] in radians along curves [N, K, 2]."""
    tangent = np.gradient(curve, axis=1)
    return np.asarray(np.arctan2(tangent[..., 1], tangent[..., 0]), np.float32)


def _flowers(rng: Rng, canvas: Array, places: Array) -> None:
    """Blossoms [N, 2] of a few petals round a yellow centre."""
    colour = np.clip(any_colour(rng) * 0.5 + 0.5, 0, 1)
    petals = int(rng.integers(5, 14))
    angle = np.arange(petals) * 2 * np.pi / petals
    for place in places:
        course = (angle + rng.uniform(0, 6)).astype(np.float32)
        length = rng.uniform(0.03, 0.06) * rng.uniform(0.85, 1.1, petals).astype(np.float32)
        foot = np.broadcast_to(place, (petals, 2))
        hues = np.stack([0.8 * colour, colour])
        _leaves(rng, canvas, foot, course, length * 0.99, hues, 0.25)
        dot = np.stack([place, place])[None].astype(np.float32)
        draw(canvas, make_strokes(dot, 0.011, (0.85, 0.65, 0.15), tube=0.5))


def _tree(rng: Rng, canvas: Array) -> None:
    """A whole tree or bush: trunk, forks, a crown of small leaves with gaps."""
    start = np.array([rng.uniform(0.4, 0.6), rng.uniform(0.95, 1.08)])
    branches = _branches(rng, 5, 3, start, -np.pi / 2 + rng.normal(0, 0.1), rng.uniform(0.33, 0.42))
    branches = _fit(branches, rng.uniform(0.75, 1.0), rng.uniform(0.75, 0.95))
    _draw_branches(
        rng, canvas, branches, rng.uniform(0.014, 0.03), palette(rng, "wood", "earth", "stone")[2]
    )
    joints = np.concatenate([curve[:, 3:].reshape(-1, 2) for curve in branches[2:]])
    count = int(rng.integers(700, 2000))
    chosen = joints[rng.integers(0, len(joints), count)] + 0.022 * normal(rng, (count, 2))
    chosen = chosen[np.argsort(-chosen[:, 1] + 0.3 * rng.random(count))]
    length = rng.uniform(0.025, 0.055) * rng.uniform(0.6, 1.2, count).astype(np.float32)
    course = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
    _leaves(rng, canvas, chosen, course, length, _greens(rng), rng.uniform(0.15, 0.4))


def _bare(rng: Rng, canvas: Array) -> None:
    """A tree in winter."""
    start = np.array([rng.uniform(0.4, 0.6), 1.03])
    branches = _branches(rng, 6, 3, start, -np.pi / 2 + rng.normal(0, 0.1), rng.uniform(0.3, 0.36))
    branches = _fit(branches, rng.uniform(0.75, 1.0), rng.uniform(0.75, 0.95))
    _draw_branches(
        rng, canvas, branches, rng.uniform(0.012, 0.022), palette(rng, "wood", "earth", "stone")[1]
    )


def _grass(rng: Rng, canvas: Array) -> None:
    """A tuft of blades from the bottom, some with ears."""
    count, steps = int(rng.integers(150, 600)), 10
    spread = rng.uniform(0.08, 0.4)
    foot = np.stack(
        [0.5 + spread * normal(rng, (count,)) * 0.6, 1 + 0.05 * rng.random(count)], axis=-1
    )
    lean = (foot[:, 0] - 0.5) * rng.uniform(0.5, 2) + 0.28 * normal(rng, (count,))
    bend = lean * rng.uniform(0.5, 2) + 0.3 * normal(rng, (count,))
    length = rng.uniform(0.5, 0.95) * rng.uniform(0.35, 1.05, count)
    t = np.linspace(0, 1, steps, dtype=np.float32)
    heading = -np.pi / 2 + lean[:, None] * 0.6 + bend[:, None] * t**1.5
    step = np.stack([np.cos(heading), np.sin(heading)], axis=-1) * (length / steps)[:, None, None]
    curve = foot[:, None] + np.cumsum(step, axis=1)
    width = rng.uniform(0.0015, 0.006) * rng.uniform(0.5, 1.3, (count, 1))
    tone = np.clip(
        np.linspace(0.05, 0.75, count)[:, None] + 0.25 * t + 0.12 * normal(rng, (count, 1)), 0, 1
    )
    colours = palette(rng, "leaves", "dry", "leaves")
    draw(canvas, make_strokes(curve, width * (1.02 - t**2), shade(colours, tone), tube=0.4))
    if rng.random() < 0.5:
        tips = np.repeat(curve[: count // 6, -4:], 12, axis=0).reshape(-1, 2)
        tips = tips + 0.006 * normal(rng, tips.shape)
        course = np.repeat(np.repeat(heading[: count // 6, -4:], 12, axis=0).reshape(-1), 1)
        course = course + 0.5 * normal(rng, course.shape)
        ears = np.full(len(tips), 0.02, np.float32)
        _leaves(rng, canvas, tips, course, ears, palette(rng, "dry", "earth"), 0.1)


def _fern(rng: Rng, canvas: Array) -> None:
    """Fronds from a common foot, leaflets on both sides."""
    foot = np.array([rng.uniform(0.35, 0.65), rng.uniform(0.9, 1.05)])
    colours = _greens(rng)
    fronds = int(rng.integers(3, 8))
    t = np.linspace(0.08, 1, 34, dtype=np.float32)
    slim, wide = rng.uniform(0.08, 0.17), rng.uniform(0.12, 0.26)
    for k in range(fronds):
        angle = -np.pi / 2 + (k - (fronds - 1) / 2) * rng.uniform(0.25, 0.4) + rng.normal(0, 0.1)
        heading = angle + np.sign(np.cos(angle)) * rng.uniform(0.3, 1.1) * t**1.5
        step = (
            np.stack([np.cos(heading), np.sin(heading)], axis=-1) * rng.uniform(0.7, 0.95) / len(t)
        )
        curve = (foot + np.cumsum(step, axis=0)).astype(np.float32)
        draw(canvas, make_strokes(curve[None], 0.004 * (1.1 - t), 0.8 * colours[2], tube=0.5))
        length = (
            wide * np.maximum(np.sin(np.pi * t**0.6), 0) ** 0.9 * rng.uniform(0.85, 1.1, len(t))
        )
        for sign in (-1, 1):
            course = heading + sign * rng.uniform(0.9, 1.2) + 0.06 * normal(rng, (len(t),))
            keep = length > 0.008
            _leaves(
                rng,
                canvas,
                curve[keep],
                course[keep].astype(np.float32),
                np.minimum(length[keep], 0.4).astype(np.float32),
                colours,
                slim,
            )
