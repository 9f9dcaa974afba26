"""The terms of HAttMatting's loss, against values worked by hand and slow references."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import correlate1d
from torch import Tensor

from mattingzoo.models.hattmatting.losses import (
    accuracy,
    fooling_loss,
    mse_loss,
    ssim_loss,
    telling_loss,
)


def mattes(height: int = 20, width: int = 24) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(2)
    pred, alpha = torch.rand(2, 2, 1, height, width, generator=rng)
    return pred, alpha


def slow_ssim(pred: Tensor, alpha: Tensor, window: int = 11) -> float:
    """Wang et al., equation 13, in float64, one picture after the other."""
    taps = np.exp(-((np.arange(window) - window // 2) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()

    def blur(picture: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(picture, taps, 0, mode="mirror"), taps, 1, mode="mirror")

    c1, c2, total = 0.01**2, 0.03**2, []
    for x, y in zip(pred[:, 0].double().numpy(), alpha[:, 0].double().numpy(), strict=True):
        mx, my = blur(x), blur(y)
        vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
        similarity = (2 * mx * my + c1) * (2 * cov + c2)
        total.append(similarity / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(total))


def test_mse_is_the_mean_over_the_whole_picture() -> None:
    pred = torch.tensor([0.0, 0.5, 1.0, 0.25]).view(1, 1, 2, 2)
    alpha = torch.tensor([1.0, 0.5, 0.5, 0.25]).view(1, 1, 2, 2)
    assert mse_loss(pred, alpha).item() == pytest.approx((1 + 0.25) / 4)


@pytest.mark.parametrize("window", [11, 7])
def test_ssim_equals_its_definition(window: int) -> None:
    pred, alpha = mattes()
    expected = 1 - slow_ssim(pred, alpha, window)
    assert ssim_loss(pred, alpha, window).item() == pytest.approx(expected, rel=1e-4)


def test_structure_of_equal_mattes_costs_nothing() -> None:
    _, alpha = mattes()
    assert ssim_loss(alpha, alpha).item() == pytest.approx(0, abs=1e-6)
    assert ssim_loss(torch.zeros_like(alpha), torch.zeros_like(alpha)) == 0
    assert ssim_loss(torch.ones_like(alpha), torch.ones_like(alpha)).abs() < 1e-6


def test_structure_of_inverted_mattes_costs_more_than_of_unrelated_ones() -> None:
    pred, alpha = mattes()
    assert ssim_loss(alpha, 1 - alpha) > ssim_loss(pred, alpha) > 0
    assert ssim_loss(alpha, 1 - alpha) > 1  # similarity below zero


@pytest.mark.parametrize("loss", [mse_loss, ssim_loss])
def test_moving_towards_the_truth_lowers_it(loss: object) -> None:
    assert callable(loss)
    pred, alpha = mattes()
    values = [loss(pred.lerp(alpha, t), alpha).item() for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert values == sorted(values, reverse=True) and values[0] > values[-1]


@pytest.mark.parametrize("loss", [mse_loss, ssim_loss])
def test_descending_moves_towards_the_truth(loss: object) -> None:
    """The sign of the gradient: two re-implementations climb."""
    assert callable(loss)
    pred, alpha = mattes()
    pred.requires_grad_()
    loss(pred, alpha).backward()
    assert pred.grad is not None
    assert (pred.grad * (pred - alpha)).sum() > 0


def test_gradients_stay_finite_on_flat_mattes() -> None:
    flat = torch.zeros(1, 1, 16, 16, requires_grad=True)
    ssim_loss(flat, torch.zeros(1, 1, 16, 16)).backward()
    assert flat.grad is not None and flat.grad.isfinite().all()


@pytest.mark.parametrize("loss", [mse_loss, ssim_loss])
def test_half_precision_is_computed_in_float32(loss: object) -> None:
    assert callable(loss)
    pred, alpha = (m.bfloat16() for m in mattes())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss(pred, alpha)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, loss(pred.float(), alpha.float()))


def test_mattes_smaller_than_the_window_are_refused() -> None:
    small = torch.rand(1, 1, 5, 30)
    with pytest.raises(ValueError, match="11 pixels needs mattes of at least 6 pixels, got 5 x 30"):
        ssim_loss(small, small)
    ssim_loss(torch.rand(1, 1, 6, 30), torch.rand(1, 1, 6, 30))


@pytest.mark.parametrize("loss", [mse_loss, ssim_loss])
def test_mattes_of_two_shapes_are_refused(loss: object) -> None:
    assert callable(loss)
    with pytest.raises(ValueError, match="shapes differ"):
        loss(torch.rand(1, 1, 16, 16), torch.rand(2, 1, 16, 16))


def test_adversarial_losses_are_cross_entropies() -> None:
    real, fake = torch.randn(2, 2, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    entropy = F.binary_cross_entropy_with_logits
    torch.testing.assert_close(fooling_loss(fake), entropy(fake, ones))
    torch.testing.assert_close(telling_loss(real, fake), entropy(real, ones) + entropy(fake, zeros))


def test_adversarial_losses_of_a_guess() -> None:
    guess = torch.zeros(1, 1, 3, 3)
    assert fooling_loss(guess).item() == pytest.approx(math.log(2))
    assert telling_loss(guess, guess).item() == pytest.approx(2 * math.log(2))


def test_a_certain_verdict_stays_finite() -> None:
    verdict = torch.tensor([-1e4, 1e4])
    assert fooling_loss(verdict).item() == pytest.approx(5e3)
    assert telling_loss(verdict, verdict).item() == pytest.approx(1e4)


def test_accuracy_counts_patches() -> None:
    real, fake = torch.tensor([1.0, 2.0, -1.0, 3.0]), torch.tensor([1.0, -1.0])
    assert accuracy(real, fake).item() == pytest.approx((0.75 + 0.5) / 2)
