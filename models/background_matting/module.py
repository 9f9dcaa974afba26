"""The two training stages of Background Matting: from composites, then from its own predictions."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from mattingzoo.adversarial import AdversarialModule, adversaries
from mattingzoo.arguments import check_choice
from mattingzoo.batch import Batch
from mattingzoo.models.background_matting.losses import (
    Terms,
    distilled_terms,
    least_squares,
    opaque_from_image,
    supervised_terms,
    supervision_weight,
)
from mattingzoo.models.background_matting.network import (
    BackgroundMattingNet,
    BackgroundMattingOutput,
)
from mattingzoo.models.background_matting.recompose import (
    exchanged,
    shift_subject,
    signed,
)
from mattingzoo.nn.patchgan import PatchDiscriminator
from mattingzoo.ops import composite
from mattingzoo.schedules import Schedule, step_schedule
from mattingzoo.weights import load_weights


class BackgroundMatting(AdversarialModule):
    """Background Matting (Sengupta et al., CVPR 2020), and its self-supervised second stage.

    Instead of a trimap it is given a second photograph of the scene without its subject, and a soft
    segmentation. Besides the matte it gives the foreground's colours, ``foreground``.

    Stage 1 learns from composites. Stage 2 is another run, on pictures with captured backgrounds
    and without mattes: a student follows what a frozen teacher, the stage-1 network, says of them,
    less and less, while a discriminator judges its subjects on other backgrounds.

    Args:
        width: Channels at full resolution, 64 in the paper.
        n_blocks1: Residual blocks of the trunk.
        n_blocks2: Residual blocks of each decoder.
        use_motion: Let motion take part, as the paper draws it. False is the released network,
            which does not look at it.
        legacy: The released code with its faults, for its weights: motion without effect, Sobel
            gradients beyond the border, composites of stage 2 from which no gradient returns.
        stage: 1 learns from composites, 2 from a teacher and a discriminator.
        student: What stage 2 begins with: ``random`` weights as the released code, or the
            ``teacher``'s, which suits short runs.
        supervision: Weight of the teacher's terms, beside the discriminator's 1.
        halve_every: Epochs after which it halves; before that once, after the first epoch.
        discriminator_width: Channels of the discriminator's first layer.
        discriminator_every: Steps of the network for one of the discriminator.
        lr: Learning rate of the network.
        lr_discriminator: Learning rate of the discriminator.
        optimizer: ``adam`` (paper) or ``adamw``, of the network; the discriminator has Adam.
        weight_decay: Weight decay of the network.
        warmup_steps: Steps over which the network's learning rate grows linearly to ``lr``.
        schedule: What follows: ``constant`` (paper), ``cosine`` or another one of
            :mod:`mattingzoo.schedules`.
        init_from: Weights to start from; in stage 2 the teacher's, of stage 1.
    """

    inputs = ("image", "captured_background", "segmentation", "motion")
    extras: ClassVar[tuple[str, ...]] = ("foreground",)
    training_only: ClassVar[tuple[str, ...]] = ("discriminator.", "teacher.")

    def __init__(
        self,
        width: int = 64,
        n_blocks1: int = 7,
        n_blocks2: int = 3,
        use_motion: bool = True,
        legacy: bool = False,
        stage: Literal[1, 2] = 1,
        student: Literal["random", "teacher"] = "random",
        supervision: float = 0.05,
        halve_every: int = 2,
        discriminator_width: int = 64,
        discriminator_every: int = 5,
        lr: float = 1e-4,
        lr_discriminator: float = 1e-5,
        optimizer: Literal["adam", "adamw"] = "adam",
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        schedule: Schedule = "constant",
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        # A checkpoint holds the weights, so that loading it needs no file they started from.
        self.save_hyperparameters(ignore=["init_from"])
        check_choice("stage", stage, (1, 2))
        check_choice("student", student, ("random", "teacher"))
        check_choice("optimizer", optimizer, ("adam", "adamw"))
        check_choice("schedule", schedule, get_args(Schedule))
        if halve_every < 1:
            raise ValueError(f"halve_every must be 1 epoch or more, got {halve_every}")
        self.legacy, self.stage, self.student = legacy, stage, student
        self.supervision, self.halve_every = supervision, halve_every
        self.discriminator_every = discriminator_every
        self.lr, self.lr_discriminator = lr, lr_discriminator
        self.optimizer, self.weight_decay = optimizer, weight_decay
        self.warmup_steps, self.schedule = warmup_steps, schedule
        size = (width, n_blocks1, n_blocks2, use_motion and not legacy)
        self.network = BackgroundMattingNet(*size)
        self.teacher: BackgroundMattingNet | None = None
        self.discriminator: PatchDiscriminator | None = None
        if stage == 2:
            self.teacher = BackgroundMattingNet(*size).requires_grad_(False).eval()
            self.discriminator = PatchDiscriminator(
                3, discriminator_width, norm="instance", padding=2
            )
        self.may_start = stage == 1
        if init_from:
            self.start_from(init_from)

    def start_from(self, path: str) -> None:
        """Begin with the weights of a stage-1 run; in stage 2 they are the teacher's."""
        if self.teacher is None:
            load_weights(self, path)
            return
        load_weights(nn.ModuleDict({"network": self.teacher}), path)
        if self.student == "teacher":
            self.network.load_state_dict(self.teacher.state_dict())
        self.may_start = True

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load weights, and note that there are some."""
        self.may_start = True
        return super().load_state_dict(state_dict, strict, assign)

    def on_fit_start(self) -> None:
        """Refuse a teacher that has learnt nothing; a resumed run has the one it began with."""
        if not self.may_start:
            raise ValueError(
                "stage 2 of BackgroundMatting learns from a network of stage 1, and none was "
                "given: --model.init_from FILE takes its weights or checkpoint"
            )

    def train(self, mode: bool = True) -> Self:
        """Keep the teacher in evaluation mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def training_keys(self) -> tuple[str, ...]:
        """Keys that ``training_step`` reads: stage 2 does without the truth."""
        if self.stage == 2:
            return self.inputs
        return (*self.inputs, "alpha", "foreground", "background")

    def forward(self, batch: Batch) -> Tensor:
        """Predict mattes [B, 1, H, W] of pictures of any size."""
        return self.forward_with_extras(batch)[0]

    def forward_with_extras(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The same, and the foreground's colours [B, 3, H, W], the image's own where opaque."""
        output = run(self.network, batch)
        colour = opaque_from_image(output, batch["image"]).clamp(0, 1)
        return output.alpha, {"foreground": colour}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of the stage; of stage 2 the discriminator's, too."""
        if self.stage == 2:
            return self.self_supervised_loss(batch)
        terms = supervised_terms(run(self.network, batch), batch, zero_padding=self.legacy)
        loss = self.logged_sum(terms)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def self_supervised_loss(self, batch: Batch) -> Tensor:
        """The loss of student and discriminator on pictures without mattes."""
        if self.teacher is None or self.discriminator is None:
            raise RuntimeError(f"this {type(self).__name__} was built with stage=1")
        output = run(self.network, batch)
        with torch.no_grad():
            taught = run(self.teacher, batch)
        weight = supervision_weight(self.current_epoch, self.supervision, self.halve_every)
        followed = self.logged_sum(distilled_terms(output, taught, batch, zero_padding=self.legacy))
        fake, real = self.recompose(output, batch), signed(batch["image"])
        fooled = least_squares(self.judge(fake), 1)
        told_real = least_squares(self.discriminator(real), 1)
        told_fake = least_squares(self.discriminator(fake.detach()), 0)
        loss, judged = fooled + weight * followed, (told_real + told_fake) / 2
        values = {"loss": loss, "loss_fooled": fooled, "loss_discriminator": judged}
        self.log_dict({f"train/{name}": value for name, value in values.items()}, prog_bar=True)
        self.log("train/supervision", weight)
        return loss + judged

    def recompose(self, output: BackgroundMattingOutput, batch: Batch) -> Tensor:
        """Predicted subjects, shifted, before backgrounds of others [B, 3, H, W] in [-1, 1]."""
        seed = int(batch["seed"][0]) if "seed" in batch else self.global_step
        generator = torch.Generator().manual_seed(seed)  # a resumed run draws the same
        colour = opaque_from_image(output, batch["image"])
        moved = shift_subject(colour, output.alpha, batch["segmentation"], generator)
        background = exchanged(batch["captured_background"], generator)
        picture = signed(composite(*moved, background))
        # The released code wraps the picture in a Variable, which cuts it off from the network.
        return picture.detach() if self.legacy else picture

    def logged_sum(self, terms: Terms) -> Tensor:
        """The sum of a loss's terms, each logged."""
        self.log_dict({f"train/loss_{name}": value for name, value in terms.items()})
        return torch.stack(list(terms.values())).sum()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam for the network; in stage 2 another one for the discriminator."""
        trained = [weight for weight in self.network.parameters() if weight.requires_grad]
        kind = Adam if self.optimizer == "adam" else AdamW
        optimizer: Optimizer = kind(trained, lr=self.lr, weight_decay=self.weight_decay)
        if self.discriminator is None:
            return step_schedule(optimizer, self.trainer, self.warmup_steps, self.schedule)
        return adversaries(
            optimizer,
            Adam(self.discriminator.parameters(), lr=self.lr_discriminator),
            self.trainer,
            self.warmup_steps,
            self.schedule,
            self.discriminator_every,
        )


def run(network: BackgroundMattingNet, batch: Batch) -> BackgroundMattingOutput:
    """Predict from the four pictures of a batch."""
    output: BackgroundMattingOutput = network(
        batch["image"], batch["captured_background"], batch["segmentation"], batch["motion"]
    )
    return output
