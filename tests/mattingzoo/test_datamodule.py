"""From loader to model input, by hand and by Lightning."""

import dataclasses
import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from mattingzoo.batch import DERIVED_FROM, Batch
from mattingzoo.datamodule import MattingDataModule
from mattingzoo.ops import composite
from mattingzoo.recipe import Recipe
from mattingzoo.source import Pictures, Source, Split

PLAIN = Recipe(crop_size=16, crop_sides=(12, 16, 24), trimap_kernels=(1, 5))
ALL = Recipe(
    crop_size=16,
    crop_sides=(12, 16, 24),
    background="random",
    rotate=20,
    scale=1.3,
    shear=0.2,
    combine=0.5,
    jitter=0.3,
    noise=0.05,
    degrade=0.5,
    trimap_kernels=(1, 5),
)


class Discs(Source):
    """Soft discs on noise, as layers or, composed, as image and alpha."""

    def __init__(self, keys: tuple[str, ...], trimap: bool = False) -> None:
        self.native = frozenset((*keys, "trimap") if trimap else keys)
        self.names = [f"disc{i}" for i in range(10)]
        self.foreground_names = self.names

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        y, x = np.mgrid[:30, :40]
        alpha = np.clip(255 * (12 - np.hypot(y - 15, x - 12 - index)) / 4, 0, 255).astype(np.uint8)
        pictures = {
            "foreground": np.full((30, 40, 3), 200, np.uint8),
            "background": rng.integers(256, size=(20, 50, 3), dtype=np.uint8),
            "image": np.repeat(alpha[..., None], 3, axis=2),
            "alpha": alpha,
            "trimap": np.where((alpha == 0) | (alpha == 255), alpha, np.uint8(128)),
        }
        return {key: pictures[key] for key in self.native}


LAYERS = ("foreground", "alpha", "background")


class Data(MattingDataModule):
    about = "Discs, drawn here."
    keys: tuple[str, ...] = LAYERS
    trimap = False

    def make_source(self, split: Split) -> Source:
        return Discs(self.keys, self.trimap)


class Images(Data):
    keys = ("image", "alpha")


class Shipped(Data):
    trimap = True


