from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from mattingzoo.batch import Batch
from mattingzoo.losses import alpha_prediction_loss, compositional_loss
from mattingzoo.models import DIM
from mattingzoo.weights import save_weights


def batch_of(count: int = 2, height: int = 32, width: int = 32) -> Batch:
    rng = torch.Generator().manual_seed(5)
    foreground, background = torch.rand(2, count, 3, height, width, generator=rng)
    ramp = torch.linspace(-0.5, 1.5, width).clamp(0, 1)
    alpha = ramp.expand(count, 1, height, width).contiguous()
    trimap = torch.where((alpha > 0) & (alpha < 1), 0.5, alpha)
    image = alpha * foreground + (1 - alpha) * background
    return Batch(
        image=image, alpha=alpha, trimap=trimap, foreground=foreground, background=background
    )


def tiny(seed: int = 0, **options: Any) -> DIM:
    torch.manual_seed(seed)
    module = DIM(**{"width": 4, "convs": (1, 1, 1, 1, 1), "conv6": "conv1", **options})
    module.log = lambda *_, **__: None
    return module


def snapshot(module: DIM) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def step(module: DIM, batch: Batch, lr: float = 1e-2) -> None:
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=lr)
    module.training_step(batch, 0).backward()
    optimizer.step()


def test_stage_2_trains_the_refiner_alone() -> None:
    with torch.device("meta"):
        module = DIM(stage=2)
    trained = [weight.numel() for weight in module.parameters() if weight.requires_grad]
    assert sum(trained) == 76_801
    assert sum(weight.numel() for weight in module.parameters()) == 130_613_698


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("alpha_weight", [0.5, 1.0])
def test_gradients_reach_what_is_trained_and_nothing_else(stage: int, alpha_weight: float) -> None:
    module = tiny(stage=stage, alpha_weight=alpha_weight, batch_norm=True, skips=True)
    module.training_step(batch_of(), 0).backward()
    for name, weight in module.named_parameters():
        if stage == 2 and not name.startswith("network.refiner."):
            assert weight.grad is None, name
        else:
            assert weight.grad is not None, name
            assert weight.grad.isfinite().all(), name
            # a bias before batch normalisation has a gradient of zero by construction
            bias = name.startswith("network.encoder.blocks") and name.endswith("0.bias")
            assert bias or weight.grad.count_nonzero() > 0, name


def test_stage_2_leaves_the_encoder_decoder_as_it_is() -> None:
    module = tiny(stage=2, batch_norm=True)
    before = snapshot(module)
    step(module, batch_of())
    for key, value in module.state_dict().items():
        frozen = not key.startswith("network.refiner.")
        assert torch.equal(value, before[key]) == frozen, key
    assert any(key.endswith("running_mean") for key in before)


def test_stage_2_keeps_the_encoder_decoder_in_evaluation_mode() -> None:
    module = tiny(stage=2, batch_norm=True).eval().train()
    training = {name for name, part in module.network.named_children() if part.training}
    assert training == {"refiner"}
    assert not module.mattes(batch_of()).coarse.requires_grad


@pytest.mark.parametrize("stage", [1, 3])
def test_the_other_stages_update_batch_statistics(stage: int) -> None:
    module = tiny(stage=stage, batch_norm=True)
    before = snapshot(module)
    step(module, batch_of())
    key = "network.encoder.blocks.4.1.running_mean"
    assert not torch.equal(module.state_dict()[key], before[key])


def test_losses_of_the_stages() -> None:
    batch = batch_of()
    alpha, unknown = batch["alpha"], batch["trimap"] == 0.5
    for stage in (1, 2, 3):
        module = tiny(stage=stage, alpha_weight=0.3)
        refined, coarse = module.mattes(batch)
        first = 0.3 * alpha_prediction_loss(coarse, alpha, unknown)
        colours = batch["foreground"], batch["background"]
        first = first + 0.7 * compositional_loss(coarse, alpha, *colours, unknown)
        second = alpha_prediction_loss(refined, alpha, unknown)
        expected = {1: first, 2: second, 3: first + second}[stage]
        torch.testing.assert_close(module.training_step(batch, 0), expected)


@pytest.mark.parametrize(
    ("options", "colours"),
    [
        ({"stage": 1}, True),
        ({"stage": 1, "alpha_weight": 1.0}, False),
        ({"stage": 2}, False),
        ({"stage": 3}, True),
        ({"stage": 3, "alpha_weight": 1.0}, False),
    ],
)
def test_training_reads_its_keys_and_no_other(options: dict[str, Any], colours: bool) -> None:
    module, batch = tiny(**options), batch_of()
    keys = module.training_keys()
    assert ("foreground" in keys) == ("background" in keys) == colours
    module.training_step(Batch(**{key: batch[key] for key in keys}), 0)


