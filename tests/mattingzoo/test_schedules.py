"""The learning rate over a run."""

from itertools import pairwise

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Timer
from torch.optim import SGD

from mattingzoo.schedules import Schedule, factor_of_run, lr_factor, step_schedule


def test_warm_up_grows_linearly_to_one() -> None:
    warm = [lr_factor(step, 0, 3) for step in range(5)]
    assert warm == pytest.approx([0.25, 0.5, 0.75, 1, 1])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1]),
        ("cosine", [1, 0.5, 0, 0]),
        ("poly", [1, 0.5**0.9, 0, 0]),
        ("exponential", [1, 0.9**20, 0.9**40, 0.9**40]),
        ("step", [1, 0.9**20, 0.9**40, 0.9**40]),
    ],
)
def test_beginning_middle_end_and_beyond(schedule: Schedule, expected: list[float]) -> None:
    got = [lr_factor(step, 802, 2, schedule) for step in (2, 402, 802, 1000)]
    assert got == pytest.approx(expected, abs=1e-12)


def test_step_is_a_tenth_less_every_three_of_120_epochs() -> None:
    by_epoch = [lr_factor(100 * epoch, 12_000, 0, "step") for epoch in range(120)]
    assert by_epoch == pytest.approx([0.9 ** (epoch // 3) for epoch in range(120)])
    inside = [lr_factor(step, 12_000, 0, "step") for step in range(300)]
    assert inside == [1.0] * 300


@pytest.mark.parametrize("schedule", ["cosine", "poly", "exponential", "step"])
def test_never_grows_after_warm_up(schedule: Schedule) -> None:
    factors = [lr_factor(step, 97, 7, schedule) for step in range(7, 120)]
    assert all(a >= b for a, b in pairwise(factors))
    assert factors[0] == 1


class Walk(LightningModule):
    """One weight whose gradient is 1, so that it moves by the learning rate."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.schedule = schedule
        self.seen: list[float] = []

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.seen.append(self.weight.item())
        return self.weight.sum()

    def configure_optimizers(self) -> object:
        return step_schedule(SGD(self.parameters(), lr=2.0), self.trainer, 1, self.schedule)


def run(model: Walk, steps: int) -> None:
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, torch.utils.data.DataLoader(torch.zeros(4, 1)))


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_every_step_has_its_own_rate() -> None:
    model = Walk("cosine")
    run(model, 4)
    moved = -torch.diff(torch.tensor([*model.seen, model.weight.item()]))
    expected = [2 * lr_factor(step, 4, 1, "cosine") for step in range(4)]
    assert moved.tolist() == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_a_run_without_end_is_refused_where_the_schedule_needs_one() -> None:
    endless = Trainer(
        max_epochs=-1,
        max_steps=-1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    with pytest.raises(ValueError, match=r"schedule='poly' needs an end; set trainer\.max_steps"):
        endless.fit(Walk("poly"), torch.utils.data.DataLoader(torch.zeros(4, 1)))


def test_a_run_bounded_by_time_falls_to_zero_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(
        max_steps=1000,
        max_time={"seconds": 10},
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    now = 0.0
    timer = next(c for c in trainer.callbacks if isinstance(c, Timer))  # type: ignore[attr-defined]
    monkeypatch.setattr(timer, "time_elapsed", lambda: now)
    monkeypatch.setattr(timer, "time_remaining", lambda: 10 - now)
    monkeypatch.setattr(Trainer, "estimated_stepping_batches", 1000)
    factor = factor_of_run(trainer, 0, "cosine")
    for step in range(11):  # a step takes a second, so that ten are all there will be
        now = float(step)
        assert factor(step) == pytest.approx(lr_factor(100 * step, 1000, 0, "cosine"))
    now = 5.0
    assert factor(1000) == pytest.approx(0)  # steps are the end if they come first
