"""Background Matting's two stages: what moves, what stays, and from what a run may start."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from mattingzoo.batch import Batch
from mattingzoo.cli.load import load_model
from mattingzoo.cli.main import main
from mattingzoo.datamodules import Synthetic
from mattingzoo.io import read_gray, read_rgb, read_rgba, write_png
from mattingzoo.models import BackgroundMatting
from mattingzoo.models.background_matting.losses import OPAQUE
from mattingzoo.recipe import Recipe
from mattingzoo.weights import read_state, save_weights

MICRO: dict[str, Any] = {"width": 4, "n_blocks1": 1, "n_blocks2": 1, "discriminator_width": 4}
RECIPE = Recipe(name="test", crop_size=32, crop_sides=(32, 48), trimap_kernels=(3, 9))
quiet = pytest.mark.filterwarnings("ignore::UserWarning")


def scene(count: int = 3, side: int = 32, seed: int = 0) -> Batch:
    """Soft discs of one colour on smooth backgrounds, and all that both stages read."""
    rng = torch.Generator().manual_seed(seed)
    axis = torch.linspace(-1, 1, side)
    distance = (axis.view(-1, 1) ** 2 + axis**2).sqrt()
    alpha = ((0.6 - distance) * 6).clamp(0, 1).expand(count, 1, -1, -1).contiguous()
    foreground = torch.rand(count, 3, 1, 1, generator=rng).expand(-1, -1, side, side).contiguous()
    background = torch.rand(count, 3, 4, 4, generator=rng)
    background = torch.nn.functional.interpolate(background, side, mode="bilinear")
    image = alpha * foreground + (1 - alpha) * background
    return Batch(
        image=image,
        alpha=alpha,
        foreground=foreground,
        background=background,
        captured_background=(background + 0.02).clamp(0, 1),
        segmentation=(alpha > 0.5).float(),
        motion=image.mean(dim=1, keepdim=True).expand(-1, 4, -1, -1),
        seed=torch.arange(count),
    )


def module(seed: int = 0, **options: Any) -> BackgroundMatting:
    torch.manual_seed(seed)
    return BackgroundMatting(**{**MICRO, **options})


def silent(model: BackgroundMatting) -> BackgroundMatting:
    """One whose steps can be called without a trainer."""
    model.log = model.log_dict = lambda *_, **__: None
    return model


def weights_of(model: BackgroundMatting, path: Path) -> str:
    sizes = {
        key: value for key, value in MICRO.items() if key in ("width", "n_blocks1", "n_blocks2")
    }
    description = {"model": "background_matting", "hparams": sizes}
    return str(save_weights(model, path, description))


@pytest.fixture
def first(tmp_path: Path) -> str:
    """Weights of a stage-1 run."""
    return weights_of(module(5), tmp_path / "stage1.safetensors")


def fit(model: BackgroundMatting, batches: list[Batch], **options: Any) -> Trainer:
    trainer = Trainer(
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"accelerator": "cpu", "max_epochs": 1, "enable_checkpointing": False, **options},
    )
    trainer.fit(model, DataLoader(batches, collate_fn=lambda x: x[0]))
    return trainer


def test_stages_read_their_keys_and_no_other() -> None:
    inputs = ("image", "captured_background", "segmentation", "motion")
    for stage, keys in ((1, (*inputs, "alpha", "foreground", "background")), (2, inputs)):
        model, batch = silent(module(stage=stage)), scene()
        assert model.training_keys() == keys
        only = Batch(**{key: batch[key] for key in keys})
        assert model.training_step(only, 0).isfinite()


def test_colours_are_the_image_s_where_the_matte_is_opaque() -> None:
    model, batch = module().eval(), scene()
    with torch.no_grad():
        model.network.to_alpha.bias += 2  # so that there are both
        output, extras = model.forward_with_extras(batch)
    opaque = (output > OPAQUE).expand_as(batch["image"])
    assert 0.02 < opaque.float().mean() < 0.98
    assert torch.equal(extras["foreground"][opaque], batch["image"][opaque])
    assert not torch.equal(extras["foreground"][~opaque], batch["image"][~opaque])
    assert extras["foreground"].min() >= 0 and extras["foreground"].max() <= 1
    assert torch.equal(model(batch), output)


def test_an_opaque_matte_recomposes_to_the_image() -> None:
    model, batch = module().eval(), scene()
    with torch.no_grad():
        model.network.to_alpha.bias.fill_(50.0)
        alpha, extras = model.forward_with_extras(batch)
    again = alpha * extras["foreground"] + (1 - alpha) * batch["captured_background"]
    assert (alpha == 1).all() and torch.equal(again, batch["image"])


def test_legacy_is_the_released_network() -> None:
    assert not module(legacy=True).network.use_motion
    assert not module(use_motion=False).network.use_motion
    assert module().network.use_motion


def test_a_cut_out_has_the_network_s_own_colours(tmp_path: Path, first: str) -> None:
    rng = np.random.default_rng(0)
    photo, plate = rng.integers(0, 256, (2, 21, 30, 3)).astype(np.uint8)
    write_png(tmp_path / "photo.png", photo)
    write_png(tmp_path / "plate.png", plate)
    mask = np.zeros((21, 30), np.uint8)
    mask[5:15, 8:20] = 255
    write_png(tmp_path / "mask.png", mask)
    out = tmp_path / "out"
    out.mkdir()
    command = ["matte", str(tmp_path / "photo.png"), "--model", "background_matting"]
    command += ["--weights", first, "--background", str(tmp_path / "plate.png"), "--extras"]
    command += ["--segmentation", str(tmp_path / "mask.png"), "--device", "cpu"]
    main([*command, "-o", str(out / "photo.png"), "--cutout", str(out / "cut.png")])
    colours, alpha = read_rgba(out / "cut.png")
    assert np.array_equal(colours, read_rgb(out / "photo_foreground.png"))
    assert np.array_equal(alpha, read_gray(out / "photo.png"))


@pytest.mark.slow  # the contract has a smaller one
@quiet
def test_two_pictures_can_be_overfitted() -> None:
    model = module(width=8, lr=1e-3, schedule="cosine")
    batch = scene(2)
    fit(model, [batch] * 300)
    error = (model.eval().matte(batch) - batch["alpha"]).abs().mean()
    assert error < 0.02


def gradients(model: BackgroundMatting, batch: Batch, part: str) -> list[Tensor]:
    model.zero_grad()
    model.training_step(batch, 0).backward()
    weights = getattr(model, part).parameters()
    return [torch.zeros(1) if w.grad is None else w.grad.clone() for w in weights]


def test_adversarial_gradient_reaches_the_network() -> None:
    """The released script's does not: its composite is cut off."""
    model = silent(module(stage=2, supervision=0.0))
    assert sum(g.abs().sum() for g in gradients(model, scene(), "network")) > 1e-4
    assert all(g.abs().sum() > 0 for g in gradients(model, scene(), "discriminator"))


