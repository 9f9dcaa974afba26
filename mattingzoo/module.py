"""The base of every model: evaluation written once, so that numbers compare."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from mattingzoo.batch import Batch, check_keys
from mattingzoo.metrics import MattingMetrics, Region

REGIONS: tuple[Region, ...] = ("unknown", "whole")


class MattingModule(LightningModule, ABC):
    """A matting model: what it reads, its forward pass and its recipe; the rest stands here.

    A subclass sets :attr:`inputs`, gives :meth:`forward`, :meth:`training_keys`,
    ``training_step`` and ``configure_optimizers``. Validation and testing score the matte at the
    picture's own size in both regions, 8-bit rounded, as the field's MATLAB code does.
    """

    #: Keys of :class:`mattingzoo.batch.Batch` that :meth:`forward` reads.
    inputs: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        super().__init__()
        self.metrics = MattingMetrics(REGIONS)

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Predict mattes [B, 1, H, W] in [0, 1] for pictures of any size.

        A model that is given a trimap returns it where it is known.
        """

    @abstractmethod
    def training_keys(self) -> tuple[str, ...]:
        """Keys that ``training_step`` reads; they may depend on the stage."""

    def setup(self, stage: str) -> None:
        """Refuse a data set that lacks what the model needs, before anything is computed."""
        data: Any = getattr(self.trainer, "datamodule", None)
        if data is None:
            return
        if stage == "fit":
            native = data.source("train").native
            check_keys(self.training_keys(), native, type(self).__name__, type(data).__name__)
        split = "val" if stage in ("fit", "validate") else "test"
        needed = self.inputs if stage == "predict" else (*self.inputs, "alpha")
        native = data.source(split).native
        check_keys(needed, native, type(self).__name__, type(data).__name__)

    def matte(self, batch: Batch) -> Tensor:
        """Forward without gradients, in [0, 1] and float32 whatever the precision."""
        with torch.inference_mode():
            alpha: Tensor = self(batch).float().clamp(0, 1)
            return alpha

    def validation_step(self, batch: Batch | None, batch_idx: int) -> Tensor | None:
        """Score one batch; the matte is returned for callbacks that draw it."""
        return self._score(batch)

    def test_step(self, batch: Batch | None, batch_idx: int) -> Tensor | None:
        """Score one batch; the matte is returned for callbacks that draw or write it."""
        return self._score(batch)

    def predict_step(self, batch: Batch | None, batch_idx: int) -> Tensor | None:
        """The mattes of one batch."""
        return None if batch is None else self.matte(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the means over the data set, of all processes."""
        self._report("val")

    def on_test_epoch_end(self) -> None:
        """Log the means over the data set, of all processes."""
        self._report("test")

    def _score(self, batch: Batch | None) -> Tensor | None:
        if batch is None:  # every sample of it was a bad file, skipped and logged
            return None
        pred = self.matte(batch)
        self.metrics.update(pred, batch["alpha"], batch["trimap"], batch.get("index"))
        return pred

    def _report(self, prefix: str) -> None:
        scores = {f"{prefix}/{name}": value for name, value in self.metrics.compute().items()}
        self.metrics.reset()
        # Equal on every process already; sync_dist only tells Lightning that this is meant.
        self.log_dict({k: v.to(self.device) for k, v in scores.items()}, sync_dist=True)
        unknown = scores[f"{prefix}/SAD/unknown"]
        self.log(f"{prefix}_sad", unknown.to(self.device), prog_bar=True, sync_dist=True)
