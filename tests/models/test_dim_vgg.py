from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mattingzoo.losses import alpha_prediction_loss
from mattingzoo.models.dim.network import DIMNet
from mattingzoo.models.dim.vgg import load_vgg16

# torchvision's names: position of each convolution, in channels before and after, in widths
VGG16 = {0: (0, 1), 2: (1, 1), 5: (1, 2), 7: (2, 2), 10: (2, 4), 12: (4, 4), 14: (4, 4)}
VGG16 |= {17: (4, 8), 19: (8, 8), 21: (8, 8), 24: (8, 8), 26: (8, 8), 28: (8, 8)}
VGG16_BN = {0: (0, 1), 3: (1, 1), 7: (1, 2), 10: (2, 2), 14: (2, 4), 17: (4, 4), 20: (4, 4)}
VGG16_BN |= {24: (4, 8), 27: (8, 8), 30: (8, 8), 34: (8, 8), 37: (8, 8), 40: (8, 8)}
WIDTH = 2


def vgg_state(batch_norm: bool = False) -> dict[str, Tensor]:
    state = {}
    for place, (before, after) in (VGG16_BN if batch_norm else VGG16).items():
        state[f"features.{place}.weight"] = torch.randn(after * WIDTH, before * WIDTH or 3, 3, 3)
        state[f"features.{place}.bias"] = torch.randn(after * WIDTH)
        if batch_norm:
            for kind in ("weight", "bias", "running_mean", "running_var"):
                state[f"features.{place + 1}.{kind}"] = torch.rand(after * WIDTH)
    state["classifier.0.weight"] = torch.randn(64 * WIDTH, 8 * WIDTH * 49)
    state["classifier.0.bias"] = torch.randn(64 * WIDTH)
    for layer in (3, 6):
        state[f"classifier.{layer}.weight"] = torch.randn(3, 3)
        state[f"classifier.{layer}.bias"] = torch.randn(3)
    return state


def saved(state: dict[str, Tensor], path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def tiny(**options: Any) -> DIMNet:
    return DIMNet(**{"width": WIDTH, **options})


@pytest.mark.parametrize("name", ["vgg16.pth", "vgg16.safetensors"])
def test_every_convolution_arrives(tmp_path: Path, name: str) -> None:
    state, network = vgg_state(), tiny()
    load_vgg16(network, saved(state, tmp_path / name))
    layers = [layer for block in network.encoder.blocks for layer in block]
    convs = [layer for layer in layers if isinstance(layer, torch.nn.Conv2d)]
    assert torch.equal(convs[0].weight[:, :3], state["features.0.weight"])
    for conv, place in zip(convs, VGG16, strict=True):
        if place:
            assert torch.equal(conv.weight, state[f"features.{place}.weight"])
        assert torch.equal(conv.bias, state[f"features.{place}.bias"])


def test_fc6_as_a_convolution_computes_the_same(tmp_path: Path) -> None:
    state, network = vgg_state(), tiny()
    load_vgg16(network, saved(state, tmp_path / "vgg16.pth"))
    pool5 = torch.randn(1, 8 * WIDTH, 7, 7)
    expected = pool5.flatten(1) @ state["classifier.0.weight"].T + state["classifier.0.bias"]
    got = network.encoder.conv6(pool5)[..., 3, 3]
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)


def test_batch_norm_arrives(tmp_path: Path) -> None:
    state, network = vgg_state(batch_norm=True), tiny(batch_norm=True, conv6="conv3")
    load_vgg16(network, saved(state, tmp_path / "vgg16_bn.pth"))
    norm = network.encoder.blocks[4][7]
    assert torch.equal(norm.running_var, state["features.41.running_var"])
    assert torch.equal(norm.weight, state["features.41.weight"])


def test_trimap_channel_starts_at_zero_and_is_trained(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = tiny(conv6="conv1", skips=True)
    state = {key: 0.3 * value for key, value in vgg_state().items()}  # logits that do not saturate
    load_vgg16(network, saved(state, tmp_path / "vgg16.pth"))
    first = network.encoder.blocks[0][0]
    assert first.weight[:, 3].count_nonzero() == 0
    optimizer = torch.optim.Adam(network.parameters())
    trimap = torch.randint(3, (1, 1, 32, 32)) / 2
    alpha = network(torch.rand(1, 3, 32, 32), trimap).alpha
    alpha_prediction_loss(alpha, torch.rand_like(alpha), trimap == 0.5).backward()
    optimizer.step()
    assert first.weight[:, 3].count_nonzero() > 0


def test_other_conv6_and_decoder_keep_their_weights(tmp_path: Path) -> None:
    network = tiny(conv6="conv3")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    load_vgg16(network, saved(vgg_state(), tmp_path / "vgg16.pth"))
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]) == (not key.startswith("encoder.blocks.")), key


@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_other_vgg16_is_refused(tmp_path: Path, batch_norm: bool) -> None:
    path = saved(vgg_state(batch_norm=not batch_norm), tmp_path / "weights.pth")
    found = "vgg16" if batch_norm else "vgg16_bn"
    with pytest.raises(ValueError, match=f"weights.pth holds {found}, .* batch_norm={batch_norm};"):
        load_vgg16(tiny(batch_norm=batch_norm), path)


def test_unmatched_keys_are_named(tmp_path: Path) -> None:
    state = vgg_state()
    state["features.30.weight"] = state.pop("features.28.weight")
    state["features.0.bias"] = torch.zeros(5)
    del state["classifier.0.weight"]
    network = tiny()
    before = network.encoder.blocks[1][0].weight.clone()
    with pytest.raises(ValueError, match=r"vgg16\.pth is not the VGG-16 of this") as error:
        load_vgg16(network, saved(state, tmp_path / "vgg16.pth"))
    for part in (
        "has an unknown 'features.30.weight'",
        "has nothing for 'blocks.4.4.weight'",
        "has nothing for 'conv6.weight'",
        "has shape (5,) for 'blocks.0.0.bias', the network (2,)",
    ):
        assert part in str(error.value)
    assert torch.equal(network.encoder.blocks[1][0].weight, before)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        load_vgg16(tiny(), tmp_path / "nowhere.pth")
