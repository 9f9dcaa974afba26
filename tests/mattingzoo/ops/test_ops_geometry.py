"""Padding, and the one interpolation against slicing, averaging and OpenCV."""

import math

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from mattingzoo.ops import move, pad_to_multiple, similarity, warp


def noise(height: int, width: int, count: int = 1) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def turn(
    picture: Tensor,
    size: int,
    scale: float = 1.0,
    angle: float = 0.0,
    flip: bool = False,
    shear: float = 0.0,
    padding: str = "border",
    extent: tuple[int, int] | None = None,
) -> Tensor:
    count = len(picture)
    values = [torch.full((count,), float(v)) for v in (scale, angle, shear)]
    matrix = similarity(values[0], values[1], torch.full((count,), flip), values[2])
    sides = torch.tensor(extent or picture.shape[:1:-1]).float().expand(count, 2)
    return warp(picture, matrix, sides, size, padding)


@pytest.mark.parametrize("shape", [(1, 1), (31, 32), (33, 47), (64, 32), (5, 200)])
def test_padding_reaches_the_multiple_and_keeps_the_picture(shape: tuple[int, int]) -> None:
    picture = noise(*shape)
    padded = pad_to_multiple(picture, 32)
    assert padded.shape[-2] % 32 == padded.shape[-1] % 32 == 0
    assert max(p - s for p, s in zip(padded.shape[-2:], shape, strict=True)) < 32
    assert torch.equal(padded[..., : shape[0], : shape[1]], picture)


def test_padding_reflects_where_it_can() -> None:
    padded = pad_to_multiple(torch.arange(12.0).view(1, 1, 3, 4), 5)
    assert padded[0, 0].tolist() == [
        [0, 1, 2, 3, 2],
        [4, 5, 6, 7, 6],
        [8, 9, 10, 11, 10],
        [4, 5, 6, 7, 6],
        [0, 1, 2, 3, 2],
    ]


def test_fitting_picture_is_not_copied() -> None:
    picture = noise(32, 64)
    assert pad_to_multiple(picture, 32) is picture


def test_identity_is_a_central_crop() -> None:
    picture = noise(12, 10)
    torch.testing.assert_close(turn(picture, 6), picture[..., 3:9, 2:8])


def test_whole_picture_is_copied() -> None:
    picture = noise(9, 9)
    torch.testing.assert_close(turn(picture, 9), picture)


def test_extent_counts_from_the_top_left_corner() -> None:
    picture = noise(12, 12)
    torch.testing.assert_close(turn(picture, 4, extent=(8, 6)), picture[..., 1:5, 2:6])


def test_flip_mirrors_left_to_right() -> None:
    picture = noise(8, 8)
    torch.testing.assert_close(turn(picture, 8, flip=True), picture.flip(-1))


def test_half_size_is_the_mean_of_four() -> None:
    picture = noise(12, 12)
    expected = torch.nn.functional.avg_pool2d(picture, 2)
    torch.testing.assert_close(turn(picture, 6, scale=2), expected)


