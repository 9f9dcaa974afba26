"""GFM's network: sizes, the merger on maps drawn by hand, and where gradients go."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mattingzoo.models.gfm import GFMNet
from mattingzoo.models.gfm.losses import fusion_loss
from mattingzoo.models.gfm.merge import glance_map, merge
from mattingzoo.models.gfm.network import Blend
from mattingzoo.ops import pad_to_multiple

TINY: dict[str, Any] = {
    "encoder": "tiny", "widths": (4, 8, 8, 16, 16), "blocks": (1, 1, 1, 1)
}  # fmt: skip


def tiny(variant: Any = "TT") -> GFMNet:
    torch.manual_seed(0)
    return GFMNet(variant=variant, **TINY)


def shapes(encoder: Any, side: int) -> dict[str, list[tuple[int, int]]]:
    """Channels and side of each feature and level, without computing them."""
    with torch.device("meta"):
        network = GFMNet(encoder).eval()
        image = torch.empty(1, 3, side, side)
    seen: dict[str, list[tuple[int, int]]] = {"glance": [], "focus": [], "features": []}

    def note(name: str) -> Any:
        return lambda _, __, x: seen[name].append((x.shape[1], x.shape[-1]))

    for name, decoder in {"glance": network.glance, "focus": network.focus}.items():
        for level in (*decoder.levels, *decoder.heads):
            level.register_forward_hook(note(name))
    network.encoder.register_forward_hook(
        lambda _, __, features: seen["features"].extend((x.shape[1], x.shape[-1]) for x in features)
    )
    output = network(image)
    assert output.alpha.shape == (1, 1, side, side)
    return seen


def test_sizes_of_r34_at_320_pixels_are_those_of_the_table() -> None:
    seen = shapes("r34", 320)
    assert seen["features"] == [(64, 160), (64, 80), (128, 40), (256, 20), (512, 10)]
    levels = [(256, 20), (128, 40), (64, 80), (64, 160)]
    assert seen["glance"] == [*levels, (3, 320)]
    assert seen["focus"] == [*levels, (1, 320)]


def test_sizes_of_the_other_encoders() -> None:
    dense = shapes("d121", 64)
    assert dense["features"] == [(64, 32), (128, 16), (256, 8), (512, 4), (512, 2)]
    assert dense["focus"] == [(256, 4), (128, 8), (64, 16), (64, 32), (1, 64)]
    deep = shapes("r101", 64)
    assert deep["features"] == [(64, 32), (256, 16), (512, 8), (1024, 4), (2048, 2)]
    assert deep["glance"] == [(1024, 4), (512, 8), (256, 16), (64, 32), (3, 64)]
    fine = shapes("r34_2b", 64)
    assert fine["features"] == [
        (64, 64), (64, 64), (128, 32), (256, 16), (512, 8), (512, 4), (512, 2)
    ]  # fmt: skip
    levels = [(512, 4), (512, 8), (256, 16), (128, 32), (64, 64), (64, 64)]
    assert fine["glance"] == [*levels, (3, 64)] and fine["focus"] == [*levels, (1, 64)]


def test_tiny_at_its_default_widths_fits_into_four_megabytes() -> None:
    state = GFMNet("tiny").state_dict()
    assert sum(value.numel() for value in state.values()) * 2 < 4e6  # as float16
    assert sum(p.numel() for p in GFMNet("tiny").parameters()) < 1.9e6


@pytest.mark.parametrize("variant", ["TT", "FT", "BT", "RIM"])
def test_what_comes_out(variant: str) -> None:
    network = tiny(variant)
    output = network(pad_to_multiple(torch.rand(2, 3, 33, 47), 32))
    assert len(output.parts) == (3 if variant == "RIM" else 1)
    for name, part in zip(network.representations, output.parts, strict=True):
        assert part.glance.shape == (2, 3 if name == "TT" else 2, 64, 64)
        for matte in (part.focus, part.alpha):
            assert matte.shape == (2, 1, 64, 64)
            assert matte.min() >= 0 and matte.max() <= 1
        merged = merge(glance_map(part.glance), part.focus, name)
        assert torch.equal(part.alpha, merged)
    if variant == "RIM":
        assert output.alpha.shape == (2, 1, 64, 64)
    else:
        assert torch.equal(output.alpha, output.parts[0].alpha)


@pytest.mark.parametrize("size", [(33, 47), (32, 48), (16, 64)])
def test_sides_must_be_multiples_of_32(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"multiples of 32, got {size[0]} x {size[1]}; to train"):
        tiny()(torch.rand(1, 3, *size))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"encoder must be one of r34, .*, tiny, got 'r50'"):
        GFMNet("r50")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="variant must be one of TT, FT, BT, RIM, got 'TF'"):
        GFMNet("tiny", "TF")  # type: ignore[arg-type]


def test_layers_see_0_to_255() -> None:
    network, seen = tiny(), []
    network.encoder.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    image = torch.rand(1, 3, 32, 32)
    network(image.expand(2, -1, -1, -1))
    torch.testing.assert_close(seen[0][:1], 255 * image)


def maps(*values: float) -> Tensor:
    return torch.tensor([float(value) for value in values]).view(1, 1, 1, -1)


@pytest.mark.parametrize(
    ("representation", "glance", "expected"),
    [
        ("TT", (0, 0.5, 1), (0, 0.3, 1)),
        ("FT", (0, 1), (0.3, 1)),
        ("BT", (0, 1), (0, 0.7)),
        # An enlarged glance: focus counts in the whole rim, but for rounding errors (TT).
        ("TT", (0.1, 0.9, 1e-7, 1 - 1e-7), (0.3, 0.3, 0, 1)),
        ("FT", (0.2, 0.9), (0.5, 1)),
        ("BT", (0.2, 0.9), (0, 0.6)),
    ],
)
def test_merger(representation: Any, glance: Any, expected: Any) -> None:
    merged = merge(maps(*glance), torch.full_like(maps(*glance), 0.3), representation)
    torch.testing.assert_close(merged, maps(*expected))


def test_class_of_a_glance() -> None:
    three = torch.eye(3).view(1, 3, 1, 3)
    assert torch.equal(glance_map(three), maps(0, 0.5, 1))
    assert torch.equal(glance_map(torch.eye(2).view(1, 2, 1, 2)), maps(0, 1))


def test_merged_matte_teaches_focus_alone_and_in_the_transition_alone() -> None:
    network = tiny()
    image = torch.rand(2, 3, 64, 64)
    part = network(image).parts[0]
    part.focus.retain_grad()
    fusion_loss(part.alpha, torch.rand(2, 1, 64, 64)).backward()
    transition = glance_map(part.glance) == 0.5
    assert 0 < transition.float().mean() < 1
    assert part.focus.grad is not None
    assert (part.focus.grad[~transition] == 0).all() and (part.focus.grad[transition] != 0).any()
    assert all(weight.grad is None for weight in network.glance.parameters())
    assert all(weight.grad is not None for weight in network.focus.parameters())


@pytest.mark.parametrize("variant", ["FT", "BT"])
def test_glance_of_two_classes_gets_no_gradient_from_the_matte_either(variant: str) -> None:
    network = tiny(variant)
    fusion_loss(network(torch.rand(2, 3, 64, 64)).alpha, torch.rand(2, 1, 64, 64)).backward()
    assert all(weight.grad is None for weight in network.glance.parameters())


def test_blend_in_bfloat16_keeps_256_levels() -> None:
    torch.manual_seed(0)
    blend, mattes = Blend(3), torch.rand(1, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        rough = blend(mattes)
    assert rough.dtype == torch.float32 and torch.equal(rough, blend(mattes))


def test_predictions_are_float32_in_bfloat16() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        output = tiny("RIM")(torch.rand(2, 3, 32, 32))
    tensors = [output.alpha, *(tensor for part in output.parts for tensor in part)]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}


def test_every_layer_of_an_encoder_is_used() -> None:
    network = tiny("RIM")
    output = network(torch.rand(2, 3, 64, 64))
    parts = [tensor.sum() for part in output.parts for tensor in part]
    (output.alpha.sum() + sum(parts)).backward()
    assert all(weight.grad is not None for weight in network.parameters())
    assert isinstance(network.blend, nn.Module)
