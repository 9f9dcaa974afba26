"""GFM's recipe: test strategies, what is trained, from what a run may start, several processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from scipy import ndimage
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.models import densenet121, resnet34

from mattingzoo.batch import Batch
from mattingzoo.models import GFM
from mattingzoo.models.gfm.encoders import make_encoder
from mattingzoo.models.gfm.losses import composition_loss, fusion_loss
from mattingzoo.models.gfm.merge import glance_map, merge
from mattingzoo.models.gfm.network import GFMOutput, Prediction
from mattingzoo.models.gfm.strategy import hybrid, pass_side, resize, single
from mattingzoo.weights import save_weights

TINY: dict[str, Any] = {
    "encoder": "tiny",
    "widths": (4, 8, 8, 16, 16),
    "blocks": (1, 1, 1, 1),
    "transition_kernel": 9,
    "mask_kernel": 15,
}
VARIANTS = ("TT", "FT", "BT", "RIM")
LAYERS = ("foreground", "background")


def batch_of(count: int = 2, height: int = 64, width: int = 64) -> Batch:
    rng = torch.Generator().manual_seed(5)
    foreground, background = torch.rand(2, count, 3, 4, 4, generator=rng)
    shape = (height, width)
    foreground = torch.nn.functional.interpolate(foreground + 1, shape) / 2
    background = torch.nn.functional.interpolate(background, shape) / 2
    alpha = torch.linspace(-1.5, 2.5, width).clamp(0, 1).expand(count, 1, height, width)
    alpha = torch.stack([a if i % 2 else a.flip(-1) for i, a in enumerate(alpha)])
    image = alpha * foreground + (1 - alpha) * background
    trimap = torch.where((alpha > 0) & (alpha < 1), 0.5, alpha)
    return Batch(
        image=image, alpha=alpha, trimap=trimap, foreground=foreground, background=background
    )


def tiny(seed: int = 0, **options: Any) -> GFM:
    torch.manual_seed(seed)
    module = GFM(**{**TINY, **options})
    module.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    return module


class Colours(torch.nn.Module):
    """A network whose glance and focus can be read off the picture, for looking at strategies."""

    representations = ("TT",)

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, int]] = []

    def forward(self, image: Tensor) -> GFMOutput:
        self.sizes.append((image.shape[-2], image.shape[-1]))
        part = Prediction(image, image[:, :1], merge(glance_map(image), image[:, :1], "TT"))
        return GFMOutput((part,), part.alpha)


# How whole pictures are predicted.


def test_sides_of_a_pass_are_multiples_of_32_from_32_to_1600() -> None:
    assert [pass_side(side, 1 / 3) for side in (1080, 1920, 95, 20, 6000)] == [
        352,
        640,
        32,
        32,
        1600,
    ]
    assert [pass_side(side, 1 / 2) for side in (1080, 63, 64, 1)] == [512, 32, 32, 32]
    assert pass_side(256, 1.0) == 256


def test_hybrid_glances_at_a_third_and_focuses_at_half() -> None:
    network = Colours()
    hybrid(network, torch.rand(1, 3, 400, 600), 1 / 3, 1 / 2)  # type: ignore[arg-type]
    assert network.sizes == [(128, 192), (192, 288)]


def test_hybrid_takes_focus_in_the_whole_rim_of_the_enlarged_glance() -> None:
    image = torch.zeros(1, 3, 192, 192)
    image[:, 2, :, :96] = 1  # foreground by the largest channel, left
    image[:, 0, :, 96:] = 0.6  # background, right; focus is this channel
    alpha, glance, focus = hybrid(Colours(), image, 1 / 3, 1.0)  # type: ignore[arg-type]
    assert glance is not None and focus is not None
    row = glance[0, 0, 96]
    rim = (row > 0.01) & (row < 0.99)
    assert 1 <= rim.sum() <= 6 and rim[92:100].sum() == rim.sum()
    assert torch.equal(alpha[0, 0, 96][rim], focus[0, 0, 96][rim])
    assert (alpha[..., :90] == 1).all() and (alpha[..., 102:] == 0).all()


def test_one_pass_gives_the_networks_own_matte() -> None:
    network, image = Colours(), torch.rand(2, 3, 64, 96)
    alpha, glance, focus = single(network, image, 1.0)  # type: ignore[arg-type]
    assert network.sizes == [(64, 96)]
    torch.testing.assert_close(alpha, network(image).alpha)
    torch.testing.assert_close(glance, glance_map(image))
    torch.testing.assert_close(focus, image[:, :1])


def test_shrinking_is_scikit_images() -> None:
    """Its steps by scipy: a Gaussian of (factor - 1) / 2, then order 1 at pixel centres."""
    picture = torch.rand(1, 1, 96, 120, generator=torch.Generator().manual_seed(0))
    smooth = ndimage.gaussian_filter(picture[0, 0].numpy(), (1.0, 0.5), mode="mirror")
    rows, columns = (np.arange(32) + 0.5) * 3 - 0.5, (np.arange(60) + 0.5) * 2 - 0.5
    grid = np.meshgrid(rows, columns, indexing="ij")
    expected = ndimage.map_coordinates(smooth, grid, order=1)
    np.testing.assert_allclose(resize(picture, 32, 60)[0, 0].numpy(), expected, atol=1e-5)


def test_enlarging_does_not_smooth_and_keeping_the_size_changes_nothing() -> None:
    picture = torch.rand(1, 2, 8, 8)
    assert torch.equal(resize(picture, 8, 8), picture)
    grown = resize(picture, 24, 8)
    torch.testing.assert_close(grown[:, :, 1::3], picture)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [(33, 47), (1, 1), (5, 200), (64, 96)])
def test_any_size_by_the_papers_strategy(variant: str, size: tuple[int, int]) -> None:
    module = tiny(variant=variant).eval()
    batch = Batch(image=torch.rand(2, 3, *size))
    alpha, extras = module.matte_with_extras(batch)
    assert alpha.shape == (2, 1, *size)
    assert set(extras) == (set() if variant == "RIM" else set(module.extras))
    assert all(picture.shape == alpha.shape for picture in extras.values())
    assert torch.equal(module.matte(batch), alpha)


@pytest.mark.parametrize("options", [{}, {"variant": "RIM"}])
@pytest.mark.parametrize(
    ("size", "passes"),
    [
        ((294, 588), [(96, 192)]),  # 588 * (192 / 588) is less than 192 in binary
        ((600, 500), [(192, 160)]),
        ((90, 130), [(32, 32), (32, 64)]),  # ratios count where they give less
    ],
)
def test_no_pass_is_longer_than_allowed(
    options: dict[str, Any], size: tuple[int, int], passes: list[tuple[int, int]]
) -> None:
    module = tiny(max_long_side=192, **options).eval()
    seen: list[tuple[int, int]] = []
    module.network.register_forward_pre_hook(lambda _, x: seen.append(tuple(x[0].shape[-2:])))
    alpha = module.matte(Batch(image=torch.rand(1, 3, *size)))
    assert alpha.shape == (1, 1, *size)
    assert seen and set(seen) <= set(passes)
    with pytest.raises(ValueError, match="max_long_side must be 32 pixels or more, got 31"):
        tiny(max_long_side=31)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (1 / 3, 1 / 2)),
        ({"variant": "BT"}, (1 / 3, 1 / 2)),
        ({"variant": "RIM"}, (1 / 3,)),
        ({"test_strategy": "resize"}, (1 / 2,)),
        ({"ratios": [0.5, 1.0]}, (0.5, 1.0)),
        ({"variant": "RIM", "ratios": (1.0,)}, (1.0,)),
    ],
)
def test_ratios(options: dict[str, Any], expected: tuple[float, ...]) -> None:
    assert tiny(**options).ratios == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "RIM", "test_strategy": "hybrid"}, "RIM has three of each; use 'resize'"),
        ({"ratios": (1.0,)}, r"must be 2 for test_strategy='hybrid', all above 0, got \(1.0,\)"),
        ({"test_strategy": "resize", "ratios": (0.0,)}, "must be 1 for test_strategy='resize'"),
        ({"test_strategy": "tiles"}, "test_strategy must be one of hybrid, resize, got 'tiles'"),
        ({"glance_loss": "mse"}, "glance_loss must be one of sigmoid, logits, got 'mse'"),
        ({"optimizer": "sgd"}, "optimizer must be one of adam, adamw, got 'sgd'"),
        ({"schedule": "linear"}, "schedule must be one of constant, .*, step, got 'linear'"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**options)


# What is trained.


def test_colours_are_asked_for_only_if_they_are_used() -> None:
    assert tiny().training_keys() == ("image", "alpha", *LAYERS)
    assert tiny(composition=False).training_keys() == ("image", "alpha")


@pytest.mark.parametrize("composition", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_gets_a_gradient_in_each_step(variant: str, composition: bool) -> None:
    """DDP waits for each of them, whatever the network makes of a batch."""
    module = tiny(variant=variant, composition=composition)
    batch = batch_of()
    batch = Batch(**{key: batch[key] for key in module.training_keys()})  # type: ignore[literal-required, typeddict-item]
    empty = Batch(**{**batch, "alpha": torch.zeros_like(batch["alpha"])})
    for one in (batch, empty):
        module.zero_grad()
        module.training_step(one, 0).backward()
        for name, weight in module.named_parameters():
            assert weight.grad is not None and weight.grad.isfinite().all(), name


def test_one_representation_weighs_each_loss_a_quarter() -> None:
    module, batch = tiny(), batch_of()
    losses = module.losses(module.network(batch["image"]), batch)
    assert set(losses) == {"glance", "focus", "fusion", "composition"}
    total = module.training_step(batch, 0)
    torch.testing.assert_close(total, sum(losses.values()) / 4)


def test_rim_sums_all_losses_of_three_representations_and_two_of_the_blend() -> None:
    module, batch = tiny(variant="RIM"), batch_of()
    output = module.network(batch["image"])
    losses = module.losses(output, batch)
    names = ("glance", "focus", "fusion", "composition")
    parts = {f"{name}_{representation}" for name in names for representation in ("TT", "FT", "BT")}
    assert set(losses) == parts | {"fusion", "composition"}
    torch.testing.assert_close(losses["fusion"], fusion_loss(output.alpha, batch["alpha"]))
    colours = batch["image"], batch["foreground"], batch["background"]
    torch.testing.assert_close(losses["composition"], composition_loss(output.alpha, *colours))
    torch.testing.assert_close(module.training_step(batch, 0), sum(losses.values()))


def test_glance_is_trained_on_sigmoids_unless_told_otherwise() -> None:
    batch = batch_of()
    with torch.no_grad():
        on = {
            kind: module.losses(module.network(batch["image"]), batch)["glance"]
            for kind in ("sigmoid", "logits")
            for module in [tiny(glance_loss=kind)]
        }
    assert GFM(**TINY).glance_loss == "sigmoid"
    assert on["sigmoid"] != on["logits"]


@pytest.mark.slow  # the contract has a smaller one
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_pictures_can_be_overfitted(variant: str) -> None:
    module, batch = tiny(variant=variant, glance_loss="logits"), batch_of()
    unknown = batch["trimap"] == 0.5

    def error() -> Tensor:
        return (module.network(batch["image"]).alpha - batch["alpha"]).abs()

    before = error()[unknown].mean()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        optimizer.step()
    assert error()[unknown].mean() < 0.25 * before
    if variant in ("TT", "RIM"):  # without a trimap far background takes longer to become 0
        assert error().mean() < 0.03


# From what a run may start, and what it leaves.


def fit(module: GFM, folder: Path, steps: int = 1, **arguments: Any) -> Trainer:
    samples = batch_of(4, 32, 32)
    data = [{key: value[i] for key, value in samples.items()} for i in range(4)]  # type: ignore[attr-defined]
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(data, batch_size=2), DataLoader(data), **arguments)
    return trainer


quiet = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec:FutureWarning"
)


@quiet
def test_a_random_encoder_is_trained_only_if_asked_for_but_the_tiny_one_always(
    tmp_path: Path,
) -> None:
    fit(GFM(**TINY), tmp_path)
    with torch.device("meta"):
        module = GFM("r34")
    message = r"GFM starts from a resnet34 .*timm:resnet34.tv_in1k .*from_scratch true trains"
    with pytest.raises(ValueError, match=message):
        module.on_fit_start()
    with torch.device("meta"):
        GFM("r34", from_scratch=True).on_fit_start()


@pytest.mark.parametrize(
    ("name", "make", "first"),
    [
        ("r34", resnet34, "conv1.weight"),
        ("r34_2b", resnet34, "layer1.0.conv1.weight"),
        ("d121", densenet121, "features.denseblock2.denselayer3.conv1.weight"),
    ],
)
def test_encoder_starts_from_torchvisions_file(
    name: Any, make: Any, first: str, tmp_path: Path
) -> None:
    from mattingzoo.models.gfm.encoders import load_imagenet

    source = make(weights=None).state_dict()
    # Files of DenseNet are older than its names.
    old = {
        k.replace("norm1.", "norm.1.").replace("conv1.w", "conv.1.w"): v for k, v in source.items()
    }
    torch.save(old if name == "d121" else source, tmp_path / "imagenet.pth")
    encoder = make_encoder(name, (1,) * 5, (1,) * 4)  # type: ignore[arg-type]
    own = {
        k: v.clone() for k, v in encoder.state_dict().items() if k.startswith(encoder.own or "-")
    }
    load_imagenet(encoder, name, str(tmp_path / "imagenet.pth"))
    state = encoder.state_dict()
    assert torch.equal(state[first], source[first])
    assert all(torch.equal(state[k], v) for k, v in own.items())
    assert all(torch.equal(v, source[k]) for k, v in state.items() if k not in own)


def test_an_encoder_is_not_filled_from_another_network(tmp_path: Path) -> None:
    save_weights(resnet34(weights=None), tmp_path / "r34.safetensors", {})
    with pytest.raises(ValueError, match=r"r34\.safetensors does not fit .*models\.resnet101"):
        with torch.device("meta"):
            module = GFM("r101")
        module.load_encoder(str(tmp_path / "r34.safetensors"))
    with pytest.raises(ValueError, match="encoder='tiny' has no ImageNet weights"):
        tiny(encoder_weights=str(tmp_path / "r34.safetensors"))


@quiet
def test_a_run_logs_and_its_checkpoint_restores_and_resumes(tmp_path: Path) -> None:
    module = GFM(**TINY, schedule="cosine", lr=1e-3)
    trainer = fit(module, tmp_path, steps=4)
    logged = {name for name in trainer.logged_metrics if name.startswith("train/")}
    parts = ("loss", "loss_glance", "loss_focus", "loss_fusion", "loss_composition")
    assert logged == {f"train/{part}" for part in parts}
    path = tmp_path / "last.ckpt"
    trainer.save_checkpoint(path)
    restored = GFM.load_from_checkpoint(path, weights_only=True)
    for key, value in module.state_dict().items():
        assert torch.equal(restored.state_dict()[key], value), key
    fit(GFM(**TINY, schedule="cosine", lr=1e-3), tmp_path, 5, ckpt_path=path, weights_only=True)


@quiet
def test_weights_of_another_run_are_a_start(tmp_path: Path) -> None:
    path = save_weights(tiny(seed=1), tmp_path / "w.safetensors", {})
    module = tiny(init_from=str(path))
    for key, value in tiny(seed=1).state_dict().items():
        assert torch.equal(module.state_dict()[key], value), key


SCRIPT = """
import json, sys
from pathlib import Path
import torch
from lightning.pytorch import Trainer
from mattingzoo.datamodules import Synthetic
from mattingzoo.models import GFM
from mattingzoo.recipe import Recipe
folder = Path(sys.argv[1])
torch.manual_seed(0)
module = GFM("tiny", "RIM", widths=(4, 8, 8, 16, 16), blocks=(1, 1, 1, 1), lr=1e-3)
recipe = Recipe(name="t", crop_size=32, crop_sides=(32,), rssn=("resolution", "sharpness", "noise"))
data = Synthetic(batch_size=2, num_workers=0, seed=1, recipe=recipe, length=12, size=64)
trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", precision="bf16-mixed", max_steps=2,
                  logger=False, enable_checkpointing=False, enable_progress_bar=False,
                  enable_model_summary=False, limit_val_batches=0, sync_batchnorm=False)
trainer.fit(module, data)
kept = {name: float(weight.detach().double().sum()) for name, weight in module.named_parameters()}
(folder / f"{trainer.global_rank}.json").write_text(json.dumps(kept))
"""


def test_two_processes_train_one_network_in_bf16(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PL_", "MASTER", "LOCAL_"))}
    environment = {**clean, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    command = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
