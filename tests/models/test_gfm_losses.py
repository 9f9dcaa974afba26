"""GFM's losses: values worked out elsewhere, minima, and what the targets are."""

from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mattingzoo.metrics import mad, mse, part_scores, sad
from mattingzoo.models.gfm.losses import (
    Targets,
    blur_kernel,
    composition_loss,
    cross_entropy,
    focus_loss,
    fusion_loss,
    laplacian_loss,
    make_targets,
    prediction_losses,
)
from mattingzoo.models.gfm.network import Prediction

#: The ramp that the reference values are of.
RAMP = (torch.arange(64.0) / 63).expand(1, 1, 64, 64)
TRUTH = RAMP.square()
TRANSITION = ((torch.arange(64) >= 16) & (torch.arange(64) <= 47)).expand(1, 1, 64, 64)


def l1_of(loss: Tensor, error: Tensor) -> float:
    """A loss less its Laplacian part."""
    return (loss - laplacian_loss(error)).item()


def test_focus_on_the_ramp() -> None:
    error = (RAMP - TRUTH) * TRANSITION
    assert laplacian_loss(error).item() == pytest.approx(0.204921, abs=2e-6)
    loss = focus_loss(RAMP, TRUTH, TRANSITION)
    assert l1_of(loss, error) == pytest.approx(0.228410, abs=2e-6)


def test_fusion_on_the_ramp() -> None:
    error = RAMP - TRUTH
    assert laplacian_loss(error).item() == pytest.approx(0.213130, abs=2e-6)
    assert l1_of(fusion_loss(RAMP, TRUTH), error) == pytest.approx(0.164021, abs=2e-6)


def test_composition_on_the_ramp() -> None:
    foreground, background = (torch.full((1, 3, 64, 64), v / 255) for v in (200, 50))
    image = TRUTH * foreground + (1 - TRUTH) * background
    loss = composition_loss(RAMP, image, foreground, background)
    assert loss.item() == pytest.approx(0.289449, abs=2e-6)


def test_metrics_on_the_ramp() -> None:
    trimap = torch.where(TRANSITION, 0.5, (torch.arange(64) > 31).float())
    # The zoo rounds to 8 bits first.
    assert sad(RAMP, TRUTH).item() == pytest.approx(0.6718307, abs=2e-3)
    assert mse(RAMP, TRUTH).item() == pytest.approx(0.0328125, abs=2e-4)
    assert mad(RAMP, TRUTH).item() == pytest.approx(0.1640212, abs=5e-4)
    assert part_scores(RAMP, TRUTH, trimap)["SAD-T"].item() == pytest.approx(0.7118, abs=2e-3)


def test_kernel_is_a_sum_of_gaussians() -> None:
    kernel = blur_kernel()[0, 0]
    assert kernel.sum().item() == pytest.approx(1, abs=1e-6)
    assert kernel[2, 2].item() == pytest.approx(0.112842, abs=1e-6)
    assert kernel[0, 0].item() == pytest.approx(0.002067, abs=1e-6)
    assert torch.equal(kernel, kernel.T) and torch.equal(kernel, kernel.flip(0))
    assert torch.linalg.matrix_rank(kernel) == 2  # no product of two


def test_laplacian_is_that_of_two_pyramids() -> None:
    first, second = torch.rand(2, 2, 1, 64, 96, generator=torch.Generator().manual_seed(0))

    def pyramid(picture: Tensor) -> list[Tensor]:
        levels = []
        for _ in range(5):
            padded = F.pad(picture, (2, 2, 2, 2), mode="replicate")
            blurred = F.conv2d(padded, blur_kernel())
            levels.append(picture - blurred)
            even, odd = blurred[..., ::2, :], blurred[..., 1::2, :]
            picture = (even[..., ::2] + even[..., 1::2] + odd[..., ::2] + odd[..., 1::2]) / 4
        return [*levels, picture]

    slowly = sum((a - b).abs().mean() for a, b in zip(pyramid(first), pyramid(second), strict=True))
    torch.testing.assert_close(laplacian_loss(first - second), slowly)


