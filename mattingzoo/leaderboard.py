"""Results on Weights & Biases, one run per model × data set × region."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb

from mattingzoo.results import ALL_SCORES, CI95

MEASURED = (*ALL_SCORES, "seconds_per_image", "peak_memory_mb")


def check_login(mode: str) -> None:
    """Refuse ``online`` without a login, before hours of work; never asks for one.

    Raises:
        ValueError: If there is no login.
    """
    if mode == "online" and not wandb.login(prompt=False):
        raise ValueError("--wandb online needs a login: run `wandb login`, or use --wandb offline")


def log_to_wandb(entries: Sequence[dict[str, Any]], mode: str, folder: Path) -> None:
    """Log result entries; offline runs wait in ``folder`` for ``wandb sync``.

    Args:
        entries: Objects of ``results.json``.
        mode: ``off``, ``offline`` or ``online``. Never asks for a login.
        folder: Where Weights & Biases keeps its files.
    """
    if mode == "off":
        return
    folder.mkdir(parents=True, exist_ok=True)
    for entry in entries:
        run = wandb.init(
            project="mattingzoo",
            job_type="benchmark",
            name=f"{entry['model']} {entry['data']} {entry['region']}",
            config={k: v for k, v in entry.items() if k not in (*MEASURED, *CI95.values())},
            mode="offline" if mode == "offline" else "online",
            dir=folder,
            settings=wandb.Settings(silent=True),
        )
        run.summary.update(_summary(entry))
        run.finish()


def _summary(entry: dict[str, Any]) -> dict[str, float | None]:
    """What was measured, as single numbers: an interval becomes ``SAD_low`` and ``SAD_high``."""
    summary = {key: entry[key] for key in MEASURED}
    for score in ALL_SCORES:
        low, high = entry[CI95[score]] or (None, None)
        summary |= {f"{score}_low": low, f"{score}_high": high}
    return summary
