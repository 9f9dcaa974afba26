"""The learning rate over a run."""

import math
from typing import Literal

Schedule = Literal["steps", "cosine", "constant"]

WARMUP_START = 0.001  # share of the learning rate that warm-up begins with


def lr_factor(step: int, total: float, warmup: int, schedule: Schedule) -> float:
    """Factor on the learning rate.

    Args:
        step: Steps done.
        total: Steps of the run; ``constant`` does not look at it.
        warmup: Steps of linear growth from a thousandth, over what the schedule gives.
        schedule: ``steps``: 1, from half of the run 0.5, from three quarters 0.2; ``cosine``: from
            1 after warm-up to 0; ``constant``: 1.

    Raises:
        ValueError: If the schedule needs an end and the run has none.
    """
    grown = 1.0
    if step < warmup:
        grown = WARMUP_START + (1 - WARMUP_START) * step / warmup
    if schedule == "constant":
        return grown
    if math.isinf(total):
        raise ValueError(f"schedule={schedule!r} needs an end; set trainer.max_steps or max_epochs")
    if schedule == "steps":
        done = step / max(total, 1.0)
        return grown * (1.0 if done < 0.5 else 0.5 if done < 0.75 else 0.2)
    progress = min(1.0, max(0, step - warmup) / max(1.0, total - warmup))
    return grown * 0.5 * (1 + math.cos(math.pi * progress))


def check_schedule(schedule: str) -> None:
    """Refuse a schedule that there is not."""
    if schedule not in ("steps", "cosine", "constant"):
        raise ValueError(f"schedule must be one of steps, cosine, constant, got {schedule!r}")
