"""Rough segmentations, second photographs and motion: ranges, strength and determinism."""

import pytest
import torch
from torch import Tensor

from mattingzoo.ops import motion_from_image, perturb_background, segmentation_from_alpha


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


def test_same_seed_same_guidance_and_another_another() -> None:
    background, alpha = torch.rand(2, 3, 9, 9, generator=seeded()), disc(40, 2)
    makers = (
        lambda g: perturb_background(background, g),
        lambda g: segmentation_from_alpha(alpha, g),
    )
    for make in makers:
        assert torch.equal(make(seeded(1)), make(seeded(1)))
        assert not torch.equal(make(seeded(1)), make(seeded(2)))


def test_motion_of_a_still_is_its_gray_picture_four_times() -> None:
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(2, 3, 4, 5)
    torch.testing.assert_close(motion_from_image(red), torch.full((2, 4, 4, 5), 0.299))


def test_motion_of_white_stays_in_range() -> None:
    assert motion_from_image(torch.ones(1, 3, 2, 2)).max() <= 1
