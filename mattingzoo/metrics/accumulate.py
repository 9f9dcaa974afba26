"""The five scores as torchmetrics classes: means over the images of a data set.

A data set's score is the mean of per-image values, never pooled over pixels.
"""

from collections.abc import Callable, Sequence
from typing import Self

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torchmetrics import Metric

from mattingzoo.metrics.functional import conn, grad, mad, mse, sad, score_names, scores
from mattingzoo.metrics.mattes import Region


class Totals(Metric):
    """Sums of per-image errors, from which means over the images are made.

    An error that is NaN, as the MSE of an empty region, is left out of the mean and counted in
    ``undefined``, and :meth:`mean` says so in a warning. The totals are float64 and stay so under
    ``half()``, ``bfloat16()`` and ``to(dtype)``; only ``set_dtype`` changes them.

    Args:
        names: What is summed, one total each; for the warning.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    total: Tensor  # [len(names)], float64
    count: Tensor  # [len(names)], int64, images with a defined error
    undefined: Tensor  # [len(names)], int64, images without; of this process, like all states

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        zeros = torch.zeros(len(self.names), dtype=torch.int64)
        self.add_state("total", zeros.double(), dist_reduce_fx="sum")
        self.add_state("count", zeros.clone(), dist_reduce_fx="sum")
        self.add_state("undefined", zeros.clone(), dist_reduce_fx="sum")

    def add(self, errors: Tensor) -> None:
        """Take in the errors [B, len(names)] of a batch of images."""
        defined = ~errors.isnan()
        self.total += errors.nansum(dim=0)
        self.count += defined.sum(dim=0)
        self.undefined += (~defined).sum(dim=0)

    def mean(self) -> Tensor:
        """Means over the images [len(names)], float64; NaN where no image is defined."""
        counted = zip(self.names, self.undefined.tolist(), self.count.tolist(), strict=True)
        gaps = [f"{name} of {bad} of {bad + good}" for name, bad, good in counted if bad]
        if gaps:
            rank_zero_warn(
                f"undefined scores are left out of the mean: {', '.join(gaps)} images; "
                "their region is empty"
            )
        return self.total / self.count

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Self:
        """Move states between devices; leave their dtype alone, except for ``set_dtype``."""

        def move(state: Tensor) -> Tensor:
            moved = fn(state)
            return moved if moved.dtype == state.dtype else state.to(moved.device)

        super()._apply(fn if self._dtype_convert else move, exclude_state)
        return self


class ImageMean(Totals):
    """Mean over images of one error; a subclass says which by :attr:`error`."""

    error: Callable[[Tensor, Tensor, Tensor | None], Tensor]  # of a batch and its mask, to [B]

    def __init__(self) -> None:
        super().__init__([type(self).__name__])

    def update(self, pred: Tensor, alpha: Tensor, mask: Tensor | None = None) -> None:
        """Take in a batch of mattes [B, 1, H, W]."""
        self.add(self.error(pred, alpha, mask)[:, None])

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


class MattingMetrics(Totals):
    """Means over images of all five scores over several regions; see :func:`scores`.

    Args:
        regions: Any of "unknown" and "whole".
    """

    def __init__(self, regions: Sequence[Region] = ("unknown", "whole")) -> None:
        super().__init__(score_names(regions))
        self.regions = tuple(regions)

    def update(self, pred: Tensor, alpha: Tensor, trimap: Tensor | None = None) -> None:
        """Take in a batch; the trimap may be missing if only the whole image is scored."""
        errors = scores(pred, alpha, trimap, self.regions)
        self.add(torch.stack([errors[name] for name in self.names], dim=1))

    def compute(self) -> dict[str, Tensor]:
        """The means so far, float64 scalars under names such as "SAD/unknown"."""
        return dict(zip(self.names, self.mean(), strict=True))
