"""The scores as torchmetrics classes: means over the images of a data set, and every image's.

A data set's score is the mean of per-image values, never pooled over pixels.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from mattingzoo.metrics.functional import (
    conn,
    grad,
    mad,
    mse,
    sad,
    score_names,
    scores_later,
)
from mattingzoo.metrics.mattes import Region

#: Batches whose scores may be under way at a time: enough to keep every core busy.
UNDER_WAY = 16
NO_INDEX = -1


class PerImage(Metric):
    """Scores of every image, and their means over the images.

    Images may carry their index in the data set. Then the values stand in that order and each
    image counts once, whatever the number of processes and whichever samples a sampler repeats:
    the mean is the same to the last bit. Without it they stand in order of arrival.

    A score that is NaN, as the MSE of an empty region, is left out of the mean, and :meth:`mean`
    says so in a warning. Values are float64 and stay so under ``half()``, ``bfloat16()`` and
    ``to(dtype)``; only ``set_dtype`` changes them.

    Args:
        names: The scores of an image.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    values: list[Tensor]  # each [B, len(names)], float64
    index: list[Tensor]  # each [B], int64, NO_INDEX if not said

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.add_state("values", [], dist_reduce_fx="cat")
        self.add_state("index", [], dist_reduce_fx="cat")
        self._under_way: deque[tuple[Callable[[], Tensor], Tensor | None]] = deque()

    def add(self, errors: Tensor, index: Tensor | None = None) -> None:
        """Take in the errors [B, len(names)] of a batch, and the images' indices [B] if known."""
        if index is None:
            index = torch.full((len(errors),), NO_INDEX, device=errors.device)
        self.values.append(errors)
        self.index.append(index.to(errors.device))

    def add_later(self, errors: Callable[[], Tensor], index: Tensor | None = None) -> None:
        """Take in errors that are still being computed; waits for the oldest if there are many."""
        self._under_way.append((errors, index))
        while len(self._under_way) > UNDER_WAY:
            self._finish_one()

    def mean(self) -> Tensor:
        """Means over the images [len(names)], float64; NaN where no image is defined."""
        values, _ = self._in_order()
        undefined = values.isnan().sum(dim=0).tolist()
        gaps = [
            f"{name} of {bad} of {len(values)}"
            for name, bad in zip(self.names, undefined, strict=True)
            if bad
        ]
        if gaps:
            rank_zero_warn(
                f"undefined scores are left out of the mean: {', '.join(gaps)} images; "
                "their region is empty, or their clip has a single frame"
            )
        return values.nanmean(dim=0)

    def per_image(self) -> dict[str, Tensor]:
        """Every image's scores by name [N], float64, and ``index`` [N], int64, −1 if not said.

        Gathered from all processes, in the order of the data set if the images carry their index.
        """
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn,
            should_sync=self._to_sync,
            should_unsync=self._should_unsync,
        ):
            values, index = self._in_order()
        return {**dict(zip(self.names, values.unbind(dim=1), strict=True)), "index": index}

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather from all processes; what is under way is finished before."""
        self._finish()
        if not self.values:  # a process without images still says of which shape and type
            self.add(torch.empty((0, len(self.names)), dtype=torch.float64, device=self.device))
        super().sync(*args, **kwargs)

    def reset(self) -> None:
        """Forget all images, those under way included."""
        self._under_way.clear()
        super().reset()

    def _in_order(self) -> tuple[Tensor, Tensor]:
        """All values [N, len(names)] and indices [N], each image once."""
        self._finish()
        if len(self.values) == 0:
            return torch.empty((0, len(self.names)), dtype=torch.float64), torch.empty(0).long()
        values, index = dim_zero_cat(self.values), dim_zero_cat(self.index)
        if (index == NO_INDEX).any():
            return values, index
        index, order = index.sort(stable=True)
        first = torch.ones_like(index, dtype=torch.bool)
        first[1:] = index[1:] != index[:-1]
        return values[order][first], index[first]

    def _finish(self) -> None:
        while self._under_way:
            self._finish_one()

    def _finish_one(self) -> None:
        errors, index = self._under_way.popleft()
        self.add(errors(), index)

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Self:
        """Move states between devices; leave their dtype alone, except for ``set_dtype``."""
        self._finish()

        def move(state: Tensor) -> Tensor:
            moved = fn(state)
            return moved if moved.dtype == state.dtype else state.to(moved.device)

        super()._apply(fn if self._dtype_convert else move, exclude_state)
        return self

    def __getstate__(self) -> dict[str, Any]:
        self._finish()  # threads cannot be pickled, what they found can
        return super().__getstate__()


class ImageMean(PerImage):
    """Mean over images of one error; a subclass says which by :attr:`error`."""

    error: Callable[[Tensor, Tensor, Tensor | None], Tensor]  # of a batch and its mask, to [B]

    def __init__(self) -> None:
        super().__init__([type(self).__name__])

    def update(
        self,
        pred: Tensor,
        alpha: Tensor,
        mask: Tensor | None = None,
        index: Tensor | None = None,
    ) -> None:
        """Take in a batch of mattes [B, 1, H, W]; ``index`` [B] as in :class:`PerImage`."""
        self.add(self.error(pred, alpha, mask)[:, None], index)

    def compute(self) -> Tensor:
        """The mean so far, a float64 scalar."""
        return self.mean()[0]


class SAD(ImageMean):
    """Mean over images of :func:`sad`."""

    error = staticmethod(sad)


class MSE(ImageMean):
    """Mean over images of :func:`mse`."""

    error = staticmethod(mse)


class MAD(ImageMean):
    """Mean over images of :func:`mad`."""

    error = staticmethod(mad)


class Grad(ImageMean):
    """Mean over images of :func:`grad`."""

    error = staticmethod(grad)


class Conn(ImageMean):
    """Mean over images of :func:`conn`."""

    error = staticmethod(conn)


class MattingMetrics(PerImage):
    """Means over images of all five scores over several regions; see :func:`scores`.

    On a GPU an update only queues work: nothing waits for the device until the scores are asked
    for, and connectivity is found on CPU threads while the next batch is predicted.

    Args:
        regions: Any of "unknown" and "whole".
    """

    def __init__(self, regions: Sequence[Region] = ("unknown", "whole")) -> None:
        super().__init__(score_names(regions))
        self.regions = tuple(regions)

    def update(
        self,
        pred: Tensor,
        alpha: Tensor,
        trimap: Tensor | None = None,
        index: Tensor | None = None,
    ) -> None:
        """Take in a batch.

        Args:
            pred: Predicted mattes [B, 1, H, W], floats in [0, 1] or uint8.
            alpha: True mattes, likewise.
            trimap: [B, 1, H, W], floats in {0, 0.5, 1} or uint8 with 128 for unknown; may be None
                if only the whole image is scored.
            index: Positions of the images in the data set [B], int64, see :class:`PerImage`.

        Raises:
            ValueError: As :func:`scores`; on a GPU, values out of range are only found when the
                scores are asked for.
        """
        later = scores_later(pred, alpha, trimap, self.regions)
        if not pred.is_cuda:
            self.add(_stacked(later()), index)
            return
        self.add_later(lambda: _stacked(later()), index)

    def compute(self) -> dict[str, Tensor]:
        """The means so far, float64 scalars under names such as "SAD/unknown"."""
        return dict(zip(self.names, self.mean(), strict=True))


def _stacked(scores: dict[str, Tensor]) -> Tensor:
    """Scores by name as one table [B, len(scores)]."""
    return torch.stack(list(scores.values()), dim=1)
