"""The compositing equation, mergers of foregrounds, and colours carried outward."""

import pytest
import torch

from mattingzoo.ops import combine_foregrounds, composite, extend_foreground


def random_layers(*channels: int, side: int = 7) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(2, c, side, side, generator=generator) for c in channels]


def test_composite_is_the_equation() -> None:
    front, alpha, back = random_layers(3, 1, 3)
    torch.testing.assert_close(composite(front, alpha, back), alpha * front + (1 - alpha) * back)


def test_known_pixels_are_copied_exactly() -> None:
    front, back = random_layers(3, 3)
    assert torch.equal(composite(front, torch.ones(2, 1, 7, 7), back), front)
    assert torch.equal(composite(front, torch.zeros(2, 1, 7, 7), back), back)


def test_merged_foreground_composes_as_one_after_the_other() -> None:
    front, front_alpha, back, back_alpha, scene = random_layers(3, 1, 3, 1, 3)
    front_alpha[:, :, :2], back_alpha[:, :, :, :2] = 0, 0
    front_alpha[:, :, 5:], back_alpha[:, :, :, 5:] = 1, 1
    merged, alpha = combine_foregrounds(front, front_alpha, back, back_alpha)
    twice = composite(front, front_alpha, composite(back, back_alpha, scene))
    torch.testing.assert_close(composite(merged, alpha, scene), twice)
    torch.testing.assert_close(alpha, 1 - (1 - front_alpha) * (1 - back_alpha))


def test_empty_merger_keeps_the_front_colours() -> None:
    front, back = random_layers(3, 3)
    nothing = torch.zeros(2, 1, 7, 7)
    merged, alpha = combine_foregrounds(front, nothing, back, nothing)
    assert torch.equal(merged, front)
    assert alpha.max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (13, 2), (33, 47)])
def test_colours_under_alpha_stay_and_nothing_foreign_remains(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    alpha = (torch.rand(2, 1, *shape, generator=generator) - 0.7).clamp(min=0)
    alpha[:, :, 0, 0] = 1 / 255
    # The subject is bright, what lies around it black: any black left over is foreign.
    bright = 0.5 + 0.5 * torch.rand(2, 3, *shape, generator=generator)
    foreground = torch.where(alpha > 0, bright, 0)
    extended = extend_foreground(foreground, alpha)
    assert torch.equal(torch.where(alpha > 0, extended, 0), foreground)
    assert extended.min() >= 0.5 - 1e-6 and extended.max() <= 1 + 1e-6


def test_one_pixel_colours_a_large_picture() -> None:
    alpha = torch.zeros(1, 1, 2100, 3)
    alpha[..., 5, 1] = 1
    torch.testing.assert_close(
        extend_foreground(0.8 * alpha.expand(-1, 3, -1, -1), alpha),
        torch.full((1, 3, 2100, 3), 0.8),
    )
    wide = torch.zeros(1, 1, 2048, 2048)
    wide[..., 5, 1] = 1
    extended = extend_foreground(0.8 * wide, wide)
    assert abs(extended.min().item() - 0.8) < 1e-5


def test_colours_are_carried_to_the_nearest() -> None:
    alpha = torch.zeros(1, 1, 32, 32)
    alpha[..., :4], alpha[..., -4:] = 1, 1
    foreground = torch.zeros(1, 3, 32, 32)
    foreground[..., :4], foreground[..., -4:] = 0.2, 0.9
    row = extend_foreground(foreground, alpha)[0, 0, 16]
    assert (row[4:10] < 0.4).all() and (row[22:28] > 0.7).all()


def test_samples_do_not_mix() -> None:
    alpha = torch.zeros(2, 1, 8, 8)
    alpha[:, :, 2, 2] = 1
    foreground = torch.tensor([0.3, 0.6]).view(2, 1, 1, 1).expand(2, 3, 8, 8) * alpha
    extended = extend_foreground(foreground, alpha)
    torch.testing.assert_close(extended[0], torch.full((3, 8, 8), 0.3))
    torch.testing.assert_close(extended[1], torch.full((3, 8, 8), 0.6))


def test_empty_matte_has_no_colours_to_carry() -> None:
    extended = extend_foreground(torch.rand(1, 3, 9, 9), torch.zeros(1, 1, 9, 9))
    assert extended.max() == 0
