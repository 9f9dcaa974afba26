"""Windows: where they lie, and that a background's window is a window of the whole."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mattingzoo.adobe import fit_background
from mattingzoo.io import read_rgb
from mattingzoo.recipe import Recipe
from mattingzoo.windows import Picture, _aligned, cut, pad_square

BACKGROUNDS = Path(__file__).parents[3] / "shared" / "data" / "cutouts" / "bg"


def noise(height: int, width: int, seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    return rng.integers(256, size=(height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> Picture:
    return np.asarray(cv2.resize(noise(6, 7), (width, height), interpolation=cv2.INTER_CUBIC))


def positions(height: int, width: int) -> Picture:
    """A picture that says of each pixel where it lies."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, 0 * x], axis=-1).astype(np.uint8)


def pictures(height: int, width: int, unknown: tuple[int, int] | None) -> dict[str, Picture]:
    alpha = np.zeros((height, width), np.uint8)
    alpha[: height // 3] = 255
    if unknown:
        alpha[unknown] = 128
    where = positions(height, width)
    return {"foreground": where, "alpha": alpha, "background": where}


def corner(window: Picture) -> tuple[int, int]:
    return int(window[0, 0, 0]), int(window[0, 0, 1])


def test_window_is_centred_on_the_unknown_pixel() -> None:
    windows, side = cut(
        pictures(60, 80, (30, 50)), Recipe(crop_sides=(20,)), np.random.default_rng(0)
    )
    assert side == 20
    assert windows["alpha"].shape == (20, 20)
    assert windows["alpha"][10, 10] == 128
    assert corner(windows["foreground"]) == (20, 40)


def test_window_may_be_centred_anywhere() -> None:
    recipe, rng = Recipe(crop_sides=(20,), window="anywhere"), np.random.default_rng(0)
    windows = [cut(pictures(60, 80, (30, 50)), recipe, rng)[0] for _ in range(300)]
    corners = np.array([corner(window["foreground"]) for window in windows])
    assert corners.min(axis=0).tolist() == [0, 0] and corners.max(axis=0).tolist() == [40, 60]
    assert np.abs(corners.mean(axis=0) - [20, 30]).max() < 3
    assert sum(bool((window["alpha"] == 128).any()) for window in windows) < 100


@pytest.mark.parametrize(
    ("unknown", "expected"), [((1, 2), (0, 0)), ((59, 79), (40, 60)), ((58, 30), (40, 20))]
)
def test_window_stays_inside(unknown: tuple[int, int], expected: tuple[int, int]) -> None:
    windows, _ = cut(pictures(60, 80, unknown), Recipe(crop_sides=(20,)), np.random.default_rng(0))
    assert corner(windows["foreground"]) == expected
    assert (windows["alpha"] == 128).sum() == 1


def test_all_layers_are_cut_alike() -> None:
    windows, _ = cut(pictures(60, 80, (30, 50)), Recipe(crop_sides=(20,)), np.random.default_rng(0))
    assert np.array_equal(windows["foreground"], windows["background"])


@pytest.mark.parametrize("shape", [(15, 80), (1, 1), (1, 9), (12, 20)])
def test_small_picture_is_cut_at_its_shorter_side(shape: tuple[int, int]) -> None:
    windows, side = cut(pictures(*shape, None), Recipe(crop_sides=(20,)), np.random.default_rng(0))
    assert side == min(shape)
    assert windows["alpha"].shape == (side, side)
    assert windows["background"].shape == (side, side, 3)


def test_sides_and_centres_are_drawn_from_all() -> None:
    recipe, rng = Recipe(crop_sides=(8, 12)), np.random.default_rng(0)
    layers = pictures(60, 80, None)
    layers["alpha"][20, 20] = layers["alpha"][40, 60] = 7
    seen = set()
    for _ in range(30):
        windows, side = cut(layers, recipe, rng)
        top, left = corner(windows["foreground"])
        seen.add((side, top + side // 2, left + side // 2))
    assert seen == {(side, *spot) for side in (8, 12) for spot in ((20, 20), (40, 60))}


@pytest.mark.parametrize("value", [0, 255])
def test_picture_without_unknown_pixels_is_cut_anywhere(value: int) -> None:
    layers = pictures(30, 30, None)
    layers["alpha"][:] = value
    rng = np.random.default_rng(0)
    corners = {
        corner(cut(layers, Recipe(crop_sides=(10,)), rng)[0]["foreground"]) for _ in range(20)
    }
    assert len(corners) > 10


def test_background_large_enough_is_cut_top_left() -> None:
    background = noise(20, 30)
    assert np.array_equal(fit_background(background, 15, 30), background[:15])


@pytest.mark.parametrize("shape", [(10, 40), (17, 13), (33, 7)])
def test_small_background_is_enlarged_as_the_public_script_does(shape: tuple[int, int]) -> None:
    background, height, width = noise(*shape), 30, 21
    ratio = max(height / shape[0], width / shape[1])
    size = (int(np.ceil(shape[1] * ratio)), int(np.ceil(shape[0] * ratio)))
    expected = np.asarray(Image.fromarray(background).resize(size, Image.Resampling.BICUBIC))
    fitted = fit_background(background, height, width)
    assert fitted.shape == (30, 21, 3)
    assert np.array_equal(fitted, expected[:30, :21])


@pytest.mark.parametrize("shape", [(20, 90), (33, 31), (100, 12), (90, 95), (1, 1)])
@pytest.mark.parametrize("place", [(0, 0, 25), (55, 50, 25), (13, 31, 7), (40, 0, 1)])
def test_aligned_window_is_that_of_the_fitted_background(
    shape: tuple[int, int], place: tuple[int, int, int]
) -> None:
    background = smooth(*shape)
    top, left, side = place
    window = _aligned(background, (80, 75), top, left, side)
    whole = fit_background(background, 80, 75)[top : top + side, left : left + side]
    assert window.shape == whole.shape
    assert np.abs(window.astype(int) - whole).max() <= 3


@pytest.mark.skipif(not BACKGROUNDS.is_dir(), reason="needs shared/data")
def test_aligned_window_of_a_photograph() -> None:
    background = np.ascontiguousarray(read_rgb(sorted(BACKGROUNDS.iterdir())[0])[:200, :300])
    window = _aligned(background, (370, 410), 60, 80, 250)
    whole = fit_background(background, 370, 410)[60:310, 80:330]
    difference = np.abs(window.astype(int) - whole)
    assert difference.max() <= 4 and difference.mean() < 0.1


@pytest.mark.parametrize("shape", [(50, 90), (9, 13), (1, 1)])
def test_random_background_has_the_side_of_the_window(shape: tuple[int, int]) -> None:
    layers = pictures(40, 40, (20, 20))
    layers["background"] = np.full((*shape, 3), 77, np.uint8)
    recipe = Recipe(crop_sides=(16,), background="random")
    windows, _ = cut(layers, recipe, np.random.default_rng(0))
    assert windows["background"].shape == (16, 16, 3)
    assert (windows["background"] == 77).all()


def test_random_background_differs_from_draw_to_draw() -> None:
    layers, recipe = pictures(40, 40, (20, 20)), Recipe(crop_sides=(16,), background="random")
    first, second = (
        cut(layers, recipe, np.random.default_rng(seed))[0]["background"] for seed in (0, 1)
    )
    assert not np.array_equal(first, second)


def test_padding_repeats_right_and_bottom_edges() -> None:
    padded = pad_square(np.array([[1, 2], [3, 4]], np.uint8), 4)
    assert padded.tolist() == [[1, 2, 2, 2], [3, 4, 4, 4], [3, 4, 4, 4], [3, 4, 4, 4]]


def test_subject_is_in_the_middle_of_its_window() -> None:
    image = positions(200, 240)
    segmentation = np.zeros((200, 240), np.uint8)
    segmentation[80:120, 100:160] = 255  # 40 high, 60 wide
    layers = {"image": image, "segmentation": segmentation}
    recipe = Recipe(window="subject")
    sides = []
    for seed in range(50):
        windows, side = cut(layers, recipe, np.random.default_rng(seed))
        top, left = corner(windows["image"])
        assert abs(top + side / 2 - 100) <= 1 and abs(left + side / 2 - 130) <= 1
        assert windows["segmentation"].sum() == segmentation.sum(dtype=np.int64)
        sides.append(side)
    # Margins of 0.1 to 0.4 of 60 on both sides.
    assert 72 <= min(sides) < 80 and 100 < max(sides) <= 108


def test_window_around_a_subject_at_the_border_stays_inside() -> None:
    alpha = np.zeros((50, 90), np.uint8)
    alpha[45:, :80] = 255
    layers = {"image": positions(50, 90), "alpha": alpha}
    windows, side = cut(layers, Recipe(window="subject"), np.random.default_rng(0))
    assert side == 50 and windows["image"].shape == (50, 50, 3)
    assert corner(windows["image"]) == (0, 15)


@pytest.mark.parametrize("window", ["unknown", "subject"])
def test_picture_without_any_guide_is_cut_anywhere(window: str) -> None:
    layers = {"image": positions(60, 80)}
    recipe = Recipe(window=window, crop_sides=(20,))
    corners = {
        corner(cut(layers, recipe, np.random.default_rng(seed))[0]["image"]) for seed in range(20)
    }
    assert len(corners) > 10 if window == "unknown" else corners == {(0, 10)}


def test_a_segmentation_guides_where_there_is_no_alpha() -> None:
    segmentation = np.zeros((60, 80), np.uint8)
    segmentation[30, 50] = 128
    layers = {"image": positions(60, 80), "segmentation": segmentation}
    windows, _ = cut(layers, Recipe(crop_sides=(20,)), np.random.default_rng(0))
    assert corner(windows["image"]) == (20, 40)


def test_an_unknown_kind_of_window_is_refused() -> None:
    with pytest.raises(
        ValueError, match="window must be one of unknown, anywhere, subject, got 'face'"
    ):
        Recipe(window="face")
