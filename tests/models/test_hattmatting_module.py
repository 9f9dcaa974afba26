"""HAttMatting's recipe: what is trained by what, when, and from what a run may start."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from mattingzoo.adversarial import Adversaries
from mattingzoo.batch import Batch
from mattingzoo.models import HAttMatting
from mattingzoo.models.hattmatting.losses import fooling_loss, mse_loss, ssim_loss, telling_loss
from mattingzoo.weights import load_weights, read_state, save_weights

TINY: dict[str, Any] = {
    "backbone": "tiny",
    "tiny_width": 4,
    "tiny_blocks": (1, 1, 1, 1),
    "width": 8,
    "aspp_rates": (1, 2),
    "discriminator_width": 4,
    "lr": 1e-3,
    "schedule": "constant",
}
ABLATIONS: list[dict[str, Any]] = [
    {},
    {"channel_attention": False},
    {"spatial_attention": False},
    {"low_level": False},
    {"ssim_weight": 0.0},
    {"adversarial_weight": 0.0},
    {"ssim_weight": 0.0, "adversarial_weight": 0.0, "low_level": False},
    {"adversarial_after": 5},
    {"discriminator_norm": "instance", "checkpointing": True},
]


def batch_of(count: int = 2, height: int = 32, width: int = 32) -> Batch:
    rng = torch.Generator().manual_seed(5)
    image = F.interpolate(torch.rand(count, 3, 4, 4, generator=rng), (height, width))
    alpha = torch.linspace(-0.5, 1.5, width).clamp(0, 1).expand(count, 1, height, width)
    alpha = torch.stack([a if i % 2 else a.flip(-1) for i, a in enumerate(alpha)])
    return Batch(image=(image + alpha) / 2, alpha=alpha, trimap=torch.full_like(alpha, 0.5))


def tiny(seed: int = 0, **options: Any) -> HAttMatting:
    torch.manual_seed(seed)
    return HAttMatting(**{**TINY, **options})


def quietly(module: HAttMatting) -> tuple[HAttMatting, dict[str, Tensor]]:
    """A module without trainer, and what it logs."""
    logged: dict[str, Tensor] = {}
    module.log = lambda name, value, **_: logged.update({name: value})
    return module, logged


def touched(network: torch.nn.Module | None) -> list[bool]:
    assert network is not None
    return [w.grad is not None and bool(w.grad.any()) for w in network.parameters()]


# --- the loss


def test_loss_is_made_of_its_terms() -> None:
    module, logged = quietly(tiny())
    module.eval()  # so that each pass gives the same
    batch = batch_of()
    image, alpha = batch["image"], batch["alpha"]
    pred = module.predictions(image)
    assert module.discriminator is not None
    fake = module.discriminator(torch.cat([image, pred], dim=1))
    real = module.discriminator(torch.cat([image, alpha], dim=1))
    generator = mse_loss(pred, alpha) + 0.1 * ssim_loss(pred, alpha) + 0.05 * fooling_loss(fake)
    total = module.training_step(batch, 0)
    torch.testing.assert_close(total, generator + telling_loss(real, fake))
    torch.testing.assert_close(logged["train/loss"], generator)
    terms = ("mse", "ssim", "adversarial", "discriminator")
    assert set(logged) == {
        "train/loss",
        "train/discriminator_accuracy",
        *(f"train/loss_{term}" for term in terms),
    }


def test_the_truth_leaves_the_adversarial_term_alone() -> None:
    module, _ = quietly(tiny().eval())
    batch = batch_of()
    image, alpha = batch["image"], batch["alpha"]
    verdict = module.judge(torch.cat([image, alpha], dim=1))
    loss = module.generator_loss(image, alpha, alpha)
    torch.testing.assert_close(loss, 0.05 * fooling_loss(verdict), atol=1e-6, rtol=1e-4)


def test_each_loss_moves_its_own_network() -> None:
    batch = batch_of()
    for of_generator in (True, False):
        module, _ = quietly(tiny())
        pred = module.predictions(batch["image"])
        loss = module.generator_loss if of_generator else module.discriminator_loss
        loss(batch["image"], pred, batch["alpha"]).backward()
        assert any(touched(module.network)) == of_generator
        assert any(touched(module.discriminator)) != of_generator


def test_the_discriminator_teaches_the_network() -> None:
    module, _ = quietly(tiny())
    image = batch_of()["image"]
    fooling_loss(module.judge(torch.cat([image, module.predictions(image)], dim=1))).backward()
    assert any(touched(module.network)) and not any(touched(module.discriminator))


@pytest.mark.parametrize("options", ABLATIONS, ids=str)
def test_every_parameter_gets_a_gradient_in_each_step(options: dict[str, Any]) -> None:
    """DDP waits for each of them."""
    module, _ = quietly(tiny(**options))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(3):
        module.training_step(batch_of(), 0).backward()
        for name, weight in module.named_parameters():
            assert weight.grad is not None and weight.grad.isfinite().all(), name
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("options", ABLATIONS, ids=str)
def test_training_reads_its_keys_and_no_other(options: dict[str, Any]) -> None:
    module, _ = quietly(tiny(**options))
    batch, keys = batch_of(), module.training_keys()
    assert set(keys) == {"image", "alpha"}
    assert module.training_step(Batch(**{key: batch[key] for key in keys}), 0).isfinite()


def test_without_adversary_there_is_no_discriminator() -> None:
    module, logged = quietly(tiny(adversarial_weight=0.0))
    module.training_step(batch_of(), 0)
    assert module.discriminator is None
    assert not [key for key in module.state_dict() if key.startswith("discriminator.")]
    assert set(logged) == {"train/loss", "train/loss_mse", "train/loss_ssim"}


def test_without_structure_pixels_count_alone() -> None:
    module, logged = quietly(tiny(ssim_weight=0.0, adversarial_weight=0.0))
    loss = module.training_step(batch_of(), 0)
    assert torch.equal(loss, logged["train/loss_mse"]) and "train/loss_ssim" not in logged


def at(module: HAttMatting, monkeypatch: pytest.MonkeyPatch, epoch: int, step: int) -> Any:
    monkeypatch.setattr(HAttMatting, "current_epoch", epoch)
    monkeypatch.setattr(HAttMatting, "global_step", step)
    return pytest.approx(module.present_weights())


def test_weights_of_the_terms_change_with_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    module = tiny()
    assert at(module, monkeypatch, 0, 900) == (0.1, 0.05)
    assert at(module, monkeypatch, 1, 1000) == (0.025, 0.05)
    assert at(module, monkeypatch, 19, 9000) == (0.025, 0.05)
    later = tiny(ssim_drop_after=3, ssim_drop=0.5, adversarial_after=2)
    assert at(later, monkeypatch, 1, 9) == (0.1, 0)
    assert at(later, monkeypatch, 2, 9) == (0.1, 0.05)
    assert at(later, monkeypatch, 3, 9) == (0.05, 0.05)


def test_weights_of_the_terms_change_with_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    module = tiny(counted_in="steps", ssim_drop_after=100, adversarial_after=50)
    assert at(module, monkeypatch, 7, 49) == (0.1, 0)
    assert at(module, monkeypatch, 7, 50) == (0.1, 0.05)
    assert at(module, monkeypatch, 0, 99) == (0.1, 0.05)
    assert at(module, monkeypatch, 0, 100) == (0.025, 0.05)


def test_the_discriminator_learns_before_it_counts() -> None:
    module, logged = quietly(tiny(adversarial_after=1))
    module.training_step(batch_of(), 0).backward()
    assert "train/loss_adversarial" not in logged and "train/loss_discriminator" in logged
    assert any(touched(module.discriminator))


# --- pictures


@pytest.mark.parametrize(("height", "width"), [(33, 47), (16, 64), (1, 1), (5, 90)])
def test_any_size(height: int, width: int) -> None:
    alpha = tiny().eval().matte(batch_of(2, height, width))
    assert alpha.shape == (2, 1, height, width)
    assert alpha.min() >= 0 and alpha.max() <= 1


def test_padding_does_not_move_a_picture_that_needs_none() -> None:
    module, image = tiny().eval(), batch_of(1, 32, 48)["image"]
    assert torch.equal(module.predictions(image), module.network(image).alpha)


def test_large_pictures_may_be_shrunk() -> None:
    module, batch = tiny(max_long_side=50).eval(), batch_of(1, 40, 100)
    seen: list[Tensor] = []
    module.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    alpha = module.matte(batch)
    assert alpha.shape == (1, 1, 40, 100)
    assert seen[0].shape == (1, 3, 24, 56)  # 20 x 50, padded
    small = F.interpolate(batch["image"], (20, 50), mode="bilinear", antialias=True)
    expected = F.interpolate(module.predictions(small), (40, 100), mode="bilinear")
    torch.testing.assert_close(alpha, expected)


def test_pictures_that_are_small_enough_are_not_resized() -> None:
    batch = batch_of(1, 24, 50)
    assert torch.equal(tiny(max_long_side=50).eval()(batch), tiny().eval()(batch))


def test_a_long_strip_keeps_a_row() -> None:
    assert tiny(max_long_side=16).eval()(batch_of(1, 2, 90)).shape == (1, 1, 2, 90)


# --- arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"counted_in": "days"}, "counted_in must be one of epochs, steps, got 'days'"),
        ({"optimizer": "adam"}, "optimizer must be one of sgd, adamw, got 'adam'"),
        ({"schedule": "linear"}, "schedule must be one of constant, .*, step, got 'linear'"),
        ({"max_long_side": 4}, "max_long_side must be 8 pixels or more, got 4"),
        ({"ssim_window": 4}, "ssim_window must be an odd number of pixels, got 4"),
        ({"ssim_weight": -1.0}, "ssim_weight must be 0 or more, got -1"),
        ({"adversarial_weight": -0.1}, "adversarial_weight must be 0 or more, got -0.1"),
        ({"discriminator_norm": "layer"}, "norm must be one of batch, instance, got 'layer'"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**options)


# --- runs


class Watch(Callback):
    """Notes the weights of the terms before each batch."""

    def __init__(self) -> None:
        self.weights: list[tuple[float, float]] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        self.weights.append(pl_module.present_weights())


def fit(module: HAttMatting, steps: int = 1, batch_size: int = 2, **arguments: Any) -> Trainer:
    resume = {k: arguments.pop(k) for k in ("ckpt_path", "weights_only") if k in arguments}
    samples = batch_of(4)
    data = [{key: value[i] for key, value in samples.items()} for i in range(4)]
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **arguments,
    )
    trainer.fit(module, DataLoader(data, batch_size), DataLoader(data), **resume)
    return trainer


quiet = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*LeafSpec:FutureWarning",
    "ignore:.*in eval mode at the start of training",  # freeze_bn means to
)


def moved(before: dict[str, Tensor], module: torch.nn.Module, prefix: str) -> bool:
    after = module.state_dict()
    weights = [k for k in before if k.startswith(prefix) and before[k].is_floating_point()]
    assert all(after[k].isfinite().all() for k in weights)
    return any(not torch.equal(before[k], after[k]) for k in weights)


@quiet
def test_optimizers_are_the_papers() -> None:
    optimizer = fit(tiny(lr=0.007, schedule="poly"), steps=4).optimizers[0]
    assert isinstance(optimizer, Adversaries)
    generator, judge = optimizer.parts
    assert isinstance(generator, torch.optim.SGD) and isinstance(judge, torch.optim.Adam)
    group = generator.param_groups[0]
    assert (group["momentum"], group["weight_decay"]) == (0.9, 5e-4)
    assert group["initial_lr"] == 0.007 and group["lr"] == pytest.approx(0, abs=1e-9)
    assert judge.param_groups[0]["lr"] == 1e-4 and judge.param_groups[0]["weight_decay"] == 0


@quiet
def test_steps_and_epochs_are_counted_by_the_generator() -> None:
    watch = Watch()
    fit(tiny(counted_in="steps", ssim_drop_after=3), steps=5, callbacks=[watch])
    assert [ssim for ssim, _ in watch.weights] == pytest.approx([0.1] * 3 + [0.025] * 2)
    watch = Watch()
    fit(tiny(), steps=5, callbacks=[watch])  # an epoch has two steps
    assert [ssim for ssim, _ in watch.weights] == pytest.approx([0.1] * 2 + [0.025] * 3)


@quiet
@pytest.mark.parametrize("adversarial_weight", [0.05, 0.0])
def test_bf16_clipping_and_accumulation(adversarial_weight: float) -> None:
    module = tiny(adversarial_weight=adversarial_weight, optimizer="adamw", freeze_bn=True)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    options: dict[str, Any] = {"precision": "bf16-mixed", "gradient_clip_val": 0.1}
    trainer = fit(module, 3, batch_size=1, accumulate_grad_batches=2, **options)
    assert trainer.global_step == 3
    assert moved(before, module, "network.")
    assert not adversarial_weight or moved(before, module, "discriminator.")
    assert all(weight.dtype == torch.float32 for weight in module.parameters())


@quiet
def test_a_run_logs_and_its_checkpoint_restores_and_resumes(tmp_path: Path) -> None:
    module = tiny()
    trainer = fit(module, steps=4)
    logged = {name for name in trainer.logged_metrics if name.startswith("train/")}
    assert {"train/loss", "train/discriminator_accuracy", "train/loss_adversarial"} <= logged
    path = tmp_path / "last.ckpt"
    trainer.save_checkpoint(path)
    restored = HAttMatting.load_from_checkpoint(path, weights_only=True)
    for key, value in module.state_dict().items():
        assert torch.equal(restored.state_dict()[key], value), key
    assert fit(tiny(), steps=6, ckpt_path=path, weights_only=True).global_step == 6


def test_exported_weights_go_without_the_discriminator(tmp_path: Path) -> None:
    module = tiny(seed=1)
    path = save_weights(module, tmp_path / "w.safetensors", {}, leave_out=module.training_only)
    assert all(key.startswith("network.") for key in read_state(path))
    for again in (tiny(init_from=str(path)), tiny(adversarial_weight=0.0, init_from=str(path))):
        assert torch.equal(again.eval().matte(batch_of()), module.eval().matte(batch_of()))
    load_weights(tiny(adversarial_weight=0.0), path)  # what predicts needs no discriminator


# --- ImageNet


@quiet
def test_a_random_resnext_is_trained_only_if_asked_for() -> None:
    large = {"backbone": "resnext50_32x4d", "adversarial_weight": 0.0}
    with pytest.raises(
        ValueError,
        match=r"HAttMatting starts from a resnext50_32x4d .*timm:resnext50_32x4d\.tv_in1k",
    ):
        fit(tiny(**large), steps=0)
    fit(tiny(**large, from_scratch=True), steps=0)


def test_imagenet_weights_arrive_in_the_backbone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    theirs = torchvision.models.resnext50_32x4d(weights=None).state_dict()
    path = tmp_path / "resnext50_32x4d.pth"
    torch.save(theirs, path)
    module = tiny(backbone="resnext50_32x4d", encoder_weights=str(path))
    ours = module.network.backbone.state_dict()
    assert set(theirs) - set(ours) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert module.may_start
    with pytest.raises(ValueError, match=r"resnext50_32x4d\.pth does not fit .*tiny has none"):
        tiny(encoder_weights=str(path))
    with pytest.raises(ValueError, match="give one"):
        tiny(encoder_weights=str(path), init_from="other.ckpt")


# --- processes

SCRIPT = """
import sys
import torch
sys.path.insert(0, {folder!r})
from hattmatting_parts import fit, tiny
for number, options in enumerate({options!r}):
    module = tiny(optimizer="adamw", **options)
    trainer = fit(module, 2, batch_size=1, devices=2, strategy="ddp", num_sanity_val_steps=0,
                  limit_val_batches=0)
    torch.save(dict(module.named_parameters()), f"{folder}/{{number}}-{{trainer.global_rank}}.pt")
"""


def test_two_processes_stay_equal(tmp_path: Path) -> None:
    """Plain DDP: every parameter takes part in every step, whatever is left out."""
    options: list[dict[str, Any]] = [
        {},
        {"adversarial_after": 1, "counted_in": "steps", "checkpointing": True},
        {"adversarial_weight": 0.0, "low_level": False},
    ]
    (tmp_path / "hattmatting_parts.py").write_text(Path(__file__).read_text())
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(folder=str(tmp_path), options=options))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PL_", "MASTER", "LOCAL_"))}
    environment = {**clean, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    for number, arguments in enumerate(options):
        one, other = (torch.load(tmp_path / f"{number}-{rank}.pt") for rank in (0, 1))
        start = dict(tiny(**arguments).named_parameters())
        assert set(one) == set(other) == set(start)
        for key, value in one.items():
            assert torch.equal(value, other[key]), key
            assert not torch.equal(value, start[key]), key
