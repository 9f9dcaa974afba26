"""SEMat's network beside segment_anything's own classes, on the same random weights."""

from typing import Any

import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mattingzoo.models.semat.decoder import best_mask, regularised
from mattingzoo.models.semat.encoder import Features, box_plane
from mattingzoo.models.semat.lora import LoRAConv2d, LoRALinear
from mattingzoo.models.semat.network import SEMatNet, sam_name
from mattingzoo.models.semat.sam import TinySAM, build_sam

MICRO = TinySAM(size=64, width=32, depth=4, heads=2, window=2, decoder_width=32)
BOXES = torch.tensor([[3.0, 4.0, 40.0, 50.0], [0.0, 0.0, 63.0, 63.0], [10.0, 20.0, 30.0, 41.0]])


def network(seed: int = 0, **options: Any) -> SEMatNet:
    torch.manual_seed(seed)
    defaults: dict[str, Any] = {"sam": "tiny", "tiny": MICRO, "widths": (4, 4, 8, 8)}
    net = SEMatNet(**{**defaults, "stem_kernel": 3, "lora_rank": 4, **options})
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name.endswith(("rel_pos_h", "rel_pos_w", "pos_embed", "lora_b.weight")):
                weight.normal_(std=0.2)  # zero in a new network, which would hide mistakes
    return net.eval()


def plain_sam(net: SEMatNet) -> Sam:
    """segment_anything's model with the very weights of a network."""
    sam = build_sam("tiny", MICRO)
    state = {sam_name(key): value for key, value in net.state_dict().items() if sam_name(key)}
    sam.load_state_dict({key: value for key, value in state.items() if ".hf_" not in key})
    return sam.eval()


def pictures(count: int = 3) -> Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(5))


def count(part: nn.Module, trained_only: bool = False) -> int:
    return sum(p.numel() for p in part.parameters() if p.requires_grad or not trained_only)


def on_meta(name: Any, hq: bool = False) -> SEMatNet:
    with torch.device("meta"):
        net = SEMatNet(name, hq)
    net.freeze(train_sam=False)
    return net


# Sections 11 and 12 of the specification, measured on the authors' modules: encoder, LoRA, boxes'
# patch embedding, matting tokens with their head, detail decoder; trained, all, all with HQ-SAM.
PARAMETERS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "vit_b": (
        (89_670_912, 909_312, 787_200, 1_071_616, 12_487_953),
        (15_256_081, 108_991_553, 110_062_657),
    ),
    "vit_l": (
        (308_278_272, 2_387_968, 1_049_600, 1_333_760, 13_536_785),
        (18_308_113, 330_650_945, 331_984_193),
    ),
    "vit_h": (
        (637_026_048, 3_964_928, 1_312_000, 1_595_904, 14_716_689),
        (21_589_521, 662_680_129, 664_275_521),
    ),
    "tiny": (
        (1_077_568, 62_464, 65_600, 350_720, 10_279_505),
        (10_758_289, 15_900_417, 16_250_625),
    ),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name: str) -> None:
    parts, totals = PARAMETERS[name]
    net = on_meta(name)
    assert net.encoder.prompt_embed is not None
    lora = sum(p.numel() for key, p in net.named_parameters() if ".lora_" in key)
    encoder, prompt = count(net.encoder.vit) - lora, count(net.encoder.prompt_embed)
    assert (encoder, lora, prompt, count(net.decoder.matting), count(net.detail)) == parts
    assert (count(net.prompt_encoder), count(net.decoder.sam)) == (6_220, 4_058_340)
    assert (count(net, trained_only=True), count(net), count(on_meta(name, hq=True))) == totals


def test_detail_decoder_of_vit_l_by_part() -> None:
    detail = on_meta("vit_l").detail
    assert [count(down) for down in detail.downs] == [128_416, 410_432, 1_640_064, 6_556_928]
    assert [count(up) for up in detail.ups] == [870_016, 217_920, 54_688, 13_776]
    parts = detail.stem, detail.tap_proj, detail.fusion, detail.middle, detail.to_alpha
    assert [count(part) for part in parts] == [102_896, 1_049_600, 2_360_064, 131_840, 145]
    lora = on_meta("vit_l").encoder.vit.patch_embed.proj
    assert count(lora.lora_a) + count(lora.lora_b) == 28_672


