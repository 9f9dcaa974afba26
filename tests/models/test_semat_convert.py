"""Checkpoints drawn with the authors' names, and their layers computed from them one by one."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from segment_anything import sam_model_registry
from torch import Tensor

from mattingzoo.cli.main import main
from mattingzoo.models.semat import SEMatNet, convert
from mattingzoo.models.semat.convert import rename
from mattingzoo.models.semat.sam import TinySAM, build_sam
from mattingzoo.weights import read_description, read_state

State = dict[str, Tensor]
VIT = "sam_model.image_encoder.base_model.model."
DECODER = "sam_model.mask_decoder."
DETAIL = "matting_decoder."
WIDTHS = (32, 64, 128, 256)


def conv(state: State, name: str, before: int, after: int, kernel: int) -> None:
    state[f"{name}.weight"] = (
        torch.randn(after, before, kernel, kernel) / (before * kernel**2) ** 0.5
    )
    state[f"{name}.bias"] = 0.3 * torch.randn(after)


def upconv(state: State, name: str, before: int, after: int) -> None:
    state[f"{name}.weight"] = torch.randn(before, after, 2, 2) / before**0.5
    state[f"{name}.bias"] = 0.3 * torch.randn(after)


def linear(state: State, name: str, before: int, after: int) -> None:
    state[f"{name}.weight"] = torch.randn(after, before) / before**0.5
    state[f"{name}.bias"] = 0.3 * torch.randn(after)


def norm(state: State, name: str, width: int, batch: bool) -> None:
    kinds = ("weight", "bias", "running_mean", "running_var") if batch else ("weight", "bias")
    for kind in kinds:
        state[f"{name}.{kind}"] = 0.5 + torch.rand(width)
    if batch:
        state[f"{name}.num_batches_tracked"] = torch.tensor(17)


def pair(state: State, name: str, before: int, after: int, kernel: int, up: bool = False) -> None:
    if up:
        upconv(state, f"{name}.0", before, after)
    else:
        conv(state, f"{name}.0", before, after, kernel)
    norm(state, f"{name}.1", after, batch=True)
    conv(state, f"{name}.3", after, after, kernel)
    norm(state, f"{name}.4", after, batch=True)


def detail(channels: int) -> State:
    """The detail decoder of section 4.5 in the names of section 13."""
    state: State = {}
    w1, w2, w3, w4 = WIDTHS
    conv(state, f"{DETAIL}big_kernel_process.0", 6, w1 // 2, 13)
    norm(state, f"{DETAIL}big_kernel_process.1", w1 // 2, batch=True)
    conv(state, f"{DETAIL}big_kernel_process.3", w1 // 2, w1, 13)
    norm(state, f"{DETAIL}big_kernel_process.4", w1, batch=True)
    for i in range(4):
        conv(state, f"{DETAIL}vit_feat_proj.{i}", channels, channels // 4, 1)
    conv(state, f"{DETAIL}vit_feat_aggregation.0", channels, w4, 3)
    norm(state, f"{DETAIL}vit_feat_aggregation.1", w4, batch=True)
    for i, (before, after) in enumerate([(w1, w1), (w1, w2), (w2, w3), (w3, w4)]):
        pair(state, f"{DETAIL}down_blks.{i}.basic_layer.0", before, after, 5)
        pair(state, f"{DETAIL}down_blks.{i}.basic_layer.2", after, after, 5)
        conv(state, f"{DETAIL}down_blks.{i}.res_layer", before, after, 5)
    conv(state, f"{DETAIL}mid_layer.0", 2 * w4, w4, 1)
    norm(state, f"{DETAIL}mid_layer.1", w4, batch=True)
    for i, (before, after) in enumerate([(w4, w3), (w3, w2), (w2, w1), (w1, w1 // 2)]):
        pair(state, f"{DETAIL}up_blks.{i}.basic_layer.0", before, after, 3, up=True)
        pair(state, f"{DETAIL}up_blks.{i}.basic_layer.2", after, after, 3)
        conv(state, f"{DETAIL}up_blks.{i}.res_layer", before, after, 3)
    conv(state, f"{DETAIL}matting_head", w1 // 2, 1, 3)
    return state


def token_head(state: State, prefix: str, tokens: int, width: int, channels: int) -> None:
    state[f"{DECODER}{prefix}hf_token.weight"] = torch.randn(tokens, width)
    for i, after in enumerate((width, width, width // 8)):
        linear(state, f"{DECODER}{prefix}hf_mlp.layers.{i}", width, after)
    for name, first, between in (
        ("compress_vit_feat", channels, width),
        ("embedding_encoder", width, width // 4),
    ):
        upconv(state, f"{DECODER}{prefix}{name}.0", first, between)
        norm(state, f"{DECODER}{prefix}{name}.1", between, batch=False)
        upconv(state, f"{DECODER}{prefix}{name}.3", between, width // 8)
    conv(state, f"{DECODER}{prefix}embedding_maskfeature.0", width // 8, width // 4, 3)
    norm(state, f"{DECODER}{prefix}embedding_maskfeature.1", width // 4, batch=False)
    conv(state, f"{DECODER}{prefix}embedding_maskfeature.3", width // 4, width // 8, 3)


def checkpoint(sam: State, channels: int, width: int, hq: bool, rank: int = 16) -> State:
    """A file of the authors over a state of segment_anything."""
    state: State = {}
    for key, value in sam.items():
        part, _, rest = key.partition(".")
        if part != "image_encoder":
            state[f"sam_model.{key}"] = value
            if part == "mask_decoder":
                state[f"sam_model.frozen_mask_decoder.{rest}"] = value
            continue
        name, _, kind = rest.rpartition(".")
        if name.rsplit(".", 1)[-1] not in ("qkv", "proj"):
            state[VIT + rest] = value
            continue
        state[f"{VIT}{name}.base_layer.{kind}"] = value
        if kind == "weight":
            shape = value.shape
            state[f"{VIT}{name}.lora_A.default.weight"] = torch.randn(rank, *shape[1:]) / rank
            ones = (1,) * (value.ndim - 2)
            state[f"{VIT}{name}.lora_B.default.weight"] = 0.1 * torch.randn(shape[0], rank, *ones)
    conv(state, "condition_layer.patch_embed.proj", 4, channels, 16)
    token_head(state, "matting_", 3, width, channels)
    if hq:
        token_head(state, "", 1, width, channels)
    return state | detail(channels)


def public(name: str, channels: int, hq: bool) -> State:
    """Names and shapes of a public file; without memory."""
    with torch.device("meta"):
        return checkpoint(sam_model_registry[name]().state_dict(), channels, 256, hq)


@pytest.mark.parametrize(
    ("name", "channels", "hq"),
    [("vit_b", 768, False), ("vit_l", 1024, True), ("vit_l", 1024, False)],
)
def test_every_key_of_a_public_file_finds_its_place(name: str, channels: int, hq: bool) -> None:
    state = public(name, channels, hq)
    hparams, converted = convert.convert({"model": state})
    assert hparams == {"sam": name, "hq": hq, "lora_rank": 16, "train_sam": False}
    kept = [key for key in state if "frozen_mask_decoder" not in key]
    assert len(converted) == len(kept)
    assert {id(v) for v in converted.values()} == {id(state[key]) for key in kept}
    values = sum(v.numel() for k, v in converted.items() if "running" not in k and "num_b" not in k)
    total = {"vit_b": 108_991_553, "vit_l": 331_984_193 if hq else 330_650_945}[name]
    frozen_frequencies = 2 * 128  # a buffer of SAM's prompt encoder
    assert values == total + frozen_frequencies


@pytest.mark.parametrize("hq", [False, True])
def test_what_does_not_match_is_listed(hq: bool) -> None:
    state = public("vit_b", 768, hq)
    state["sam_model.extra.weight"] = torch.zeros(1)
    state[f"{DETAIL}matting_head.bias"] = torch.zeros(7)
    del state["condition_layer.patch_embed.proj.bias"]
    del state[f"{DECODER}matting_hf_token.weight"]
    with pytest.raises(ValueError, match="not a public checkpoint of SEMat") as error:
        convert.convert(state)
    for part in (
        "2 keys missing: encoder.prompt_embed.bias, decoder.matting.token.weight",
        "1 keys unknown: sam_model.extra.weight",
        "1 keys of another shape: detail.to_alpha.bias: file (7,), model (1,)",
    ):
        assert part in str(error.value)


def test_other_files_are_refused() -> None:
    with pytest.raises(ValueError, match="SEMat on SAM2, another network"):
        convert.convert({f"{VIT}trunk.pos_embed": torch.zeros(1)})
    with pytest.raises(
        ValueError, match=r"no sam_model\.image_encoder.* among its 1 keys a, \.\.\."
    ):
        convert.convert({"a": torch.zeros(1)})
    with pytest.raises(ValueError, match="has 64 channels, SAM's have 768, 1024, 1280"):
        convert.convert({f"{VIT}pos_embed": torch.zeros(1, 2, 2, 64)})


MICRO = TinySAM(size=64, width=32, depth=4, heads=2, window=2, decoder_width=32)


def small() -> tuple[State, SEMatNet]:
    """A checkpoint in the authors' names, and the network that it is converted to."""
    torch.manual_seed(0)
    state = checkpoint(build_sam("tiny", MICRO).state_dict(), 32, 32, hq=False, rank=4)
    net = SEMatNet("tiny", tiny=MICRO, lora_rank=4, lora_alpha=4, widths=WIDTHS)
    net.load_state_dict(rename(state))
    return state, net.eval()


