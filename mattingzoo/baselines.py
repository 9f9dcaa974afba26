"""Classical methods under the same interface, so that every table has something to beat."""

import logging
from abc import abstractmethod
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pymatting import estimate_alpha_cf, estimate_alpha_knn, estimate_alpha_lbdm, estimate_alpha_sm
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.module import MattingModule
from mattingzoo.ops import fill_known

log = logging.getLogger(__name__)


class Baseline(MattingModule):
    """A method without parameters: nothing to train, nothing to load."""

    inputs: tuple[str, ...] = ("image", "trimap")

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Mattes [B, 1, H, W] in [0, 1]."""

    def training_keys(self) -> tuple[str, ...]:
        """Nothing is trained."""
        return ()

    def configure_optimizers(self) -> None:
        """Nothing is trained."""
        return


class TrimapBaseline(Baseline):
    """The trimap itself: one half wherever it is unknown. What any model has to beat."""

    def forward(self, batch: Batch) -> Tensor:
        """The trimap [B, 1, H, W]."""
        return batch["trimap"]


class BoxBaseline(Baseline):
    """The box itself: opaque inside, nothing outside. What a model that reads boxes has to beat."""

    inputs = ("image", "box")
    prompts: ClassVar[tuple[str, ...]] = ("box",)

    def forward(self, batch: Batch) -> Tensor:
        """Filled boxes [B, 1, H, W]."""
        height, width = batch["image"].shape[-2:]
        x0, y0, x1, y1 = (side.view(-1, 1, 1, 1) for side in batch["box"].unbind(dim=1))
        x = torch.arange(width, device=batch["box"].device)
        y = torch.arange(height, device=batch["box"].device).view(-1, 1)
        return ((x >= x0) & (x < x1) & (y >= y0) & (y < y1)).float()


class DifferenceKey(Baseline):
    """Where the picture differs from its captured background: what Background Matting must beat.

    Alpha is 0 up to a difference of ``LOW``, 1 from ``HIGH``, linear between; the difference of two
    pixels is that of the channel that differs most. Both are levels in [0, 1], chosen on the
    validation splits of the built-in data and of photographic cut-outs, whose captured backgrounds
    differ from the true ones by noise, gamma and small shifts.
    """

    inputs = ("image", "captured_background")
    LOW: ClassVar[float] = 0.08
    HIGH: ClassVar[float] = 0.20
    MIDDLE: ClassVar[float] = (LOW + HIGH) / 2  # where alpha is one half

    def forward(self, batch: Batch) -> Tensor:
        """Soft-thresholded differences [B, 1, H, W]."""
        difference = (batch["image"] - batch["captured_background"]).abs().amax(1, keepdim=True)
        return ((difference - self.LOW) / (self.HIGH - self.LOW)).clamp(0, 1)


class ConstantBaseline(Baseline):
    """One value everywhere: what a model that looks at the image has to beat on whole images."""

    inputs = ("image",)
    value: ClassVar[float]

    def forward(self, batch: Batch) -> Tensor:
        """The value as mattes [B, 1, H, W]."""
        return torch.full_like(batch["image"][:, :1], self.value)


class AllForeground(ConstantBaseline):
    """Alpha 1 everywhere: the whole picture is foreground."""

    value = 1.0


class AllBackground(ConstantBaseline):
    """Alpha 0 everywhere: nothing in the picture is foreground."""

    value = 0.0


class Mean(ConstantBaseline):
    """Alpha 0.5 everywhere: the mean of the two above, without a look at any data set."""

    value = 0.5


class PyMatting(Baseline):
    """A method of the pymatting library, on the CPU in double precision."""

    told = False  # of pictures it cannot solve: once is enough

    @abstractmethod
    def solve(self, image: NDArray[Any], trimap: NDArray[Any]) -> NDArray[Any]:
        """Matte [H, W] of image [H, W, 3] and trimap [H, W], float64 in [0, 1]."""

    def forward(self, batch: Batch) -> Tensor:
        """Solve picture by picture; one without known foreground or background keeps its trimap."""
        names = batch.get("name", ["?"] * len(batch["image"]))
        mattes = [
            self._solve_one(image, trimap[0], name)
            for image, trimap, name in zip(batch["image"], batch["trimap"], names, strict=True)
        ]
        return fill_known(torch.stack(mattes).unsqueeze(1).to(batch["image"]), batch["trimap"])

    def _solve_one(self, image: Tensor, trimap: Tensor, name: str) -> Tensor:
        if not (trimap == 0).any() or not (trimap == 1).any():
            if not self.told:
                log.warning(
                    "%s keeps the trimap of pictures without known foreground or background, the "
                    "first of them is %s",
                    self,
                    name,
                )
            self.told = True
            return trimap
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy(), np.float64)
        # pymatting prints hints about its preconditioner, in the middle of progress bars.
        with redirect_stdout(StringIO()) as hints:
            try:
                alpha = self.solve(pixels, trimap.cpu().numpy().astype(np.float64))
            except ValueError as error:
                raise ValueError(f"{self} did not solve {name}: {error}") from error
        if hints.getvalue():
            log.debug("%s: %s", name, hints.getvalue().strip())
        return torch.from_numpy(np.clip(alpha, 0, 1))

    def __str__(self) -> str:
        return type(self).__name__


class ClosedForm(PyMatting):
    """Closed-form matting (Levin et al., TPAMI 2008)."""

    def solve(self, image: NDArray[Any], trimap: NDArray[Any]) -> NDArray[Any]:
        """Matting Laplacian, conjugate gradients."""
        return np.asarray(estimate_alpha_cf(image, trimap))


class KNN(PyMatting):
    """KNN matting (Chen et al., TPAMI 2013)."""

    def solve(self, image: NDArray[Any], trimap: NDArray[Any]) -> NDArray[Any]:
        """Non-local Laplacian of nearest neighbours in colour and place."""
        return np.asarray(estimate_alpha_knn(image, trimap))


class LBDM(PyMatting):
    """Learning-based digital matting (Zheng and Kambhamettu, ICCV 2009)."""

    def solve(self, image: NDArray[Any], trimap: NDArray[Any]) -> NDArray[Any]:
        """Local linear alpha-colour model by ridge regression."""
        return np.asarray(estimate_alpha_lbdm(image, trimap))


class SharedMatting(PyMatting):
    """Shared sampling matting (Gastal and Oliveira, Eurographics 2010)."""

    def solve(self, image: NDArray[Any], trimap: NDArray[Any]) -> NDArray[Any]:
        """Sampling of known colours along rays."""
        return np.asarray(estimate_alpha_sm(image, trimap))


BASELINES: dict[str, Callable[[], Baseline]] = {
    "all-foreground": AllForeground,
    "all-background": AllBackground,
    "mean": Mean,
    "trimap": TrimapBaseline,
    "box": BoxBaseline,
    "difference-key": DifferenceKey,
    "closed-form": ClosedForm,
    "knn": KNN,
    "lbdm": LBDM,
    "shared-matting": SharedMatting,
}