def test_what_is_trained_beside_sam() -> None:
    net = network(hq=True)
    net.freeze(train_sam=False)
    trained = {name for name, p in net.named_parameters() if p.requires_grad}
    assert trained == {
        name
        for name, _ in net.named_parameters()
        if ".lora_" in name
        or name.startswith(("encoder.prompt_embed.", "decoder.matting.", "detail."))
    }
    adapted = {name.rsplit(".", 3)[-3] for name in trained if ".lora_" in name}
    assert adapted == {"qkv", "proj"}
    assert sum(".lora_" in name for name in trained) == 2 * (2 * MICRO.depth + 1)


def test_nothing_frozen_depends_on_the_mode() -> None:
    # Why prompt encoder and SAM decoder need no evaluation mode of their own.
    net = network(hq=True)
    for part in (net.prompt_encoder, net.decoder):
        assert not [m for m in part.modules() if isinstance(m, _BatchNorm | nn.Dropout)]


def test_registry_is_the_package_s() -> None:
    with torch.device("meta"):
        theirs = sam_model_registry["vit_b"]().state_dict()
        ours = SEMatNet("vit_b", lora_rank=0).state_dict()
    names = {sam_name(key): tuple(value.shape) for key, value in ours.items() if sam_name(key)}
    assert names == {key: tuple(value.shape) for key, value in theirs.items()}


@pytest.mark.parametrize("fused", [True, False])
def test_without_lora_and_box_the_encoder_is_sam_s(fused: bool) -> None:
    net, image = network(fused_attention=fused), pictures()
    expected = plain_sam(net).image_encoder(image)
    with torch.no_grad():
        plain = net.encoder.encode_plain(image).embedding
    torch.testing.assert_close(plain, expected, rtol=0, atol=1e-4 if fused else 0)


def test_attention_equals_sam_s_in_value_and_gradient() -> None:
    fused, original = network(), network(fused_attention=False)
    original.load_state_dict(fused.state_dict())  # same keys
    grads = []
    for net in (fused, original):
        image = pictures().requires_grad_()
        out = net.encoder.encode_plain(image)
        (out.embedding.square().sum() + out.taps[1].square().sum()).backward()
        block = net.encoder.vit.blocks[0].attn
        grads.append((out.embedding, image.grad, block.rel_pos_h.grad, block.qkv.weight.grad))
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_box_plane_is_half_open_and_cut_to_integers() -> None:
    boxes = torch.tensor([[2.0, 1.0, 5.9, 3.0], [4.0, 4.0, 4.5, 9.0], [0.0, 0.0, 0.0, 0.0]])
    plane = box_plane(boxes, 8)
    expected = torch.zeros(3, 1, 8, 8)
    expected[0, 0, 1:3, 2:5] = 1
    assert torch.equal(plane, expected)


