"""Plates are brought to the view of their pictures, or refused with a sentence."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattingzoo.alignment import (
    AlignmentError,
    align,
    coverage,
    exposure,
    match_exposure,
    warp_plate,
)
from mattingzoo.io import Picture, read_rgb

PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "data" / "cutouts" / "bg"
HEIGHT, WIDTH = 300, 400

#: From plate to picture: a shift between pixels, a turn, a zoom, and a camera that moved.
WARPS: dict[str, NDArray[Any]] = {
    "still": np.eye(3),
    "shift": np.array([[1, 0, 7.4], [0, 1, -5.3], [0, 0, 1.0]]),
    "turn": np.vstack([cv2.getRotationMatrix2D((200, 150), 4, 1.0), [0, 0, 1]]),
    "zoom": np.vstack([cv2.getRotationMatrix2D((180, 140), -2, 1.1), [0, 0, 1]]),
    "moved": np.array([[1.02, 0.03, -6], [-0.02, 0.98, 5], [4e-5, -6e-5, 1.0]]),
}


def scene(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Picture:
    """Blobs and edges of many sizes, as a room has."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    for cells, weight in ((6, 0.4), (20, 0.3), (60, 0.3)):
        coarse = rng.integers(256, size=(cells, cells, 3)).astype(np.float32)
        picture += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return picture.clip(0, 255).astype(np.uint8)


def view(plate: Picture, matrix: NDArray[Any], noise: float = 2.0) -> Picture:
    """What the picture's camera sees, with noise of its own."""
    size = plate.shape[1], plate.shape[0]
    seen = cv2.warpPerspective(plate, matrix, size, borderMode=cv2.BORDER_REFLECT)
    grain = np.random.default_rng(1).normal(0, noise, seen.shape)
    return (seen + grain).clip(0, 255).astype(np.uint8)


def largest_error(found: NDArray[Any], true: NDArray[Any], height: int, width: int) -> float:
    """Pixels, over a grid that reaches into the corners."""
    grid = np.stack(np.meshgrid(np.linspace(0, width, 9), np.linspace(0, height, 9)), axis=-1)
    points = grid.reshape(-1, 1, 2)
    apart = cv2.perspectiveTransform(points, found) - cv2.perspectiveTransform(points, true)
    return float(np.linalg.norm(apart, axis=-1).max())


