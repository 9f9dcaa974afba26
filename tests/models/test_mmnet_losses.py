"""MMNet's losses: the values of the specification, by hand and by slow references."""

import math

import pytest
import torch
from torch import Tensor

from mattingzoo.models.mmnet.losses import (
    composition_loss,
    kl_loss,
    mmnet_losses,
    sobel_loss,
)
from mattingzoo.models.mmnet.network import MMNetOutput

RAMP = (torch.arange(64) / 63).expand(1, 1, 64, 64)


def logits_of(alpha: Tensor) -> Tensor:
    """Logits whose softmax is alpha, kept from the infinite."""
    alpha = alpha.clamp(1e-7, 1 - 1e-7)
    return torch.cat([(1 - alpha).log(), alpha.log()], dim=1)


def test_values_on_a_ramp() -> None:
    alpha, image = RAMP.square(), torch.full((1, 3, 64, 64), 0.5)
    output = MMNetOutput(logits_of(RAMP), torch.zeros(1, 2, 4, 4))
    losses = mmnet_losses(output, alpha, image)
    expected = {"alpha": 0.164021, "composition": 0.082011, "gradient": 0.005156, "kl": 0.491892}
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value, abs=2e-6), name
    assert losses["auxiliary"].item() == pytest.approx(math.log(2))  # of an even chance
    assert set(losses) == {*expected, "auxiliary"}


def test_auxiliary_truth_is_the_nearest_pixel() -> None:
    torch.manual_seed(0)
    alpha, auxiliary = torch.rand(2, 1, 32, 48), torch.randn(2, 2, 2, 3)
    output = MMNetOutput(torch.randn(2, 2, 32, 48), auxiliary)
    losses = mmnet_losses(output, alpha, torch.rand(2, 3, 32, 48))
    torch.testing.assert_close(losses["auxiliary"], kl_loss(auxiliary, alpha[..., ::16, ::16]))


def test_composition_factor_is_the_codes_slip() -> None:
    alpha, image = RAMP.square(), torch.full((1, 3, 64, 64), 0.5)
    output = MMNetOutput(logits_of(RAMP), torch.zeros(1, 2, 4, 4))
    slip = mmnet_losses(output, alpha, image, composition_factor=1 / 255)
    assert slip["composition"].item() == pytest.approx(0.082011 / 255, rel=1e-4)
    plain = mmnet_losses(output, alpha, image)
    assert all(torch.equal(slip[name], plain[name]) for name in plain if name != "composition")


def test_composition_counts_only_where_the_image_is_bright() -> None:
    pred, alpha = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    image = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 2, 2).expand(-1, 3, -1, -1)
    assert composition_loss(pred, alpha, image).item() == pytest.approx(1.75 / 4)


def test_gradient_of_one_pixel_by_hand() -> None:
    pred = torch.zeros(1, 1, 5, 5)
    pred[..., 2, 2] = 1
    # Each direction sees the pixel through 6 of its 9 weights, whose absolutes sum to 8.
    assert sobel_loss(pred, torch.zeros_like(pred)).item() == pytest.approx(1 / 25)


def test_gradient_pads_with_zeros() -> None:
    ones, zeros = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    # Edges left and right, 4 pixels each: 4 / 8 inside, 3 / 8 in the corners.
    assert sobel_loss(ones, zeros).item() == pytest.approx(2 * (2 * 4 + 2 * 3) / 8 / 16)


def test_kl_exceeds_the_entropy_of_the_truth_only_where_it_differs() -> None:
    torch.manual_seed(0)
    alpha = torch.rand(2, 1, 8, 8) * 0.98 + 0.01
    entropy = -(alpha * alpha.log() + (1 - alpha) * (1 - alpha).log()).mean()
    torch.testing.assert_close(kl_loss(logits_of(alpha), alpha), entropy)
    assert kl_loss(logits_of(1 - alpha), alpha) > entropy


def test_kl_of_hard_labels_is_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, alpha = torch.randn(2, 2, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    log = logits.log_softmax(dim=1)
    slow = -torch.where(alpha[:, 0] == 1, log[:, 1], log[:, 0]).mean()
    torch.testing.assert_close(kl_loss(logits, alpha), slow)


def test_terms_are_float32_in_bf16() -> None:
    output = MMNetOutput(torch.randn(1, 2, 32, 32), torch.randn(1, 2, 2, 2))
    alpha, image = torch.rand(1, 1, 32, 32), torch.rand(1, 3, 32, 32)
    exact = mmnet_losses(output, alpha, image)
    with torch.autocast("cpu", torch.bfloat16):
        rough = mmnet_losses(output, alpha, image)
    for name, value in exact.items():
        assert rough[name].dtype == torch.float32
        torch.testing.assert_close(rough[name], value)


def test_mattes_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        sobel_loss(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 16))
