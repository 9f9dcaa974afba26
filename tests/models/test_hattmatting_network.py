"""Shapes, sizes and parts of HAttMatting's network, against the specification and plain layers."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from mattingzoo.models.hattmatting.aspp import ASPP
from mattingzoo.models.hattmatting.attention import (
    AppearanceCues,
    FeatureDistillation,
    SpatialAttention,
)
from mattingzoo.models.hattmatting.backbone import Backbone
from mattingzoo.models.hattmatting.layers import PooledNorm
from mattingzoo.models.hattmatting.network import HAttMattingNet
from mattingzoo.nn import PatchDiscriminator

TINY: dict[str, Any] = {
    "backbone": "tiny",
    "tiny_width": 4,
    "tiny_blocks": (1, 1, 2, 2),
    "width": 16,
    "aspp_rates": (1, 2),
}
ABLATIONS: list[dict[str, Any]] = [
    {},
    {"channel_attention": False},
    {"spatial_attention": False},
    {"low_level": False},
    {"channel_attention": False, "low_level": False},
    {"channel_pool": "both"},
    {"attention_maps": "each", "asymmetric_norm": True},
    {"freeze_bn": True},
    {"checkpointing": True},
]


def tiny(seed: int = 0, **options: Any) -> HAttMattingNet:
    torch.manual_seed(seed)
    return HAttMattingNet(**{**TINY, **options})


def pictures(batch: int = 2, height: int = 32, width: int = 48) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def count(module: nn.Module | None) -> int:
    assert module is not None
    return sum(weight.numel() for weight in module.parameters())


def on_meta(**options: Any) -> HAttMattingNet:
    with torch.device("meta"):
        return HAttMattingNet(**options)


@pytest.mark.parametrize(
    ("options", "total", "backbone"),
    [
        ({}, 107_929_170, 86_742_336),
        ({"reduction": 2}, 107_986_626, 86_742_336),
        ({"attention_maps": "each"}, 108_059_985, 86_742_336),
        ({"backbone": "resnext101_32x4d"}, 63_315_538, 42_128_704),
        ({"backbone": "resnext101_32x4d", "reduction": 2}, 63_372_994, 42_128_704),
        # Without attention its layers go, without low-level features half of the head's inputs.
        ({"channel_attention": False}, 107_929_170 - 8_464, 86_742_336),
        ({"spatial_attention": False}, 107_929_170 - 2 * 918_016 - 513, 86_742_336),
        ({"low_level": False}, 107_929_170 - 2 * 918_016 - 513 - 590_336 - 2_304, 86_742_336),
    ],
)
def test_parameter_counts(options: dict[str, Any], total: int, backbone: int) -> None:
    network = on_meta(**options)
    assert count(network) == total
    assert count(network.backbone) == backbone


def test_parameter_counts_of_every_part() -> None:
    network = on_meta()
    assert count(network.aspp) - count(network.aspp.fuse) == 15_206_912
    assert count(network.aspp.fuse) == 2_949_632
    assert count(network.pfd) == 8_464
    assert count(network.acf.deepen) == count(network.acf.filter) == 590_336
    attend = network.acf.attend
    assert attend is not None
    assert count(attend.tall_first) == count(attend.wide_first) == 918_016
    assert count(attend.to_map) == 513
    assert count(network.head) == 4_609


def test_discriminator_of_image_and_matte() -> None:
    with torch.device("meta"):
        assert count(PatchDiscriminator(4)) == 2_766_657
        assert count(PatchDiscriminator(4, norm="instance")) == 2_765_761
        assert PatchDiscriminator(4)(torch.empty(1, 4, 512, 512)).shape == (1, 1, 62, 62)


def test_shipped_variant_stays_below_4_megabytes() -> None:
    network = on_meta(backbone="tiny", width=40, aspp_rates=(3, 6, 12))
    assert count(network) == 1_832_140


def test_sizes_of_all_features() -> None:
    network, sizes = on_meta(), {}
    stages = {
        name: stage[-1] for name, stage in network.backbone.named_children() if "layer" in name
    }
    for name, module in {"conv1": network.backbone.conv1, **stages, "pfd": network.pfd}.items():
        module.register_forward_hook(
            lambda _, __, output, name=name: sizes.update({name: tuple(output.shape)})
        )
    output = network(torch.empty(1, 3, 512, 512, device="meta"))
    assert sizes == {
        "conv1": (1, 64, 256, 256),
        "layer1": (1, 256, 256, 256),
        "layer2": (1, 512, 128, 128),
        "layer3": (1, 1024, 64, 64),
        "layer4": (1, 2048, 64, 64),
        "pfd": (1, 256, 256, 256),
    }
    assert output.alpha.shape == (1, 1, 512, 512)
    assert output.attention is not None and output.attention.shape == (1, 1, 256, 256)


@pytest.mark.parametrize("name", ["resnext101_32x8d", "resnext50_32x4d"])
def test_backbone_has_the_keys_of_torchvision_but_its_classifier(name: str) -> None:
    ours = on_meta(backbone=name).backbone.state_dict()
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)(weights=None).state_dict()
    assert set(theirs) - set(ours) == {"fc.weight", "fc.bias"}
    assert set(ours) <= set(theirs)
    assert all(theirs[key].shape == value.shape for key, value in ours.items())


def test_backbone_computes_what_torchvision_computes_without_max_pool() -> None:
    theirs = torchvision.models.resnext50_32x4d(
        weights=None, replace_stride_with_dilation=[False, False, True]
    ).eval()
    ours = Backbone("resnext50_32x4d").eval()
    ours.load_state_dict({k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")})
    image = pictures(1, 32, 40)
    with torch.no_grad():
        features = ours(image)
        low = theirs.layer1(theirs.relu(theirs.bn1(theirs.conv1(image))))
        high = theirs.layer4(theirs.layer3(theirs.layer2(low)))
    assert features.low.shape[-2:] == (16, 20) and features.high.shape[-2:] == (4, 5)
    torch.testing.assert_close(features.low, low, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features.high, high, rtol=1e-4, atol=1e-5)


def test_dilation_of_the_last_stage() -> None:
    for dilation in (1, 2, 4):
        first, second = tiny(dilation=dilation).backbone.layer4
        assert first.conv2.stride == (1, 1)
        assert second.conv2.dilation == second.conv2.padding == (dilation, dilation)


@pytest.mark.parametrize("options", ABLATIONS, ids=str)
def test_output_and_gradients_of_every_ablation(options: dict[str, Any]) -> None:
    network = tiny(**options)
    nn.init.constant_(network.head.bias, -1.0)
    output = network(pictures())
    assert output.alpha.shape == (2, 1, 32, 48) and output.alpha.dtype == torch.float32
    assert output.alpha.min() > 0 and output.alpha.max() < 1
    attends = options.get("spatial_attention", True) and options.get("low_level", True)
    assert (output.attention is not None) == attends
    output.alpha.sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name


def test_low_level_features_reach_the_matte_unless_left_out() -> None:
    for low_level in (True, False):
        network = tiny(low_level=low_level).eval()
        cues = network.acf
        low, distilled = torch.rand(1, 16, 8, 8), torch.rand(1, 16, 8, 8)
        assert torch.equal(cues(low, distilled)[0], cues(2 * low, distilled)[0]) != low_level


# --- pyramidal features distillation


def test_channels_are_judged_by_their_maximum_alone() -> None:
    torch.manual_seed(0)
    module, x = FeatureDistillation(8, reduction=2), torch.rand(3, 8, 5, 6)
    hidden = F.relu(x.amax(dim=(2, 3)) @ module.mlp[0].weight.T + module.mlp[0].bias)
    expected = (hidden @ module.mlp[2].weight.T + module.mlp[2].bias).sigmoid()
    torch.testing.assert_close(module.weights(x), expected)
    torch.testing.assert_close(module(x), x * expected[:, :, None, None])
    assert expected.min() > 0 and expected.max() < 1


def test_a_maximum_changes_the_weights_of_its_own_picture() -> None:
    torch.manual_seed(0)
    module, x = FeatureDistillation(8, reduction=1), torch.rand(2, 8, 5, 6)
    before, other = module.weights(x), x.clone()
    place = x[1, 3].argmax()
    other[1, 3].view(-1)[place] *= 3
    after = module.weights(other)
    assert torch.equal(after[0], before[0]) and not torch.equal(after[1], before[1])
    other = x.clone()
    other[1, 3].view(-1)[x[1, 3].argmin()] *= 0.5  # no maximum
    assert torch.equal(module.weights(other), before)


def test_constant_features_stay_constant() -> None:
    flat = torch.rand(2, 8, 1, 1).expand(2, 8, 5, 6)
    out = FeatureDistillation(8)(flat)
    assert torch.equal(out, out[..., :1, :1].expand_as(out))


def test_other_ways_to_judge_channels() -> None:
    torch.manual_seed(0)
    module, x = FeatureDistillation(8, reduction=2), torch.rand(2, 8, 5, 6)
    top, mean = module.mlp(x.amax(dim=(2, 3))), module.mlp(x.mean(dim=(2, 3)))
    for pool, logits in {"max": top, "average": mean, "both": top + mean}.items():
        module.pool = pool  # type: ignore[assignment]
        torch.testing.assert_close(module.weights(x), logits.sigmoid())


def test_narrow_features_keep_a_hidden_channel() -> None:
    assert FeatureDistillation(8, reduction=16).mlp[0].out_features == 1


# --- appearance cues filtration


def cues(**options: Any) -> tuple[AppearanceCues, Tensor, Tensor]:
    torch.manual_seed(0)
    module = AppearanceCues(6, 8, **options).eval()
    return module, torch.rand(2, 6, 9, 10), torch.rand(2, 8, 9, 10)


def force(module: AppearanceCues, attention: float) -> None:
    assert module.attend is not None
    nn.init.zeros_(module.attend.to_map.weight)
    nn.init.constant_(module.attend.to_map.bias, 1e4 if attention else -1e4)


def test_attention_of_0_leaves_the_bias_of_low_level_features() -> None:
    module, low, distilled = cues()
    force(module, 0.0)
    assert module.filter is not None
    fused, attention = module(low, distilled)
    assert attention.count_nonzero() == 0
    assert torch.equal(fused[:, :8], module.filter(torch.zeros_like(low)))


def test_attention_of_1_is_plain_fusion() -> None:
    module, low, distilled = cues()
    force(module, 1.0)
    plain = AppearanceCues(6, 8, spatial_attention=False).eval()
    state = {k: v for k, v in module.state_dict().items() if not k.startswith("attend.")}
    plain.load_state_dict(state)
    assert torch.equal(module(low, distilled)[0], plain(low, distilled)[0])
    assert plain(low, distilled)[1] is None


def test_deep_features_are_joined_after_their_convolution() -> None:
    module, low, distilled = cues()
    fused, _ = module(low, distilled)
    assert torch.equal(fused[:, 8:], module.deepen(distilled))


def test_attention_is_drawn_from_the_deep_features() -> None:
    module, low, distilled = cues()
    assert module.attend is not None and module.filter is not None
    fused, attention = module(low, distilled)
    assert torch.equal(attention, module.attend(module.deepen(distilled)))
    assert torch.equal(fused[:, :8], module.filter(attention * low))


@pytest.mark.parametrize(("maps", "channels"), [("one", 1), ("each", 6)])
def test_maps_of_attention(maps: str, channels: int) -> None:
    module, low, distilled = cues(maps=maps)
    assert module(low, distilled)[1].shape == (2, channels, 9, 10)


@pytest.mark.parametrize("norm", [False, True])
def test_thin_kernels_go_both_ways(norm: bool) -> None:
    module = SpatialAttention(4, norm=norm)
    kernels = {
        name: [m.kernel_size for m in branch.modules() if isinstance(m, nn.Conv2d)]
        for name, branch in module.named_children()
        if name != "to_map"
    }
    assert kernels == {"tall_first": [(7, 1), (1, 7)], "wide_first": [(1, 7), (7, 1)]}
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in module.modules())
    assert norms == (4 if norm else 0)
    assert module(torch.rand(2, 4, 5, 6)).shape == (2, 1, 5, 6)


# --- the pyramid


def test_pyramid_joins_its_views() -> None:
    torch.manual_seed(0)
    module, x = ASPP(5, 4, (1, 3)).eval(), torch.rand(2, 5, 6, 7)
    views = [module.point(x)]
    for branch, rate in zip(module.dilated, (1, 3), strict=True):
        conv = F.conv2d(x, branch[0].weight, padding=rate, dilation=rate)
        views.append(F.relu(branch[1](conv)))
    pooled = F.conv2d(x.mean(dim=(2, 3), keepdim=True), module.pool[1].weight)
    views.append(F.relu(module.pool[2](pooled)).expand(2, 4, 6, 7))
    torch.testing.assert_close(module(x), module.fuse(torch.cat(views, dim=1)))


def test_a_batch_of_one_can_be_trained() -> None:
    network = tiny()
    network(pictures(1)).alpha.sum().backward()
    assert all(w.grad is not None and w.grad.isfinite().all() for w in network.parameters())


def test_pooled_norm_is_batch_norm_but_for_one_picture() -> None:
    ours, theirs = PooledNorm(3), nn.BatchNorm2d(3)
    batch = torch.randn(4, 3, 1, 1)
    assert torch.equal(ours(batch), theirs(batch))
    before = ours.running_mean.clone()
    torch.testing.assert_close(ours(batch[:1]), theirs.eval()(batch[:1]))
    assert torch.equal(ours.running_mean, before)


# --- the whole


def test_logits_are_enlarged_before_the_sigmoid() -> None:
    network, logits = tiny().eval(), []
    network.head.register_forward_hook(lambda *given: logits.append(given[2]))
    alpha = network(pictures()).alpha
    expected = F.interpolate(logits[0], scale_factor=2, mode="bilinear").sigmoid()
    torch.testing.assert_close(alpha, expected)
    assert logits[0].min() < 0 < logits[0].max()  # nothing holds the matte above one half


def test_recomputing_changes_memory_alone() -> None:
    sizes, states = [], []
    for checkpointing in (False, True):
        network = tiny(checkpointing=checkpointing)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        kept: list[int] = []

        def keep(tensor: Tensor, kept: list[int] = kept) -> Tensor:
            kept.append(tensor.numel())
            return tensor

        for step in range(2):
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                loss = network(pictures()).alpha.square().sum()
            sizes.append(sum(kept)) if step == 0 else None
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        states.append(network.state_dict())
    assert sizes[1] < 0.6 * sizes[0]
    for key, value in states[0].items():  # running statistics and counts of batches included
        torch.testing.assert_close(states[1][key], value, rtol=1e-4, atol=1e-6)


def test_frozen_statistics_stay_and_weights_do_not() -> None:
    network = tiny(freeze_bn=True).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    network(pictures()).alpha.sum().backward()
    after = network.state_dict()
    statistics = [k for k in before if "running" in k]
    still = [k for k in statistics if torch.equal(before[k], after[k])]
    assert still == [k for k in statistics if k.startswith("backbone.")]
    assert network.backbone.bn1.weight.grad is not None


@pytest.mark.parametrize(("height", "width"), [(33, 48), (32, 12)])
def test_sizes_that_are_no_multiple_of_8_are_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=rf"multiples of 8, got {height} x {width}; pad it with"):
        tiny()(pictures(1, height, width))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet50"}, "backbone must be one of resnext101_32x8d, .*got 'resnet50'"),
        ({"tiny_width": 6}, "tiny_width must be a multiple of 4, got 6"),
        ({"tiny_width": 0}, "tiny_width must be a multiple of 4, got 0"),
        ({"channel_pool": "min"}, "channel_pool must be one of max, average, both, got 'min'"),
        ({"attention_maps": "two"}, "attention_maps must be one of one, each, got 'two'"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_statistics_are_the_networks_own_and_no_weights() -> None:
    network, image = tiny().eval(), pictures()
    assert not {"mean", "std"} & network.state_dict().keys()
    plain = tiny(statistics=False).eval()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    torch.testing.assert_close(network(image).alpha, plain((image - mean) / std).alpha)


def test_corners_may_be_aligned() -> None:
    small = torch.rand(1, 1, 3, 4)
    expected = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=True)
    assert torch.equal(tiny(align_corners=True).enlarge(small, 2), expected)


def test_bfloat16_autocast_is_close_and_ends_in_float32() -> None:
    network, image = tiny().eval(), pictures()
    with torch.no_grad():
        full = network(image).alpha
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network(image).alpha
    assert half.dtype == torch.float32
    assert (half - full).abs().mean() < 0.02


def test_compiles_without_a_graph_break() -> None:
    network, image = tiny().eval(), pictures(1)
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(image).alpha, network(image).alpha)
