"""How fast models train, and in how much memory, when no data set can be too slow for them.

    python benchmarks/train_speed.py --config dim/paper,semat/paper --precision bf16-mixed
    python benchmarks/train_speed.py --config semat/paper --batch-size 4 --set model.sam=vit_b

Every experiment is run as `mattingzoo fit` runs it (transfer, composition and augmentation on the
device, all losses, the optimiser, Lightning's loop) for a few seconds, on one batch of built-in
pictures that lies in memory and is composed anew in each step. Reading and decoding files is left
out: that is `--data.num_workers`' affair. Encoders start at random. Prints a table and writes
OUT/train_speed.json.
"""

import argparse
import gc
import json
import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, IterableDataset

from mattingzoo.batch import Batch
from mattingzoo.cli.errors import guarded
from mattingzoo.cli.names import configs
from mattingzoo.cli.train import build
from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules import Synthetic
from mattingzoo.io import write_text_atomic
from mattingzoo.memory import PeakMemory

console = Console()
WARM_UP = 5  # steps: allocations, choice of algorithms
FEW = 4  # pictures that are drawn


@dataclass
class Measured:
    """What one experiment did."""

    config: str
    model: str
    parameters: int  # trained
    batch_size: int
    crop_size: int
    precision: str
    device: str
    steps: int
    seconds_per_step: float
    images_per_second: float
    peak_memory_mb: float


class Again(IterableDataset[Batch]):
    """One batch without end, pinned where there is a GPU; composing must not change it."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield cast(Batch, dict(self.batch))


class InMemory(MattingDataModule):
    """One training batch of built-in pictures, under a given recipe."""

    def make_source(self, split: Any) -> Any:
        """A few built-in pictures: drawing hundreds would take longer than all the rest."""
        return Synthetic(length=FEW).source(split)

    def train_dataloader(self) -> Any:
        """The same batch again and again."""
        size, self.batch_size = self.batch_size, FEW
        few = cast(dict[str, Any], next(iter(super().train_dataloader())))
        self.batch_size = size
        batch = {key: _repeated(value, size) for key, value in few.items()}
        if torch.cuda.is_available():
            batch = {k: v.pin_memory() if torch.is_tensor(v) else v for k, v in batch.items()}
        return DataLoader(Again(cast(Batch, batch)), batch_size=None)

    def val_dataloader(self) -> Any:
        """Nothing."""
        return []


def _repeated(values: Any, size: int) -> Any:
    """So many of them, beginning anew when they are used up."""
    order = [i % FEW for i in range(size)]
    return values[order] if torch.is_tensor(values) else [values[i] for i in order]


class Clock(Callback):
    """Stops a run after so many seconds, warm-up not counted."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.steps = 0
        self.taken = 0.0
        self._start = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *arguments: Any
    ) -> None:
        """Look at the clock; on a GPU only now and then, for a look waits for all work."""
        self.steps += 1
        if self.steps == WARM_UP:
            _wait(pl_module.device)
            self._start = time.perf_counter()
        if self.steps <= WARM_UP or (pl_module.device.type == "cuda" and self.steps % 10):
            return
        _wait(pl_module.device)
        self.taken = time.perf_counter() - self._start
        trainer.should_stop = self.taken >= self.seconds


def measure(config: str, arguments: argparse.Namespace) -> Measured:
    """Train one experiment for a few seconds."""
    options = [f"--{setting}" for setting in arguments.set]
    options += ["--trainer.logger", "false", "--trainer.callbacks", "null"]
    options += ["--trainer.accelerator", "auto"]
    cli = build(["--config", config, *options], execute=False)
    size = arguments.batch_size or cli.datamodule.batch_size
    recipe = cli.datamodule.recipe
    module: Any = cli.model
    module.may_start = True  # a random encoder is as fast as any
    clock = Clock(arguments.seconds)
    trainer = Trainer(
        accelerator="cpu" if arguments.device == "cpu" else "auto",
        devices=1,
        precision=arguments.precision,
        max_steps=100_000,  # schedules want an end; the clock comes first
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=cli.trainer.gradient_clip_val,
        gradient_clip_algorithm=cli.trainer.gradient_clip_algorithm,
        benchmark=arguments.benchmark,
    )
    device = trainer.strategy.root_device
    data = InMemory(None, size, num_workers=0, recipe=recipe)
    with PeakMemory(device) as memory:
        trainer.fit(module, data)
    steps = clock.steps - WARM_UP
    return Measured(
        config=config,
        model=type(module).__name__,
        parameters=sum(p.numel() for p in module.parameters() if p.requires_grad),
        batch_size=size,
        crop_size=recipe.crop_size,
        precision=arguments.precision,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        steps=steps,
        seconds_per_step=clock.taken / steps,
        images_per_second=steps * size / clock.taken,
        peak_memory_mb=memory.megabytes,
    )


def run(arguments: argparse.Namespace) -> None:
    """Measure all, print a table, write a file; one that fails does not stop the others."""
    names = arguments.config.split(",")
    wrong = [name for name in names if name not in configs()]
    if wrong:
        raise ValueError(f"unknown configuration {', '.join(wrong)}; see `mattingzoo list`")
    done: list[Measured] = []
    for name in names:
        console.print(f"{name} …")
        try:
            done.append(measure(name, arguments))
        except (RuntimeError, ValueError, KeyError) as error:
            console.print(f"[red]{name} failed:[/red] {str(error).splitlines()[0]}")
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        path = arguments.out / "train_speed.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(path, json.dumps([asdict(row) for row in done], indent=2) + "\n")
    console.print(table(done))


def table(rows: list[Measured]) -> Table:
    """As people read it."""
    view = Table(title=f"training, {rows[0].device}, {rows[0].precision}" if rows else "nothing")
    columns = ("experiment", "parameters", "batch", "crop", "images/s", "ms/step", "peak GiB")
    for name in columns:
        view.add_column(name, justify="left" if name == "experiment" else "right", no_wrap=True)
    for row in rows:
        view.add_row(
            row.config,
            f"{row.parameters:,}",
            str(row.batch_size),
            str(row.crop_size),
            f"{row.images_per_second:.1f}",
            f"{1000 * row.seconds_per_step:.1f}",
            f"{row.peak_memory_mb / 1024:.2f}",
        )
    return view


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--config", default="dim/paper", help="comma list of experiments")
    p.add_argument("--batch-size", type=int, default=0, help="default: the experiment's")
    p.add_argument("--seconds", type=float, default=10, help="time for each, warm-up not counted")
    p.add_argument("--precision", default="32-true", help="as of the trainer")
    p.add_argument("--device", choices=["auto", "cpu"], default="auto")
    p.add_argument(
        "--benchmark", action="store_true",
        help="let cuDNN try its algorithms first; takes up to a minute",
    )  # fmt: skip
    p.add_argument("--out", type=Path, default=Path("results"), help="folder for the file")
    p.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="change an experiment, e.g. model.sam=vit_b; may be given several times",
    )  # fmt: skip
    return p


@contextmanager
def quiet() -> Iterator[None]:
    """Without the advice that is meant for real runs."""
    loggers = [
        logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric", "mattingzoo")
    ]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


if __name__ == "__main__":
    with quiet():
        guarded(partial(run, parser().parse_args()))
