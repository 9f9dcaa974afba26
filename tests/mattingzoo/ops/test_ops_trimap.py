"""Morphology against OpenCV, and trimaps that never give a wrong answer away."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mattingzoo.ops import (
    dilate,
    erode,
    fill_known,
    grow,
    shrink,
    trimap_from_alpha,
    unknown_region,
)
from mattingzoo.ops.trimap import _dilate_by_convolution, _grow_by_pooling

SIZES = (1, 2, 3, 4, 5, 8, 12, 29)


def random_masks(count: int, density: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 1, 31, 26, generator=generator) < density


def ellipse(size: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def test_dilation_is_that_of_opencv_for_each_sample() -> None:
    masks = random_masks(len(SIZES), 0.02)
    dilated = dilate(masks, torch.tensor(SIZES))
    for mask, result, size in zip(masks, dilated, SIZES, strict=True):
        expected = cv2.dilate(mask[0].numpy().astype(np.uint8), ellipse(size))
        assert np.array_equal(result[0].numpy(), expected.astype(bool)), size


def test_erosion_is_that_of_opencv_for_each_sample() -> None:
    masks = random_masks(len(SIZES), 0.97)
    eroded = erode(masks, torch.tensor(SIZES))
    for mask, result, size in zip(masks, eroded, SIZES, strict=True):
        expected = cv2.erode(mask[0].numpy().astype(np.uint8), ellipse(size))
        assert np.array_equal(result[0].numpy(), expected.astype(bool)), size


def test_the_path_of_other_devices_equals_that_of_the_cpu() -> None:
    masks = random_masks(len(SIZES), 0.02)
    assert torch.equal(_dilate_by_convolution(masks, SIZES), dilate(masks, torch.tensor(SIZES)))


ITERATIONS = torch.tensor([0, 1, 2, 5, 9])


def test_growing_is_so_many_dilations_of_opencv_for_each_sample() -> None:
    masks = random_masks(len(ITERATIONS), 0.01)
    grown, shrunk = grow(masks, ITERATIONS), shrink(~masks, ITERATIONS)
    for mask, result, count in zip(masks, grown, ITERATIONS.tolist(), strict=True):
        expected = mask[0].numpy().astype(np.uint8)
        for _ in range(count):
            expected = cv2.dilate(expected, ellipse(5))
        assert np.array_equal(result[0].numpy(), expected.astype(bool)), count
    assert torch.equal(shrunk, ~grown)


def test_growing_on_other_devices_equals_that_of_the_cpu() -> None:
    masks = random_masks(len(ITERATIONS), 0.01)
    assert torch.equal(_grow_by_pooling(masks, ITERATIONS), grow(masks, ITERATIONS))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu() -> None:
    masks, sizes = random_masks(len(SIZES), 0.02), torch.tensor(SIZES)
    assert torch.equal(dilate(masks.cuda(), sizes).cpu(), dilate(masks, sizes))


def test_kernel_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 pixel, got 0"):
        dilate(random_masks(1, 0.5), torch.tensor([0]))


mattes = arrays(np.uint8, (12, 9), elements=st.sampled_from([0, 0, 1, 127, 254, 255, 255]))


@settings(max_examples=60, deadline=None)
@given(mattes, st.integers(1, 9), st.integers(1, 9))
def test_trimap_is_never_wrong(matte: np.ndarray, eroded: int, dilated: int) -> None:
    alpha = torch.from_numpy(matte / np.float32(255))[None, None]
    trimap = trimap_from_alpha(alpha, torch.tensor([eroded]), torch.tensor([dilated]))[0, 0].numpy()
    assert set(np.unique(trimap)) <= {0, 0.5, 1}
    assert (matte[trimap == 1] == 255).all()
    assert (matte[trimap == 0] == 0).all()


@settings(max_examples=30, deadline=None)
@given(mattes)
def test_kernels_of_one_pixel_leave_exactly_the_fractions(matte: np.ndarray) -> None:
    one = torch.ones(1, dtype=torch.long)
    alpha = torch.from_numpy(matte / np.float32(255))[None, None]
    unknown = unknown_region(trimap_from_alpha(alpha, one, one))[0, 0].numpy()
    assert np.array_equal(unknown, (matte > 0) & (matte < 255))


def test_opacity_is_judged_at_8_bits() -> None:
    one = torch.ones(1, dtype=torch.long)
    alpha = torch.tensor([0.4, 0.6, 254.4, 254.6]).view(1, 1, 1, 4) / 255
    assert trimap_from_alpha(alpha, one, one).flatten().tolist() == [0, 0.5, 0.5, 1]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_uniform_mattes_are_known_everywhere(value: float) -> None:
    alpha = torch.full((1, 1, 5, 5), value)
    trimap = trimap_from_alpha(alpha, torch.tensor([9]), torch.tensor([9]))
    assert (trimap == value).all()


def test_trimap_of_one_pixel() -> None:
    alpha = torch.full((1, 1, 1, 1), 0.5)
    assert trimap_from_alpha(alpha, torch.tensor([29]), torch.tensor([29])).item() == 0.5


def test_known_pixels_are_filled_and_unknown_ones_kept() -> None:
    alpha = torch.tensor([0.3, 0.3, 0.3]).view(1, 1, 1, 3)
    trimap = torch.tensor([0, 0.5, 1]).view(1, 1, 1, 3)
    torch.testing.assert_close(fill_known(alpha, trimap).flatten(), torch.tensor([0, 0.3, 1]))
    assert fill_known(alpha.half(), trimap).dtype == torch.float16
