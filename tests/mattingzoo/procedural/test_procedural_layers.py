"""The drawing tools: coverage against exact areas, averages of layers, colour carried outward."""

import numpy as np
import pytest

from mattingzoo.procedural.cameras import aperture, defocus_by, shutter
from mattingzoo.procedural.layer import blank, fill, over, straight
from mattingzoo.procedural.solids import move, solid
from mattingzoo.procedural.strokes import draw, make_strokes


def stroke_alpha(points: list[tuple[float, float]], radius: float, side: int = 64) -> np.ndarray:
    canvas = blank(side)
    draw(canvas, make_strokes(np.array([points], np.float32), radius, (1.0, 0.5, 0.25)))
    return canvas[..., 3]


def disc_coverage(side: int, centre: float, radius: float) -> np.ndarray:
    """Share of each pixel inside a disc, by 32 x 32 samples."""
    axis = (np.arange(32 * side) + 0.5) / (32 * side) - centre
    inside = axis[None] ** 2 + axis[:, None] ** 2 < radius**2
    return inside.reshape(side, 32, side, 32).mean(axis=(1, 3))


def test_a_dot_covers_the_area_of_its_disc() -> None:
    alpha = stroke_alpha([(0.5, 0.5), (0.5, 0.5)], 0.2)
    assert alpha.sum() == pytest.approx(np.pi * (0.2 * 64) ** 2, rel=0.003)


def test_a_dot_matches_a_supersampled_disc_pixel_by_pixel() -> None:
    error = np.abs(stroke_alpha([(0.5, 0.5), (0.5, 0.5)], 0.2) - disc_coverage(64, 0.5, 0.2))
    assert error.max() < 0.12  # the brush takes pixels for round
    assert error.mean() < 1 / 255


def test_a_polygon_matches_a_supersampled_disc() -> None:
    t = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    mask = fill(64, 0.5 + 0.3 * np.stack([np.cos(t), np.sin(t)], axis=-1))
    error = np.abs(mask - disc_coverage(64, 0.5, 0.3))
    assert error.max() < 0.3
    assert error.mean() < 2 / 255


@pytest.mark.parametrize("radius", [0.15, 0.4, 1.0, 2.6])
def test_a_line_as_thin_as_a_hair_keeps_its_width(radius: float) -> None:
    alpha = stroke_alpha([(0.1, 0.30), (0.9, 0.44)], radius / 64)
    across = alpha[:, 20:44].sum(axis=0) * np.cos(np.arctan2(0.14, 0.8))
    assert across.mean() == pytest.approx(2 * radius, rel=0.03)


def test_an_axis_aligned_line_is_exact() -> None:
    alpha = stroke_alpha([(0.0, 10.25 / 64), (1.0, 10.25 / 64)], 1.5 / 64)
    np.testing.assert_allclose(alpha[7:13, 30], [0, 0.25, 1, 1, 0.75, 0], atol=1e-4)


def test_a_translucent_stroke_is_even_at_its_joints() -> None:
    canvas = blank(64)
    points = np.linspace((0.1, 0.5), (0.9, 0.5), 9, dtype=np.float32)[None]
    draw(canvas, make_strokes(points, 3 / 64, (1.0, 1.0, 1.0), 0.5))
    np.testing.assert_allclose(canvas[32, 10:54, 3], 0.5, atol=1e-5)


def test_later_strokes_lie_in_front() -> None:
    canvas = blank(32)
    points = np.full((2, 2, 2), 0.5, np.float32)
    colour = np.array([[[1, 0, 0]], [[0, 1, 0]]], np.float32)
    draw(canvas, make_strokes(points, 0.3, colour))
    np.testing.assert_allclose(canvas[16, 16], [0, 1, 0, 1], atol=1e-5)


def test_strokes_equal_compositing_them_one_by_one() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 1, (6, 3, 2)).astype(np.float32)
    colour = rng.uniform(0, 1, (6, 3, 3)).astype(np.float32)
    strokes = make_strokes(points, 0.08, colour, rng.uniform(0.3, 0.9, 6))
    together, singly = blank(48), blank(48)
    draw(together, strokes)
    for k in range(6):
        one = blank(48)
        draw(one, type(strokes)(*(part[k : k + 1] for part in strokes)))
        singly = over(one, singly)
    np.testing.assert_allclose(together, singly, atol=0.003)  # hidden below 0.002 is left out


def test_motion_blur_composites_like_the_average_of_its_moments() -> None:
    rng = np.random.default_rng(1)
    subject, background = solid(rng, 64), rng.uniform(0, 1, (64, 64, 3))
    motions = [np.array([[1, 0, 0.01 * k], [0, 1, 0.004 * k]]) for k in range(12)]
    blurred = shutter(subject, motions)
    moments = [move(subject, motion) for motion in motions]
    frames = [m[..., :3] + (1 - m[..., 3:]) * background for m in moments]
    composite = blurred[..., :3] + (1 - blurred[..., 3:]) * background
    np.testing.assert_allclose(composite, np.mean(frames, axis=0), atol=1e-5)


def test_moving_by_whole_pixels_shifts_the_picture() -> None:
    picture = np.random.default_rng(2).uniform(0, 1, (32, 32, 4)).astype(np.float32)
    moved = move(picture, np.array([[1, 0, 3 / 32], [0, 1, 2 / 32]]))
    np.testing.assert_allclose(moved[2:, 3:], picture[:-2, :-3], atol=1e-5)


@pytest.mark.parametrize("blades", [0, 6])
def test_an_aperture_passes_all_light(blades: int) -> None:
    assert aperture(7.3, blades, 0.4).sum() == pytest.approx(1, abs=1e-5)


def test_defocus_keeps_the_amount_of_subject() -> None:
    layer = blank(96)
    layer[40:56, 36:60] = (0.6, 0.4, 0.2, 1.0)
    for radius in (2.0, 12.0):  # at full and at reduced resolution
        seen = defocus_by(layer, radius)
        assert seen[..., 3].sum() == pytest.approx(layer[..., 3].sum(), rel=0.01)


def test_straight_colour_divides_by_alpha_and_is_carried_outward() -> None:
    layer = blank(32)
    layer[8:16, 8:16] = (0.25, 0.1, 0.05, 0.5)
    rgb, alpha = straight(layer)
    assert alpha[10, 10] == 128 and alpha[0, 0] == 0
    np.testing.assert_array_equal(rgb, np.broadcast_to([128, 51, 26], rgb.shape))
