"""Shapes, sizes and parts of AdaMatting's network, against the specification and plain layers."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from mattingzoo.models import AdaMatting
from mattingzoo.models.adamatting.decoder import GlobalConv, Level
from mattingzoo.models.adamatting.encoder import Encoder
from mattingzoo.models.adamatting.network import AdaMattingNet, adapted_trimap, one_hot
from mattingzoo.models.adamatting.propagation import ConvLSTMCell, Propagation

TINY: dict[str, Any] = {
    "width": 4,
    "blocks": (1, 1, 1),
    "decoder_widths": (8, 8, 4, 4),
    "propagation_width": 4,
    "memory_width": 4,
    "gcn_kernel": 3,
}
PARTS = {
    "encoder": 8_546_432,
    "gcn_deep": 7_342_080,
    "gcn_mid_t": 1_836_032,
    "gcn_mid_a": 1_836_032,
    "gcn_shallow": 114_944,
    "t_decoder": 18_050_979,
    "a_decoder": 18_050_401,
    "propagation": 104_353,
}


def tiny(seed: int = 0, **options: Any) -> AdaMattingNet:
    torch.manual_seed(seed)
    return AdaMattingNet(**{**TINY, **options})


def picture(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    image = torch.rand(batch, 3, height, width, generator=rng)
    return image, torch.randint(3, (batch, 1, height, width), generator=rng) / 2


def count(module: nn.Module | None) -> int:
    assert module is not None
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 55_881_255),
        ({"stem_stride": 1, "stem_kernel": 3}, 55_871_015),
        ({"iterations": 1}, 55_881_255),
        ({"iterations": 5}, 55_881_255),
        ({"iterations": 3, "share_steps": False}, 55_881_255 + 2 * 104_353),
        ({"iterations": 0}, 55_881_255 - 104_353),
        ({"share_middle": True}, 55_881_255 - 1_836_032),
        # Without the task its decoder, its shortcuts and both uncertainties go.
        ({"trimap_decoder": False}, 55_881_255 - 18_050_979 - 7_342_080 - 1_836_032 - 2),
        ({"learned_sigmas": False}, 55_881_255 - 2),
    ],
)
def test_parameter_count(options: dict[str, Any], expected: int) -> None:
    with torch.device("meta"):
        assert count(AdaMatting(**options)) == expected


def test_parameter_count_of_the_parts() -> None:
    with torch.device("meta"):
        network = AdaMattingNet()
    assert {name: count(getattr(network, name)) for name in PARTS} == PARTS
    assert {name for name, _ in network.named_children()} == set(PARTS)
    assert sum(PARTS.values()) + 2 == 55_881_255
    assert network.t_decoder is not None
    for decoder, head in ((network.t_decoder, 867), (network.a_decoder, 289)):
        levels = [count(level) for level in decoder.levels]
        assert levels == [14_158_848, 3_540_480, 295_296, 55_488]
        assert count(decoder.head) == head


@pytest.mark.parametrize("stem", [{}, {"stem_stride": 1, "stem_kernel": 3}])
@pytest.mark.parametrize("side", [320, 96])
def test_features_and_predictions_of_the_full_network(stem: dict[str, Any], side: int) -> None:
    with torch.device("meta"):
        network = AdaMattingNet(**stem)
        features = network.encoder(torch.empty(1, 4, side, side))
        output = network(torch.empty(1, 3, side, side), torch.empty(1, 1, side, side))
    shapes = [tuple(feature.shape[1:]) for feature in features]
    expected = [(64, 2), (256, 4), (512, 8), (1024, 16)]
    assert shapes == [(width, side // stride, side // stride) for width, stride in expected]
    assert output.trimap.shape == (1, 3, side, side)
    assert output.coarse.shape == (1, 1, side, side)
    assert [alpha.shape for alpha in output.refined] == 3 * [(1, 1, side, side)]


VARIANTS: list[dict[str, Any]] = [
    {},
    {"stem_stride": 1, "stem_kernel": 3},
    {"fusion": "concat"},
    {"boundary_refinement": True},
    {"share_middle": True},
    {"global_conv": False},
    {"subpixel": False},
    {"trimap_decoder": False},
    {"iterations": 0},
    {"share_steps": False},
    {"fed_trimap": "argmax"},
    {"fed_trimap": "logits"},
    {"feed_given_trimap": True},
    {"gate_kernel": 5, "memory_width": 3},
    {"planes": (2, 3, 5)},
    {"start": "he", "statistics": False},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_variant_predicts_at_full_size(options: dict[str, Any]) -> None:
    network = tiny(**options)
    output = network(*picture(2, 32, 48))
    assert (output.trimap is None) == (not options.get("trimap_decoder", True))
    if output.trimap is not None:
        assert output.trimap.shape == (2, 3, 32, 48)
    assert len(output.refined) == options.get("iterations", 3)
    for alpha in (output.coarse, output.alpha, *output.refined):
        assert alpha.shape == (2, 1, 32, 48)
        assert alpha.dtype == torch.float32


def test_without_propagation_the_matte_is_the_coarse_one() -> None:
    output = tiny(iterations=0)(*picture(1, 32, 32))
    assert output.alpha is output.coarse and output.refined == ()


@pytest.mark.parametrize(("height", "width"), [(328, 320), (320, 24)])
def test_sizes_that_are_no_multiple_of_16_are_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=rf"multiples of 16, got {height} x {width}; pad it with"):
        tiny()(*picture(1, height, width))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stem_stride": 4}, "stem_stride must be one of 1, 2, got '4'"),
        ({"fusion": "mean"}, "fusion must be one of add, concat, got 'mean'"),
        ({"fed_trimap": "hard"}, "fed_trimap must be one of softmax, argmax, logits, got 'hard'"),
        ({"start": "zero"}, "start must be one of xavier, he, got 'zero'"),
        ({"gcn_kernel": 6}, "gcn_kernel must be an odd number of pixels, got 6"),
        ({"stem_kernel": 0}, "stem_kernel must be an odd"),
        ({"gate_kernel": -1}, "gate_kernel must be an odd"),
        ({"iterations": -1}, "iterations must be 0 or more, got -1"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_encoder_computes_what_torchvision_computes() -> None:
    theirs = torchvision.models.resnet50(weights=None).eval()
    encoder = Encoder(64, (64, 128, 256), (3, 4, 6), stem_stride=2, stem_kernel=7).eval()
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith(("layer4.", "fc."))}
    state["conv1.weight"] = F.pad(state["conv1.weight"], (0, 0, 0, 0, 0, 1))
    encoder.load_state_dict(state)
    image, trimap = picture(1, 64, 64)
    with torch.no_grad():
        features = encoder(torch.cat([image, trimap], dim=1))
        x = theirs.relu(theirs.bn1(theirs.conv1(image)))
        expected = [x]
        x = theirs.maxpool(x)
        for layer in (theirs.layer1, theirs.layer2, theirs.layer3):
            x = layer(x)
            expected.append(x)
    for feature, truth in zip(features, expected, strict=True):
        torch.testing.assert_close(feature, truth, rtol=1e-4, atol=1e-4)


def test_global_convolution_reaches_a_square() -> None:
    module = GlobalConv(1, 1, 7, refine=False)
    for weight in module.parameters():
        nn.init.constant_(weight, 1.0 if weight.ndim == 4 else 0.0)
    dot = torch.zeros(1, 1, 15, 15)
    dot[..., 7, 7] = 1
    spread = module(dot)
    expected = torch.zeros_like(dot)
    expected[..., 4:11, 4:11] = 2  # each of the two ways covers the 7 x 7 once
    assert torch.equal(spread, expected)


def test_level_doubles_by_moving_channels_into_space() -> None:
    level = Level(3, 2, subpixel=True).eval()
    assert level.subpixel is not None
    x = torch.rand(1, 3, 4, 5)
    y = level.subpixel(F.relu(level.norm(level.conv(x))))
    out = level(x)
    assert out.shape == (1, 2, 8, 10)
    for row in (0, 1):
        for column in (0, 1):
            for channel in (0, 1):
                source = y[:, 4 * channel + 2 * row + column]
                assert torch.equal(out[:, channel, row::2, column::2], source)


@pytest.mark.parametrize("start", ["xavier", "he"])
def test_no_checkerboard_to_begin_with(start: str) -> None:
    for name, module in tiny(start=start).named_modules():
        if isinstance(module, Level):
            out = module(torch.rand(1, module.conv.in_channels, 4, 4))
            blocks = out.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
            assert torch.equal(blocks, blocks[..., :1].expand_as(blocks)), name


def test_random_start() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AdaMattingNet(width=32, blocks=(1, 1, 1))
    up1, conv2 = network.a_decoder.levels[0].conv, network.encoder.layer3[0].conv2
    assert up1.weight.std().item() == pytest.approx((2 / ((512 + 256) * 9)) ** 0.5, rel=0.02)
    assert conv2.weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
    biases = [p for name, p in network.named_parameters() if name.endswith("bias")]
    assert all(bias.count_nonzero() == 0 for bias in biases)


def test_cell_computes_the_equations() -> None:
    torch.manual_seed(0)
    cell = ConvLSTMCell(2, 3, 3)
    x, h, c = torch.randn(2, 2, 5, 6), torch.randn(2, 3, 5, 6), torch.randn(2, 3, 5, 6)
    gates = F.conv2d(torch.cat([x, h], dim=1), cell.gates.weight, cell.gates.bias, padding=1)
    i, f, o, g = gates[:, :3], gates[:, 3:6], gates[:, 6:9], gates[:, 9:]
    memory = f.sigmoid() * c + i.sigmoid() * g.tanh()
    output, new = cell(x, (h, c))
    torch.testing.assert_close(new, memory)
    torch.testing.assert_close(output, o.sigmoid() * memory.tanh())


def test_propagation_hands_on_matte_and_memory() -> None:
    torch.manual_seed(0)
    unit = Propagation(2, 4, 3, 3, iterations=3, shared=True).eval()
    context, alpha = torch.rand(1, 2, 8, 8), torch.rand(1, 1, 8, 8)
    got = unit(context, alpha)
    step, state = unit.steps[0], (torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))
    for matte in got:
        x = step.blocks(torch.cat([context, alpha], dim=1))
        state = step.cell(x, state)
        alpha = step.to_alpha(state[0])
        torch.testing.assert_close(matte, alpha)


def test_steps_of_their_own_differ() -> None:
    unit = Propagation(2, 4, 3, 3, iterations=2, shared=False).eval()
    with torch.no_grad():
        unit.steps[1].to_alpha.bias.fill_(100.0)
    first, second = unit(torch.rand(1, 2, 8, 8), torch.rand(1, 1, 8, 8))
    assert first.max() < 50 < second.min()


def test_the_unit_can_reach_0_and_1() -> None:
    """Its output is a convolution of the cell's, not the cell's own within (-1, 1)."""
    unit = Propagation(2, 4, 3, 3, iterations=1, shared=True).eval()
    nn.init.constant_(unit.steps[0].to_alpha.bias, 2.0)
    assert unit(torch.rand(1, 2, 8, 8), torch.rand(1, 1, 8, 8))[0].max() > 1


@pytest.mark.parametrize(
    ("fed", "reaches"), [("softmax", True), ("logits", True), ("argmax", False)]
)
def test_the_matte_teaches_the_trimap_decoder_unless_it_sees_argmax(
    fed: str, reaches: bool
) -> None:
    network = tiny(fed_trimap=fed)
    network(*picture(2, 32, 32)).alpha.sum().backward()
    assert network.t_decoder is not None
    gradients = [weight.grad for weight in network.t_decoder.parameters()]
    touched = any(g is not None and g.count_nonzero() > 0 for g in gradients)
    assert touched == reaches
    for part in (network.encoder, network.a_decoder):
        assert all(w.grad is not None and w.grad.isfinite().all() for w in part.parameters())


def test_what_the_unit_sees_of_a_trimap() -> None:
    logits = torch.tensor([[3.0, 0, 0], [0, 2, 0], [0, 0, 1]]).T.view(1, 3, 1, 3)
    network = tiny()
    assert torch.equal(adapted_trimap(logits), torch.tensor([0, 0.5, 1]).view(1, 1, 1, 3))
    hard = torch.eye(3).view(1, 3, 1, 3)
    assert torch.equal(one_hot(adapted_trimap(logits)), hard)
    torch.testing.assert_close(network.fed(logits), logits.softmax(dim=1))
    assert torch.equal(tiny(fed_trimap="argmax").fed(logits), hard)
    assert torch.equal(tiny(fed_trimap="logits").fed(logits), logits)


def test_without_a_trimap_decoder_the_unit_sees_the_given_trimap() -> None:
    network = tiny(trimap_decoder=False).eval()
    image, trimap = picture(1, 32, 32)
    seen: list[Tensor] = []
    assert network.propagation is not None
    network.propagation.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(image, trimap)
    assert torch.equal(seen[0][:, 3:], one_hot(trimap))
    given = tiny(feed_given_trimap=True).eval()
    assert given.propagation is not None
    given.propagation.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    given(image, trimap)
    assert seen[1].shape[1] == 7 and torch.equal(seen[1][:, 6:], trimap)


def test_statistics_stay_out_of_the_weights() -> None:
    assert not {"mean", "std"} & tiny().state_dict().keys()


def test_memory_format_of_the_input_does_not_matter() -> None:
    network = tiny().eval()
    image, trimap = picture(2, 32, 48)
    expected = network(image, trimap).alpha
    got = network(image.contiguous(memory_format=torch.channels_last), trimap).alpha
    torch.testing.assert_close(got, expected)


def test_bfloat16_autocast_is_close_and_ends_in_float32() -> None:
    network = tiny().eval()
    sample = picture(2, 64, 64)
    with torch.no_grad():
        full = network(*sample)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network(*sample)
    assert half.trimap.dtype == half.alpha.dtype == half.coarse.dtype == torch.float32
    assert (half.alpha - full.alpha).abs().mean() < 0.02


def test_compiles_without_a_graph_break() -> None:
    network = tiny(iterations=2).eval()
    sample = picture(1, 32, 32)
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*sample).alpha, network(*sample).alpha)
