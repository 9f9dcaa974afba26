"""Checkpoints drawn with the sources' own names, and their networks assembled from plain layers."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mattingzoo.models import DIM
from mattingzoo.models.dim.convert import convert
from mattingzoo.models.dim.network import DIMNet
from mattingzoo.weights import read_state

State = dict[str, Tensor]
W = 2  # width; the sources have 64
KERNELS = {"fc6": 7, "conv3": 3, "conv1": 1}
FACTORS = {"1_1": (0, 1), "1_2": (1, 1), "2_1": (1, 2), "2_2": (2, 2)}
FACTORS |= {"3_1": (2, 4), "3_2": (4, 4), "3_3": (4, 4), "4_1": (4, 8), "4_2": (8, 8)}
FACTORS |= {"4_3": (8, 8), "5_1": (8, 8), "5_2": (8, 8), "5_3": (8, 8)}
CHANNELS = {name: (before * W or 4, after * W) for name, (before, after) in FACTORS.items()}
DECODER = {5: (8 * W, 8 * W), 4: (8 * W, 4 * W), 3: (4 * W, 2 * W), 2: (2 * W, W), 1: (W, W)}


def conv(state: State, name: str, before: int, after: int, kernel: int) -> None:
    scale = (2 / (before * kernel**2)) ** 0.5
    state[f"{name}.weight"] = scale * torch.randn(after, before, kernel, kernel)
    state[f"{name}.bias"] = 0.3 * torch.rand(after)


def refiner(state: State, prefix: str) -> None:
    conv(state, f"{prefix}refine_conv1", 4, W, 3)
    conv(state, f"{prefix}refine_conv2", W, W, 3)
    conv(state, f"{prefix}refine_conv3", W, W, 3)
    conv(state, f"{prefix}refine_pred", W, 1, 3)


def huochaitiantang(conv6: str, refine: bool = False) -> State:
    state: State = {}
    for name, (before, after) in CHANNELS.items():
        conv(state, f"conv{name}", before, after, 3)
    conv(state, "conv6_1", 8 * W, 8 * W, KERNELS[conv6])
    conv(state, "deconv6_1", 8 * W, 8 * W, 1)
    for level, (before, after) in DECODER.items():
        conv(state, f"deconv{level}_1", before, after, 5)
    conv(state, "deconv1", W, 1, 5)
    if refine:
        refiner(state, "")
    return state


def mmagic(refine: bool = False) -> State:
    state: State = {}
    places = {"1": 0, "2": 2, "3": 4}
    for name, (before, after) in CHANNELS.items():
        block, number = name.split("_")
        conv(state, f"backbone.encoder.layer{block}.{places[number]}", before, after, 3)
    conv(state, "backbone.encoder.conv6", 8 * W, 8 * W, 1)
    conv(state, "backbone.decoder.deconv6_1", 8 * W, 8 * W, 1)
    for level, (before, after) in DECODER.items():
        conv(state, f"backbone.decoder.deconv{level}_1", before, after, 5)
    conv(state, "backbone.decoder.deconv1", W, 1, 5)
    if refine:
        refiner(state, "refiner.")
    return state


def indexnet() -> State:
    state: State = {}
    for name, (before, after) in CHANNELS.items():
        number = name.replace("_", "")
        conv(state, f"conv{number}", before, after, 3)
        for kind in ("weight", "bias", "running_mean", "running_var"):
            state[f"bn{number}.{kind}"] = 0.5 + torch.rand(after)
        state[f"bn{number}.num_batches_tracked"] = torch.tensor(17)
    conv(state, "conv6", 8 * W, 64 * W, 7)
    conv(state, "dconv6", 64 * W, 8 * W, 1)
    for level, (before, after) in DECODER.items():
        conv(state, f"dconv{level}", before, after, 5)
    conv(state, "alpha_pred", W, 1, 5)
    return state


def layer(state: State, name: str, x: Tensor) -> Tensor:
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)


def normalise(image: Tensor) -> Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (image - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def run_huochaitiantang(state: State, x: Tensor, skips: bool) -> Tensor:
    """Its network, in its names; x is the normalised image and the trimap."""
    fine, positions, deep = {}, {}, x
    for level, convs in {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}.items():
        for number in range(1, convs + 1):
            deep = layer(state, f"conv{level}_{number}", deep).relu()
        fine[level] = deep
        deep, positions[level] = F.max_pool2d(deep, 2, 2, return_indices=True)
    deep = layer(state, "conv6_1", deep).relu()
    deep = layer(state, "deconv6_1", deep).relu()
    for level in (5, 4, 3, 2, 1):
        deep = F.max_unpool2d(deep, positions[level], 2, 2)
        deep = layer(state, f"deconv{level}_1", deep + fine[level] if skips else deep).relu()
    raw = layer(state, "deconv1", deep)
    if "refine_pred.weight" not in state:
        return raw.sigmoid()
    residual = torch.cat([x[:, :3], raw.sigmoid()], dim=1)
    for number in (1, 2, 3):
        residual = layer(state, f"refine_conv{number}", residual).relu()
    return (raw + layer(state, "refine_pred", residual)).sigmoid()


def run_indexnet(state: State, x: Tensor) -> Tensor:
    """Its network, in its names; the output is linear."""
    positions, deep = {}, x
    for level, convs in {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}.items():
        for number in range(1, convs + 1):
            norm = {k: state[f"bn{level}{number}.{k}"] for k in ("weight", "bias")}
            mean, var = (state[f"bn{level}{number}.running_{k}"] for k in ("mean", "var"))
            deep = layer(state, f"conv{level}{number}", deep)
            deep = F.batch_norm(deep, mean, var, **norm).relu()
        deep, positions[level] = F.max_pool2d(deep, 2, 2, return_indices=True)
    deep = layer(state, "dconv6", layer(state, "conv6", deep).relu()).relu()
    for level in (5, 4, 3, 2, 1):
        deep = F.max_unpool2d(deep, positions[level], 2, 2)
        deep = layer(state, f"dconv{level}", deep).relu()
    return layer(state, "alpha_pred", deep)


def loaded(hparams: dict[str, Any], state: State) -> DIMNet:
    module = DIM(**hparams)
    module.network.load_state_dict(state)
    return module.network.eval()


@pytest.fixture
def sample() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.rand(1, 3, 32, 64), torch.randint(3, (1, 1, 32, 64)) / 2


@pytest.mark.parametrize(
    ("conv6", "skips", "refine"),
    [("conv3", False, False), ("conv3", True, False), ("conv3", True, True), ("conv1", None, True)],
)
def test_huochaitiantang_computes_the_same(
    sample: tuple[Tensor, Tensor], conv6: str, skips: bool | None, refine: bool
) -> None:
    state = huochaitiantang(conv6, refine)
    hparams, converted = convert(state, skips)
    assert hparams == {
        "width": W,
        "conv6": conv6,
        "skips": bool(skips),
        "batch_norm": False,
        "activation": "sigmoid",
        "stage": 3 if refine else 1,
    }
    image, trimap = sample
    x = torch.cat([normalise(image), trimap], dim=1)
    expected = run_huochaitiantang(state, x, bool(skips))
    assert expected.std() > 0.01
    torch.testing.assert_close(loaded(hparams, converted)(image, trimap).alpha, expected)


@pytest.mark.parametrize("refine", [False, True])
def test_mmagic_computes_the_same(sample: tuple[Tensor, Tensor], refine: bool) -> None:
    state = mmagic(refine)
    hparams, converted = convert(state)
    assert (hparams["conv6"], hparams["stage"]) == ("conv1", 3 if refine else 1)
    # The networks are the same but for the names, which come in the same order.
    theirs = dict(zip(huochaitiantang("conv1", refine), state.values(), strict=True))
    image, trimap = sample
    expected = run_huochaitiantang(theirs, torch.cat([normalise(image), trimap], dim=1), False)
    assert expected.std() > 0.01
    torch.testing.assert_close(loaded(hparams, converted)(image, trimap).alpha, expected)


@pytest.mark.parametrize("tracked", [True, False])
def test_indexnet_computes_the_same(sample: tuple[Tensor, Tensor], tracked: bool) -> None:
    state = indexnet()
    if not tracked:
        state = {key: value for key, value in state.items() if "tracked" not in key}
    hparams, converted = convert(state)
    assert hparams["conv6"] == "fc6"
    assert hparams["batch_norm"]
    assert hparams["activation"] == "clamp"
    image, trimap = sample
    expected = run_indexnet(state, torch.cat([normalise(image), trimap], dim=1))
    assert expected.std() > 0.01
    network = loaded(hparams, converted)
    torch.testing.assert_close(network(image, trimap).alpha, expected.clamp(0, 1))


def test_names_of_data_parallel_are_stripped() -> None:
    state = huochaitiantang("conv1")
    wrapped = {f"module.{key}": value for key, value in state.items()}
    assert convert(wrapped)[1].keys() == convert(state)[1].keys()


def test_every_value_of_mmagic_stage_1_is_used() -> None:
    state = mmagic()
    converted = convert(state)[1]
    assert sum(v.numel() for v in converted.values()) == sum(v.numel() for v in state.values())
    assert len(converted) == len(state)


def test_the_callers_state_is_left_alone() -> None:
    state = mmagic()
    keys = list(state)
    convert(state)
    assert list(state) == keys


def test_skips_must_be_said_where_the_file_does_not_tell() -> None:
    with pytest.raises(ValueError, match=r"skips=True for release V1\.5, skips=False for v1\.4"):
        convert(huochaitiantang("conv3"))


@pytest.mark.parametrize("state", [huochaitiantang("conv1"), mmagic(), indexnet()])
def test_skips_are_refused_where_there_are_none(state: State) -> None:
    with pytest.raises(ValueError, match="does not add encoder maps"):
        convert(state, skips=True)


@pytest.mark.parametrize("state", [huochaitiantang("conv1"), mmagic(refine=True), indexnet()])
def test_unmatched_keys_are_listed(state: State) -> None:
    last = list(state)[-1]
    first = list(state)[1]
    changed = {key: value for key, value in state.items() if key != last}
    changed |= {"extra.weight": torch.zeros(1), first: torch.zeros(3)}
    with pytest.raises(ValueError, match="not a DIM checkpoint of") as error:
        convert(changed)
    for part in (f"{last} is missing", "extra.weight is unknown", f"{first} is (3,), not (2,)"):
        assert part in str(error.value)


def test_a_checkpoint_without_conv6_is_refused() -> None:
    state = {key: value for key, value in mmagic().items() if "conv6" not in key}
    with pytest.raises(ValueError, match=r"conv6\.weight must have a kernel .* it is missing"):
        convert(state)


def test_an_unknown_checkpoint_is_refused() -> None:
    with pytest.raises(ValueError, match=r"none of .*mmagic.* among its 1 keys layer\.weight"):
        convert({"layer.weight": torch.zeros(1)})


def test_a_pickled_module_as_of_foamliu_is_not_read(tmp_path: Path) -> None:
    torch.save({"epoch": 1, "model": torch.nn.Conv2d(1, 1, 1)}, tmp_path / "BEST_checkpoint.tar")
    with pytest.raises(ValueError, match="pickled objects"):
        read_state(tmp_path / "BEST_checkpoint.tar")