def test_box_enters_through_a_second_patch_embedding() -> None:
    """Against one convolution over picture and plane, added to SAM's by a hook."""
    net, image = network(), pictures()
    sam, embed = plain_sam(net), net.encoder.prompt_embed
    assert embed is not None
    for layer in net.modules():
        if isinstance(layer, LoRALinear | LoRAConv2d):
            nn.init.zeros_(layer.lora_b.weight)
    added = embed(torch.cat([image, box_plane(BOXES, 64)], dim=1)).permute(0, 2, 3, 1)
    sam.image_encoder.patch_embed.register_forward_hook(lambda *args: args[-1] + added)
    taps: list[Tensor] = []
    for block in sam.image_encoder.blocks:
        block.register_forward_hook(lambda *args: taps.append(args[-1]))
    with torch.no_grad():
        expected = sam.image_encoder(image)
        features = net.encoder(image, BOXES)
    torch.testing.assert_close(features.embedding, expected, rtol=1e-4, atol=1e-5)
    assert len(features.taps) == 4
    for ours, theirs in zip(features.taps, taps, strict=True):
        assert ours.shape == (3, 4, 4, 32)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_without_additions_the_masks_are_sam_s() -> None:
    """Plane's embedding zero, LoRA zero, no matting tokens: SAM's three masks and their scores."""
    net = network()
    assert net.encoder.prompt_embed is not None
    for weight in net.encoder.prompt_embed.parameters():
        nn.init.zeros_(weight)
    for layer in net.modules():
        if isinstance(layer, LoRALinear | LoRAConv2d):
            nn.init.zeros_(layer.lora_b.weight)
    sam, image = plain_sam(net), net.normalise(pictures())
    with torch.no_grad():
        features = net.encoder(image, BOXES)
        output = net.decoder(features, *net.embed_prompts(boxes=BOXES), matting=False)
        for i, box in enumerate(BOXES):  # segment_anything takes one picture at a time
            sparse, dense = sam.prompt_encoder(points=None, boxes=box[None], masks=None)
            masks, quality = sam.mask_decoder(
                image_embeddings=sam.image_encoder(image[i : i + 1]),
                image_pe=sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
            )
            torch.testing.assert_close(output.masks[i, 1:], masks[0], rtol=0, atol=1e-5)
            torch.testing.assert_close(output.quality[i, 1:], quality[0], rtol=0, atol=1e-5)
            best = best_mask(output)[i]
            assert best == 1 + quality[0].argmax()
            chosen = regularised(output, best_mask(output))[i]
            torch.testing.assert_close(chosen, masks[0, best - 1][None], rtol=0, atol=1e-5)


def test_matting_tokens_change_sam_s_masks() -> None:
    net = network()
    with torch.no_grad():
        features = net.encoder.encode_plain(pictures())
        prompts = net.embed_prompts(boxes=BOXES)
        live = net.decoder(features, *prompts)
        kept = net.decoder(features, *prompts, matting=False)
    assert (live.masks - kept.masks).abs().max() > 1e-3


@pytest.mark.parametrize("hq", [False, True])
def test_batched_decoder_equals_one_picture_at_a_time(hq: bool) -> None:
    net = network(hq=hq)
    with torch.no_grad():
        features = net.encoder(pictures(), BOXES)
        together = net.decoder(features, *net.embed_prompts(boxes=BOXES))
        for i in range(3):
            one = Features(features.embedding[[i]], tuple(tap[[i]] for tap in features.taps))
            alone = net.decoder(one, *net.embed_prompts(boxes=BOXES[[i]]))
            for a, b in zip(together, alone, strict=True):
                if a is not None:
                    torch.testing.assert_close(a[[i]], b, rtol=1e-5, atol=1e-5)


def test_hq_mask_is_added_to_each_class_and_regularised() -> None:
    net = network(hq=True)
    with torch.no_grad():
        features = net.encoder(pictures(), BOXES)
        before = net.decoder(features, *net.embed_prompts(boxes=BOXES))
        assert before.hq is not None and before.matting is not None and net.decoder.hq is not None
        assert torch.equal(regularised(before, best_mask(before)), before.hq)
        nn.init.zeros_(net.decoder.hq.mlp.layers[2].weight)
        nn.init.zeros_(net.decoder.hq.mlp.layers[2].bias)
        without = net.decoder(features, *net.embed_prompts(boxes=BOXES))
    assert without.hq is not None and without.matting is not None
    assert without.hq.count_nonzero() == 0
    torch.testing.assert_close(before.matting, without.matting + before.hq, rtol=1e-4, atol=1e-5)


def test_reference_knows_neither_lora_nor_box_plane_nor_tokens() -> None:
    net, other = network(), network()
    torch.manual_seed(9)
    with torch.no_grad():
        for name, weight in other.named_parameters():
            if not sam_name(name):
                weight.normal_()
    image = net.normalise(pictures())
    ours, theirs = (n.reference(image, BOXES) for n in (net, other))
    assert torch.equal(ours.logits, theirs.logits)
    assert not ours.logits.requires_grad
    assert (net(pictures(), BOXES).alpha - other(pictures(), BOXES).alpha).abs().max() > 1e-3


