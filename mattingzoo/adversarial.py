"""Training against a discriminator: two networks, two optimisers, one step.

The generator's loss is computed with the discriminator's present weights, the discriminator's with
the generator's present prediction, detached. Then both move. This is what alternating updates on
one prediction do, the generator first: its move changes nothing that the discriminator's loss has
seen. But here one backward pass serves both, and Lightning sees one loss and one optimiser. So
mixed precision with loss scaling, gradient accumulation, clipping, averaged weights, plain DDP,
``max_steps`` and resuming work as in any other model, by Lightning's own means and not by copies
of them, which `automatic_optimization = False` would ask for.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mattingzoo.module import MattingModule
from mattingzoo.schedules import Schedule, factor_of_run


class Adversaries(Optimizer):
    """Two optimisers that are driven as one: the generator's, and the discriminator's.

    Args:
        generator: Steps every time.
        discriminator: Steps the first time and every ``every``-th after it; its gradients of the
            other times are lost.
        every: Steps of the generator for one of the discriminator.
    """

    def __init__(self, generator: Optimizer, discriminator: Optimizer, every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"every must be 1 or more, got {every}")
        self.generator, self.discriminator, self.every = generator, discriminator, every
        self.steps = 0
        # The same dictionaries, so that a schedule that sets the learning rate here sets it there.
        super().__init__([*generator.param_groups, *discriminator.param_groups], {})

    @property
    def parts(self) -> tuple[Optimizer, Optimizer]:
        """Generator's and discriminator's optimiser."""
        return self.generator, self.discriminator

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Compute the gradients of both, then move those whose turn it is."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.generator.step()
        if self.steps % self.every == 0:
            self.discriminator.step()
        self.steps += 1
        return loss

    def state_dict(self) -> dict[str, Any]:
        """State of both, and whose turn it is."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "steps": self.steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state."""
        self.generator.load_state_dict(state_dict["generator"])
        self.discriminator.load_state_dict(state_dict["discriminator"])
        self.steps = state_dict["steps"]
        # Loading gives an optimiser new groups; share these again.
        self.param_groups = [*self.generator.param_groups, *self.discriminator.param_groups]


class AdversarialModule(MattingModule):
    """A model trained against a discriminator, which is no part of the model.

    A subclass sets :attr:`discriminator` (None trains without), returns the sum of the generator's
    and the discriminator's loss from ``training_step``, the first through :meth:`judge`, the second
    on detached predictions, and returns :func:`adversaries` from ``configure_optimizers``.
    """

    discriminator: nn.Module | None
    training_only: ClassVar[tuple[str, ...]] = ("discriminator.",)

    def judge(self, picture: Tensor) -> Tensor:
        """The discriminator's scores with its weights held fixed.

        The gradient goes on to the picture and not into the discriminator.

        Raises:
            RuntimeError: If there is no discriminator.
        """
        if self.discriminator is None:
            raise RuntimeError(f"this {type(self).__name__} was built without a discriminator")
        fixed = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        scores: Tensor = torch.func.functional_call(self.discriminator, fixed, (picture,))
        return scores

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip each network by itself: a wild discriminator must not still the generator."""
        parts = optimizer.parts if isinstance(optimizer, Adversaries) else (optimizer,)
        for part in parts:
            self.clip_gradients(part, gradient_clip_val, gradient_clip_algorithm)


def adversaries(
    generator: Optimizer,
    discriminator: Optimizer,
    trainer: Trainer,
    warmup: int = 0,
    schedule: Schedule = "constant",
    every: int = 1,
) -> OptimizerLRSchedulerConfig:
    """What ``configure_optimizers`` returns: both optimisers, and the generator's schedule.

    Args:
        generator: Its learning rate follows the schedule.
        discriminator: Its learning rate stays.
        trainer: Says how many steps there will be.
        warmup: Steps of linear growth.
        schedule: What follows it; see :mod:`mattingzoo.schedules`.
        every: Steps of the generator for one of the discriminator.

    Raises:
        ValueError: If the schedule needs an end and the run has none.
    """
    both = Adversaries(generator, discriminator, every)
    varied = factor_of_run(trainer, warmup, schedule)
    factors: list[Callable[[int], float]] = [varied] * len(generator.param_groups)
    factors += [lambda _: 1.0] * len(discriminator.param_groups)
    return {
        "optimizer": both,
        "lr_scheduler": {"scheduler": LambdaLR(both, factors), "interval": "step"},
    }
