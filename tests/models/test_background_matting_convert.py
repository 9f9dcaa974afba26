"""A checkpoint drawn with the authors' names, and their network computed from it layer by layer."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mattingzoo.cli.load import load_model
from mattingzoo.cli.main import main
from mattingzoo.models.background_matting import BackgroundMattingNet
from mattingzoo.models.background_matting.convert import convert
from mattingzoo.weights import read_description

State = dict[str, Tensor]
WIDTH = 4


def conv_norm(state: State, name: str, at: int, before: int, after: int, kernel: int = 3) -> None:
    conv(state, f"{name}.{at}", before, after, kernel, bias=kernel > 1)
    for kind in ("weight", "bias", "running_mean", "running_var"):
        state[f"{name}.{at + 1}.{kind}"] = 0.5 + torch.rand(after)
    state[f"{name}.{at + 1}.num_batches_tracked"] = torch.tensor(9)


def conv(state: State, name: str, before: int, after: int, kernel: int, bias: bool = True) -> None:
    scale = (before * kernel**2) ** 0.5
    state[f"{name}.weight"] = torch.randn(after, before, kernel, kernel) / scale
    if bias:
        state[f"{name}.bias"] = 0.3 * torch.randn(after)


def checkpoint(w: int = WIDTH, blocks: tuple[int, int] = (7, 3)) -> State:
    """Names and shapes of section 13 of the specification, from its tables of layers."""
    state: State = {}
    conv_norm(state, "model_enc1", 1, 3, w, 7)
    conv_norm(state, "model_enc1", 4, w, 2 * w)
    conv_norm(state, "model_enc2", 0, 2 * w, 4 * w)
    for name, channels in (("back", 3), ("seg", 1), ("multi", 4)):
        conv_norm(state, f"model_enc_{name}", 1, channels, w, 7)
        conv_norm(state, f"model_enc_{name}", 4, w, 2 * w)
        conv_norm(state, f"model_enc_{name}", 7, 2 * w, 4 * w)
        conv_norm(state, f"comb_{name}", 0, 8 * w, w, 1)
    conv_norm(state, "model_res_dec", 0, 7 * w, 4 * w, 1)
    for name, count, first in (
        ("model_res_dec", blocks[0], 3),
        ("model_res_dec_al", blocks[1], 0),
        ("model_res_dec_fg", blocks[1], 0),
    ):
        for block in range(first, first + count):
            conv_norm(state, f"{name}.{block}.conv_block", 1, 4 * w, 4 * w)
            conv_norm(state, f"{name}.{block}.conv_block", 5, 4 * w, 4 * w)
    conv_norm(state, "model_al_out", 1, 4 * w, 2 * w)
    conv_norm(state, "model_al_out", 5, 2 * w, w)
    conv(state, "model_al_out.9", w, 1, 7)
    conv_norm(state, "model_dec_fg1", 1, 4 * w, 2 * w)
    conv_norm(state, "model_fg_out", 1, 4 * w, w)
    conv(state, "model_fg_out.5", w, 3, 7)
    return state


def run_conv(state: State, name: str, x: Tensor, stride: int = 1, reflect: bool = False) -> Tensor:
    weight = state[f"{name}.weight"]
    pad = weight.shape[-1] // 2
    if reflect:
        x, pad = F.pad(x, (pad,) * 4, mode="reflect"), 0
    return F.conv2d(x, weight, state.get(f"{name}.bias"), stride, pad)


def norm(state: State, name: str, x: Tensor) -> Tensor:
    mean, var, weight, bias = (
        state[f"{name}.{kind}"].view(1, -1, 1, 1)
        for kind in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def layer(state: State, name: str, at: int, x: Tensor, stride: int = 1) -> Tensor:
    reflect = state[f"{name}.{at}.weight"].shape[-1] == 7
    x = run_conv(state, f"{name}.{at}", x, stride, reflect)
    return F.relu(norm(state, f"{name}.{at + 1}", x))


def block(state: State, name: str, x: Tensor) -> Tensor:
    y = run_conv(state, f"{name}.conv_block.1", x, reflect=True)
    y = F.relu(norm(state, f"{name}.conv_block.2", y))
    y = run_conv(state, f"{name}.conv_block.5", y, reflect=True)
    return x + norm(state, f"{name}.conv_block.6", y)


def up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def encode(state: State, name: str, x: Tensor) -> Tensor:
    x = layer(state, name, 1, x)
    return layer(state, name, 7, layer(state, name, 4, x, 2), 2)


def released(state: State, image: Tensor, back: Tensor, seg: Tensor) -> tuple[Tensor, Tensor]:
    """The released forward pass, in [-1, 1]; motion does not take part."""
    skip = layer(state, "model_enc1", 4, layer(state, "model_enc1", 1, image), 2)
    deep = layer(state, "model_enc2", 0, skip, 2)
    behind, where = encode(state, "model_enc_back", back), encode(state, "model_enc_seg", seg)
    cues = [
        layer(state, f"comb_{name}", 0, torch.cat([deep, other], dim=1))
        for name, other in (("back", behind), ("seg", where), ("multi", behind))
    ]
    x = layer(state, "model_res_dec", 0, torch.cat([deep, *cues], dim=1))
    for i in range(3, 10):
        x = block(state, f"model_res_dec.{i}", x)
    alpha = colour = x
    for i in range(3):
        alpha = block(state, f"model_res_dec_al.{i}", alpha)
        colour = block(state, f"model_res_dec_fg.{i}", colour)
    alpha = layer(state, "model_al_out", 5, up(layer(state, "model_al_out", 1, up(alpha))))
    alpha = run_conv(state, "model_al_out.9", alpha, reflect=True).tanh()
    colour = torch.cat([layer(state, "model_dec_fg1", 1, up(colour)), skip], dim=1)
    colour = layer(state, "model_fg_out", 1, up(colour))
    return alpha, run_conv(state, "model_fg_out.5", colour, reflect=True)


def test_every_key_of_a_public_file_finds_its_place() -> None:
    with torch.device("meta"):
        state = checkpoint(64)
    assert len(state) == 322
    parameters = sum(
        value.numel() for key, value in state.items() if "running" not in key and "num_" not in key
    )
    assert parameters == 17_908_420
    hparams, converted = convert({f"module.{key}": value for key, value in state.items()})
    sizes = {"width": 64, "n_blocks1": 7, "n_blocks2": 3}
    assert hparams == {**sizes, "legacy": True, "working_size": 512}
    assert len(converted) == 322
    assert {id(value) for value in converted.values()} == {id(value) for value in state.values()}


def test_converted_network_computes_the_same() -> None:
    torch.manual_seed(0)
    state = checkpoint()
    net = BackgroundMattingNet(WIDTH, use_motion=False)
    net.load_state_dict(convert(dict(state))[1])
    image, back = 2 * torch.rand(2, 2, 3, 24, 32) - 1
    seg = 2 * torch.rand(2, 1, 24, 32) - 1
    alpha, colour = released(state, image, back, seg)
    assert alpha.std() > 0.05
    with torch.no_grad():
        output = net.eval()(*((x + 1) / 2 for x in (image, back, seg)), torch.rand(2, 4, 24, 32))
    torch.testing.assert_close(2 * output.alpha - 1, alpha, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(2 * output.foreground - 1, colour, rtol=1e-3, atol=1e-4)


def test_older_files_without_counts_of_batches_convert() -> None:
    state = checkpoint(blocks=(5, 2))
    bare = {key: value for key, value in state.items() if "num_batches" not in key}
    hparams, converted = convert(bare)
    assert hparams["n_blocks1"] == 5 and hparams["n_blocks2"] == 2
    assert len(converted) == len(state)


def test_what_does_not_match_is_listed() -> None:
    state = checkpoint()
    state["extra"] = torch.zeros(1)
    state["comb_seg.0.weight"] = torch.zeros(7)
    del state["model_enc2.1.running_var"]
    with pytest.raises(ValueError, match="not a generator of Background Matting") as error:
        convert(state)
    for part in (
        "model_enc2.1.running_var is missing",
        r"comb_seg.0.weight is (7,), not (4, 32, 1, 1)",
        "extra is unknown",
    ):
        assert part in str(error.value)
    with pytest.raises(ValueError, match=r"no model_enc1\.1\.weight among its 1 keys a"):
        convert({"a": torch.zeros(1)})


def test_command_line_converts_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = checkpoint()
    source, out = tmp_path / "netG_epoch_64.pth", tmp_path / "bgm.safetensors"
    torch.save({f"module.{key}": value for key, value in state.items()}, source)
    command = ["import-weights", "--model", "background_matting", "--checkpoint", str(source)]
    main([*command, "-o", str(out)])
    assert read_description(out)["hparams"]["legacy"] is True
    module = load_model("background_matting", str(out)).module
    assert torch.equal(
        module.state_dict()["network.switch_motion.0.weight"], state["comb_multi.0.weight"]
    )