def test_merged_lora_computes_the_same() -> None:
    net, image = network(), pictures()
    with torch.no_grad():
        unadapted = net.encoder.encode_plain(net.normalise(image)).embedding
        expected = net(image, BOXES)
        net.merge_lora()
        merged = net(image, BOXES)
        moved = net.encoder.encode_plain(net.normalise(image)).embedding - unadapted
    assert moved.abs().max() > 1e-2  # it was not idle
    torch.testing.assert_close(merged.alpha, expected.alpha, rtol=0, atol=1e-5)
    torch.testing.assert_close(merged.trimap, expected.trimap, rtol=1e-4, atol=1e-5)
    assert set(net.state_dict()) == set(network(lora_rank=0).state_dict())


def test_lora_starts_as_nothing_with_the_published_deviation() -> None:
    torch.manual_seed(0)
    layer = LoRALinear(nn.Linear(300, 200), rank=16, alpha=16, dropout=0.1)
    conv = LoRAConv2d(nn.Conv2d(3, 64, 16, 16), rank=16, alpha=16, dropout=0.1)
    assert layer.lora_b.weight.count_nonzero() == conv.lora_b.weight.count_nonzero() == 0
    assert layer.lora_a.weight.std().item() == pytest.approx(1 / 16, rel=0.05)
    assert conv.lora_a.weight.std().item() == pytest.approx(1 / 16, rel=0.05)
    assert conv.lora_a.kernel_size == conv.lora_a.stride == (16, 16)


def test_embedding_is_shared_by_the_boxes_of_a_picture() -> None:
    for enhanced in (True, False):
        net = network(prompt_enhancement=enhanced)
        runs = []
        net.encoder.vit.neck.register_forward_hook(lambda *_, runs=runs: runs.append(1))
        image = pictures(1)
        with torch.no_grad():
            singly = torch.cat([net(image, box[None]).alpha for box in BOXES])
            runs.clear()
            embedding = net.embed(image)
            first, second = net.decode(embedding, BOXES[:2]), net.decode(embedding, BOXES[2:])
        assert len(runs) == (2 if enhanced else 1)
        together = torch.cat([first.alpha, second.alpha])
        torch.testing.assert_close(together, singly, rtol=0, atol=1e-5)


def test_checkpointing_changes_nothing_but_memory() -> None:
    results = []
    for switch in (False, True):
        net = network(checkpointing=switch, lora_dropout=0.3).train()
        net.freeze(train_sam=False)
        torch.manual_seed(3)
        net(pictures(), BOXES).alpha.square().sum().backward()
        grads = {k: p.grad for k, p in net.named_parameters() if p.grad is not None}
        results.append((grads, dict(net.named_buffers())))
    (grads, buffers), (grads_2, buffers_2) = results
    assert set(grads) == set(grads_2)
    for key, grad in grads.items():
        torch.testing.assert_close(grads_2[key], grad, rtol=1e-4, atol=1e-5, msg=key)
    for key, buffer in buffers.items():  # batch statistics counted once
        assert torch.equal(buffers_2[key], buffer), key


def test_moving_the_box_moves_the_matte() -> None:
    net = network()
    alpha = net(pictures(1).expand(3, -1, -1, -1), BOXES).alpha
    assert alpha.shape == (3, 1, 64, 64)
    assert not torch.equal(alpha[0], alpha[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sam": "vit_t"}, r"sam must be one of vit_b, .*, got 'vit_t'"),
        ({"tiny": MICRO._replace(size=100)}, "tiny_size must be a multiple of 16, got 100"),
        ({"tiny": MICRO._replace(heads=5)}, "tiny_heads must be a divisor of the width, got 5"),
        ({"tiny": MICRO._replace(width=2)}, "tiny_width must be at least 4, got 2"),
        ({"tiny": MICRO._replace(decoder_width=40)}, "tiny_decoder_width must be .* 16, got 40"),
        ({"tiny": MICRO._replace(depth=0)}, "tiny_depth must be at least 1, got 0"),
        ({"widths": (5, 4, 4, 4)}, r"widths must be four .* got \(5, 4, 4, 4\)"),
        ({"stem_kernel": 4}, "stem_kernel must be odd, got 4"),
    ],
)
def test_bad_sizes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**options)


def test_another_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="image must be 64 x 64 for tiny, got 64 x 48"):
        network()(torch.rand(1, 3, 64, 48), BOXES[:1])
