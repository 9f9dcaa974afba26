"""The training recipe of HAttMatting: pixels, structure and a discriminator's verdict."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from mattingzoo.adversarial import AdversarialModule, adversaries
from mattingzoo.arguments import check_choice
from mattingzoo.batch import Batch
from mattingzoo.models.hattmatting.attention import AttentionMaps, ChannelPool
from mattingzoo.models.hattmatting.backbone import OF_TIMM, STRIDE, BackboneName, load_resnext
from mattingzoo.models.hattmatting.losses import (
    accuracy,
    fooling_loss,
    mse_loss,
    ssim_loss,
    telling_loss,
)
from mattingzoo.models.hattmatting.network import HAttMattingNet
from mattingzoo.nn import PatchDiscriminator
from mattingzoo.ops import pad_to_multiple
from mattingzoo.pretrained import StartsFromImageNet
from mattingzoo.schedules import Schedule, step_schedule

MOMENTUM = 0.9


class HAttMatting(AdversarialModule, StartsFromImageNet):
    """HAttMatting (Qiao et al., CVPR 2020): the matte of a picture's subject, from the image alone.

    Args:
        backbone: ``resnext101_32x8d`` (default), ``resnext101_32x4d``, ``resnext50_32x4d``, or
            ``tiny``, a small one for tests and CPUs.
        width: Channels of the pyramid and all that follows.
        tiny_width: Planes of the first stage of ``tiny``, a multiple of 4.
        tiny_blocks: Blocks of its four stages.
        dilation: Of the last stage of the backbone.
        aspp_rates: Dilations of the pyramid; 6, 12 and 18 in the paper.
        align_corners: Enlarge features and matte with corners aligned.
        channel_attention: Weigh the channels of the pyramid (paper); else leave that out.
        channel_pool: What a channel is judged by: its ``max`` (paper), ``average`` or ``both``.
        reduction: How many times narrower the hidden layer of that judgement is.
        low_level: Use low-level features (paper). Without them there is nothing to attend to
            either, whatever ``spatial_attention`` says.
        spatial_attention: Filter low-level features (paper); else they come as they are.
        attention_maps: Filter by ``one`` map, or by one for ``each`` low-level channel.
        asymmetric_norm: Batch norm after the 1x7 and 7x1 convolutions.
        statistics: Normalise images with ImageNet's mean and deviation.
        freeze_bn: Leave batch statistics of the backbone as they are; its weights are trained.
        checkpointing: Compute most of the network twice to save memory.
        max_long_side: At test, shrink pictures whose long side is longer, and enlarge their mattes
            back; None takes them at full size.
        ssim_weight: Weight of the structural term; 0 leaves it out.
        ssim_drop: Factor of that weight later on.
        ssim_drop_after: When it begins to hold, in ``counted_in``.
        ssim_window: Side of its window in pixels.
        adversarial_weight: Weight of the adversarial term; 0 trains without a discriminator.
        adversarial_after: When that term begins to count, in ``counted_in``; the discriminator
            learns from the start.
        counted_in: ``epochs`` or ``steps``.
        discriminator_width: Channels of the discriminator's first layer.
        discriminator_norm: Its normalisation, ``batch`` or ``instance``.
        discriminator_lr: Its learning rate, constant, of Adam.
        optimizer: Of the generator, ``sgd`` with momentum 0.9 or ``adamw``.
        lr: Learning rate of the generator.
        weight_decay: Its weight decay.
        warmup_steps: Steps over which its learning rate grows linearly to ``lr``.
        schedule: What follows: ``poly``, ``cosine``, ``constant``, ``exponential`` or ``step``; see
            :mod:`mattingzoo.schedules`.
        encoder_weights: File of torchvision's ResNeXt to start the backbone from, or ``timm:NAME``
            for timm to fetch it where the network is reachable.
        from_scratch: Permit training to begin with nothing learnt; otherwise it needs
            ``encoder_weights``, ``init_from`` or a checkpoint to resume. ``tiny``, which has no
            such weights, needs no permit.
        init_from: Weights of another run to start from.
    """

    inputs = ("image",)

    def __init__(
        self,
        backbone: BackboneName = "resnext101_32x8d",
        width: int = 256,
        tiny_width: int = 16,
        tiny_blocks: tuple[int, int, int, int] = (2, 2, 3, 2),
        dilation: int = 2,
        aspp_rates: tuple[int, ...] = (6, 12, 18),
        align_corners: bool = False,
        channel_attention: bool = True,
        channel_pool: ChannelPool = "max",
        reduction: int = 16,
        low_level: bool = True,
        spatial_attention: bool = True,
        attention_maps: AttentionMaps = "one",
        asymmetric_norm: bool = False,
        statistics: bool = True,
        freeze_bn: bool = False,
        checkpointing: bool = False,
        max_long_side: int | None = None,
        ssim_weight: float = 0.1,
        ssim_drop: float = 0.25,
        ssim_drop_after: int = 1,
        ssim_window: int = 11,
        adversarial_weight: float = 0.05,
        adversarial_after: int = 0,
        counted_in: Literal["epochs", "steps"] = "epochs",
        discriminator_width: int = 64,
        discriminator_norm: Literal["batch", "instance"] = "batch",
        discriminator_lr: float = 1e-4,
        optimizer: Literal["sgd", "adamw"] = "sgd",
        lr: float = 0.007,
        weight_decay: float = 5e-4,
        warmup_steps: int = 0,
        schedule: Schedule = "poly",
        encoder_weights: str | None = None,
        from_scratch: bool = False,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        # A checkpoint holds the weights, so that loading it needs no file they started from.
        self.save_hyperparameters(ignore=["encoder_weights", "init_from"])
        check_choice("counted_in", counted_in, ("epochs", "steps"))
        check_choice("optimizer", optimizer, ("sgd", "adamw"))
        check_choice("schedule", schedule, get_args(Schedule))
        check_numbers(max_long_side, ssim_weight, ssim_window, adversarial_weight)
        self.max_long_side = max_long_side
        self.ssim_weight, self.ssim_window = ssim_weight, ssim_window
        self.ssim_drop, self.ssim_drop_after = ssim_drop, ssim_drop_after
        self.adversarial_weight, self.adversarial_after = adversarial_weight, adversarial_after
        self.counted_in, self.discriminator_lr = counted_in, discriminator_lr
        self.optimizer, self.lr, self.weight_decay = optimizer, lr, weight_decay
        self.warmup_steps, self.schedule = warmup_steps, schedule
        self.network = HAttMattingNet(
            backbone,
            width,
            tiny_width,
            tiny_blocks,
            dilation,
            aspp_rates,
            align_corners,
            channel_attention,
            channel_pool,
            reduction,
            low_level,
            spatial_attention,
            attention_maps,
            asymmetric_norm,
            statistics,
            freeze_bn,
            checkpointing,
        )
        self.discriminator: PatchDiscriminator | None = None
        if adversarial_weight > 0:
            self.discriminator = PatchDiscriminator(4, discriminator_width, discriminator_norm)
        self.pretrained = (backbone, OF_TIMM.get(backbone, ""))  # tiny starts without
        self.start_from(encoder_weights, init_from, from_scratch or backbone == "tiny")

    def load_encoder(self, source: str) -> None:
        """Start the backbone from a ResNeXt."""
        load_resnext(self.network.backbone, source)

    def training_keys(self) -> tuple[str, ...]:
        """Keys that ``training_step`` reads."""
        return (*self.inputs, "alpha")

    def forward(self, batch: Batch) -> Tensor:
        """Predict mattes [B, 1, H, W] of any size."""
        image = batch["image"]
        size = image.shape[-2:]
        if self.max_long_side is not None and max(size) > self.max_long_side:
            scale = self.max_long_side / max(size)
            smaller = [max(1, round(side * scale)) for side in size]
            image = F.interpolate(image, smaller, mode="bilinear", antialias=True)
            return F.interpolate(self.predictions(image), size, mode="bilinear")
        return self.predictions(image)

    def predictions(self, image: Tensor) -> Tensor:
        """Run the network on images of any size, at that size."""
        height, width = image.shape[-2:]
        alpha: Tensor = self.network(pad_to_multiple(image, STRIDE)).alpha
        return alpha[..., :height, :width]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The generator's loss, plus the discriminator's on the detached mattes."""
        image, alpha = batch["image"], batch["alpha"]
        pred = self.predictions(image)
        loss = self.generator_loss(image, pred, alpha)
        self.log("train/loss", loss, prog_bar=True)
        if self.discriminator is not None:
            loss = loss + self.discriminator_loss(image, pred, alpha)
        return loss

    def generator_loss(self, image: Tensor, pred: Tensor, alpha: Tensor) -> Tensor:
        """The weighted sum of the terms that count at present."""
        loss = mse_loss(pred, alpha)
        self.log("train/loss_mse", loss)
        ssim_weight, adversarial_weight = self.present_weights()
        if ssim_weight > 0:
            structure = ssim_loss(pred, alpha, self.ssim_window)
            self.log("train/loss_ssim", structure)
            loss = loss + ssim_weight * structure
        if adversarial_weight > 0:
            fooling = fooling_loss(self.judge(torch.cat([image, pred], dim=1)))
            self.log("train/loss_adversarial", fooling)
            loss = loss + adversarial_weight * fooling
        return loss

    def discriminator_loss(self, image: Tensor, pred: Tensor, alpha: Tensor) -> Tensor:
        """The discriminator's loss; no gradient reaches the mattes."""
        assert self.discriminator is not None
        real = self.discriminator(torch.cat([image, alpha], dim=1))
        fake = self.discriminator(torch.cat([image, pred.detach()], dim=1))
        loss = telling_loss(real, fake)
        self.log("train/loss_discriminator", loss)
        self.log("train/discriminator_accuracy", accuracy(real, fake))
        return loss

    def present_weights(self) -> tuple[float, float]:
        """Weights of the structural and of the adversarial term, at this point of the run."""
        now = self.current_epoch if self.counted_in == "epochs" else self.global_step
        drop = self.ssim_drop if now >= self.ssim_drop_after else 1.0
        begun = now >= self.adversarial_after
        return drop * self.ssim_weight, self.adversarial_weight if begun else 0.0

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """SGD or AdamW for the network, Adam for the discriminator if there is one."""
        weights, decay = self.network.parameters(), self.weight_decay
        generator: Optimizer = (
            SGD(weights, self.lr, momentum=MOMENTUM, weight_decay=decay)
            if self.optimizer == "sgd"
            else AdamW(weights, self.lr, weight_decay=decay)
        )
        if self.discriminator is None:
            return step_schedule(generator, self.trainer, self.warmup_steps, self.schedule)
        judge = Adam(self.discriminator.parameters(), self.discriminator_lr)
        return adversaries(generator, judge, self.trainer, self.warmup_steps, self.schedule)


def check_numbers(
    max_long_side: int | None, ssim_weight: float, ssim_window: int, adversarial_weight: float
) -> None:
    """Refuse numbers out of range."""
    if max_long_side is not None and max_long_side < STRIDE:
        raise ValueError(f"max_long_side must be {STRIDE} pixels or more, got {max_long_side}")
    if ssim_window < 1 or ssim_window % 2 == 0:
        raise ValueError(f"ssim_window must be an odd number of pixels, got {ssim_window}")
    for name, weight in (("ssim_weight", ssim_weight), ("adversarial_weight", adversarial_weight)):
        if weight < 0:
            raise ValueError(f"{name} must be 0 or more, got {weight:g}")
