"""The learning check: from scratch, on a CPU, in minutes."""

from pathlib import Path

import pytest
from lightning.fabric import Fabric
from lightning.pytorch import Trainer, seed_everything

from mattingzoo.baselines import TrimapBaseline
from mattingzoo.datamodules import Composition1k, Cutouts
from mattingzoo.evaluation import Journal, evaluate
from mattingzoo.models import DIM
from mattingzoo.module import MattingModule
from mattingzoo.recipe import Recipe

SHARED = Path(__file__).parents[3] / "shared" / "data"
RECIPE = Recipe(
    name="check",
    crop_size=96,
    crop_sides=(96, 128, 192),
    background="random",
    trimap_kernels=(3, 25),
)


def mean_sad(module: MattingModule, data: Composition1k, folder: Path) -> float:
    fabric = Fabric(accelerator="cpu", devices=1)
    journal = Journal(folder, {"model": type(module).__name__, "data": "comp1k"})
    results = list(evaluate(module.eval(), data, fabric, journal))
    return sum(r.scores["SAD/unknown"] for r in results) / len(results)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_tiny_dim_beats_the_trimap_baseline_on_composition_1k(tmp_path: Path) -> None:
    seed_everything(0, verbose=False)
    model = DIM(
        width=8,
        convs=(1, 1, 2, 2, 2),
        conv6="conv1",
        skips=True,
        batch_norm=True,
        optimizer="adamw",
        lr=2e-3,
        warmup_steps=50,
        schedule="cosine",
    )
    trainer = Trainer(
        max_steps=500,
        limit_val_batches=0,
        accelerator="cpu",
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    training = Cutouts(str(SHARED / "cutouts"), batch_size=8, num_workers=0, seed=0, recipe=RECIPE)
    trainer.fit(model, datamodule=training)
    test = Composition1k(str(SHARED / "comp1k_layout"), num_workers=0, limit=16)
    baseline = mean_sad(TrimapBaseline(), test, tmp_path)
    assert mean_sad(model, test, tmp_path) < 0.6 * baseline
