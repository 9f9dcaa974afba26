"""AdaMatting's recipe: what is trained, what comes out, and from what a run may start."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from mattingzoo.batch import Batch
from mattingzoo.models import AdaMatting
from mattingzoo.models.adamatting.losses import Uncertainty, alpha_loss, alpha_region, trimap_loss
from mattingzoo.models.adamatting.network import AdaMattingOutput, adapted_trimap
from mattingzoo.weights import save_weights

TINY: dict[str, Any] = {
    "width": 4,
    "blocks": (1, 1, 1),
    "decoder_widths": (16, 8, 8, 8),
    "propagation_width": 8,
    "memory_width": 8,
    "from_scratch": True,
}
ABLATIONS: list[dict[str, Any]] = [
    {},
    {"iterations": 0},
    {"trimap_decoder": False},
    {"trimap_decoder": False, "iterations": 0},
    {"global_conv": False, "subpixel": False},
    {"learned_sigmas": False},
    {"fed_trimap": "argmax"},
    {"loss_region": "input"},
    {"supervise": "all"},
    {"share_steps": False, "share_middle": True, "fusion": "concat", "boundary_refinement": True},
]


def batch_of(count: int = 2, height: int = 32, width: int = 32) -> Batch:
    rng = torch.Generator().manual_seed(5)
    foreground, background = torch.rand(2, count, 3, 4, 4, generator=rng)
    shape = (height, width)
    foreground = torch.nn.functional.interpolate(foreground + 1, shape) / 2
    background = torch.nn.functional.interpolate(background, shape) / 2
    alpha = torch.linspace(-0.5, 1.5, width).clamp(0, 1).expand(count, 1, height, width)
    alpha = torch.stack([a if i % 2 else a.flip(-1) for i, a in enumerate(alpha)])
    trimap = torch.where(torch.linspace(0, 1, width).sub(0.5).abs() < 0.4, 0.5, alpha)
    image = alpha * foreground + (1 - alpha) * background
    return Batch(image=image, alpha=alpha, trimap=trimap)


def tiny(seed: int = 0, **options: Any) -> AdaMatting:
    torch.manual_seed(seed)
    module = AdaMatting(**{**TINY, **options})
    module.log = lambda *_, **__: None
    return module


def fixed(module: AdaMatting, output: AdaMattingOutput) -> AdaMatting:
    """A module whose network says the same of every picture."""
    module.predictions = lambda _: output
    return module


def opinion(count: int = 2, height: int = 32, width: int = 32) -> AdaMattingOutput:
    rng = torch.Generator().manual_seed(6)
    logits = torch.randn(count, 3, height, width, generator=rng)
    alpha = 3 * torch.rand(count, 1, height, width, generator=rng) - 1
    return AdaMattingOutput(logits, torch.rand(count, 1, height, width), (alpha,))


@pytest.mark.parametrize("options", ABLATIONS, ids=str)
def test_every_parameter_gets_a_gradient_in_each_step(options: dict[str, Any]) -> None:
    """DDP waits for each of them, and nothing may depend on what the network makes of a batch."""
    module = tiny(**options)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(3):
        module.training_step(batch_of(), 0).backward()
        for name, weight in module.named_parameters():
            assert weight.grad is not None, name
            assert weight.grad.isfinite().all(), name
        optimizer.step()
        optimizer.zero_grad()
    blank = batch_of()
    blank["alpha"] = blank["trimap"] = torch.zeros(2, 1, 32, 32)
    module.training_step(blank, 0).backward()
    assert all(weight.grad is not None for weight in module.parameters())


@pytest.mark.parametrize("options", ABLATIONS, ids=str)
def test_training_reads_its_keys_and_no_other(options: dict[str, Any]) -> None:
    module, batch = tiny(**options), batch_of()
    keys = module.training_keys()
    assert set(keys) == {"image", "trimap", "alpha"}
    assert module.training_step(Batch(**{key: batch[key] for key in keys}), 0).isfinite()


def test_loss_is_made_of_both_tasks() -> None:
    batch = batch_of()
    module = tiny(sigma_t=0.5, sigma_a=2.0)
    logits, coarse, refined = module.predictions(batch)
    assert logits is not None
    region = alpha_region(logits, batch["trimap"])
    loss_t = trimap_loss(logits, batch["alpha"])
    balance = Uncertainty(0.5, 2.0, learned=False)
    last = balance(loss_t, alpha_loss(refined[-1:], batch["alpha"], region))
    torch.testing.assert_close(module.training_step(batch, 0), last)
    module.supervise = "all"
    every = balance(loss_t, alpha_loss((coarse, *refined), batch["alpha"], region))
    torch.testing.assert_close(module.training_step(batch, 0), every)
    module.supervise, module.loss_region = "last", "input"
    unknown = batch["trimap"] == 0.5
    given = balance(loss_t, alpha_loss(refined[-1:], batch["alpha"], unknown))
    torch.testing.assert_close(module.training_step(batch, 0), given)
    assert len({last.item(), every.item(), given.item()}) == 3


def test_without_a_trimap_decoder_the_matte_has_the_only_loss() -> None:
    module, batch = tiny(trimap_decoder=False), batch_of()
    output = module.predictions(batch)
    unknown = batch["trimap"] == 0.5
    expected = (output.alpha - batch["alpha"]).abs()[unknown].mean()
    torch.testing.assert_close(module.training_step(batch, 0), expected)


@pytest.mark.parametrize("constrain", ["adapted", "both"])
def test_matte_is_0_and_1_where_the_adapted_trimap_is_known(constrain: str) -> None:
    output, batch = opinion(), batch_of()
    batch["trimap"] = torch.full_like(batch["trimap"], 0.5)
    alpha, extras = fixed(tiny(constrain=constrain), output).forward_with_extras(batch)
    assert output.trimap is not None
    adapted = extras["adapted_trimap"]
    assert torch.equal(adapted[:, 0], output.trimap.argmax(dim=1) / 2)
    assert (alpha[adapted == 0] == 0).all() and (alpha[adapted == 1] == 1).all()
    unknown = adapted == 0.5
    assert torch.equal(alpha[unknown], output.alpha.clamp(0, 1)[unknown])


def test_given_trimap_has_the_last_word_unless_the_adapted_one_is_to_overrule_it() -> None:
    output, batch = opinion(), batch_of()
    trimap = batch["trimap"]
    known = trimap != 0.5
    both = fixed(tiny(constrain="both"), output)(batch)
    assert torch.equal(both[known], trimap[known])
    given = fixed(tiny(constrain="input"), output)(batch)
    assert torch.equal(given[known], trimap[known])
    assert torch.equal(given[~known], output.alpha.clamp(0, 1)[~known])
    adapted = fixed(tiny(constrain="adapted"), output)(batch)
    assert torch.equal(both[~known], adapted[~known])
    assert not torch.equal(adapted[known], trimap[known])


def test_without_a_trimap_decoder_there_is_no_adapted_trimap() -> None:
    batch = batch_of()
    alpha, extras = tiny(trimap_decoder=False).eval().forward_with_extras(batch)
    assert extras == {}
    known = batch["trimap"] != 0.5
    assert torch.equal(alpha[known], batch["trimap"][known])


@pytest.mark.parametrize(("height", "width"), [(33, 47), (16, 64), (1, 1), (5, 40)])
def test_any_size_gives_matte_and_adapted_trimap(height: int, width: int) -> None:
    batch = batch_of(2, height, width)
    module = tiny().eval()
    alpha, extras = module.matte_with_extras(Batch(image=batch["image"], trimap=batch["trimap"]))
    assert set(extras) == set(module.extras) == {"adapted_trimap"}
    for picture in (alpha, extras["adapted_trimap"]):
        assert picture.shape == (2, 1, height, width) and picture.dtype == torch.float32
    assert set(extras["adapted_trimap"].unique().tolist()) <= {0, 0.5, 1}
    assert torch.equal(module.matte(batch), alpha)


def test_padding_does_not_move_a_picture_that_needs_none() -> None:
    module, batch = tiny().eval(), batch_of(1, 32, 48)
    inner = module.network(batch["image"], batch["trimap"]).alpha
    assert torch.equal(module.predictions(batch).alpha, inner)


def overfit(module: AdaMatting, batch: Batch, steps: int) -> None:
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        optimizer.step()
        schedule.step()


@pytest.mark.slow  # the contract has a smaller one
def test_two_pictures_can_be_overfitted() -> None:
    module, batch = tiny(sigma_t=1.0, sigma_a=1.0), batch_of()
    overfit(module, batch, 300)
    output = module.predictions(batch)
    assert output.trimap is not None
    assert trimap_loss(output.trimap, batch["alpha"]) < 0.05
    region = adapted_trimap(output.trimap) == 0.5
    assert region.any()
    assert (output.alpha - batch["alpha"]).abs()[region].mean() < 0.03


@pytest.mark.slow  # the contract has a smaller one
def test_two_pictures_can_be_overfitted_without_a_trimap_decoder() -> None:
    module, batch = tiny(trimap_decoder=False), batch_of()
    overfit(module, batch, 150)
    unknown = batch["trimap"] == 0.5
    assert (module.predictions(batch).alpha - batch["alpha"]).abs()[unknown].mean() < 0.03


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"constrain": "none"}, "constrain must be one of both, adapted, input, got 'none'"),
        ({"constrain": "adapted", "trimap_decoder": False}, "needs trimap_decoder=True"),
        ({"loss_region": "all"}, "loss_region must be one of adapted, input, got 'all'"),
        ({"supervise": "first"}, "supervise must be one of last, all, got 'first'"),
        ({"optimizer": "sgd"}, "optimizer must be one of adam, adamw, got 'sgd'"),
        ({"schedule": "linear"}, "schedule must be one of constant, .*, step, got 'linear'"),
        ({"sigma_a": 0.0}, "sigma_a must be above 0, got 0"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_two_sources_of_weights_are_refused() -> None:
    with pytest.raises(ValueError, match=r"init_from=b\.ckpt would overwrite .*=a\.pth"):
        tiny(encoder_weights="a.pth", init_from="b.ckpt")


def fit(module: AdaMatting, folder: Path, steps: int = 1, **arguments: Any) -> Trainer:
    samples = batch_of(4)
    data = [{key: value[i] for key, value in samples.items()} for i in range(4)]
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


quiet = pytest.mark.filterwarnings("ignore:.*does not have many workers")


@quiet
def test_uncertainties_do_not_decay(tmp_path: Path) -> None:
    module = tiny(optimizer="adamw", weight_decay=0.1)
    groups = fit(module, tmp_path).optimizers[0].param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(decay) == len(list(module.parameters()))
    assert module.balance is not None
    still = {id(p) for p in module.balance.parameters()}
    assert all(decay[id(p)] == (0 if id(p) in still else 0.1) for p in module.parameters())


@quiet
def test_a_random_encoder_is_trained_only_if_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"encoder_weights FILE .*from_scratch true trains without"
    ):
        fit(tiny(from_scratch=False), tmp_path)
    fit(tiny(from_scratch=True), tmp_path)


@quiet
def test_weights_of_another_run_are_a_start(tmp_path: Path) -> None:
    path = save_weights(tiny(seed=1), tmp_path / "w.safetensors", {})
    module = tiny(from_scratch=False, init_from=str(path))
    for key, value in tiny(seed=1).state_dict().items():
        assert torch.equal(module.state_dict()[key], value), key
    fit(module, tmp_path)


@quiet
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # lightning 2.6 on torch 2.15
def test_a_run_logs_and_its_checkpoint_restores_and_resumes(tmp_path: Path) -> None:
    module = AdaMatting(**TINY, schedule="poly", warmup_steps=1, lr=1e-3)
    trainer = fit(module, tmp_path, steps=4)
    logged = {name for name in trainer.logged_metrics if name.startswith("train/")}
    parts = ("loss", "loss_alpha", "loss_trimap", "sigma_alpha", "sigma_trimap")
    assert logged == {f"train/{part}" for part in parts}
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)
    path = tmp_path / "last.ckpt"
    trainer.save_checkpoint(path)
    restored = AdaMatting.load_from_checkpoint(path, weights_only=True, from_scratch=False)
    for key, value in module.state_dict().items():
        assert torch.equal(restored.state_dict()[key], value), key
    fit(restored, tmp_path, steps=2)  # it has weights, so that it may be trained on
    fresh = AdaMatting(**{**TINY, "from_scratch": False}, schedule="poly", lr=1e-3)
    fit(fresh, tmp_path, steps=5, ckpt_path=path, weights_only=True)


@quiet
def test_deterministic_training_is_possible(tmp_path: Path) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        tiny().training_step(batch_of(), 0).backward()
    finally:
        torch.use_deterministic_algorithms(False)


def test_no_uncertainty_leaves_float32_in_bf16() -> None:
    module, batch = tiny(), batch_of()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss: Tensor = module.training_step(batch, 0)
    assert loss.dtype == torch.float32
    loss.backward()
    assert module.balance is not None
    for weight in module.balance.parameters():
        assert weight.grad is not None and weight.grad.dtype == torch.float32
