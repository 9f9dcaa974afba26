"""AdaMatting's targets and losses, against numbers worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mattingzoo.models.adamatting.losses import (
    Uncertainty,
    alpha_loss,
    alpha_region,
    optimal_trimap,
    trimap_loss,
)


def test_only_0_and_1_of_8_bits_are_known() -> None:
    alpha = torch.tensor([0, 1, 254, 255]).view(1, 1, 1, 4) / 255
    assert optimal_trimap(alpha).tolist() == [[[0, 1, 1, 2]]]


@given(st.integers(0, 255))
def test_rounding_errors_of_a_resize_change_no_class(level: int) -> None:
    alpha = torch.tensor([level / 255 - 1e-6, level / 255, level / 255 + 1e-6]).view(1, 1, 1, 3)
    expected = 0 if level == 0 else 2 if level == 255 else 1
    assert optimal_trimap(alpha).flatten().tolist() == 3 * [expected]


def test_the_target_follows_a_resized_matte() -> None:
    edge = torch.cat([torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)], dim=3)
    assert set(optimal_trimap(edge).unique().tolist()) == {0, 2}
    halfway = F.interpolate(edge, scale_factor=1.5, mode="bilinear")
    classes = optimal_trimap(halfway)
    assert classes.shape == (1, 12, 24)
    assert classes[0, 0, 0] == 0 and classes[0, 0, -1] == 2 and (classes == 1).any()


def test_trimap_loss_is_the_cross_entropy_of_all_pixels() -> None:
    logits = torch.tensor([[1.0, 0, 0], [0, 2, 0]]).T.view(1, 3, 1, 2)
    alpha = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)  # background, and not the 1 of its argmax
    e = math.e
    expected = (-math.log(e / (e + 2)) - math.log(1 / (e**2 + 2))) / 2
    assert trimap_loss(logits, alpha).item() == pytest.approx(expected, rel=1e-6)


def logits_of(classes: list[int]) -> torch.Tensor:
    return 5 * F.one_hot(torch.tensor(classes), 3).float().T.reshape(1, 3, 1, -1)


def test_region_is_what_is_adapted_to_semi_transparent() -> None:
    trimap = torch.tensor([0.5, 0, 1, 0.5]).view(1, 1, 1, 4)
    region = alpha_region(logits_of([0, 1, 1, 2]), trimap)
    assert region.tolist() == [[[[False, True, True, False]]]]


def test_region_falls_back_on_the_given_trimap() -> None:
    trimap = torch.tensor([0.5, 0, 1, 0.5]).view(1, 1, 1, 4)
    unknown = [[[[True, False, False, True]]]]
    assert alpha_region(logits_of([0, 0, 2, 2]), trimap).tolist() == unknown
    assert alpha_region(None, trimap).tolist() == unknown


def test_alpha_loss_ignores_what_is_outside() -> None:
    alpha = torch.tensor([0.2, 0.4, 0.6]).view(1, 1, 1, 3)
    region = torch.tensor([True, True, False]).view(1, 1, 1, 3)
    near, far = (torch.tensor([0.3, 0.1, x]).view(1, 1, 1, 3) for x in (0.0, 99.0))
    assert alpha_loss((near,), alpha, region).item() == pytest.approx(0.2)
    assert torch.equal(alpha_loss((near,), alpha, region), alpha_loss((far,), alpha, region))


def test_alpha_loss_of_an_empty_region_is_0_with_a_gradient_of_0() -> None:
    matte = torch.rand(1, 1, 2, 2, requires_grad=True)
    loss = alpha_loss((matte,), torch.rand(1, 1, 2, 2), torch.zeros(1, 1, 2, 2).bool())
    loss.backward()
    assert loss.item() == 0
    assert matte.grad is not None and matte.grad.count_nonzero() == 0


def test_alpha_loss_of_several_mattes_is_their_mean() -> None:
    alpha, region = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2).bool()
    mattes = tuple(torch.full_like(alpha, value) for value in (0.1, 0.2, 0.6))
    assert alpha_loss(mattes, alpha, region).item() == pytest.approx(0.3)


def total(balance: Uncertainty, loss_t: float, loss_a: float) -> torch.Tensor:
    value: torch.Tensor = balance(torch.tensor(loss_t), torch.tensor(loss_a))
    return value


def test_at_a_sigma_of_4() -> None:
    balance = Uncertainty(4, 4, learned=True)
    assert total(balance, 0, 0).item() == pytest.approx(math.log(32))
    expected = 0.7 / 32 + 0.3 / 4 + math.log(32)
    assert total(balance, 0.7, 0.3).item() == pytest.approx(expected)


@given(
    st.floats(0.01, 20), st.floats(0.01, 20), st.floats(0, 5), st.floats(0, 5)
)  # what equation 4 of the paper says
def test_equation_4(sigma_t: float, sigma_a: float, loss_t: float, loss_a: float) -> None:
    got = total(Uncertainty(sigma_t, sigma_a, learned=True), loss_t, loss_a).item()
    expected = loss_t / (2 * sigma_t**2) + loss_a / sigma_a + math.log(2 * sigma_t * sigma_a)
    assert got == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_gradients_of_the_uncertainties() -> None:
    balance = Uncertainty(2, 3, learned=True)
    total(balance, 0.7, 0.3).backward()
    s1, s2 = math.log(4), math.log(9)
    assert balance.log_var_t.grad is not None and balance.log_var_a.grad is not None
    assert balance.log_var_t.grad.item() == pytest.approx(-0.5 * math.exp(-s1) * 0.7 + 0.5)
    assert balance.log_var_a.grad.item() == pytest.approx(-0.5 * math.exp(-s2 / 2) * 0.3 + 0.5)


def test_uncertainties_settle_where_the_paper_s_did() -> None:
    """Its supplement reports 0.0995 and 0.0878, which belong to these two losses."""
    balance = Uncertainty(4, 4, learned=True)
    optimizer = torch.optim.LBFGS(balance.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = total(balance, 0.0099, 0.0878)
        loss.backward()
        return loss

    optimizer.step(closure)
    sigmas = {name: value.item() for name, value in balance.sigmas().items()}
    assert sigmas["sigma_trimap"] == pytest.approx(0.0995, rel=1e-2)
    assert sigmas["sigma_alpha"] == pytest.approx(0.0878, rel=1e-2)
    assert closure().item() < 0


def test_fixed_uncertainties_are_no_parameters() -> None:
    balance = Uncertainty(0.0995, 0.0878, learned=False)
    assert not list(balance.parameters()) and not balance.state_dict()
    assert balance.sigmas()["sigma_alpha"].item() == pytest.approx(0.0878)


def test_total_is_exact_under_autocast() -> None:
    balance = Uncertainty(0.1, 0.1, learned=True)
    exact = total(balance, 0.0123, 0.0456)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(total(balance, 0.0123, 0.0456), exact)
