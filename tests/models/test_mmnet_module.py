"""MMNet's recipe: sizes, decay, learning, and training on two processes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader

from mattingzoo.batch import Batch
from mattingzoo.datamodules import Synthetic
from mattingzoo.models import MMNet
from mattingzoo.models.mmnet.losses import mmnet_losses
from mattingzoo.models.mmnet.module import parameter_groups, resize, sides_of_area
from mattingzoo.recipe import Recipe
from mattingzoo.weights import save_weights


def tiny(**options: Any) -> MMNet:
    torch.manual_seed(0)
    return MMNet(**{"width": 0.35, "size": 64, "momentum": 0.1, **options})


def batch_of(height: int = 64, width: int = 64) -> Batch:
    """Two discs of differing place and softness."""
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    discs = [((r - (x - c).hypot(y)) * 6).clamp(0, 1) for r, c in ((0.6, -0.2), (0.5, 0.3))]
    alpha = torch.stack(discs)[:, None]
    colours = torch.tensor([[0.9, 0.3, 0.2], [0.1, 0.4, 0.8]]).view(2, 3, 1, 1)
    background = torch.stack([x, y, x * y]) / 2 + 0.5
    return Batch(image=alpha * colours + (1 - alpha) * background, alpha=alpha)


def step(module: MMNet, batch: Batch) -> torch.Tensor:
    module.log = lambda *_, **__: None
    return module.training_step(batch, 0)


@pytest.mark.parametrize("keep_aspect", [False, True])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (64, 64), (33, 47), (200, 90), (16, 160)])
def test_any_size_gives_a_matte_of_its_size(height: int, width: int, keep_aspect: bool) -> None:
    alpha = tiny(keep_aspect=keep_aspect).eval().matte(Batch(image=torch.rand(2, 3, height, width)))
    assert alpha.shape == (2, 1, height, width)
    assert alpha.min() >= 0 and alpha.max() <= 1


def test_pictures_are_squeezed_into_a_square_unless_they_keep_their_shape() -> None:
    image = torch.rand(1, 3, 60, 240)
    assert tiny().resized(image).shape[-2:] == (64, 64)
    assert tiny(keep_aspect=True).resized(image).shape[-2:] == (32, 128)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (500, 500, (256, 256)),
        (1600, 400, (512, 128)),
        (800, 600, (288, 224)),
        (5, 5000, (16, 8096)),
    ],
)
def test_kept_shape_has_about_the_pixels_of_a_square(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    assert sides_of_area(height, width, 256) == expected


def test_picture_of_the_networks_size_is_not_resampled() -> None:
    module, batch = tiny().eval(), batch_of()
    assert torch.equal(module(batch), module.network(batch["image"]).alpha)


def test_reducing_averages() -> None:
    fine = torch.zeros(1, 1, 64, 64)
    fine[..., ::2] = 1  # a grating that sampling every eighth pixel would not average
    torch.testing.assert_close(resize(fine, 8, 8), torch.full((1, 1, 8, 8), 0.5), atol=0.05, rtol=0)


def test_loss_is_the_mean_of_the_five_terms_at_the_networks_size() -> None:
    module, batch = tiny(composition_factor=0.25).eval(), batch_of(96, 80)
    image, alpha = resize(batch["image"], 64, 64), resize(batch["alpha"], 64, 64)
    terms = mmnet_losses(module.network(image), alpha, image, 0.25)
    torch.testing.assert_close(step(module, batch), sum(terms.values()) / 5)


def test_only_ordinary_convolutions_decay() -> None:
    module = tiny()
    decaying, still = (group["params"] for group in parameter_groups(module.network, 4e-7))
    kinds = {
        id(p): layer for layer in module.network.modules() for p in layer.parameters(recurse=False)
    }
    assert len(decaying) + len(still) == len(list(module.parameters()))
    assert all(w.ndim == 4 and kinds[id(w)].groups == 1 for w in decaying)
    left = [kinds[id(p)] for p in still if p.ndim == 4]
    assert left and all(layer.groups == layer.out_channels > 1 for layer in left)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_zero_gradients_leave_all_but_decaying_weights(optimizer: str, tmp_path: Path) -> None:
    module = tiny(optimizer=optimizer, weight_decay=0.1, lr=1e-2)
    (made,) = fit(module, tmp_path, steps=1).optimizers
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    fresh = type(made)(parameter_groups(module.network, 0.1), lr=1e-2)
    for p in module.parameters():
        p.grad = torch.zeros_like(p)
    fresh.step()
    for name, p in module.named_parameters():
        layer = module.get_submodule(name.rpartition(".")[0])
        ordinary = isinstance(layer, nn.Conv2d) and layer.groups == 1 and p is layer.weight
        assert torch.equal(p, before[name]) != ordinary, name
    assert [g["weight_decay"] for g in made.param_groups] == [0.1, 0]


def test_every_parameter_gets_a_gradient() -> None:
    module = tiny()
    step(module, batch_of()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.slow  # the contract has a smaller one
def test_one_batch_is_learnt_and_evaluation_follows_training() -> None:
    module, batch = tiny(width=0.5), batch_of()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for _ in range(300):
        optimizer.zero_grad()
        step(module, batch).backward()
        optimizer.step()
    trained = module.network(batch["image"]).alpha.detach()
    assert (trained - batch["alpha"]).abs().mean() < 0.02
    with torch.no_grad():
        for _ in range(60):  # statistics of the weights as they are now
            module.network(batch["image"])
    evaluated = module.eval().matte(batch)
    # Running variances are unbiased, those of a batch are not: at 4 x 4 pixels that shows.
    assert (evaluated - trained).abs().mean() < 0.02


def test_statistics_of_the_authors_momentum_lag_behind_short_runs() -> None:
    """Why short runs set ``momentum``: with 0.001 a hundred steps hardly show in evaluation."""
    slow, quick = tiny(momentum=0.001), tiny(momentum=0.1)
    image = batch_of()["image"]
    for module in (slow, quick):
        with torch.no_grad():
            for _ in range(100):
                module.network(image)
    seen = slow.network(image).alpha
    off = [(m.eval().network(image).alpha - seen).abs().mean() for m in (slow, quick)]
    assert off[0] > 5 * off[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 100}, "size must be a multiple of 16, got 100"),
        ({"optimizer": "sgd"}, "optimizer must be one of adam, adamw, got 'sgd'"),
        ({"schedule": "linear"}, "schedule must be one of constant, .*, got 'linear'"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_another_runs_weights_are_a_start(tmp_path: Path) -> None:
    other = MMNet(width=0.35, size=64)
    path = save_weights(other, tmp_path / "w.safetensors", {})
    start = tiny(init_from=str(path))
    for key, value in other.state_dict().items():
        assert torch.equal(start.state_dict()[key], value), key


def test_deterministic_training_is_possible() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        step(tiny(), batch_of(96, 80)).backward()
    finally:
        torch.use_deterministic_algorithms(False)


def fit(module: MMNet, folder: Path, steps: int) -> Trainer:
    samples = batch_of()
    data = [{key: value[i % 2] for key, value in samples.items()} for i in range(4)]
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(data, batch_size=2))
    return trainer


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
]

RECIPE = Recipe(name="test", crop_size=64, crop_sides=(48, 64))
SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from parts import train
train()
"""


def train() -> None:
    """Three steps on two processes; both must end with the same weights."""
    seed_everything(0, verbose=False)
    module = tiny()
    data = Synthetic(batch_size=2, num_workers=0, recipe=RECIPE, limit=2, length=12, size=64)
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",  # plain: it fails if a parameter is left without a gradient
        max_steps=3,
        precision="bf16-mixed",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(module, data)
    weights = torch.cat([p.detach().flatten() for p in module.parameters()])
    both = trainer.strategy.all_gather(weights)
    assert both.isfinite().all() and torch.equal(both[0], both[1])


def test_two_processes_end_with_the_same_weights(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(Path(__file__).read_text())
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(folder=str(tmp_path)))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PL_", "MASTER", "LOCAL_"))}
    environment = {**clean, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