@pytest.mark.parametrize("name", WARPS)
def test_known_warp_is_recovered(name: str) -> None:
    plate = scene()
    found = align(plate, view(plate, WARPS[name]))
    assert largest_error(found.matrix, WARPS[name], HEIGHT, WIDTH) < 1
    assert found.inliers >= 25 and found.inliers <= found.matches
    assert found.error < 0.5 and 0.8 < found.overlap <= 1


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="needs shared/data/cutouts")
@pytest.mark.parametrize("name", ["gcompris_sea1.jpg", "tuxpaint_lighthouse.jpg"])
def test_known_warp_of_a_photograph_is_recovered(name: str) -> None:
    plate = read_rgb(PHOTOGRAPHS / name)
    height, width = plate.shape[:2]
    image = view(plate, WARPS["moved"], 4.0)
    image = (0.9 * image).astype(np.uint8)
    image[height // 3 :, width // 3 : width // 2] = 200  # a subject
    assert largest_error(align(plate, image).matrix, WARPS["moved"], height, width) < 1


def test_a_subject_does_not_lead_it_astray() -> None:
    """A poster that is carried through the scene: it has more features than what is left."""
    plate = scene()
    image = view(plate, WARPS["shift"])
    image[60:260, 100:300] = plate[40:240, 120:320]
    subject = np.zeros((HEIGHT, WIDTH), np.uint8)
    subject[60:260, 100:300] = 255
    found = align(plate, image, subject)
    assert largest_error(found.matrix, WARPS["shift"], HEIGHT, WIDTH) < 1


def test_plate_of_another_size_is_brought_to_the_pictures() -> None:
    plate = scene()
    half = np.diag([0.5, 0.5, 1.0])
    image = np.asarray(cv2.resize(plate, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA))
    found = align(plate, image)
    # Pixel centres: half a pixel of the large picture lies between the two conventions.
    assert largest_error(found.matrix, half, HEIGHT, WIDTH) < 1
    assert warp_plate(plate, image, found.matrix).shape == image.shape


def test_large_pictures_are_matched_at_a_reduced_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mattingzoo.alignment.LARGEST", 40_000)
    plate = scene()
    found = align(plate, view(plate, WARPS["shift"]))
    assert largest_error(found.matrix, WARPS["shift"], HEIGHT, WIDTH) < 2


@pytest.mark.parametrize("value", [0, 128])
def test_a_plate_without_texture_is_refused(value: int) -> None:
    plate = np.full((HEIGHT, WIDTH, 3), value, np.uint8)
    with pytest.raises(AlignmentError, match="0 features of the plate are found in the picture"):
        align(plate, scene())


def test_a_plate_of_another_scene_is_refused() -> None:
    with pytest.raises(AlignmentError, match=r"are needed; take a plate"):
        align(scene(1), scene(2))


def test_a_plate_that_shows_too_little_is_refused() -> None:
    plate = scene()
    far = np.array([[1, 0, -250], [0, 1, 0], [0, 0, 1.0]])
    image = scene(5)
    image[:, : WIDTH - 250] = plate[:, 250:]
    with pytest.raises(AlignmentError, match=r"the plate covers 3\d% of the picture"):
        align(plate, image)
    assert coverage(far, plate, image).mean() == pytest.approx(150 / 400)


def test_borders_take_the_picture_and_under_the_subject_the_plate() -> None:
    plate, image = scene(1), scene(2)
    subject = np.zeros((HEIGHT, WIDTH), np.uint8)
    subject[100:, :30] = 255
    matrix = np.array([[1, 0, 20], [0, 1, 0], [0, 0, 1.0]])
    warped = warp_plate(plate, image, matrix, subject)
    np.testing.assert_array_equal(warped[:, 20:], plate[:, :-20])
    np.testing.assert_array_equal(warped[:100, :20], image[:100, :20])
    np.testing.assert_array_equal(warped[100:, :20], plate[100:, :20])
    np.testing.assert_array_equal(warp_plate(plate, image, np.eye(3)), plate)


@pytest.mark.parametrize("with_mask", [True, False])
def test_exposure_is_recovered_beside_a_subject(with_mask: bool) -> None:
    plate = np.asarray(cv2.GaussianBlur(scene(3), (5, 5), 0))
    gain, bias = np.array([0.8, 0.9, 1.1]), np.array([5.0, 0.0, -8.0])
    image = (plate * gain + bias).clip(0, 255)
    subject = np.zeros((HEIGHT, WIDTH), np.uint8)
    subject[100:250, 150:300] = 255
    image[subject > 0] = (10, 200, 90)
    image = image.round().astype(np.uint8)
    found = exposure(plate, image, subject if with_mask else None)
    np.testing.assert_allclose(found.gain, gain, atol=0.02)
    np.testing.assert_allclose(found.bias, bias, atol=2.5)
    matched = match_exposure(plate, found)
    outside = subject == 0
    assert np.abs(matched[outside].astype(int) - image[outside]).mean() < 1.5
    assert found.change > 4


def test_equal_exposure_is_no_change() -> None:
    found = exposure(scene(), view(scene(), np.eye(3)))
    np.testing.assert_allclose(found.gain, 1, atol=0.02)
    assert found.change < 1


def test_exposure_of_a_plain_wall_is_a_factor() -> None:
    plate = np.full((50, 60, 3), 100, np.uint8)
    found = exposure(plate, np.full((50, 60, 3), 80, np.uint8))
    np.testing.assert_allclose(found.gain, 0.8)
    assert found.bias == (0, 0, 0) and found.change == pytest.approx(20)


def test_exposure_of_nothing_but_clipped_pixels_is_left_alone() -> None:
    white = np.full((50, 60, 3), 255, np.uint8)
    assert exposure(white, white // 2 * 2).gain == (1, 1, 1)
