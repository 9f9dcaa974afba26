"""What the renderer promises of every picture."""

import numpy as np
import pytest

from mattingzoo.procedural import (
    KINDS,
    Foreground,
    contact_sheet,
    render_background,
    render_foreground,
)

INDICES = range(4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreground_is_a_function_of_its_arguments(kind: str) -> None:
    first = render_foreground(7, 1, 96, kind)
    render_foreground(7, 2, 64)  # what was drawn before does not matter
    again = render_foreground(7, 1, 96, kind)
    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.alpha, again.alpha)


@pytest.mark.parametrize("kind", KINDS)
def test_another_index_or_seed_gives_another_foreground(kind: str) -> None:
    first = render_foreground(7, 1, 64, kind)
    for other in (render_foreground(7, 2, 64, kind), render_foreground(8, 1, 64, kind)):
        assert (first.alpha != other.alpha).mean() > 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [64, 129])
def test_a_foreground_has_the_size_and_type_asked_for(kind: str, size: int) -> None:
    rgb, alpha, name = render_foreground(0, 3, size, kind)
    assert (rgb.shape, rgb.dtype) == ((size, size, 3), np.uint8)
    assert (alpha.shape, alpha.dtype) == ((size, size), np.uint8)
    assert name == kind


def test_the_largest_size_works() -> None:
    assert render_foreground(0, 0, 512, "hair").alpha.shape == (512, 512)


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreground_has_background_soft_and_dense_parts(kind: str) -> None:
    alphas = np.stack([render_foreground(2, index, 128, kind).alpha for index in INDICES])
    dense = 100 if kind in ("smoke", "glass") else 240
    for alpha in alphas:
        assert (alpha > 5).mean() > 0.04
        assert ((alpha > 5) & (alpha < 250)).mean() > 0.01
    assert (alphas > dense).mean() > 0.005
    assert (alphas < 5).mean() > 0.05


def test_solid_kinds_are_mostly_opaque_and_glass_is_not() -> None:
    def opaque(kind: str) -> float:
        alphas = [render_foreground(4, index, 128, kind).alpha for index in INDICES]
        return float(np.mean([(a > 250).sum() / (a > 5).sum() for a in alphas]))

    assert opaque("hair") > 0.4
    assert opaque("glass") < 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_colour_goes_on_where_alpha_is_zero(kind: str) -> None:
    rgb, alpha, _ = render_foreground(5, 2, 128, kind)
    inside, outside = rgb[alpha > 128].astype(float), rgb[alpha == 0].astype(float)
    assert outside.max() <= float(rgb[alpha > 0].max()) + 3
    assert outside.mean() > 0.2 * inside.mean()


def test_kinds_are_drawn_with_hair_most_often() -> None:
    kinds = [render_foreground(0, index, 64).kind for index in range(60)]
    assert set(kinds) <= set(KINDS) and len(set(kinds)) >= 6
    assert max(set(kinds), key=kinds.count) == "hair"


def test_a_drawn_kind_equals_the_same_kind_asked_for() -> None:
    drawn = render_foreground(3, 5, 64)
    asked = render_foreground(3, 5, 64, drawn.kind)
    assert isinstance(drawn, Foreground)
    np.testing.assert_array_equal(drawn.alpha, asked.alpha)


def test_an_unknown_kind_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"kind must be one of hair, .*defocus, got 'marble'"):
        render_foreground(0, 0, 64, "marble")


def test_backgrounds_are_reproducible_and_differ() -> None:
    first, again = render_background(1, 4, 97), render_background(1, 4, 97)
    np.testing.assert_array_equal(first, again)
    assert (first.shape, first.dtype) == ((97, 97, 3), np.uint8)
    assert (first != render_background(1, 5, 97)).mean() > 0.5


def test_every_scene_is_drawn_without_losing_its_light() -> None:
    pictures = [render_background(2, index, 64) for index in range(60)]
    assert all(picture.std() > 1 and 5 < picture.mean() < 250 for picture in pictures)


def test_a_contact_sheet_holds_composites_beside_mattes() -> None:
    sheet = contact_sheet(0, [3, 1, 2], 64)
    assert (sheet.shape, sheet.dtype) == ((192, 128, 3), np.uint8)
    np.testing.assert_array_equal(sheet[64:128, 64:, 0], render_foreground(0, 1, 64).alpha)
