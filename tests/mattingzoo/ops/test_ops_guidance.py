"""Rough segmentations, second photographs and motion: ranges, strength and determinism."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from mattingzoo.ops import (
    motion_from_image,
    motion_from_layers,
    perturb_background,
    segmentation_from_alpha,
)
from mattingzoo.ops.guidance import HOLES, _holes, _misaligned


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def disc(side: int = 96, count: int = 4) -> Tensor:
    axis = torch.linspace(-1, 1, side)
    inside = axis.view(-1, 1) ** 2 + axis**2 < 0.4
    return inside.float().expand(count, 1, -1, -1)


def test_segmentation_is_soft_and_holds_most_of_the_subject() -> None:
    alpha = disc()
    rough = segmentation_from_alpha(alpha, seeded())
    assert rough.shape == alpha.shape
    assert rough.min() >= 0 and rough.max() <= 1
    assert ((rough > 0.01) & (rough < 0.99)).any()
    overlap = ((rough > 0.5) & (alpha > 0.5)).sum() / (alpha > 0.5).sum()
    assert overlap > 0.9


def test_segmentation_differs_from_sample_to_sample() -> None:
    rough = segmentation_from_alpha(disc(count=8), seeded())
    assert len({sample.sum().item() for sample in rough}) > 4


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("side", [1, 33])
def test_segmentation_of_a_uniform_matte_is_the_matte(value: float, side: int) -> None:
    alpha = torch.full((1, 1, side, side), value)
    torch.testing.assert_close(segmentation_from_alpha(alpha, seeded()), alpha)


def test_segmentation_of_a_disc_is_the_released_loader_s() -> None:
    """Step by step in OpenCV, with the numbers drawn here in the same order."""
    alpha, rng = disc(512, 2), seeded(3)
    eroded, dilated = (torch.randint(low, high, (2,), generator=rng) for low, high in BOUNDS)
    blurs = torch.randint(0, 3, (2,), generator=rng)
    holes = _holes(alpha, 1.0, rng)
    for sample, rough in enumerate(segmentation_from_alpha(alpha, seeded(3))):
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
        mask = alpha[sample, 0].numpy().astype(np.uint8)
        mask = cv2.erode(mask, ellipse, iterations=int(eroded[sample]))
        mask = cv2.dilate(mask, ellipse, iterations=int(dilated[sample]))
        mask[holes[sample, 0].numpy()] = 0
        side = (21, 31, 41)[int(blurs[sample])]
        blurred = cv2.GaussianBlur(mask * 255, (side, side), 0, borderType=cv2.BORDER_REPLICATE)
        # Kernels of 21 and 31 pixels cut off what one of 41 still sees, and levels are rounded.
        assert np.abs(rough[0].numpy() * 255 - blurred).max() < 3.5


BOUNDS = ((10, 20), (15, 30))


def test_holes_are_up_to_two_squares_about_the_edge() -> None:
    alpha = disc(512, 40)
    holes, band = _holes(alpha, 1.0, seeded()), slice(140, 180)
    areas = holes.flatten(1).sum(dim=1)
    assert 5 <= (areas == 0).sum() <= 25  # a third
    single = {side**2 for side in HOLES}
    assert sum(int(area) in single for area in areas) > 5
    assert areas.max() <= 2 * max(HOLES) ** 2
    # Radius 162: a hole's centre lies about there, so most of the disc's middle has none.
    assert not holes[:, :, 226:286, 226:286].any()
    assert holes[:, :, :, band].any()


def test_holes_have_the_sides_asked_for() -> None:
    alpha = disc(512, 30)
    for hole in _holes(alpha, 1.0, seeded(2)):
        rows, columns = hole[0].any(dim=1).sum(), hole[0].any(dim=0).sum()
        if hole.sum() == rows * columns and hole.any():
            assert int(rows) in HOLES and int(columns) in HOLES


def test_second_photograph_is_close_in_range_and_not_equal() -> None:
    background = torch.rand(16, 3, 12, 12, generator=seeded())
    captured = perturb_background(background, seeded())
    assert captured.min() >= 0 and captured.max() <= 1
    error = (captured - background).abs().flatten(1).mean(dim=1)
    assert error.min() > 0 and error.max() < 0.15


def test_second_photograph_is_noisy_or_of_other_brightness() -> None:
    gray = torch.full((400, 3, 8, 8), 0.5)
    spread = perturb_background(gray, seeded()).flatten(1).std(dim=1)
    noisy = spread > 1 / 255
    assert 0.3 < noisy.float().mean() < 0.5
    assert spread[~noisy].max() < 1e-5
    assert spread.max() < 6.5 / 255


def test_half_of_the_second_photographs_are_misaligned_by_up_to_two_pixels() -> None:
    ramp = torch.linspace(0, 1, 512).expand(40, 3, 512, 512).clone()
    # A gamma of exactly 1 and no noise: what is left is the shift.
    shifted = _misaligned(ramp, seeded())
    pixels = (shifted - ramp)[:, 0, 256, 256] * 511
    assert 10 < (pixels.abs() < 1e-3).sum() < 30
    assert 1 < pixels.abs().max() <= 2 + 1e-3


def test_same_seed_same_guidance_and_another_another() -> None:
    background, alpha = torch.rand(2, 3, 9, 9, generator=seeded()), disc(40, 2)
    makers = (
        lambda g: perturb_background(background, g),
        lambda g: segmentation_from_alpha(alpha, g),
        lambda g: motion_from_layers(background, alpha[..., :9, :9], background, g),
    )
    for make in makers:
        assert torch.equal(make(seeded(1)), make(seeded(1)))
        assert not torch.equal(make(seeded(1)), make(seeded(2)))


def test_motion_of_a_still_is_its_gray_picture_four_times() -> None:
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(2, 3, 4, 5)
    torch.testing.assert_close(motion_from_image(red), torch.full((2, 4, 4, 5), 0.299))


def test_motion_of_white_stays_in_range() -> None:
    assert motion_from_image(torch.ones(1, 3, 2, 2)).max() <= 1


def layers() -> tuple[Tensor, Tensor, Tensor]:
    """White discs before gray."""
    alpha = disc(128, 6)
    return torch.ones(6, 3, 128, 128), alpha, torch.full((6, 3, 128, 128), 0.3)


def test_motion_of_layers_shows_the_subject_in_four_places_before_its_background() -> None:
    stack = motion_from_layers(*layers(), seeded())
    assert stack.shape == (6, 4, 128, 128) and stack.min() >= 0 and stack.max() <= 1
    bright = (stack > 0.65).float()
    axis = torch.arange(128.0)
    size = bright.sum(dim=(2, 3))
    x, y = (bright.sum(dim) @ axis / size for dim in (2, 3))
    spread = torch.stack([x.std(dim=1), y.std(dim=1)])
    assert spread.min() > 0.1 and spread.mean() < 3  # N(0, 5) pixels at 512
    whole = disc(128, 1).sum()
    assert (size / whole - 1).abs().max() < 0.15
    corner = stack[:, :, :16, :16]
    assert (corner.mean(dim=(2, 3)) - 0.3).abs().max() < 8 / 255
    assert corner.std(dim=(2, 3)).min() > 1 / 255


def test_motion_turns_and_shears_the_subject() -> None:
    """The released code multiplies its matrices element by element, which leaves neither."""
    bar = torch.zeros(12, 1, 96, 96)
    bar[..., 46:50, 8:88] = 1
    dark = torch.zeros(12, 3, 96, 96)
    stack = motion_from_layers(torch.ones(12, 3, 96, 96), bar, dark, seeded())
    rows = torch.arange(96.0).view(1, 1, -1, 1)
    height = (stack * rows).sum(dim=2) / stack.sum(dim=2)
    tilt = height[..., 70:80].mean(dim=-1) - height[..., 16:26].mean(dim=-1)
    assert tilt.abs().mean() > 0.5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_guidance_on_cuda_equals_the_cpu_s_where_no_noise_is_drawn() -> None:
    alpha = disc(256, 8)
    rough = segmentation_from_alpha(alpha, seeded(1))
    there = segmentation_from_alpha(alpha.cuda(), seeded(1)).cpu()
    torch.testing.assert_close(there, rough, rtol=0, atol=1e-4)
    background = torch.rand(8, 3, 64, 64, generator=seeded(2))
    moved = _misaligned(background.cuda(), seeded(1)).cpu()
    torch.testing.assert_close(moved, _misaligned(background, seeded(1)), rtol=0, atol=1e-4)