@pytest.mark.parametrize(("height", "width"), [(33, 47), (32, 64), (1, 1), (5, 40)])
@pytest.mark.parametrize("stage", [1, 3])
def test_any_size_gives_a_matte_true_to_the_trimap(height: int, width: int, stage: int) -> None:
    batch = batch_of(2, height, width)
    alpha = tiny(stage=stage).eval()(Batch(image=batch["image"], trimap=batch["trimap"]))
    assert alpha.shape == (2, 1, height, width)
    assert (alpha[batch["trimap"] == 1] == 1).all()
    assert (alpha[batch["trimap"] == 0] == 0).all()
    assert ((alpha >= 0) & (alpha <= 1)).all()


def test_padding_does_not_move_a_picture_that_needs_none() -> None:
    module, batch = tiny().eval(), batch_of(1, 32, 64)
    inner = module.network(batch["image"], batch["trimap"]).alpha
    assert torch.equal(module.mattes(batch).alpha, inner)


@pytest.mark.parametrize("options", [{}, {"stage": 3}, {"activation": "clamp"}])
def test_one_batch_can_be_overfitted(options: dict[str, Any]) -> None:
    module, batch = tiny(width=8, alpha_weight=1.0, **options), batch_of(1)
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 250)
    losses = []
    for _ in range(250):
        loss = module.training_step(batch, 0)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    assert losses[-1] < 0.02 * losses[0]


def test_an_unknown_region_of_no_pixel_trains_nothing() -> None:
    module, batch = tiny(stage=3), batch_of()
    batch["trimap"] = batch["alpha"].round()
    loss = module.training_step(batch, 0)
    loss.backward()
    assert loss.item() == 0
    for weight in module.parameters():
        assert weight.grad is not None
        assert weight.grad.count_nonzero() == 0


def test_stages_chain_through_init_from(tmp_path: Path) -> None:
    first = tiny(seed=1)
    file_1 = save_weights(first, tmp_path / "stage1.safetensors", {})
    second = tiny(seed=2, stage=2, init_from=str(file_1))
    file_2 = save_weights(second, tmp_path / "stage2.safetensors", {})
    third = tiny(seed=3, stage=3, init_from=str(file_2))
    state = third.state_dict()
    for key, value in first.state_dict().items():
        assert torch.equal(state[key], value), key
    for key, value in second.state_dict().items():
        assert torch.equal(state[key], value), key


@pytest.mark.parametrize(("source", "target"), [(1, 3), (3, 1)])
def test_a_refiner_may_be_missing_in_stage_2_only(tmp_path: Path, source: int, target: int) -> None:
    path = save_weights(tiny(stage=source), tmp_path / "weights.safetensors", {})
    with pytest.raises(ValueError, match=r"network\.refiner\.0\.weight"):
        tiny(stage=target, init_from=str(path))


def test_two_sources_of_weights_are_refused() -> None:
    with pytest.raises(ValueError, match=r"init_from=b\.ckpt would overwrite .*=a\.pth"):
        tiny(encoder_weights="a.pth", init_from="b.ckpt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stage": 4}, "stage must be one of 1, 2, 3, got '4'"),
        ({"optimizer": "sgd"}, "optimizer must be one of adam, adamw, got 'sgd'"),
        ({"schedule": "step"}, "schedule must be one of constant, cosine, got 'step'"),
        ({"alpha_weight": 1.5}, r"alpha_weight must lie in \[0, 1\], got 1\.5"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**options)


@pytest.fixture
def reset_determinism() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("reset_determinism")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # lightning 2.6 on torch 2.15
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_run_logs_its_losses_and_its_checkpoint_needs_no_other_file(
    tmp_path: Path, stage: int
) -> None:
    start = save_weights(tiny(stage=stage, batch_norm=True), tmp_path / "start.safetensors", {})
    options: dict[str, Any] = {"width": 4, "convs": (1, 1, 1, 1, 1), "conv6": "conv1"}
    options["batch_norm"] = True
    module = DIM(
        **options, stage=stage, schedule="cosine", warmup_steps=1, lr=1e-3, init_from=str(start)
    )
    frozen = {k: v.clone() for k, v in module.network.encoder.state_dict().items()}
    samples = batch_of(4)
    data = [{key: value[i] for key, value in samples.items()} for i in range(4)]
    trainer = Trainer(
        accelerator="cpu",
        max_steps=4,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        deterministic=True,
    )
    trainer.fit(module, DataLoader(data, batch_size=2), DataLoader(data))
    parts = {1: {"alpha", "comp"}, 2: {"refined"}, 3: {"alpha", "comp", "refined"}}[stage]
    logged = {name for name in trainer.logged_metrics if name.startswith("train/loss_")}
    assert logged == {f"train/loss_{part}" for part in parts}
    state = module.network.encoder.state_dict()
    changed = {key for key, value in state.items() if not torch.equal(value, frozen[key])}
    assert (changed == set()) == (stage == 2)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    start.unlink()
    restored = DIM.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert restored.stage == stage
    for key, value in module.state_dict().items():
        assert torch.equal(restored.state_dict()[key], value), key
