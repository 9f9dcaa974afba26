"""The base of every model: evaluation written once, so that numbers compare."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from mattingzoo.batch import Batch, check_keys
from mattingzoo.metrics import ForegroundMSE, MattingMetrics, Region

REGIONS: tuple[Region, ...] = ("unknown", "whole")
FOREGROUND = "foreground"  # an extra that is scored, against the batch's entry of the same name


class MattingModule(LightningModule, ABC):
    """A matting model: what it reads, its forward pass and its recipe; the rest stands here.

    A subclass sets :attr:`inputs`, gives :meth:`forward`, :meth:`training_keys`,
    ``training_step`` and ``configure_optimizers``. Validation and testing score the matte at the
    picture's own size in both regions, 8-bit rounded, as the field's MATLAB code does. A model that
    gives the foreground's colours, as an extra of that name, is scored for them, too, on data that
    has the true ones.
    """

    #: Keys of :class:`mattingzoo.batch.Batch` that :meth:`forward` reads; a class attribute, but
    #: :meth:`use_prompt` may change them of one model.
    inputs: tuple[str, ...]
    #: Kinds of prompt it can be told the object by, the usual one first: ``box``, ``points``.
    prompts: ClassVar[tuple[str, ...]] = ()
    #: Names of the pictures :meth:`forward_with_extras` may give besides the matte.
    extras: ClassVar[tuple[str, ...]] = ()
    #: Prefixes of the state that only training uses, such as ``discriminator.``; exported weights
    #: go without it.
    training_only: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.metrics = MattingMetrics(REGIONS)
        self.foreground_error = ForegroundMSE()

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Predict mattes [B, 1, H, W] in [0, 1] for pictures of any size.

        A model that is given a trimap returns it where it is known.
        """

    def use_prompt(self, kind: str) -> None:
        """From now on predict from this kind of prompt; :attr:`inputs` says so too.

        Raises:
            ValueError: If the model does not take it.
        """
        if kind not in self.prompts:
            taken = f"it takes {' or '.join(self.prompts)}" if self.prompts else "it takes none"
            raise ValueError(f"{type(self).__name__} cannot be prompted by {kind}, {taken}")

    def prompted(
        self, image: Tensor, boxes: Tensor | None = None, points: Tensor | None = None
    ) -> Tensor:
        """Mattes of several objects of one picture, each told by a box or by clicks.

        A model that can share work between them overrides this.

        Args:
            image: One picture [1, 3, H, W] in [0, 1].
            boxes: x0, y0, x1, y1 in pixels [N, 4], x1 and y1 exclusive.
            points: x, y and label [N, P, 3] as in :class:`mattingzoo.batch.Batch`; instead.

        Returns:
            Mattes [N, 1, H, W] in [0, 1], float32.

        Raises:
            ValueError: If not one of boxes and points is given.
        """
        if (boxes is None) == (points is None):
            raise ValueError("give boxes or points, one of them")
        batches: list[Batch] = [
            {"image": image, "box": one[None].to(image)} for one in _each(boxes)
        ]
        batches += [{"image": image, "points": one[None].to(image)} for one in _each(points)]
        return torch.cat([self.matte(batch) for batch in batches])

    def forward_with_extras(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mattes of :meth:`forward`, and what else the same pass gives to look at.

        A model that has such pictures, a trimap of its own or the foreground's colours, names them
        in :attr:`extras`, overrides this, and lets :meth:`forward` return the first of the two.
        Panels show them, and `mattingzoo matte --extras` writes them.

        Returns:
            Mattes [B, 1, H, W], and by name further pictures [B, 1, H, W] or [B, 3, H, W] in
            [0, 1]; a name may be absent where a variant has no such picture.
        """
        return self(batch), {}

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
            if not self.trainer.limit_val_batches:
                return  # footage to train on without truth may have nothing to validate on
        split = "val" if stage in ("fit", "validate") else "test"
        needed = self.inputs if stage == "predict" else (*self.inputs, "alpha")
        native = data.source(split).native
        check_keys(needed, native, type(self).__name__, type(data).__name__)

    def matte(self, batch: Batch) -> Tensor:
        """Forward without gradients, in [0, 1] and float32 whatever the precision."""
        return self.matte_with_extras(batch)[0]

    def matte_with_extras(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The same with the extras of the same pass, by name, in [0, 1] and float32 too."""
        with torch.inference_mode():
            alpha, extras = self.forward_with_extras(batch)
            shown = {name: picture.float().clamp(0, 1) for name, picture in extras.items()}
            return alpha.float().clamp(0, 1), shown

    def validation_step(self, batch: Batch | None, batch_idx: int) -> dict[str, Tensor] | None:
        """Score one batch; ``alpha`` and extras are returned for callbacks that draw them."""
        return self._score(batch)

    def test_step(self, batch: Batch | None, batch_idx: int) -> dict[str, Tensor] | None:
        """Score one batch; ``alpha`` and extras are returned for callbacks that draw them."""
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

    def _score(self, batch: Batch | None) -> dict[str, Tensor] | None:
        if batch is None:  # every sample of it was a bad file, skipped and logged
            return None
        pred, extras = self.matte_with_extras(batch)
        self.metrics.update(pred, batch["alpha"], batch["trimap"], batch.get("index"))
        if FOREGROUND in extras and FOREGROUND in batch:
            colours, index = (extras[FOREGROUND], batch["foreground"]), batch.get("index")
            self.foreground_error.update(*colours, batch["alpha"], index=index)
        return {"alpha": pred, **extras}

    def _report(self, prefix: str) -> None:
        scores = {f"{prefix}/{name}": value for name, value in self.metrics.compute().items()}
        self.metrics.reset()
        scored = self.foreground_error.update_called
        if self.trainer.strategy.reduce_boolean_decision(scored, all=False):  # all or none compute
            scores[f"{prefix}/mse_fg"] = self.foreground_error.compute()
            self.foreground_error.reset()
        # Equal on every process already; sync_dist only tells Lightning that this is meant.
        self.log_dict({k: v.to(self.device) for k, v in scores.items()}, sync_dist=True)
        unknown = scores[f"{prefix}/SAD/unknown"]
        self.log(f"{prefix}_sad", unknown.to(self.device), prog_bar=True, sync_dist=True)


def _each(rows: Tensor | None) -> list[Tensor]:
    return [] if rows is None else list(rows)
