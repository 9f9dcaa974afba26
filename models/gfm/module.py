"""The training recipe of GFM: glance, focus, their merger, and the picture it composes."""

from typing import ClassVar, Literal, get_args

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

from mattingzoo.arguments import check_choice
from mattingzoo.batch import Batch
from mattingzoo.models.gfm.encoders import PRETRAINED, EncoderName, load_imagenet
from mattingzoo.models.gfm.losses import (
    GlanceLoss,
    composition_loss,
    fusion_loss,
    make_targets,
    prediction_losses,
)
from mattingzoo.models.gfm.network import STRIDE, GFMNet, GFMOutput, Variant
from mattingzoo.models.gfm.strategy import Mattes, Strategy, hybrid, single
from mattingzoo.pretrained import StartsFromImageNet
from mattingzoo.schedules import Schedule, step_schedule

WEIGHT = 0.25  # of each loss of a single representation; RIM's are summed as they are


class GFM(StartsFromImageNet):
    """Glance and Focus Matting, from an image alone (Li et al., IJCV 2022).

    Besides the matte it gives ``glance_matte``, which is 0 on the background, 0.5 in the transition
    and 1 on the foreground (TT), or a rough foreground (FT, BT), and ``focus_matte``, the details;
    RIM, which blends three of each, gives neither.

    Args:
        encoder: ``r34``, ``r101``, ``d121``, ``r34_2b`` (ResNet-34 with two more blocks, from full
            resolution on) or ``tiny``.
        variant: What glance predicts: ``TT`` a trimap, ``FT`` the eroded foreground, ``BT`` the
            dilated one; ``RIM`` predicts all three and blends the mattes.
        widths: Channels of the tiny encoder at strides 2, 4, 8, 16 and 32.
        blocks: Its residual blocks at strides 4, 8, 16 and 32.
        glance_loss: What glance's cross-entropy takes for logits: the ``logits``, or their
            ``sigmoid``, as in the authors' code, with which it cannot fall below 0.551 (TT).
        composition: Train on the composed picture, too; this needs foreground and background.
        transition_kernel: Diameter of the ellipse that makes the trimaps to predict, in pixels of
            a training sample.
        mask_kernel: Diameter of the ellipse that erodes and dilates the foreground of FT and BT.
        test_strategy: ``hybrid``, glance and focus from two passes, or ``resize``, one pass; None
            takes the paper's, hybrid, and resize for RIM, which has no hybrid.
        ratios: Sides of the passes as shares of the picture's, glance's and focus's for hybrid;
            None takes the paper's: (1/3, 1/2), (1/2,) for resize, (1/3,) for RIM.
        max_long_side: At test, shrink pictures until no pass has a longer side than this, however
            large they are; None, as in the paper, keeps to the ratios. Networks trained on small
            samples know objects of their size only.
        lr: Learning rate; the authors' is 1e-5.
        optimizer: ``adam`` (authors') or ``adamw``.
        weight_decay: Weight decay of the optimiser.
        warmup_steps: Steps over which the learning rate grows linearly to ``lr``.
        schedule: What follows: ``constant`` (authors'), ``cosine`` or another of
            :mod:`mattingzoo.schedules`.
        encoder_weights: File of torchvision's network to start the encoder from, or ``timm:NAME``
            for timm to fetch it where the network is reachable.
        from_scratch: Permit training to begin with nothing learnt; otherwise it needs
            ``encoder_weights``, ``init_from`` or a checkpoint to resume. The tiny encoder always
            does.
        init_from: Weights of another run to start from.
    """

    inputs = ("image",)
    extras: ClassVar[tuple[str, ...]] = ("glance_matte", "focus_matte")

    def __init__(
        self,
        encoder: EncoderName = "r34",
        variant: Variant = "TT",
        widths: tuple[int, int, int, int, int] = (16, 24, 40, 64, 96),
        blocks: tuple[int, int, int, int] = (2, 2, 2, 1),
        glance_loss: GlanceLoss = "sigmoid",
        composition: bool = True,
        transition_kernel: int = 25,
        mask_kernel: int = 50,
        test_strategy: Strategy | None = None,
        ratios: tuple[float, ...] | None = None,
        max_long_side: int | None = None,
        lr: float = 1e-5,
        optimizer: Literal["adam", "adamw"] = "adam",
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        schedule: Schedule = "constant",
        encoder_weights: str | None = None,
        from_scratch: bool = False,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        # A checkpoint holds the weights, so that loading it needs no file they started from.
        self.save_hyperparameters(ignore=["encoder_weights", "init_from"])
        check_choice("glance_loss", glance_loss, get_args(GlanceLoss))
        check_choice("optimizer", optimizer, ("adam", "adamw"))
        check_choice("schedule", schedule, get_args(Schedule))
        self.glance_loss, self.composition = glance_loss, composition
        self.transition_kernel, self.mask_kernel = transition_kernel, mask_kernel
        if max_long_side is not None and max_long_side < STRIDE:
            raise ValueError(f"max_long_side must be {STRIDE} pixels or more, got {max_long_side}")
        self.ratios = choose_ratios(variant, test_strategy, ratios)
        self.max_long_side = max_long_side
        self.lr, self.optimizer, self.weight_decay = lr, optimizer, weight_decay
        self.warmup_steps, self.schedule = warmup_steps, schedule
        self.encoder: EncoderName = encoder
        self.network = GFMNet(encoder, variant, widths, blocks)
        if encoder in PRETRAINED:
            self.pretrained = PRETRAINED[encoder]
        self.start_from(encoder_weights, init_from, from_scratch or encoder not in PRETRAINED)

    def load_encoder(self, source: str) -> None:
        """Start the encoder from the network of torchvision that it is made of."""
        load_imagenet(self.network.encoder, self.encoder, source)

    def training_keys(self) -> tuple[str, ...]:
        """Keys that ``training_step`` reads: colours only where there is a composition loss."""
        layers = ("foreground", "background") if self.composition else ()
        return (*self.inputs, "alpha", *layers)

    def forward(self, batch: Batch) -> Tensor:
        """Predict mattes [B, 1, H, W] of any size by the test strategy."""
        return self.mattes(batch).alpha

    def forward_with_extras(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The same, with glance and focus [B, 1, H, W] of one representation."""
        alpha, glance, focus = self.mattes(batch)
        if glance is None or focus is None:
            return alpha, {}
        return alpha, {"glance_matte": glance, "focus_matte": focus}

    def mattes(self, batch: Batch) -> Mattes:
        """What the passes of the test strategy give, at the pictures' size."""
        image, longest = batch["image"], self.max_long_side
        if len(self.ratios) == 2:
            glance, focus = self.ratios
            return hybrid(self.network, image, glance, focus, longest)
        return single(self.network, image, self.ratios[0], longest)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The sum of all losses, see :meth:`losses`."""
        losses = self.losses(self.network(batch["image"]), batch)
        weight = WEIGHT if len(self.network.representations) == 1 else 1.0
        loss = weight * sum(losses.values(), start=batch["alpha"].new_zeros(()))
        for name, value in losses.items():
            self.log(f"train/loss_{name}", value)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def losses(self, output: GFMOutput, batch: Batch) -> dict[str, Tensor]:
        """Every loss by name; RIM has those of each representation, and of the blended matte."""
        alpha = batch["alpha"]
        losses: dict[str, Tensor] = {}
        blended = len(output.parts) > 1
        for representation, part in zip(self.network.representations, output.parts, strict=True):
            kernels = self.transition_kernel, self.mask_kernel
            targets = make_targets(alpha, representation, *kernels)
            terms = prediction_losses(part, targets, alpha, self.glance_loss)
            terms |= self.composed(part.alpha, batch)
            suffix = f"_{representation}" if blended else ""
            losses |= {f"{name}{suffix}": value for name, value in terms.items()}
        if blended:
            losses |= {"fusion": fusion_loss(output.alpha, alpha)}
            losses |= self.composed(output.alpha, batch)
        return losses

    def composed(self, alpha: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The composition loss of a matte, if there is one."""
        if not self.composition:
            return {}
        colours = batch["image"], batch["foreground"], batch["background"]
        return {"composition": composition_loss(alpha, *colours)}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam on everything."""
        kind = Adam if self.optimizer == "adam" else AdamW
        parameters = self.network.parameters()
        optimizer: Optimizer = kind(parameters, lr=self.lr, weight_decay=self.weight_decay)
        return step_schedule(optimizer, self.trainer, self.warmup_steps, self.schedule)


def choose_ratios(
    variant: Variant, strategy: Strategy | None, ratios: tuple[float, ...] | None
) -> tuple[float, ...]:
    """The ratio of each pass, one for ``resize`` and two for ``hybrid``.

    Raises:
        ValueError: If RIM is to be hybrid, or ratios do not fit the strategy.
    """
    blended = variant == "RIM"
    strategy = strategy or ("resize" if blended else "hybrid")
    check_choice("test_strategy", strategy, get_args(Strategy))
    if strategy == "hybrid" and blended:
        raise ValueError(
            "test_strategy='hybrid' merges one glance and one focus, RIM has three of each; use "
            "'resize'"
        )
    if ratios is None:
        return (1 / 3, 1 / 2) if strategy == "hybrid" else (1 / 3 if blended else 1 / 2,)
    count = 2 if strategy == "hybrid" else 1
    if len(ratios) != count or min(ratios) <= 0:
        raise ValueError(
            f"ratios must be {count} for test_strategy={strategy!r}, all above 0, got {ratios}"
        )
    return tuple(ratios)
