"""Soft segmentations: the released constants, at the scale of the subject."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from mattingzoo.io import Picture
from mattingzoo.segmentation import RELEASED, Softness, draw, soften, subject_box, subject_scale

CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
ELLIPSE = np.ones((5, 5), bool)
ELLIPSE[0] = ELLIPSE[-1] = [False, False, True, False, False]


def disc(side: int = 512, radius: float = 150) -> Picture:
    y, x = np.mgrid[:side, :side]
    return np.where(np.hypot(y - side / 2, x - side / 2) < radius, 255, 0).astype(np.uint8)


def by_hand(mask: Picture, softness: Softness) -> Picture:
    """The definition, by SciPy's morphology and OpenCV's Gaussian on floats."""
    binary = mask > 51
    binary = ndimage.binary_erosion(binary, CROSS, softness.erosions, border_value=1)
    binary = ndimage.binary_dilation(binary, ELLIPSE, softness.dilations)
    sigma = 0.3 * ((softness.kernel - 1) * 0.5 - 1) + 0.8
    blurred = cv2.GaussianBlur(255.0 * binary, (softness.kernel, softness.kernel), sigma)
    return np.asarray(blurred.round(), np.uint8)


@pytest.mark.parametrize("softness", [RELEASED, Softness(17, 3, 41)])
def test_mask_is_eroded_dilated_and_blurred(softness: Softness) -> None:
    found = soften(disc(), softness, scale=1)
    np.testing.assert_allclose(found.astype(int), by_hand(disc(), softness), atol=1)


def test_released_constants_on_a_disc_are_fixed() -> None:
    found = soften(disc(), scale=1)
    assert found.shape == (512, 512)
    # A cross 10 times, an ellipse 5 times; OpenCV may round a level differently.
    assert found.sum(dtype=np.int64) == pytest.approx(18302267, rel=1e-4)
    assert (found == 255).sum() == pytest.approx(59193, rel=2e-3)
    # Whole inside, nothing outside, half-way at the border that erosion and dilation leave.
    assert found[256, 256] == 255 and found[0, 0] == 0


def test_a_subject_that_the_border_cuts_off_stays_whole_there() -> None:
    mask = np.zeros((100, 80), np.uint8)
    mask[30:, 20:60] = 255
    soft = soften(mask, scale=0.5)
    assert (soft[-1, 35:45] == 255).all() and soft.shape == mask.shape


def test_softness_grows_with_the_subject() -> None:
    """Twice as large a picture of the same: the same segmentation, twice as large."""
    small, large = soften(disc(256, 60)), soften(disc(512, 120))
    shrunk = cv2.resize(large, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small).mean() < 2.5


def test_scale_is_that_of_the_released_crop() -> None:
    mask = np.zeros((900, 1200), np.uint8)
    mask[100:740, 300:500] = 255  # 640 high: a square of 768 around it, shown as 512
    assert subject_scale(mask) == pytest.approx(768 / 512)
    assert subject_box(mask) == (100, 300, 740, 500)


def test_empty_mask_stays_empty() -> None:
    assert subject_box(np.zeros((9, 9), np.uint8)) is None
    assert not soften(np.zeros((9, 9), np.uint8)).any()


def test_gray_is_binarised_at_a_fifth() -> None:
    low, high = np.full((40, 40), 51, np.uint8), np.full((40, 40), 52, np.uint8)
    assert not soften(low).any() and (soften(high) == 255).all()


def test_training_draws_from_the_released_ranges() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw(rng) for _ in range(400)]
    assert {s.erosions for s in drawn} == set(range(10, 20))
    assert {s.dilations for s in drawn} == set(range(3, 7))
    assert {s.kernel for s in drawn} == {21, 31, 41}
