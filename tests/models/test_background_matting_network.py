"""Background Matting's network: sizes, ranges and parameters of the official classes."""

import pytest
import torch
from torch import Tensor

from mattingzoo.models.background_matting import BackgroundMattingNet
from mattingzoo.models.background_matting.network import padded
from mattingzoo.nn.patchgan import PatchDiscriminator

CHANNELS = (3, 3, 1, 4)
COUNTS = {
    ("image_fine",): 83_712,
    ("image_deep",): 295_680,
    ("background",): 379_392,
    ("segmentation",): 373_120,
    ("motion",): 382_528,
    ("switch_background",): 32_896,
    ("switch_segmentation",): 32_896,
    ("switch_motion",): 32_896,
    ("merge", "trunk"): 8_383_488,
    ("alpha_trunk",): 3_543_552,
    ("foreground_trunk",): 3_543_552,
    ("alpha_up", "to_alpha"): 372_353,
    ("foreground_up",): 295_296,
    ("foreground_fine", "to_foreground"): 157_059,
}


def net(**options: bool) -> BackgroundMattingNet:
    torch.manual_seed(0)
    return BackgroundMattingNet(4, 1, 1, **options)


def pictures(height: int, width: int, count: int = 1) -> list[Tensor]:
    rng = torch.Generator().manual_seed(1)
    return [torch.rand(count, c, height, width, generator=rng) for c in CHANNELS]


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_parameters_are_those_of_the_official_classes() -> None:
    with torch.device("meta"):
        full = BackgroundMattingNet()
    parts = dict(full.named_children())
    assert {names: sum(count(parts[name]) for name in names) for names in COUNTS} == COUNTS
    assert {name for names in COUNTS for name in names} == set(parts)
    assert count(full) == 17_908_420
    assert len(full.state_dict()) == 322
    assert sum(buffer.numel() for buffer in full.buffers()) == 18_606


def test_discriminator_is_that_of_the_official_classes() -> None:
    judge = PatchDiscriminator(3, norm="instance", padding=2)
    assert count(judge) == 2_764_737
    with torch.device("meta"):
        judge = judge.to("meta")
        assert judge(torch.empty(1, 3, 512, 512)).shape == (1, 1, 67, 67)


@pytest.mark.parametrize("side", [512, 516])
def test_sizes_of_features_and_predictions(side: int) -> None:
    with torch.device("meta"):
        full = BackgroundMattingNet()
        inputs = [torch.empty(1, c, side, side) for c in CHANNELS]
        fine, shared = full.encode(*inputs)
        output = full(*inputs)
    assert fine.shape == (1, 128, side // 2, side // 2)
    assert shared.shape == (1, 256, side // 4, side // 4)
    assert output.alpha.shape == (1, 1, side, side)
    assert output.foreground.shape == (1, 3, side, side)


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (34, 31), (51, 50)])
def test_any_size_is_padded_and_cut_back(size: tuple[int, int]) -> None:
    model = net().eval()
    inputs = pictures(*size)
    alpha, foreground = model(*inputs)
    assert alpha.shape == (1, 1, *size) and foreground.shape == (1, 3, *size)
    by_hand = model(*(padded(picture) for picture in inputs))
    assert all(side % 4 == 0 and side >= 8 for side in by_hand.alpha.shape[-2:])
    torch.testing.assert_close(by_hand.alpha[..., : size[0], : size[1]], alpha)


def test_alpha_lies_strictly_inside_its_range_and_foreground_is_free() -> None:
    model = net()
    alpha = model(*pictures(32, 32, 2)).alpha
    assert alpha.min() > 0 and alpha.max() < 1
    with torch.no_grad():
        model.to_foreground.bias.fill_(5.0)
        model.to_foreground.weight.zero_()
    assert (model(*pictures(8, 8, 2)).foreground == 3).all()  # (5 + 1) / 2, not clamped


def test_predictions_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        output = net()(*pictures(16, 16, 2))
    assert output.alpha.dtype == output.foreground.dtype == torch.float32


def gradient_by_motion(model: BackgroundMattingNet) -> Tensor | None:
    image, background, segmentation, motion = pictures(16, 16, 2)
    motion.requires_grad_()
    model(image, background, segmentation, motion).alpha.sum().backward()
    return motion.grad


def test_motion_has_an_effect_as_drawn_and_none_as_released() -> None:
    drawn = gradient_by_motion(net(use_motion=True))
    assert drawn is not None and drawn.abs().max() > 0
    assert gradient_by_motion(net(use_motion=False)) is None
    released = net(use_motion=False).eval()
    inputs = pictures(16, 16)
    other = [*inputs[:3], 1 - inputs[3]]
    assert torch.equal(released(*inputs).alpha, released(*other).alpha)


@pytest.mark.parametrize("use_motion", [True, False])
def test_every_trainable_parameter_gets_a_gradient(use_motion: bool) -> None:
    """As plain DDP asks; an idle encoder is frozen."""
    model = net(use_motion=use_motion)
    output = model(*pictures(16, 16, 2))
    (output.alpha.sum() + output.foreground.sum()).backward()
    for name, weight in model.named_parameters():
        idle = name.startswith("motion.") and not use_motion
        assert weight.requires_grad != idle, name
        assert (weight.grad is None) == idle, name


def test_all_other_cues_have_an_effect() -> None:
    model = net().eval()
    inputs = pictures(16, 16)
    alpha = model(*inputs).alpha
    for place in range(4):
        other = [1 - picture if i == place else picture for i, picture in enumerate(inputs)]
        assert not torch.equal(model(*other).alpha, alpha)


def test_start_is_xavier_s_times_root_two_with_norms_near_one() -> None:
    torch.manual_seed(0)
    model = BackgroundMattingNet(16)
    weight = model.trunk[0].first[0].weight  # 64 to 64, 3 x 3
    limit = 2**0.5 * (6 / (2 * 64 * 9)) ** 0.5
    assert weight.abs().max() <= limit and weight.abs().max() > 0.99 * limit
    assert abs(weight.std().item() - limit / 3**0.5) < 0.02 * limit
    assert not model.trunk[0].first[0].bias.any()
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    scales = torch.cat([m.weight for m in norms])
    assert abs(scales.mean().item() - 1) < 0.02 and abs(scales.std().item() - 0.2) < 0.02
    assert not any(m.bias.any() for m in norms)
