"""The training recipe of MMNet, and its prediction for pictures of any size."""

import math
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Adam, AdamW

from mattingzoo.arguments import check_choice
from mattingzoo.batch import Batch
from mattingzoo.models.mmnet.losses import mmnet_losses
from mattingzoo.models.mmnet.network import STRIDE, MMNetOutput, MMNetwork
from mattingzoo.module import MattingModule
from mattingzoo.schedules import Schedule, step_schedule
from mattingzoo.weights import load_weights


class MMNet(MattingModule):
    """MMNet (Seo et al., arXiv 1904.03816): mattes of portraits on a phone, from the image alone.

    Pictures of any size are resized to the network's, and mattes are resized back.

    Args:
        width: Multiplies all channels; the paper has 0.5, 0.75, 1 and 1.4.
        size: Side of the network's picture, a multiple of 16; the paper has 256 and 128.
        keep_aspect: Let the network see pictures of their own shape and about ``size`` x ``size``
            pixels. Without it they are squeezed into a square, as in the paper.
        momentum: Share of a batch in the running statistics of normalisations; the authors' 0.001
            takes thousands of steps, shorter runs want 0.01 to 0.1.
        composition_factor: Multiplies the image in the compositional loss; 1 is the paper's
            formula, 1/255 = 0.00392 what the authors' code computes.
        lr: Learning rate.
        optimizer: ``adam`` or ``adamw``.
        weight_decay: Weight decay of ordinary convolutions, 1x1 included; depthwise ones, biases
            and normalisations do not decay.
        warmup_steps: Steps over which the learning rate grows linearly to ``lr``.
        schedule: What follows; ``constant`` in the paper, see :mod:`mattingzoo.schedules`.
        init_from: Weights of another run to start from.
    """

    inputs = ("image",)

    def __init__(
        self,
        width: float = 1.0,
        size: int = 256,
        keep_aspect: bool = False,
        momentum: float = 0.001,
        composition_factor: float = 1.0,
        lr: float = 1e-4,
        optimizer: Literal["adam", "adamw"] = "adam",
        weight_decay: float = 4e-7,
        warmup_steps: int = 0,
        schedule: Schedule = "constant",
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        # A checkpoint holds the weights, so that loading it needs no file they started from.
        self.save_hyperparameters(ignore=["init_from"])
        if size < STRIDE or size % STRIDE:
            raise ValueError(f"size must be a multiple of {STRIDE}, got {size}; the paper has 256")
        check_choice("optimizer", optimizer, ("adam", "adamw"))
        check_choice("schedule", schedule, get_args(Schedule))
        self.size, self.keep_aspect = size, keep_aspect
        self.composition_factor = composition_factor
        self.lr, self.optimizer, self.weight_decay = lr, optimizer, weight_decay
        self.warmup_steps, self.schedule = warmup_steps, schedule
        self.network = MMNetwork(width, momentum)
        if init_from:
            load_weights(self, init_from)

    def training_keys(self) -> tuple[str, ...]:
        """Keys that ``training_step`` reads."""
        return ("image", "alpha")

    def forward(self, batch: Batch) -> Tensor:
        """Predict mattes [B, 1, H, W] of any size."""
        image = batch["image"]
        alpha = self.network(self.resized(image)).alpha
        return resize(alpha, image.shape[-2], image.shape[-1])

    def resized(self, picture: Tensor) -> Tensor:
        """A picture [B, C, H, W] at the network's size, channels last: faster on a CPU."""
        height, width = picture.shape[-2:]
        sides = self.size, self.size
        if self.keep_aspect:
            sides = sides_of_area(height, width, self.size)
        return resize(picture, *sides).contiguous(memory_format=torch.channels_last)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean of the five terms, at the network's size."""
        image, alpha = self.resized(batch["image"]), self.resized(batch["alpha"])
        output: MMNetOutput = self.network(image)
        losses = mmnet_losses(output, alpha, image, self.composition_factor)
        for name, value in losses.items():
            self.log(f"train/loss_{name}", value)
        loss = torch.stack(list(losses.values())).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam; the gradient of ordinary convolutions includes the decay, unless it is AdamW."""
        kind = Adam if self.optimizer == "adam" else AdamW
        groups = parameter_groups(self.network, self.weight_decay)
        optimizer = kind(groups, lr=self.lr)
        return step_schedule(optimizer, self.trainer, self.warmup_steps, self.schedule)


def resize(picture: Tensor, height: int, width: int) -> Tensor:
    """Resize a picture [B, C, H, W] in float32, without aliasing where it gets smaller."""
    if picture.shape[-2:] == (height, width):
        return picture
    return F.interpolate(picture.float(), (height, width), mode="bilinear", antialias=True)


def sides_of_area(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width of about ``size`` x ``size`` pixels in a picture's own shape.

    Multiples of the network's stride, which bends the shape by as much as that takes.
    """
    ratio = math.sqrt(height / width)
    rows, columns = (
        max(STRIDE, round(side / STRIDE) * STRIDE) for side in (size * ratio, size / ratio)
    )
    return rows, columns


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights of ordinary convolutions, which decay, and everything else, which does not."""
    decaying = [
        layer.weight
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d) and layer.groups == 1
    ]
    known = {id(weight) for weight in decaying}
    still = [weight for weight in network.parameters() if id(weight) not in known]
    return [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": still, "weight_decay": 0.0},
    ]
