"""What every exported model must do; one tiny instance each."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from mattingzoo.batch import Batch, derivable
from mattingzoo.cli.load import load_model
from mattingzoo.cli.names import models
from mattingzoo.derive import derive
from mattingzoo.models import DIM, GFM, AdaMatting, BackgroundMatting, HAttMatting, MMNet, SEMat
from mattingzoo.models.gfm.network import Variant
from mattingzoo.module import MattingModule
from mattingzoo.weights import load_weights, save_weights

LAYERS = {"foreground", "alpha", "background"}


def micro_semat(train_sam: bool = True, lora_rank: int = 0) -> SEMat:
    return SEMat(
        sam="tiny",
        tiny_size=64,
        tiny_width=32,
        tiny_depth=1,
        tiny_heads=2,
        tiny_window=2,
        tiny_decoder_width=32,
        widths=(8, 8, 16, 16),
        stem_kernel=3,
        train_sam=train_sam,
        lora_rank=lora_rank,
        lr=2e-3,
        warmup_steps=0,
        schedule="constant",
    )


def micro_adamatting() -> AdaMatting:
    return AdaMatting(
        width=4,
        blocks=(1, 1, 1),
        decoder_widths=(16, 8, 8, 8),
        gcn_kernel=3,
        propagation_width=8,
        memory_width=8,
        sigma_t=1.0,
        sigma_a=1.0,
        lr=5e-3,
        schedule="cosine",
        from_scratch=True,
    )


def micro_hattmatting(adversarial_weight: float = 0.05) -> HAttMatting:
    return HAttMatting(
        backbone="tiny",
        tiny_width=4,
        tiny_blocks=(1, 1, 1, 1),
        width=16,
        aspp_rates=(1, 2),
        adversarial_weight=adversarial_weight,
        discriminator_width=4,
        optimizer="adamw",
        lr=5e-3,
        schedule="cosine",
    )


def micro_gfm(variant: Variant = "TT") -> GFM:
    return GFM(
        encoder="tiny",
        variant=variant,
        widths=(4, 8, 8, 8, 16),
        blocks=(1, 1, 1, 1),
        glance_loss="logits",
        transition_kernel=7,
        mask_kernel=9,
        test_strategy="resize",
        ratios=(1.0,),
        lr=3e-3,
        schedule="cosine",
    )


def micro_background_matting(stage: Literal[1, 2] = 1) -> BackgroundMatting:
    model = BackgroundMatting(
        width=6,
        n_blocks1=1,
        n_blocks2=1,
        stage=stage,
        discriminator_width=4,
        lr=1e-3,
        lr_discriminator=1e-3,
        schedule="cosine",
    )
    model.load_state_dict(model.state_dict())  # stage 2 asks for a teacher that was loaded
    return model


TINY: dict[str, Callable[[], MattingModule]] = {
    "adamatting": lambda: micro_adamatting(),
    "background_matting": lambda: micro_background_matting(),
    "background_matting, stage 2": lambda: micro_background_matting(stage=2),
    "dim": lambda: DIM(width=4, convs=(1, 1, 1, 1, 1), conv6="conv1", lr=1e-3),
    "dim, stage 3": lambda: DIM(width=4, convs=(1, 1, 1, 1, 1), conv6="conv1", stage=3, lr=1e-3),
    "hattmatting": lambda: micro_hattmatting(),
    "hattmatting, no GAN": lambda: micro_hattmatting(adversarial_weight=0.0),
    "gfm": lambda: micro_gfm(),
    "gfm, RIM": lambda: micro_gfm("RIM"),
    "mmnet": lambda: MMNet(width=0.35, size=32, momentum=0.1, lr=3e-3),
    "semat": lambda: micro_semat(),
    "semat, frozen SAM": lambda: micro_semat(train_sam=False, lora_rank=4),
}
ROOT = Path(__file__).parents[2]


def fake_batch(needed: tuple[str, ...], height: int = 64, width: int = 64) -> Batch:
    """Layers that obey the compositing equation, and everything derived from them."""
    generator = torch.Generator().manual_seed(0)
    y = torch.linspace(-1, 1, height).view(1, 1, -1, 1)
    x = torch.linspace(-1, 1, width).view(1, 1, 1, -1)
    alpha = ((0.7 - (x**2 + y**2).sqrt()) * 8).clamp(0, 1).expand(2, 1, -1, -1).contiguous()
    # Sizes of a multiple of 4 and of any other: colours vary smoothly.
    colours = torch.rand(2, 6, 4, 4, generator=generator)
    colours = torch.nn.functional.interpolate(colours, (height, width), mode="bilinear")
    batch: Batch = {
        "foreground": colours[:, :3],
        "background": colours[:, 3:],
        "alpha": alpha,
        "name": ["a", "b"],
    }
    return derive(batch, needed, generator, (5, 9))


@pytest.fixture(params=TINY)
def model(request: pytest.FixtureRequest) -> MattingModule:
    torch.manual_seed(0)
    return TINY[request.param]()


def test_every_exported_model_has_an_instance_here() -> None:
    assert {type(make()) for make in TINY.values()} == set(models().values())


def test_every_export_is_a_model_named_after_its_folder() -> None:
    assert set(models()) == {p.parent.name for p in (ROOT / "models").glob("*/__init__.py")}


@pytest.mark.parametrize("name", models())
def test_model_has_card_configs_and_readme_row(name: str) -> None:
    assert (ROOT / "models" / name / "README.md").stat().st_size > 1000
    for config in ("paper", "common", "tiny"):
        assert (ROOT / "configs" / name / f"{config}.yaml").is_file()
    assert f"`{name}`" in (ROOT / "README.md").read_text()


def test_network_is_free_of_lightning() -> None:
    for file in (ROOT / "models").glob("*/network.py"):
        assert "lightning" not in file.read_text(), file


def test_arguments_are_plain(model: MattingModule) -> None:
    for parameter in inspect.signature(type(model)).parameters.values():
        assert parameter.default is not inspect.Parameter.empty, parameter
        assert isinstance(parameter.default, int | float | str | tuple | None), parameter


@pytest.mark.parametrize(("height", "width"), [(33, 47), (64, 64), (5, 90)])
def test_any_size_in_same_size_out(model: MattingModule, height: int, width: int) -> None:
    batch = fake_batch(model.inputs, height, width)
    alpha = model.eval().matte(batch)
    assert alpha.shape == (2, 1, height, width)
    assert alpha.dtype == torch.float32
    assert alpha.min() >= 0 and alpha.max() <= 1


def test_batch_equals_one_by_one(model: MattingModule) -> None:
    batch = fake_batch(model.inputs)
    both = model.eval().matte(batch)
    for i in range(2):
        one: Batch = {k: v[i : i + 1] for k, v in batch.items()}  # type: ignore[assignment, index]
        # On average: where two pixels of a pooling window tie, rounding decides which one wins.
        assert (model.matte(one) - both[i : i + 1]).abs().mean() < 1e-5


def test_a_given_trimap_is_kept(model: MattingModule) -> None:
    if "trimap" not in model.inputs:
        pytest.skip("reads no trimap")
    batch = fake_batch(model.inputs)
    alpha = model.eval().matte(batch)
    known = batch["trimap"] != 0.5
    assert torch.equal(alpha[known], batch["trimap"][known])


def test_reads_nothing_beyond_its_inputs(model: MattingModule) -> None:
    batch = fake_batch(model.inputs)
    only: Batch = {key: batch[key] for key in model.inputs}  # type: ignore[literal-required, assignment]
    assert torch.equal(model.eval().matte(only), model.matte(batch))


def test_missing_input_is_named(model: MattingModule) -> None:
    for missing in model.inputs:
        batch = fake_batch(model.inputs)
        del batch[missing]  # type: ignore[misc]
        with pytest.raises(KeyError, match=missing):
            model(batch)


def test_training_keys_can_be_had_from_layers(model: MattingModule) -> None:
    assert set(model.training_keys()) <= derivable(LAYERS)
    assert set(model.inputs) <= set(model.training_keys())


def fit(model: MattingModule, batch: Batch, steps: int, precision: str = "32-true") -> Trainer:
    """Train on one batch, again and again."""
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        precision=precision,  # type: ignore[arg-type]
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        barebones=False,
    )
    trainer.fit(model, torch.utils.data.DataLoader([batch] * steps, collate_fn=lambda x: x[0]))
    return trainer


quiet = pytest.mark.filterwarnings("ignore:.*:UserWarning")


@quiet
def test_one_step_moves_every_trainable_parameter(model: MattingModule) -> None:
    before = {k: v.detach().clone() for k, v in model.named_parameters() if v.requires_grad}
    fit(model, fake_batch(model.training_keys()), 2)
    after = dict(model.named_parameters())
    still = [k for k, v in before.items() if torch.equal(v, after[k])]
    assert not still, f"never trained: {still}"


@quiet
def test_one_batch_can_be_overfitted(model: MattingModule) -> None:
    if "alpha" not in model.training_keys():
        pytest.skip("trains without truth")
    # At GFM's stride of 32 pixels batch statistics of the smaller picture would be of two values.
    side = 64 if isinstance(model, GFM) else 32
    batch = fake_batch((*model.training_keys(), "trimap"), side, side)

    def error() -> Tensor:
        unknown = batch["trimap"] == 0.5
        return (model.eval().matte(batch) - batch["alpha"]).abs()[unknown].mean()

    before = error()
    fit(model.train(), batch, 250)
    assert error() < 0.25 * before


@quiet
def test_bf16_training_follows_float32(model: MattingModule) -> None:
    batch = fake_batch(model.training_keys())
    fit(model, batch, 3, "bf16-mixed")
    assert all(p.isfinite().all() for p in model.parameters())
    assert all(p.dtype == torch.float32 for p in model.parameters())
    exact = model.eval().matte(batch)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model.matte(batch)
    assert (exact - rough).abs().mean() < 0.02


def test_weights_round_trip(model: MattingModule, tmp_path: Path) -> None:
    batch = fake_batch(model.inputs)
    expected = model.eval().matte(batch)
    name = next(n for n, c in models().items() if c is type(model))
    description = {"model": name, "hparams": dict(model.hparams)}
    path = save_weights(model, tmp_path / "w.safetensors", description)
    torch.manual_seed(1)
    again = load_model(name, str(path)).module
    assert torch.equal(again.matte(batch), expected)


def test_weights_of_another_shape_are_refused(model: MattingModule, tmp_path: Path) -> None:
    path = save_weights(torch.nn.Linear(2, 3), tmp_path / "w.safetensors", {})
    with pytest.raises(ValueError, match=r"keys missing.*keys unknown: bias, weight"):
        load_weights(model, path)
