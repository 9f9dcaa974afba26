"""What a run leaves behind besides numbers: panels to look at, mattes as files, its own name."""

import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.io import write_png
from mattingzoo.pictures import panel, to_bytes


class RecordModel(Callback):
    """Write the model's class into every checkpoint, so that a file says what it is of."""

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add ``mattingzoo_model`` to the checkpoint."""
        cls = type(pl_module)
        checkpoint["mattingzoo_model"] = f"{cls.__module__}.{cls.__qualname__}"


class Speed(Callback):
    """Log ``images_per_second`` of all processes and, on a GPU, ``peak_memory_mb`` of this one.

    Time spent in validation does not count; waiting for data does.
    """

    def __init__(self) -> None:
        self._images = 0
        self._since = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._restart()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start it again: validation is not training."""
        self._restart()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count, and log as often as everything else."""
        if batch is None:
            return
        self._images += len(batch["image"])  # footage to train on without truth has no alpha
        interval = cast(Any, trainer).log_every_n_steps  # set by Lightning, but not declared
        if not interval or trainer.global_step == 0 or trainer.global_step % interval:
            return
        device = pl_module.device
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # once in a while: else only launches are timed
            pl_module.log("peak_memory_mb", torch.cuda.max_memory_allocated(device) / 2**20)
        speed = self._images * trainer.world_size / (time.perf_counter() - self._since)
        pl_module.log("images_per_second", speed, prog_bar=True)
        self._restart()

    def _restart(self) -> None:
        self._images, self._since = 0, time.perf_counter()


class Panels(Callback):
    """Save image, trimap, prediction, truth and error of a few pictures at each validation.

    What else a model gives, its extras, stands to the right of these.

    Written as ``panels/step-N.png`` beside the run's metrics, and to Weights & Biases if that
    logs the run.

    Args:
        count: Pictures per validation; 0 turns the callback off.
        height: Rows of one picture in pixels.
    """

    def __init__(self, count: int = 4, height: int = 256) -> None:
        self.count = count
        self.height = height
        self._rows: list[np.ndarray[Any, Any]] = []
        self._folder: Path | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Ask for the run's folder on every process: the answer is a broadcast."""
        self._folder = None if trainer.log_dir is None else Path(trainer.log_dir) / "panels"

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a row for the first pictures, spread over the data set."""
        if outputs is None or not trainer.is_global_zero or trainer.sanity_checking:
            return
        batches = trainer.num_val_batches
        total = batches[0] if isinstance(batches, list) else batches
        stride = max(int(total) // self.count, 1) if self.count else 0
        if stride and batch_idx % stride == 0 and len(self._rows) < self.count:
            extras = {name: picture for name, picture in outputs.items() if name != "alpha"}
            self._rows.append(panel(batch, outputs["alpha"], self.height, extras))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the panel."""
        if not self._rows:
            return
        width = max(row.shape[1] for row in self._rows)
        pad = [((0, 4), (0, width - row.shape[1]), (0, 0)) for row in self._rows]
        rows = [np.pad(row, p) for row, p in zip(self._rows, pad, strict=True)]
        self._rows = []
        picture = np.concatenate(rows)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_png(self._folder / f"step-{trainer.global_step:07d}.png", picture)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("panels", [picture], step=trainer.global_step)


class MatteWriter(BasePredictionWriter):
    """Write what `mattingzoo predict` predicts as 8-bit PNGs.

    Args:
        out: Folder for the mattes, named after their samples.
    """

    def __init__(self, out: str = "mattes") -> None:
        super().__init__(write_interval="batch")
        self.out = Path(out)

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Tensor | None,
        batch_indices: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write one batch of mattes."""
        if prediction is None:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        for name, alpha in zip(batch["name"], prediction, strict=True):
            write_png(self.out / f"{name}.png", to_bytes(alpha))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say where the mattes are."""
        rank_zero_info(f"mattes written to {self.out.resolve()}")
