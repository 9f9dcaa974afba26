from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mattingzoo.models.dim.network import DIMNet, Refiner, unpool

COUNTS: list[tuple[dict[str, Any], int]] = [
    ({"conv6": "fc6"}, 130_536_897),
    ({"conv6": "fc6", "refine": True}, 130_613_698),
    ({"conv6": "conv3"}, 28_297_153),
    ({"conv6": "conv3", "skips": True}, 28_297_153),
    ({"conv6": "conv3", "refine": True}, 28_373_954),
    ({"conv6": "conv1"}, 26_200_001),
    ({"conv6": "conv1", "refine": True}, 26_276_802),
    ({"conv6": "fc6", "batch_norm": True, "activation": "clamp"}, 130_545_345),
]


def tiny(seed: int = 0, **options: Any) -> DIMNet:
    torch.manual_seed(seed)
    return DIMNet(**{"width": 4, "convs": (1, 1, 1, 1, 1), "conv6": "conv1", **options})


def picture(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    image = torch.rand(batch, 3, height, width, generator=rng)
    return image, torch.randint(3, (batch, 1, height, width), generator=rng) / 2


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("options", "expected"), COUNTS)
def test_parameter_count(options: dict[str, Any], expected: int) -> None:
    with torch.device("meta"):
        network = DIMNet(**options)
    assert count(network) == expected


def test_parameter_count_of_the_parts() -> None:
    with torch.device("meta"):
        narrow, wide = DIMNet(conv6="conv1", refine=True), DIMNet(conv6="fc6")
    assert isinstance(narrow.refiner, Refiner)
    assert count(narrow.encoder.blocks) == 14_715_264
    assert count(narrow.decoder) == 11_222_081
    assert count(wide.decoder) == 13_057_089
    assert count(narrow.refiner) == 76_801
    assert count(wide.encoder.conv6) == 102_764_544


@pytest.mark.parametrize("options", [options for options, _ in COUNTS])
def test_mattes_have_the_size_of_the_image(options: dict[str, Any]) -> None:
    network = tiny(**options).eval()
    output = network(*picture(2, 32, 64))
    for matte in output:
        assert matte.shape == (2, 1, 32, 64)
        assert matte.min() >= 0
        assert matte.max() <= 1


def test_full_network_at_the_sizes_of_the_paper() -> None:
    with torch.device("meta"):
        network = DIMNet(refine=True)
        for height, width in ((320, 320), (352, 640)):
            output = network(torch.empty(1, 3, height, width), torch.empty(1, 1, height, width))
            assert output.alpha.shape == output.coarse.shape == (1, 1, height, width)


def test_sizes_that_are_no_multiple_of_32_are_refused() -> None:
    with pytest.raises(ValueError, match=r"multiples of 32, got 330 x 320; pad it with .*pad_to"):
        tiny()(*picture(1, 330, 320))


@pytest.mark.parametrize(("name", "message"), [("conv6", "fc6, conv3, conv1"), ("activation", "")])
def test_unknown_choice_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be one of .*{message}, got 'none'"):
        tiny(**{name: "none"})


def test_encoder_ends_at_stride_32_and_remembers_positions() -> None:
    image, trimap = picture(1, 64, 96)
    encoded = tiny(conv6="fc6").encoder(torch.cat([image, trimap], dim=1))
    assert encoded.deep.shape == (1, 64 * 4, 2, 3)
    assert encoded.indices[4].shape == (1, 8 * 4, 2, 3)
    assert encoded.indices[4].max() < 4 * 6
    assert [tuple(fine.shape[1:]) for fine in encoded.maps] == [
        (4, 64, 96),
        (8, 32, 48),
        (16, 16, 24),
        (32, 8, 12),
        (32, 4, 6),
    ]


def test_unpooling_equals_torch_and_fills_a_quarter() -> None:
    pooled, indices = F.max_pool2d(torch.rand(2, 3, 8, 12) + 1, 2, return_indices=True)
    unpooled = unpool(pooled, indices)
    torch.testing.assert_close(unpooled, F.max_unpool2d(pooled, indices, 2), rtol=0, atol=0)
    assert unpooled.count_nonzero() == unpooled.numel() / 4


@pytest.mark.usefixtures("deterministic")
def test_runs_where_deterministic_algorithms_are_asked_for() -> None:
    tiny(refine=True)(*picture(1, 32, 32)).alpha.sum().backward()


@pytest.mark.parametrize("activation", ["sigmoid", "clamp"])
def test_refiner_without_a_residual_returns_the_first_matte(activation: str) -> None:
    network = tiny(refine=True, activation=activation).eval()
    assert network.refiner is not None
    for weight in network.refiner[-1].parameters():
        torch.nn.init.zeros_(weight)
    output = network(*picture(1, 32, 32))
    assert torch.equal(output.alpha, output.coarse)


def test_clamp_is_linear_while_training_and_cuts_afterwards() -> None:
    network = tiny(activation="clamp")
    torch.nn.init.constant_(network.decoder.to_alpha.bias, 3.0)
    torch.nn.init.zeros_(network.decoder.to_alpha.weight)
    sample = picture(1, 32, 32)
    assert (network(*sample).alpha == 3).all()
    assert (network.eval()(*sample).alpha == 1).all()


def test_skips_add_no_parameter_but_change_the_matte() -> None:
    plain, skipping = tiny(), tiny(skips=True)
    assert plain.state_dict().keys() == skipping.state_dict().keys()
    sample = picture(1, 32, 32)
    assert not torch.allclose(plain(*sample).alpha, skipping(*sample).alpha)


def test_statistics_stay_out_of_the_weights() -> None:
    assert not {"mean", "std"} & tiny().state_dict().keys()


def test_decoder_starts_xavier_and_encoder_he() -> None:
    network = tiny(width=16)
    deconv5, conv5 = network.decoder.deconvs[0], network.encoder.blocks[4][0]
    assert deconv5.weight.std().item() == pytest.approx((2 / (2 * 128 * 25)) ** 0.5, rel=0.02)
    assert conv5.weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
    assert deconv5.bias.count_nonzero() == conv5.bias.count_nonzero() == 0


@pytest.mark.parametrize("activation", ["sigmoid", "clamp"])
def test_bfloat16_autocast_is_close_and_ends_in_float32(activation: str) -> None:
    network = tiny(refine=True, activation=activation, width=8).eval()
    sample = picture(2, 64, 64)
    with torch.no_grad():
        full = network(*sample)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network(*sample)
    assert half.alpha.dtype == half.coarse.dtype == torch.float32
    assert (half.alpha - full.alpha).abs().mean() < 0.01


def test_memory_format_does_not_matter() -> None:
    network = tiny(refine=True)
    image, trimap = picture(2, 32, 64)
    expected = network(image, trimap).alpha
    network = network.to(memory_format=torch.channels_last)
    got = network(image.contiguous(memory_format=torch.channels_last), trimap).alpha
    torch.testing.assert_close(got, expected)


def test_compiles_without_a_graph_break() -> None:
    network = tiny(refine=True)
    sample = picture(1, 32, 32)
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*sample).alpha, network(*sample).alpha)