class Probe(LightningModule):
    """Remembers what it was given."""

    inputs: ClassVar[tuple[str, ...]] = ("image", "trimap")

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 1, 1)
        self.seen: list[tuple[int, list[str], float]] = []

    def training_keys(self) -> tuple[str, ...]:
        return ("image", "foreground")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        assert batch["image"].shape[-2:] == (16, 16)
        self.seen.append((self.current_epoch, batch["name"], batch["image"].sum().item()))
        return self.layer(batch["image"]).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        assert batch["image"].shape[-2:] == (30, 40) and "trimap" in batch

    def predict_step(self, batch: Batch, batch_idx: int) -> list[str]:
        assert batch["image"].shape[-2:] == (30, 40)
        return batch["name"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def make(cls: type[Data] = Data, recipe: Recipe = PLAIN, **options: Any) -> Data:
    settings = {"batch_size": 4, "num_workers": 0, "seed": 1, **options}
    return cls(recipe=recipe, **settings)


def training_batch(data: Data, needed: tuple[str, ...] = ()) -> Batch:
    batch = next(iter(data.train_dataloader()))
    assert batch is not None
    return data.prepare(batch, needed, "train")


def evaluation_batch(data: Data, needed: tuple[str, ...] = ()) -> Batch:
    batch = next(iter(data.test_dataloader()))
    assert batch is not None
    return data.prepare(batch, needed)


def make_trainer(tmp_path: Path, **options: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        **options,
    )


def assert_contract(batch: Batch) -> None:
    alpha = (batch["alpha"] * 255).round()
    assert set(batch["trimap"].unique().tolist()) <= {0, 0.5, 1}
    assert (alpha[batch["trimap"] == 1] == 255).all()
    assert (alpha[batch["trimap"] == 0] == 0).all()
    for key in {"image", "alpha", "foreground", "background", "segmentation"} & set(batch):
        picture = batch[key]  # type: ignore[literal-required]
        assert picture.dtype == torch.float32
        assert picture.min() >= 0 and picture.max() <= 1, key


@pytest.mark.parametrize("cls", [Data, Images, Shipped])
@pytest.mark.parametrize("recipe", [PLAIN, ALL], ids=["plain", "all"])
def test_training_batch_keeps_the_contract(cls: type[Data], recipe: Recipe) -> None:
    data = make(cls, recipe)
    needed = ("trimap", "segmentation", "box", "points", "motion")
    batch = training_batch(data, needed)
    assert batch["image"].shape == (4, 3, 16, 16)
    assert set(needed) <= set(batch)
    assert_contract(batch)


def test_training_image_is_the_composite_of_its_layers() -> None:
    batch = training_batch(make(recipe=dataclasses.replace(ALL, noise=0)))
    expected = composite(batch["foreground"], batch["alpha"], batch["background"])
    torch.testing.assert_close(batch["image"], expected)


def test_evaluation_picture_is_whole_and_composed() -> None:
    batch = evaluation_batch(make(), tuple(DERIVED_FROM))
    assert batch["image"].shape == (1, 3, 30, 40)
    assert_contract(batch)
    # As a file of the public script would hold it: truncated to 8 bits.
    levels = batch["image"] * 255
    exact = composite(batch["foreground"], batch["alpha"], batch["background"]) * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    assert (exact - levels).min() > -1e-3 and (exact - levels).max() < 1 + 1e-3


def test_shipped_trimaps_are_used() -> None:
    trimap = evaluation_batch(make(Shipped))["trimap"]
    alpha = evaluation_batch(make(Shipped))["alpha"]
    assert torch.equal(trimap == 0.5, (alpha > 0) & (alpha < 1))
    assert trimap.unique().tolist() == [0, 0.5, 1]


def test_evaluation_does_not_depend_on_the_users_seed() -> None:
    first, second = (evaluation_batch(make(seed=s), tuple(DERIVED_FROM)) for s in (1, 2))
    for key in (*LAYERS, *DERIVED_FROM):
        assert torch.equal(first[key], second[key]), key  # type: ignore[literal-required]


def test_evaluation_trimap_does_not_depend_on_the_model() -> None:
    few, many = evaluation_batch(make()), evaluation_batch(make(), tuple(DERIVED_FROM))
    assert torch.equal(few["trimap"], many["trimap"])


def test_evaluation_box_is_tight_unless_told_otherwise() -> None:
    batch = evaluation_batch(make(), ("box",))
    rows, columns = (batch["alpha"][0, 0] > 0).nonzero(as_tuple=True)
    tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert batch["box"][0].tolist() == [float(side) for side in tight]
    data = make()
    data.evaluation_box_jitter = 0.5
    moved = evaluation_batch(data, ("box",))["box"]
    assert not torch.equal(moved, batch["box"])
    assert torch.equal(moved, evaluation_batch(data, ("box",))["box"])  # everybody's the same


def test_evaluation_trimap_does_not_depend_on_what_is_left_out() -> None:
    data = make()
    fourth = list(data.test_dataloader())[4]
    resumed = next(iter(data.evaluation_loader("test", [f"disc{i}" for i in range(4)])))
    assert fourth is not None and resumed is not None
    first, second = data.prepare(fourth, ()), data.prepare(resumed, ())
    assert first["name"] == second["name"] == ["disc4"]
    assert torch.equal(first["trimap"], second["trimap"])


def test_training_depends_on_the_users_seed() -> None:
    first, same, other = (training_batch(make(recipe=ALL, seed=s))["image"] for s in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_seed_everything_is_the_default_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PL_GLOBAL_SEED", "7")
    assert make(seed=None).seed == 7
    monkeypatch.delitem(os.environ, "PL_GLOBAL_SEED")
    assert make(seed=None).seed == 0


def test_limit_holds_for_evaluation_only_and_spreads() -> None:
    data = make(limit=5)
    names = [batch["name"][0] for batch in data.test_dataloader() if batch is not None]
    assert names == [f"disc{i}" for i in range(0, 10, 2)]
    assert len(data.train_dataloader().dataset) == 10  # type: ignore[arg-type]


def test_what_is_read_on_the_host_stays_there() -> None:
    data = make()
    raw = next(iter(data.train_dataloader()))
    assert raw is not None
    moved = data.transfer_batch_to_device(raw, torch.device("meta"), 0)
    assert {key for key, value in moved.items() if getattr(value, "is_cpu", False)} == {
        "seed",
        "window",
        "true_outside",
    }
    assert moved["image" if "image" in moved else "alpha"].is_meta


def test_skipped_batches_pass_through() -> None:
    data: Any = make()
    assert data.transfer_batch_to_device(None, torch.device("cpu"), 0) is None
    assert data.on_after_batch_transfer(None, 0) is None


def test_missing_folder_says_what_the_data_set_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder was given") as caught:
        _ = make().root
    assert "Discs, drawn here." in str(caught.value) and "synthetic" in str(caught.value)
    with pytest.raises(FileNotFoundError, match="nowhere' is not a folder"):
        _ = make(root=str(tmp_path / "nowhere")).root
    assert make(root=str(tmp_path)).root == tmp_path


def test_checkpoints_record_recipe_and_seed_in_plain_types() -> None:
    assert make().hparams["data_seed"] == 1
    assert make().hparams["recipe"]["crop_sides"] == [12, 16, 24]
    assert make().hparams["data"] == "Data"


def fit(tmp_path: Path, every: int, resume_at: int = 0, **options: Any) -> list[Any]:
    """Train two epochs with a checkpoint every few steps; what the model was given."""
    checkpoints = ModelCheckpoint(
        tmp_path, filename="{step}", every_n_train_steps=every, save_top_k=-1
    )
    trainer = make_trainer(tmp_path, max_epochs=2, callbacks=[checkpoints])
    path = str(tmp_path / f"step={resume_at}.ckpt") if resume_at else None
    module = Probe()
    trainer.fit(module, make(**options), ckpt_path=path)
    return module.seen


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_training_resumes_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    whole = fit(tmp_path, every=2, batch_size=2)
    assert [epoch for epoch, _, _ in whole] == [0] * 5 + [1] * 5
    for steps in (2, 8):
        assert fit(tmp_path, every=2, resume_at=steps, batch_size=2) == whole[steps:]


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_training_resumes_after_an_epoch_and_with_workers(tmp_path: Path) -> None:
    whole = fit(tmp_path, every=3)  # three batches of ten samples
    assert fit(tmp_path, every=3, resume_at=3, num_workers=1) == whole[3:]


def test_lightning_predicts_every_sample_once(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, enable_checkpointing=False)
    names = trainer.predict(Probe(), make())
    assert names == [[f"disc{i}"] for i in range(10)]


@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_lightning_can_overfit_one_batch(tmp_path: Path) -> None:
    module = Probe()
    trainer = make_trainer(
        tmp_path, max_epochs=2, overfit_batches=1, enable_checkpointing=False, limit_val_batches=0
    )
    trainer.fit(module, make())
    (_, first, total), (_, second, again) = module.seen
    assert first == second == [f"disc{i}" for i in range(4)]
    assert total == again
