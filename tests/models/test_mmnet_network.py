"""MMNet's network: counts, shapes, padding and what flows where."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mattingzoo.models.mmnet.network import (
    ENCODER,
    EncoderBlock,
    MMNetwork,
    conv_norm,
    scale_depth,
)

# The paper's figures include the running statistics.
ALL = {0.5: 68_996, 0.75: 127_244, 1.0: 199_420, 1.4: 368_876}
TRAINABLE = {0.35: 34_108, 0.5: 64_260, 0.75: 120_428, 1.0: 190_652, 1.4: 356_588}
AUXILIARY = {0.5: 82, 0.75: 130, 1.0: 162, 1.4: 226}


@pytest.mark.parametrize("width", TRAINABLE)
def test_parameter_counts(width: float) -> None:
    network = MMNetwork(width)
    trainable = sum(p.numel() for p in network.parameters())
    assert trainable == TRAINABLE[width]
    if width in ALL:
        statistics = sum(b.numel() for b in network.buffers() if b.is_floating_point())
        assert trainable + statistics == ALL[width]
        assert sum(p.numel() for p in network.auxiliary.parameters()) == AUXILIARY[width]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (0.35, (8, 8, 8, 16, 24, 32, 40)),
        (0.5, (8, 16, 16, 24, 32, 40, 64)),
        (0.75, (16, 16, 24, 32, 48, 64, 88)),
        (1.0, (16, 24, 32, 40, 64, 80, 120)),
        (1.4, (24, 32, 48, 56, 88, 112, 168)),
    ],
)
def test_depths_at_every_width(width: float, expected: tuple[int, ...]) -> None:
    assert tuple(scale_depth(d, width) for d in (16, 24, 32, 40, 64, 80, 120)) == expected


@pytest.mark.parametrize(("size", "millions"), [(256, 327.5), (128, 81.9)])
def test_multiply_accumulates_at_width_1(size: int, millions: float) -> None:
    with FlopCounterMode(display=False) as counter:
        MMNetwork().eval()(torch.rand(1, 3, size, size))
    assert counter.get_total_flops() / 2e6 == pytest.approx(millions, rel=0.01)


def test_shapes_of_every_layer_at_width_1() -> None:
    network = MMNetwork().eval()
    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in network.named_modules():
        layer.register_forward_hook(
            lambda _, __, out, name=name: (
                shapes.update({name: tuple(out.shape[1:])}) if isinstance(out, Tensor) else None
            )
        )
    output = network(torch.rand(1, 3, 256, 256))
    channels = (16, 24, 24, 24, 40, 40, 40, 40, 80, 80)
    sides = (64, 64, 64, 64, 32, 32, 32, 32, 16, 16)
    assert shapes["init"] == (32, 128, 128)
    for i, (depth, side) in enumerate(zip(channels, sides, strict=True)):
        assert shapes[f"encoder.{i}"] == (depth, side, side)
    assert shapes["dec0"] == (128, 32, 32)
    assert shapes["dec1"] == (80, 64, 64)
    assert shapes["dec2"] == shapes["dec3"] == (40, 64, 64)
    assert shapes["dec4"] == (16, 64, 64)  # and enlarged twice
    assert shapes["final"] == (2, 256, 256)
    assert output.logits.shape == (1, 2, 256, 256)
    assert output.auxiliary.shape == (1, 2, 16, 16)
    assert output.alpha.shape == (1, 1, 256, 256)


def test_alpha_is_the_probability_of_channel_1() -> None:
    output = MMNetwork(0.35).eval()(torch.rand(2, 3, 32, 48))
    odds = (output.logits[:, 1:] - output.logits[:, :1]).sigmoid()
    torch.testing.assert_close(output.alpha, odds)


def same_padding(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    """TensorFlow's rule, pixel by pixel: out = ceil(in / stride), the odd pixel right and below."""
    reach = dilation * (weight.shape[-1] - 1) + 1
    size = -(-x.shape[-1] // stride)
    missing = max((size - 1) * stride + reach - x.shape[-1], 0)
    before = missing // 2
    padded = F.pad(x, (before, missing - before, before, missing - before))
    out = x.new_zeros(x.shape[0], weight.shape[0], size, size)
    for i in range(size):
        for j in range(size):
            rows = slice(i * stride, i * stride + reach, dilation)
            columns = slice(j * stride, j * stride + reach, dilation)
            window = padded[:, :, rows, columns]
            out[:, :, i, j] = torch.einsum("bchw,ochw->bo", window, weight)
    return out


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 2), (1, 8), (2, 1)])
def test_padding_is_tensorflows_same(stride: int, dilation: int) -> None:
    torch.manual_seed(0)
    block = conv_norm(2, 3, kernel=3, stride=stride, dilation=dilation).eval()
    layers = [layer for layer in block if isinstance(layer, nn.ZeroPad2d | nn.Conv2d)]
    x = torch.randn(2, 2, 12, 12)
    (conv,) = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    expected = same_padding(x, conv.weight, stride, dilation)
    torch.testing.assert_close(nn.Sequential(*layers)(x), expected)


def test_mergers_are_linear_but_for_the_last() -> None:
    network = MMNetwork(0.35)
    for number, block in enumerate(network.encoder):
        activated = any(isinstance(layer, nn.ReLU6) for layer in block.merge)
        assert activated == (number == len(ENCODER) - 1)
    assert not any(isinstance(x, nn.ReLU6) for b in (network.dec2, network.dec3) for x in b.merge)


def test_branches_are_merged_in_the_order_of_their_rates() -> None:
    block = EncoderBlock(4, 8, 8, (1, 2, 4))
    x = torch.rand(1, 4, 16, 16)
    parts = [branch(x) for branch in block.branches]
    dilations = [branch[-1][0].dilation[0] for branch in block.branches]
    assert dilations == [1, 2, 4]
    torch.testing.assert_close(block(x), block.merge(torch.cat(parts, dim=1)))


def test_decoder_comes_before_its_skip() -> None:
    block = MMNetwork(0.35).eval().dec1
    x, skip = torch.rand(1, 48, 8, 8), torch.rand(1, 8, 16, 16)
    joined = block(x, skip)
    torch.testing.assert_close(joined[:, 16:], block.refine(skip))
    assert torch.equal(block(x, 0 * skip)[:, :16], joined[:, :16])


def test_normalisation_is_the_authors() -> None:
    norms = [m for m in MMNetwork(0.35).modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 1e-3)}
    assert {
        m.momentum for m in MMNetwork(0.35, 0.05).modules() if isinstance(m, nn.BatchNorm2d)
    } == {0.05}


def test_only_what_phones_know_is_computed() -> None:
    """Convolutions, normalisations, ReLU6 and padding; joined and enlarged in between."""
    leaves = {type(m) for m in MMNetwork(0.35).modules() if not list(m.children())}
    assert leaves == {nn.Conv2d, nn.BatchNorm2d, nn.ReLU6, nn.ZeroPad2d}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0.0}, "width must be above 0, got 0"),
        ({"momentum": 0.0}, r"momentum must lie in \(0, 1\], got 0"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MMNetwork(**arguments)


def test_sizes_that_halving_does_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 16, got 32 x 40"):
        MMNetwork(0.35)(torch.rand(1, 3, 32, 40))