@pytest.mark.parametrize(("classes", "least"), [(3, 0.55144), (2, 0.31326)])
def test_perfect_glance_costs_something_on_sigmoids_and_nothing_on_logits(
    classes: int, least: float
) -> None:
    truth = torch.randint(classes, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    logits = 200 * F.one_hot(truth, classes).permute(0, 3, 1, 2).float() - 100
    assert cross_entropy(logits, truth, "sigmoid").item() == pytest.approx(least, abs=1e-5)
    assert cross_entropy(logits, truth, "logits").item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("on", ["sigmoid", "logits"])
def test_glance_learns(on: Any) -> None:
    truth = torch.tensor([[[0, 1, 2]]])
    logits = torch.zeros(1, 3, 1, 3, requires_grad=True)
    for _ in range(50):
        loss = cross_entropy(logits, truth, on)
        (gradient,) = torch.autograd.grad(loss, logits)
        logits = (logits - 5 * gradient).detach().requires_grad_()
    assert torch.equal(logits.argmax(dim=1), truth)


def blob() -> Tensor:
    """A soft disc and an empty picture."""
    y, x = np.mgrid[:96, :96]
    soft = np.clip((30 - np.hypot(y - 48, x - 44)) / 6 + 0.5, 0, 1)
    disc = torch.from_numpy((soft * 255).round() / 255).float()[None, None]
    return torch.cat([disc, torch.zeros_like(disc)])


def by_opencv(alpha: Tensor, kernel: int, dilate: bool) -> Tensor:
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel, kernel))
    pictures = (255 * alpha[:, 0]).round().to(torch.uint8).numpy()
    masks = [(p > 0 if dilate else p == 255).astype(np.uint8) for p in pictures]
    change = cv2.dilate if dilate else cv2.erode
    return torch.from_numpy(np.stack([change(m, ellipse) for m in masks])).long()


def test_trimap_is_that_of_25_pixel_ellipses() -> None:
    targets = make_targets(blob(), "TT", 25, 50)
    inner, outer = by_opencv(blob(), 25, dilate=False), by_opencv(blob(), 25, dilate=True)
    assert torch.equal(targets.glance, inner + outer)
    assert torch.equal(targets.transition[:, 0], (outer - inner).bool())
    assert torch.equal(targets.focus, blob())
    assert targets.glance[1].sum() == 0 and not targets.transition[1].any()


@pytest.mark.parametrize("representation", ["FT", "BT"])
def test_masks_are_those_of_50_pixel_ellipses_and_focus_has_the_rest(representation: Any) -> None:
    alpha = blob()
    targets = make_targets(alpha, representation, 25, 50)
    assert torch.equal(targets.glance, by_opencv(alpha, 50, dilate=representation == "BT"))
    sign = 1 if representation == "FT" else -1
    # The mapping is consistent: merged by its rule, glance and focus give the matte.
    torch.testing.assert_close(targets.glance[:, None] + sign * targets.focus, alpha)
    assert targets.focus.min() >= 0 and targets.focus.max() <= 1
    assert torch.equal(targets.transition, make_targets(alpha, "TT", 25, 50).transition)


def test_focus_counts_in_the_transition_alone() -> None:
    focus = torch.rand(2, 1, 96, 96, requires_grad=True)
    targets = make_targets(blob(), "TT", 9, 9)
    focus_loss(focus, targets.focus, targets.transition).backward()
    assert focus.grad is not None
    assert (focus.grad[~targets.transition] == 0).all()
    assert focus.grad[targets.transition].abs().min() > 0


def test_no_transition_gives_no_error_and_finite_gradients() -> None:
    focus = torch.rand(1, 1, 64, 64, requires_grad=True)
    nowhere = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    loss = focus_loss(focus, torch.zeros(1, 1, 64, 64), nowhere)
    assert loss.item() < 0.01
    loss.backward()
    assert focus.grad is not None and (focus.grad == 0).all()


def test_a_perfect_prediction_has_next_to_no_loss() -> None:
    alpha = blob()
    targets = make_targets(alpha, "TT", 25, 50)
    logits = 60 * F.one_hot(targets.glance, 3).permute(0, 3, 1, 2).float()
    losses = prediction_losses(Prediction(logits, alpha, alpha), targets, alpha, "logits")
    assert set(losses) == {"glance", "focus", "fusion"}
    assert all(value < 1e-5 or name == "focus" for name, value in losses.items())
    assert losses["focus"] < 0.02  # a millionth for every pixel outside, over few inside


def test_losses_are_float32_in_bfloat16() -> None:
    targets = Targets(torch.zeros(1, 32, 32).long(), RAMP[..., :32, :32], TRANSITION[..., :32, :32])
    with torch.autocast("cpu", torch.bfloat16):
        losses = prediction_losses(
            Prediction(torch.rand(1, 3, 32, 32), RAMP[..., :32, :32], RAMP[..., :32, :32]),
            targets,
            TRUTH[..., :32, :32],
            "sigmoid",
        )
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