def test_legacy_network_gets_none_and_the_discriminator_gives_none() -> None:
    """Both of its losses are computed here, so that neither reaches the network."""
    model = silent(module(stage=2, supervision=0.0, legacy=True))
    assert not any(g.any() for g in gradients(model, scene(), "network"))
    assert all(g.abs().sum() > 0 for g in gradients(model, scene(), "discriminator"))


def test_fooling_the_discriminator_does_not_teach_it() -> None:
    with_motion, released = (silent(module(stage=2, legacy=legacy)) for legacy in (False, True))
    released.network.load_state_dict(with_motion.network.state_dict())
    released.teacher.load_state_dict(with_motion.teacher.state_dict())
    released.discriminator.load_state_dict(with_motion.discriminator.state_dict())
    with_motion.network.use_motion = with_motion.teacher.use_motion = False
    one, other = (gradients(m, scene(), "discriminator") for m in (with_motion, released))
    torch.testing.assert_close(one, other)


def test_teacher_stays_frozen_and_in_evaluation_mode(first: str) -> None:
    model = silent(module(stage=2, init_from=first))
    assert model.teacher is not None
    before = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    model.train()
    assert not model.teacher.training and model.network.training
    optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
    model.training_step(scene(), 0).backward()
    optimizer.step()
    assert all(weight.grad is None for weight in model.teacher.parameters())
    for key, value in model.teacher.state_dict().items():
        assert torch.equal(value, before[key]), key


class Trace(Callback):
    """Which networks moved in each step, and the teacher's weight."""

    def __init__(self) -> None:
        self.moved: list[tuple[bool, bool]] = []
        self.supervision: list[float] = []

    def _now(self, model: BackgroundMatting) -> tuple[Tensor, Tensor]:
        assert model.discriminator is not None
        parts = (model.network, model.discriminator)
        return tuple(next(iter(p.parameters())).detach().clone() for p in parts)

    def on_train_batch_start(self, trainer: Any, model: Any, batch: Any, batch_idx: int) -> None:
        self.before = self._now(model)

    def on_train_batch_end(self, trainer: Any, model: Any, *_: Any) -> None:
        changes = zip(self.before, self._now(model), strict=True)
        self.moved.append(tuple(not torch.equal(old, new) for old, new in changes))
        self.supervision.append(float(trainer.callback_metrics["train/supervision"]))


@quiet
def test_discriminator_moves_every_fifth_step_and_supervision_halves(first: str) -> None:
    trace, model = Trace(), module(stage=2, init_from=first, supervision=1.0)
    fit(model, [scene()] * 2, max_epochs=6, callbacks=[trace])
    assert [network for network, _ in trace.moved] == [True] * 12
    assert [step for step, (_, judge) in enumerate(trace.moved) if judge] == [0, 5, 10]
    assert trace.supervision[::2] == [1, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_teacher_starts_from_stage_1_and_the_student_at_random(first: str) -> None:
    stage1 = read_state(first)
    model = module(stage=2, init_from=first)
    assert model.teacher is not None
    for key, value in model.teacher.state_dict().items():
        assert torch.equal(value, stage1[f"network.{key}"]), key
    assert not torch.equal(model.network.merge[0].weight, stage1["network.merge.0.weight"])
    same = module(stage=2, init_from=first, student="teacher")
    for key, value in same.network.state_dict().items():
        assert torch.equal(value, stage1[f"network.{key}"]), key
    again = module(init_from=first)
    assert torch.equal(again.network.merge[0].weight, stage1["network.merge.0.weight"])


@quiet
def test_a_teacher_that_learnt_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"none was given: --model\.init_from FILE"):
        fit(module(stage=2), [scene()])