def run_pair(state: State, name: str, x: Tensor, stride: int, kernel: int, up: bool) -> Tensor:
    w, b = state[f"{name}.0.weight"], state[f"{name}.0.bias"]
    x = F.conv_transpose2d(x, w, b, 2) if up else F.conv2d(x, w, b, stride, kernel // 2)
    x = F.gelu(batch_norm(state, f"{name}.1", x))
    x = F.conv2d(x, state[f"{name}.3.weight"], state[f"{name}.3.bias"], 1, kernel // 2)
    return batch_norm(state, f"{name}.4", x)


def batch_norm(state: State, name: str, x: Tensor) -> Tensor:
    mean, var, w, b = (
        state[f"{name}.{kind}"].view(1, -1, 1, 1)
        for kind in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * w + b


def conv_norm(state: State, name: str, x: Tensor, places: tuple[int, int] = (0, 1)) -> Tensor:
    w = state[f"{name}.{places[0]}.weight"]
    x = F.conv2d(x, w, state[f"{name}.{places[0]}.bias"], 1, w.shape[-1] // 2)
    return F.gelu(batch_norm(state, f"{name}.{places[1]}", x))


def run_detail(state: State, image: Tensor, logits: Tensor, taps: tuple[Tensor, ...]) -> Tensor:
    """The authors' detail decoder, computed in their names (table of section 4.5)."""
    state = {k.removeprefix(DETAIL): v for k, v in state.items() if k.startswith(DETAIL)}
    up = F.interpolate(logits, image.shape[-2:], mode="bilinear", align_corners=False)
    x = conv_norm(state, "big_kernel_process", torch.cat([image, up / 6.5], dim=1))
    x = conv_norm(state, "big_kernel_process", x, (3, 4))
    skips = []
    for i in range(4):
        name = f"down_blks.{i}"
        w, b = state[f"{name}.res_layer.weight"], state[f"{name}.res_layer.bias"]
        y = F.gelu(run_pair(state, f"{name}.basic_layer.0", x, 2, 5, up=False))
        x = F.gelu(
            run_pair(state, f"{name}.basic_layer.2", y, 1, 5, up=False) + F.conv2d(x, w, b, 2, 2)
        )
        skips.append(x)
    seen = [
        F.conv2d(
            tap.permute(0, 3, 1, 2),
            state[f"vit_feat_proj.{i}.weight"],
            state[f"vit_feat_proj.{i}.bias"],
        )
        for i, tap in enumerate(taps)
    ]
    v = conv_norm(state, "vit_feat_aggregation", torch.cat(seen, dim=1))
    x = conv_norm(state, "mid_layer", torch.cat([x, v], dim=1))
    for i in range(4):
        name, x = f"up_blks.{i}", x + skips[3 - i]
        w, b = state[f"{name}.res_layer.weight"], state[f"{name}.res_layer.bias"]
        y = F.gelu(run_pair(state, f"{name}.basic_layer.0", x, 1, 3, up=True))
        wide = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = F.gelu(
            run_pair(state, f"{name}.basic_layer.2", y, 1, 3, up=False) + F.conv2d(wide, w, b, 1, 1)
        )
    head = F.conv2d(x, state["matting_head.weight"], state["matting_head.bias"], 1, 1)
    return head.sigmoid()


def test_converted_detail_decoder_computes_the_same() -> None:
    state, net = small()
    image, logits = torch.randn(2, 3, 64, 64), 3 * torch.randn(2, 3, 16, 16)
    taps = tuple(torch.randn(2, 4, 4, 32) for _ in range(4))
    expected = run_detail(state, image, logits, taps)
    with torch.no_grad():
        alpha = net.detail(image, logits, taps)
    assert expected.std() > 0.01
    torch.testing.assert_close(alpha, expected, rtol=1e-3, atol=1e-4)


def test_converted_adaptation_computes_the_same() -> None:
    state, net = small()
    x = torch.randn(2, 5, 32)
    w, b = (state[f"{VIT}blocks.1.attn.qkv.base_layer.{kind}"] for kind in ("weight", "bias"))
    down, up = (state[f"{VIT}blocks.1.attn.qkv.lora_{n}.default.weight"] for n in "AB")
    expected = x @ w.T + b + x @ down.T @ up.T
    torch.testing.assert_close(net.encoder.vit.blocks[1].attn.qkv(x), expected)
    picture = torch.randn(2, 3, 64, 64)
    name = f"{VIT}patch_embed.proj"
    expected = F.conv2d(
        picture, state[f"{name}.base_layer.weight"], state[f"{name}.base_layer.bias"], 16
    )
    added = F.conv2d(picture, state[f"{name}.lora_A.default.weight"], None, 16)
    expected = expected + F.conv2d(added, state[f"{name}.lora_B.default.weight"])
    got = net.encoder.vit.patch_embed.proj(picture)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_command_line_converts_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the small variant in the place of the public ones, which take gigabytes."""
    monkeypatch.setitem(convert.VARIANTS, 64, "tiny")
    torch.manual_seed(0)
    state = checkpoint(build_sam("tiny", TinySAM()).state_dict(), 64, 256, hq=True)
    torch.save({"model": state}, tmp_path / "SEMat.pth")  # as detectron2 writes it
    out = tmp_path / "semat.safetensors"
    arguments: list[Any] = ["--model", "semat", "--checkpoint", tmp_path / "SEMat.pth", "-o", out]
    main(["import-weights", *map(str, arguments)])
    assert read_description(out)["hparams"]["hq"] is True
    written = read_state(out)
    key = "network.decoder.hq.mlp.layers.1.weight"
    assert torch.equal(written[key], state[f"{DECODER}hf_mlp.layers.1.weight"])
