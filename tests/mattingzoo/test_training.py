"""Training and testing through Lightning: resume, stages, processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from mattingzoo.datamodules import Synthetic
from mattingzoo.models import DIM
from mattingzoo.recipe import Recipe

RECIPE = Recipe(name="test", crop_size=32, crop_sides=(32, 48), combine=0.3, trimap_kernels=(3, 9))
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*Checkpoint directory.*exists.*"
)


def data(seed: int = 3) -> Synthetic:
    return Synthetic(
        batch_size=2, num_workers=0, seed=seed, recipe=RECIPE, limit=5, length=10, size=64
    )


def model(**arguments: Any) -> DIM:
    seed_everything(7, verbose=False)
    return DIM(width=2, convs=(1, 1, 1, 1, 1), conv6="conv1", batch_norm=True, lr=1e-3, **arguments)


def trainer(folder: Path, steps: int, **arguments: Any) -> Trainer:
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "max_steps": steps,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "limit_val_batches": 1,
        "callbacks": [
            ModelCheckpoint(folder, "at-{step}", every_n_train_steps=1, save_top_k=-1),
        ],
    }
    return Trainer(**{**defaults, **arguments})


# Epochs have 5 steps: 3 is inside the first, 5 is its end, 7 is inside the second.
@pytest.mark.parametrize("stopped_at", [3, 5, 7])
def test_resumed_training_equals_uninterrupted(tmp_path: Path, stopped_at: int) -> None:
    straight = model()
    trainer(tmp_path / "straight", 9).fit(straight, data())
    trainer(tmp_path / "first", stopped_at).fit(model(), data())
    resumed = model()
    checkpoint = next((tmp_path / "first").glob(f"at-step={stopped_at}.ckpt"))
    trainer(tmp_path / "first", 9).fit(resumed, data(), ckpt_path=str(checkpoint))
    for key, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_three_stages_chain_through_their_files(tmp_path: Path) -> None:
    first = model()
    trainer(tmp_path / "1", 2).fit(first, data())
    second = model(stage=2, init_from=str(tmp_path / "1" / "at-step=2.ckpt"))
    before = {k: v.clone() for k, v in first.state_dict().items()}
    trainer(tmp_path / "2", 2).fit(second, data())
    after = second.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    third = model(stage=3, init_from=str(tmp_path / "2" / "at-step=2.ckpt"))
    trainer(tmp_path / "3", 2).fit(third, data())
    assert all(p.isfinite().all() for p in third.parameters())


def test_foreground_colours_cannot_be_made_up(tmp_path: Path) -> None:
    class AlphaOnly(Synthetic):
        def source(self, split: Any) -> Any:
            source = super().source(split)
            source.native = frozenset({"image", "alpha"})
            return source

    only = AlphaOnly(batch_size=2, num_workers=0, recipe=RECIPE, size=64)
    with pytest.raises(KeyError, match="DIM needs 'background' and 'foreground', which AlphaOnly"):
        trainer(tmp_path, 1).fit(model(), only)


SCRIPT = """
import json, sys
from pathlib import Path
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from mattingzoo.callbacks import Panels
sys.path.insert(0, {folder!r})
from test_training_parts import data, model, trainer
folder, world = Path(sys.argv[1]), int(sys.argv[2])
module = model()
strategy = "ddp" if world > 1 else "auto"
if sys.argv[3] == "fit":
    # With panels: only the first process writes them, and must not wait for the others.
    arguments = dict(logger=CSVLogger(folder), limit_val_batches=1.0, check_val_every_n_epoch=None)
    callbacks = [ModelCheckpoint(folder, "at-{{step}}", every_n_train_steps=1), Panels(2, 32)]
    t = trainer(folder, 3, devices=world, strategy=strategy, precision="bf16-mixed",
                val_check_interval=2, callbacks=callbacks, **arguments)
    t.fit(module, data())
else:
    class Keep(Callback):
        # Lightning logs in float32.
        def on_test_epoch_end(self, trainer, module):
            mine = len(module.metrics.values)
            means = module.metrics.compute()
            images = module.metrics.per_image()
            kept = {{"means": {{k: v.item() for k, v in means.items()}},
                    "images": {{k: v.tolist() for k, v in images.items()}}, "own": mine}}
            (folder / f"scores-{{world}}-{{trainer.global_rank}}.json").write_text(json.dumps(kept))
    t = trainer(folder, 1, devices=world, strategy=strategy, limit_test_batches=1.0,
                callbacks=[Keep()])
    t.test(module, data(), verbose=False)
"""


def launch(folder: Path, world: int, what: str) -> None:
    """Run a Trainer in a process of its own, which starts the others itself."""
    (folder / "test_training_parts.py").write_text(Path(__file__).read_text())
    script = folder / "script.py"
    script.write_text(SCRIPT.format(folder=str(folder)))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PL_", "MASTER", "LOCAL_"))}
    environment = {**clean, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    command = [sys.executable, str(script), str(folder), str(world), what]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]


def test_scores_are_equal_on_one_two_and_three_processes(tmp_path: Path) -> None:
    def scores(world: int, rank: int = 0) -> dict[str, Any]:
        return dict(json.loads((tmp_path / f"scores-{world}-{rank}.json").read_text()))

    for world in (1, 2, 3):
        launch(tmp_path, world, "test")  # five pictures: uneven splits
    one = scores(1)
    assert one["images"]["index"] == [0, 10, 20, 30, 40] and len(one["means"]) == 10
    assert [scores(3, rank)["own"] for rank in range(3)] == [2, 2, 1]
    for world, rank in ((2, 0), (2, 1), (3, 0), (3, 1), (3, 2)):
        # Every image once, in the data set's order: the mean is that of one process, bit by bit.
        assert scores(world, rank)["images"] == one["images"]
        assert scores(world, rank)["means"] == one["means"]


def test_training_runs_on_two_processes_in_bf16(tmp_path: Path) -> None:
    launch(tmp_path, 2, "fit")
    assert (tmp_path / "at-step=3.ckpt").exists()
    assert len(list(tmp_path.glob("lightning_logs/*/panels/*.png"))) == 1