def test_weights_that_do_not_fit_are_refused(first: str) -> None:
    with pytest.raises(ValueError, match="of another shape"):
        module(stage=2, width=8, init_from=first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stage": 3}, "stage must be one of 1, 2, got 3"),
        ({"student": "best"}, "student must be one of random, teacher, got 'best'"),
        ({"optimizer": "sgd"}, "optimizer must be one of adam, adamw, got 'sgd'"),
        ({"schedule": "up"}, "schedule must be one of constant, cosine"),
        ({"halve_every": 0}, "halve_every must be 1 epoch or more, got 0"),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(**options)


def data() -> Synthetic:
    return Synthetic(batch_size=2, num_workers=0, seed=3, recipe=RECIPE, limit=2, length=6, size=48)


def train(model: BackgroundMatting, folder: Path, steps: int, **options: Any) -> Trainer:
    """A run with checkpoints after every step and a validation each epoch, of three steps."""
    seed_everything(7, verbose=False)
    resume = options.pop("ckpt_path", None)
    trainer = Trainer(
        **{"accelerator": "cpu", "logger": False, "max_steps": steps, **options},
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ModelCheckpoint(folder, "at-{step}", every_n_train_steps=1, save_top_k=-1)],
    )
    trainer.fit(model, data(), ckpt_path=resume, weights_only=True)
    return trainer


@quiet
@pytest.mark.parametrize("stopped_at", [2, 3])  # inside the first epoch, and at its end
def test_resumed_stage_2_equals_uninterrupted(tmp_path: Path, first: str, stopped_at: int) -> None:
    options = {"stage": 2, "discriminator_every": 2, "lr": 1e-3}
    straight = module(init_from=first, **options)
    scores = train(straight, tmp_path / "straight", 7).callback_metrics
    assert float(scores["train/supervision"]) == pytest.approx(0.05 / 2)
    assert scores["val/mse_fg"] >= 0
    train(module(init_from=first, **options), tmp_path / "first", stopped_at, max_steps=stopped_at)
    resumed = module(1, **options)  # of other weights, and without its file
    train(resumed, tmp_path / "second", 7, ckpt_path=tmp_path / f"first/at-step={stopped_at}.ckpt")
    for key, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


@quiet
def test_exported_weights_are_the_student_s_alone(tmp_path: Path, first: str) -> None:
    model = module(stage=2, init_from=first)
    train(model, tmp_path, 2)
    checkpoint, out = tmp_path / "at-step=2.ckpt", tmp_path / "student.safetensors"
    state = torch.load(checkpoint, weights_only=True)
    state["mattingzoo_model"] = "mattingzoo.models.BackgroundMatting"
    torch.save(state, checkpoint)
    main(["export-weights", "--checkpoint", str(checkpoint), "-o", str(out)])
    assert all(key.startswith("network.") for key in read_state(out))
    again = load_model("background_matting", str(out)).module
    assert torch.equal(again.matte(scene()), model.eval().matte(scene()))
    module(stage=2, init_from=str(out))  # a student may teach, too


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from pathlib import Path
import torch
from parts import module, train
folder = Path({folder!r})
model = module(stage=2, init_from=str(folder / "stage1.safetensors"), use_motion=False, lr=1e-3)
trainer = train(model, folder, 4, devices=2, strategy="ddp", precision="bf16-mixed")
assert "val/mse_fg" in trainer.callback_metrics
torch.save(model.state_dict(), folder / f"rank-{{trainer.global_rank}}.pt")
"""


def test_stage_2_trains_on_two_processes_in_bf16(tmp_path: Path, first: str) -> None:
    (tmp_path / "parts.py").write_text(Path(__file__).read_text())
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(folder=str(tmp_path)))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PL_", "MASTER", "LOCAL_"))}
    environment = {**clean, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, other = (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1))
    start = read_state(first)
    for key, value in one.items():
        if "running" not in key and "num_batches" not in key:
            assert torch.equal(value, other[key]), key
        if key.startswith("teacher."):
            assert torch.equal(value, start[key.replace("teacher.", "network.")]), key


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@quiet
@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed"])
def test_stage_2_trains_on_cuda_in_half_precision(first: str, precision: str) -> None:
    model = module(stage=2, init_from=first)
    fit(model, [scene()] * 10, accelerator="gpu", devices=1, precision=precision)
    for name, weight in model.named_parameters():
        assert weight.isfinite().all() and weight.dtype == torch.float32, name
