"""Two networks, one step: equal to alternating updates written out, and to Lightning's tools."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader, TensorDataset

from mattingzoo.adversarial import AdversarialModule, Adversaries, adversaries
from mattingzoo.batch import Batch
from mattingzoo.schedules import Schedule

quiet = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*no `val_dataloader`", "ignore:.*LeafSpec"
)


class Tiny(AdversarialModule):
    """A generator of one convolution, judged by one convolution with batch statistics."""

    inputs = ("image",)

    def __init__(self, every: int = 1, schedule: Schedule = "constant") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.every, self.schedule = every, schedule
        self.network = nn.Conv2d(3, 1, 3, padding=1)
        self.discriminator = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1)
        )

    def forward(self, batch: Batch) -> Tensor:
        alpha: Tensor = self.network(batch["image"])
        return alpha.sigmoid()

    def training_keys(self) -> tuple[str, ...]:
        return ("image", "alpha")

    def losses(self, image: Tensor) -> tuple[Tensor, Tensor]:
        pred, real = self({"image": image}), image[:, :1]
        of_generator = (self.judge(pred) - 1).square().mean() + (pred - real).abs().mean()
        assert self.discriminator is not None
        fake, true = self.discriminator(pred.detach()), self.discriminator(real)
        return of_generator, fake.square().mean() + (true - 1).square().mean()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        of_generator, of_discriminator = self.losses(batch[0])
        return of_generator + of_discriminator

    def configure_optimizers(self) -> Any:
        assert self.discriminator is not None
        return adversaries(
            SGD(self.network.parameters(), lr=0.1, momentum=0.9),
            Adam(self.discriminator.parameters(), lr=0.01),
            self.trainer,
            schedule=self.schedule,
            every=self.every,
        )


def pictures(count: int = 12) -> Tensor:
    return torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def fit(module: Tiny, batch_size: int = 2, count: int = 12, **options: Any) -> Trainer:
    resume = options.pop("ckpt_path", None)
    trainer = Trainer(
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"accelerator": "cpu", "max_epochs": 1, **options},
    )
    data = DataLoader(TensorDataset(pictures(count)), batch_size)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    return trainer


def same(one: nn.Module, other: nn.Module, tolerance: float = 1e-6) -> bool:
    states = one.state_dict(), other.state_dict()
    return all(torch.allclose(v, states[1][k], atol=tolerance) for k, v in states[0].items())


@quiet
@pytest.mark.parametrize("every", [1, 3])
def test_equal_to_alternating_updates(every: int) -> None:
    module, slow = Tiny(every), Tiny(every)
    assert slow.discriminator is not None
    moves = SGD(slow.network.parameters(), lr=0.1, momentum=0.9)
    judges = Adam(slow.discriminator.parameters(), lr=0.01)
    for step, images in enumerate(pictures().split(2)):
        of_generator, of_discriminator = slow.losses(images)
        moves.zero_grad()
        of_generator.backward()
        moves.step()
        judges.zero_grad()
        of_discriminator.backward()
        if step % every == 0:
            judges.step()
    fit(module)
    assert same(module.network, slow.network)
    assert module.discriminator is not None
    assert same(module.discriminator, slow.discriminator)


def test_judging_moves_the_picture_and_not_the_discriminator() -> None:
    module = Tiny()
    picture = torch.rand(2, 1, 8, 8, requires_grad=True)
    module.judge(picture).sum().backward()
    assert picture.grad is not None and picture.grad.abs().sum() > 0
    assert module.discriminator is not None
    assert all(weight.grad is None for weight in module.discriminator.parameters())


def test_judging_without_a_discriminator_is_refused() -> None:
    module = Tiny()
    del module.discriminator
    module.discriminator = None
    with pytest.raises(RuntimeError, match="Tiny was built without a discriminator"):
        module.judge(torch.rand(1, 1, 8, 8))


@quiet
def test_steps_are_counted_once() -> None:
    trainer = fit(Tiny(), max_epochs=-1, max_steps=4)
    assert trainer.global_step == 4


@quiet
def test_accumulated_batches_equal_a_large_one() -> None:
    # Without batch statistics, which a split batch has others of.
    one, other = Tiny(), Tiny()
    for module in (one, other):
        assert module.discriminator is not None
        module.discriminator[1] = nn.Identity()  # type: ignore[index, operator]
    fit(one, batch_size=4)
    fit(other, batch_size=2, accumulate_grad_batches=2)
    assert same(one, other, 1e-5)


@quiet
def test_networks_are_clipped_one_by_one() -> None:
    module = Tiny()
    seen: list[float] = []

    class Watch(SGD):
        def step(self, closure: Any = None) -> Any:  # type: ignore[override]
            gradients = [p.grad.norm() for g in self.param_groups for p in g["params"]]
            seen.append(torch.stack(gradients).norm().item())
            return super().step(closure)

    def optimizers() -> Any:
        assert module.discriminator is not None
        parts = [Watch(n.parameters(), 0.1) for n in (module.network, module.discriminator)]
        return adversaries(parts[0], parts[1], module.trainer)

    module.configure_optimizers = optimizers  # type: ignore[method-assign]
    fit(module, gradient_clip_val=1e-3, max_epochs=-1, max_steps=2)
    assert seen == pytest.approx([1e-3] * 4, rel=1e-3)


@quiet
def test_schedule_moves_the_generator_alone() -> None:
    trainer = fit(Tiny(schedule="cosine"))
    optimizer = trainer.optimizers[0]
    assert isinstance(optimizer, Adversaries)
    rates = [part.param_groups[0]["lr"] for part in optimizer.parts]
    assert rates == pytest.approx([0.0, 0.01])


@quiet
def test_resuming_equals_not_stopping(tmp_path: Path) -> None:
    straight, first, again = Tiny(every=2), Tiny(every=2), Tiny(every=2)
    fit(straight, count=10, max_epochs=2)
    path = tmp_path / "stopped.ckpt"
    # An odd number of steps: whose turn it is has to be remembered as well.
    fit(first, count=10, max_epochs=1).save_checkpoint(path)
    trainer = fit(again, count=10, max_epochs=2, ckpt_path=path)
    assert trainer.global_step == 10
    assert same(again, straight)
    assert not same(first, straight)


@quiet
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_loss_scaling_changes_little() -> None:
    exact, scaled = Tiny(), Tiny()
    fit(exact, accelerator="gpu")
    fit(scaled, accelerator="gpu", precision="16-mixed")
    assert same(exact.cpu(), scaled.cpu(), 0.02)


def test_a_loaded_state_keeps_the_groups_shared() -> None:
    parts = [Adam(nn.Linear(2, 2).parameters(), lr=rate) for rate in (0.1, 0.2)]
    both = Adversaries(parts[0], parts[1])
    both.load_state_dict(copy.deepcopy(both.state_dict()))
    both.param_groups[1]["lr"] = 0.5
    assert parts[1].param_groups[0]["lr"] == 0.5


def test_a_senseless_rhythm_is_refused() -> None:
    weights = [nn.Parameter(torch.zeros(1))]
    with pytest.raises(ValueError, match="every must be 1 or more, got 0"):
        Adversaries(SGD(weights, 0.1), SGD(weights, 0.1), every=0)