def test_quarter_turn_is_counter_clockwise() -> None:
    picture = noise(8, 8)
    turned = turn(picture, 8, angle=90)
    torch.testing.assert_close(turned, picture.rot90(1, (-2, -1)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_shear_moves_rows_by_output_pixels_whatever_the_scale(scale: float) -> None:
    ramp = torch.arange(60.0).expand(1, 1, 60, 60)
    moved = turn(ramp, 10, scale=scale, shear=0.5) - turn(ramp, 10, scale=scale)
    below_centre = torch.arange(10.0) - 4.5
    expected = (0.5 * scale * below_centre).view(-1, 1).expand(10, 10)
    torch.testing.assert_close(moved[0, 0], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("angle", [-30.0, 17.0])
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.5])
def test_rotation_is_that_of_opencv(angle: float, scale: float) -> None:
    smooth = cv2.GaussianBlur(noise(40, 40)[0].permute(1, 2, 0).numpy(), (0, 0), 3)
    turned = turn(torch.from_numpy(smooth).permute(2, 0, 1)[None], 20, scale=scale, angle=angle)
    # OpenCV: counter-clockwise about a centre, pixel centres at integers; then to the output's.
    forward = cv2.getRotationMatrix2D((19.5, 19.5), angle, 1 / scale)
    forward[:, 2] += 9.5 - 19.5
    expected = cv2.warpAffine(
        smooth, forward, (20, 20), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    difference = np.abs(turned[0].permute(1, 2, 0).numpy() - expected)
    assert difference.max() < 0.01  # OpenCV interpolates in steps of 1/32 pixel


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("scale", [0.37, 0.625, 1.0])
def test_enlarging_does_not_fade_at_the_edge(padding: str, scale: float) -> None:
    picture = torch.zeros(1, 1, 16, 16)
    picture[..., :10, :10] = 1  # beyond the extent lies padding
    size = math.floor(10 / scale)
    enlarged = turn(picture, size, scale=scale, padding=padding, extent=(10, 10))
    torch.testing.assert_close(enlarged, torch.ones(1, 1, size, size))


def test_zeros_lie_beyond_the_extent_only() -> None:
    ones = torch.ones(1, 1, 10, 10)
    framed = turn(ones, 10, padding="zeros", extent=(4, 4))[0, 0]
    assert framed.sum() == 16 and framed[3:7, 3:7].min() == 1


def test_border_and_reflection_continue_the_extent() -> None:
    picture = torch.arange(8.0).repeat(8, 1)[None, None]
    rows = {
        padding: turn(picture, 8, padding=padding, extent=(4, 4))[0, 0, 4].tolist()
        for padding in ("border", "reflection")
    }
    assert rows == {"border": [0, 0, 0, 1, 2, 3, 3, 3], "reflection": [1, 0, 0, 1, 2, 3, 3, 2]}


def test_each_sample_has_its_own_matrix_and_extent() -> None:
    picture = noise(8, 8, count=2)
    matrix = similarity(
        torch.tensor([1.0, 2.0]), torch.zeros(2), torch.tensor([True, False]), torch.zeros(2)
    )
    both = warp(picture, matrix, torch.tensor([[4.0, 4.0], [8.0, 8.0]]), 4, "border")
    torch.testing.assert_close(both[0], picture[0, :, :4, :4].flip(-1))
    torch.testing.assert_close(both[1:], torch.nn.functional.avg_pool2d(picture[1:], 2))


STILL = torch.eye(2)


def test_moving_nowhere_gives_the_picture_back() -> None:
    picture = noise(7, 11, 2)
    same = move(picture, STILL.expand(2, 2, 2), torch.zeros(2, 2), "zeros")
    torch.testing.assert_close(same, picture)


def test_moving_by_whole_pixels_is_slicing_for_each_sample() -> None:
    picture = noise(7, 11, 2)
    moved = move(picture, STILL.expand(2, 2, 2), torch.tensor([[3.0, 0], [0, -2]]), "zeros")
    torch.testing.assert_close(moved[0, ..., :-3], picture[0, ..., 3:])
    torch.testing.assert_close(moved[1, :, 2:], picture[1, :, :-2])
    assert moved[0, ..., -3:].abs().max() < 1e-5 and moved[1, :, :2].abs().max() < 1e-5
    kept = move(picture, STILL.expand(2, 2, 2), torch.tensor([[3.0, 0], [0, -2]]), "border")
    torch.testing.assert_close(kept[0, ..., -3:], picture[0, ..., -1:].expand(3, 7, 3))


def test_moving_turns_an_oblong_picture_as_opencv_does() -> None:
    picture = cv2.GaussianBlur(noise(24, 40)[0].permute(1, 2, 0).numpy(), (9, 9), 0)
    matrix = similarity(
        torch.tensor([1.1]), torch.tensor([20.0]), torch.tensor([False]), torch.tensor([0.1])
    )
    shift = torch.tensor([[2.5, -1.25]])
    centre = np.array([19.5, 11.5])  # of pixels, as OpenCV counts them
    linear = matrix[0].numpy().astype(np.float64)
    offset = centre + shift[0].numpy() - linear @ centre
    expected = cv2.warpAffine(
        picture,
        np.hstack([linear, offset[:, None]]),
        (40, 24),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    moved = move(torch.from_numpy(picture).permute(2, 0, 1)[None], matrix, shift, "zeros")
    # OpenCV rounds places to a 32nd of a pixel.
    assert np.abs(moved[0].permute(1, 2, 0).numpy() - expected).max() < 0.02


def test_moving_is_exact_under_autocast() -> None:
    picture, shift = noise(300, 300), torch.tensor([[10.0, 20.0]])
    exact = move(picture, STILL[None], shift, "border")
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(move(picture, STILL[None], shift, "border"), exact)
