"""Starting AdaMatting's encoder from ImageNet."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from mattingzoo.models.adamatting.imagenet import load_resnet50
from mattingzoo.models.adamatting.network import AdaMattingNet


@pytest.fixture(scope="module")
def resnet50() -> dict[str, Tensor]:
    torch.manual_seed(3)
    return dict(torchvision.models.resnet50(weights=None).state_dict())


def saved(state: dict[str, Tensor], path: Path) -> str:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return str(path)


def network(**options: Any) -> AdaMattingNet:
    """Full encoder, next to nothing else."""
    sizes = {"decoder_widths": (4, 4, 4, 4), "gcn_kernel": 1, "iterations": 0}
    return AdaMattingNet(**{**sizes, **options})


@pytest.mark.parametrize("name", ["resnet50.pth", "resnet50.safetensors"])
def test_every_layer_arrives_and_nothing_else_moves(
    tmp_path: Path, resnet50: dict[str, Tensor], name: str
) -> None:
    net = network()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    load_resnet50(net.encoder, saved(resnet50, tmp_path / name))
    for key, value in net.state_dict().items():
        if not key.startswith("encoder."):
            assert torch.equal(value, before[key]), key
        elif key != "encoder.conv1.weight":
            assert torch.equal(value, resnet50[key.removeprefix("encoder.")]), key
    stem = net.encoder.conv1.weight
    assert torch.equal(stem[:, :3], resnet50["conv1.weight"])
    assert stem[:, 3].count_nonzero() == 0


def test_trimap_channel_is_trained(tmp_path: Path, resnet50: dict[str, Tensor]) -> None:
    net = network()
    load_resnet50(net.encoder, saved(resnet50, tmp_path / "resnet50.pth"))
    image, trimap = torch.rand(2, 3, 32, 32), torch.randint(3, (2, 1, 32, 32)) / 2
    net(image, trimap).alpha.abs().sum().backward()
    gradient = net.encoder.conv1.weight.grad
    assert gradient is not None and gradient[:, 3].count_nonzero() > 0


def test_a_stem_of_another_kernel_stays_at_random(
    tmp_path: Path, resnet50: dict[str, Tensor]
) -> None:
    net = network(stem_stride=1, stem_kernel=3)
    before = net.encoder.conv1.weight.clone()
    load_resnet50(net.encoder, saved(resnet50, tmp_path / "resnet50.pth"))
    assert torch.equal(net.encoder.conv1.weight, before)
    assert torch.equal(net.encoder.layer2[3].conv2.weight, resnet50["layer2.3.conv2.weight"])


def test_old_files_lack_the_number_of_batches(tmp_path: Path, resnet50: dict[str, Tensor]) -> None:
    old = {k: v for k, v in resnet50.items() if not k.endswith("num_batches_tracked")}
    load_resnet50(network().encoder, saved(old, tmp_path / "resnet50.pth"))


def test_another_network_is_refused(tmp_path: Path, resnet50: dict[str, Tensor]) -> None:
    state = dict(resnet50)
    state["layer1.9.conv1.weight"] = state.pop("layer1.0.conv1.weight")
    state["layer3.0.bn1.bias"] = torch.zeros(7)
    net = network()
    before = net.encoder.layer1[1].conv1.weight.clone()
    with pytest.raises(ValueError, match=r"resnet50\.pth does not fit the encoder") as error:
        load_resnet50(net.encoder, saved(state, tmp_path / "resnet50.pth"))
    for part in (
        "has an unknown 'layer1.9.conv1.weight'",
        "has nothing for 'layer1.0.conv1.weight'",
        "has shape (7,) for 'layer3.0.bn1.bias', the encoder (256,)",
        "blocks=(3, 4, 6)",
    ):
        assert part in str(error.value)
    assert torch.equal(net.encoder.layer1[1].conv1.weight, before)


def test_a_shorter_encoder_does_not_drop_layers_in_silence(
    tmp_path: Path, resnet50: dict[str, Tensor]
) -> None:
    path = saved(resnet50, tmp_path / "resnet50.pth")
    with pytest.raises(ValueError, match=r"unknown 'layer1\.2\.conv1\.weight'.* more faults"):
        load_resnet50(network(blocks=(2, 2, 2)).encoder, path)


def test_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        load_resnet50(network().encoder, "nowhere.pth")


def test_timm_gives_the_same(monkeypatch: pytest.MonkeyPatch, resnet50: dict[str, Tensor]) -> None:
    import timm

    asked: list[tuple[str, bool]] = []

    def create_model(name: str, pretrained: bool) -> torch.nn.Module:
        asked.append((name, pretrained))
        model = torchvision.models.resnet50(weights=None)
        model.load_state_dict(resnet50)
        return model

    monkeypatch.setattr(timm, "create_model", create_model)
    net = network()
    load_resnet50(net.encoder, "timm:resnet50.tv_in1k")
    assert asked == [("resnet50.tv_in1k", True)]
    assert torch.equal(net.encoder.layer3[5].conv3.weight, resnet50["layer3.5.conv3.weight"])


def test_timm_names_its_layers_as_torchvision() -> None:
    import timm

    ours = network().encoder.state_dict()
    with torch.device("meta"):
        theirs = timm.create_model("resnet50", pretrained=False).state_dict()
    for key, value in ours.items():
        if key != "conv1.weight":
            assert theirs[key].shape == value.shape, key


def test_without_a_network_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    def create_model(name: str, pretrained: bool) -> torch.nn.Module:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(
        ValueError, match=r"ConnectionError: no route.*fetch torchvision's file elsewhere"
    ):
        load_resnet50(network().encoder, "timm:resnet50.tv_in1k")
