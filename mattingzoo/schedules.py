"""The learning rate over a run, for every model that varies it step by step."""

import math
from collections.abc import Callable
from typing import Literal

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

Schedule = Literal["constant", "cosine", "poly", "exponential", "step"]

POLY_POWER = 0.9  # DeepLab's, which the matting papers that say "poly" take over
DECAY, DECAYS = 0.9, 40  # 120 epochs with a tenth off every three


def lr_factor(step: int, total: float, warmup: int = 0, schedule: Schedule = "constant") -> float:
    """Share of the learning rate at a step of 0, 1, ...

    After a linear growth over ``warmup`` steps, with p in [0, 1] the part done of the others:

    - ``constant``: 1;
    - ``cosine``: half a cosine, from 1 to 0;
    - ``poly``: (1 - p)^0.9;
    - ``exponential``: 0.9^(40 p), to 0.015 at the end;
    - ``step``: the same in 40 stairs.

    Args:
        step: Steps done.
        total: Steps of the run; ``constant`` does not look at it.
        warmup: Steps of linear growth.
        schedule: What follows it.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    progress = min(1.0, (step - warmup) / max(1.0, total - warmup))
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if schedule == "poly":
        return float((1 - progress) ** POLY_POWER)
    decays = DECAYS * progress
    # A stair that begins at this very step must not be missed by a rounding error.
    return float(DECAY ** (math.floor(decays + 1e-9) if schedule == "step" else decays))


def step_schedule(
    optimizer: Optimizer, trainer: Trainer, warmup: int, schedule: Schedule
) -> OptimizerLRSchedulerConfig:
    """What ``configure_optimizers`` returns: the optimiser, its learning rate set every step.

    Args:
        optimizer: With the learning rate that the factors of :func:`lr_factor` act on.
        trainer: Says how many steps there will be.
        warmup: Steps of linear growth.
        schedule: What follows it.

    Raises:
        ValueError: If the schedule needs an end and the run has none.
    """
    scheduler = LambdaLR(optimizer, factor_of_run(trainer, warmup, schedule))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def factor_of_run(trainer: Trainer, warmup: int, schedule: Schedule) -> Callable[[int], float]:
    """:func:`lr_factor` of a step, for the run that a trainer is about to begin.

    A run ends with its steps or with its time, ``trainer.max_time``, and what falls to zero does so
    at whichever end comes first.

    Raises:
        ValueError: If the schedule needs an end and the run has none.
    """
    if schedule == "constant":
        return lambda step: lr_factor(step, 0, warmup, schedule)
    total = float(trainer.estimated_stepping_batches)
    timer = next((c for c in trainer.callbacks if isinstance(c, Timer)), None)  # type: ignore[attr-defined]
    if math.isinf(total):
        raise ValueError(f"schedule={schedule!r} needs an end; set trainer.max_steps or max_epochs")

    def factor(step: int) -> float:
        if timer is None or step < warmup:
            return lr_factor(step, total, warmup, schedule)
        # One clock for all processes: rates that differ would drive their weights apart.
        share = trainer.strategy.broadcast(_share_of_time(timer))
        return lr_factor(max(step, round(share * total)), total, warmup, schedule)

    return factor


def _share_of_time(timer: Timer) -> float:
    elapsed, remaining = timer.time_elapsed(), timer.time_remaining()
    return 0.0 if remaining is None else elapsed / max(elapsed + remaining, 1e-9)
