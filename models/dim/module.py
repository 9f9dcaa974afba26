"""The training recipe of Deep Image Matting: three stages, two losses."""

from typing import Literal, Self

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

from mattingzoo.arguments import check_choice
from mattingzoo.batch import Batch
from mattingzoo.losses import alpha_prediction_loss, compositional_loss
from mattingzoo.models.dim.network import (
    STRIDE,
    Activation,
    Conv6,
    DIMNet,
    DIMOutput,
)
from mattingzoo.models.dim.vgg import load_vgg16
from mattingzoo.module import MattingModule
from mattingzoo.ops import fill_known, pad_to_multiple, unknown_region
from mattingzoo.schedules import step_schedule
from mattingzoo.weights import load_weights


class DIM(MattingModule):
    """Deep Image Matting (Xu et al., CVPR 2017).

    The stages are three runs: the encoder-decoder alone, then the refiner over the frozen
    encoder-decoder, then all of it. Each of the later two starts from the weights of the one
    before, given as ``init_from``.

    Args:
        width: Channels at full resolution; VGG-16 has 64.
        convs: Convolutions in each of the five encoder blocks; VGG-16 has (2, 2, 3, 3, 3).
        conv6: Layer at stride 32: ``fc6`` (paper), ``conv3`` or ``conv1``.
        skips: Add each encoder map to the unpooled map of its size; not in the paper.
        batch_norm: Normalise after each encoder convolution; not in the paper.
        activation: Output activation, ``sigmoid`` or ``clamp``.
        stage: 1 trains the encoder-decoder, 2 the refiner alone, 3 both.
        alpha_weight: Weight of the alpha-prediction loss on the encoder-decoder, in [0, 1]; the
            compositional loss has the rest of it. The paper uses 0.5.
        lr: Learning rate; the paper uses 1e-5.
        optimizer: ``adam`` (paper) or ``adamw``.
        weight_decay: Weight decay of the optimiser.
        warmup_steps: Steps over which the learning rate grows linearly to ``lr``.
        schedule: ``constant`` (paper), or ``cosine`` to fall to zero at the end of the run.
        encoder_weights: File of torchvision's vgg16, or vgg16_bn for ``batch_norm``, to start the
            encoder from; None starts at random.
        init_from: Weights of an earlier stage or run to start from.
    """

    inputs = ("image", "trimap")

    def __init__(
        self,
        width: int = 64,
        convs: tuple[int, int, int, int, int] = (2, 2, 3, 3, 3),
        conv6: Conv6 = "fc6",
        skips: bool = False,
        batch_norm: bool = False,
        activation: Activation = "sigmoid",
        stage: Literal[1, 2, 3] = 1,
        alpha_weight: float = 0.5,
        lr: float = 1e-5,
        optimizer: Literal["adam", "adamw"] = "adam",
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        schedule: Literal["constant", "cosine"] = "constant",
        encoder_weights: str | None = None,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        # A checkpoint holds the weights, so that loading it needs no file they started from.
        self.save_hyperparameters(ignore=["encoder_weights", "init_from"])
        check_choice("stage", str(stage), ("1", "2", "3"))
        check_choice("optimizer", optimizer, ("adam", "adamw"))
        check_choice("schedule", schedule, ("constant", "cosine"))
        if not 0 <= alpha_weight <= 1:
            raise ValueError(f"alpha_weight must lie in [0, 1], got {alpha_weight:g}")
        self.stage, self.alpha_weight = stage, alpha_weight
        self.lr, self.optimizer, self.weight_decay = lr, optimizer, weight_decay
        self.warmup_steps, self.schedule = warmup_steps, schedule
        self.network = DIMNet(width, convs, conv6, stage > 1, skips, batch_norm, activation)
        self.start_from(encoder_weights, init_from)
        if stage == 2:
            self.network.encoder.requires_grad_(False)
            self.network.decoder.requires_grad_(False)

    def start_from(self, encoder_weights: str | None, init_from: str | None) -> None:
        """Load the weights a run starts from, if any."""
        if encoder_weights and init_from:
            raise ValueError(
                f"init_from={init_from} would overwrite encoder_weights={encoder_weights}; give one"
            )
        if encoder_weights:
            load_vgg16(self.network, encoder_weights)
        if init_from:
            new = ("network.refiner.",) if self.stage == 2 else ()
            load_weights(self, init_from, allow_missing=new)

    def train(self, mode: bool = True) -> Self:
        """Keep what stage 2 freezes in evaluation mode, so that batch statistics stay as well."""
        super().train(mode)
        if self.stage == 2:
            self.network.encoder.eval()
            self.network.decoder.eval()
        return self

    def training_keys(self) -> tuple[str, ...]:
        """Keys that ``training_step`` reads: colours only where there is a compositional loss."""
        if self.composes:
            return (*self.inputs, "alpha", "foreground", "background")
        return (*self.inputs, "alpha")

    @property
    def composes(self) -> bool:
        """Whether the compositional loss takes part."""
        return self.stage != 2 and self.alpha_weight < 1

    def forward(self, batch: Batch) -> Tensor:
        """Predict mattes [B, 1, H, W] of any size, true to the trimap where it is known."""
        return fill_known(self.mattes(batch).alpha, batch["trimap"])

    def mattes(self, batch: Batch) -> DIMOutput:
        """Run the network on pictures of any size."""
        height, width = batch["image"].shape[-2:]
        image = pad_to_multiple(batch["image"], STRIDE)
        trimap = pad_to_multiple(batch["trimap"], STRIDE)
        output = self.network(image, trimap)
        return DIMOutput(*(matte[..., :height, :width] for matte in output))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of the stage."""
        if self.stage == 2:
            self.train()  # Lightning starts a run without this call and warns of parts in eval mode
        output = self.mattes(batch)
        alpha, unknown = batch["alpha"], unknown_region(batch["trimap"])
        loss = alpha.new_zeros(())
        if self.stage != 2:
            loss_alpha = alpha_prediction_loss(output.coarse, alpha, unknown)
            self.log("train/loss_alpha", loss_alpha)
            loss = loss + self.alpha_weight * loss_alpha
        if self.composes:
            colours = batch["foreground"], batch["background"]
            loss_comp = compositional_loss(output.coarse, alpha, *colours, unknown)
            self.log("train/loss_comp", loss_comp)
            loss = loss + (1 - self.alpha_weight) * loss_comp
        if self.stage != 1:
            loss_refined = alpha_prediction_loss(output.alpha, alpha, unknown)
            self.log("train/loss_refined", loss_refined)
            loss = loss + loss_refined
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam on what the stage trains."""
        trained = [weight for weight in self.parameters() if weight.requires_grad]
        kind = Adam if self.optimizer == "adam" else AdamW
        optimizer: Optimizer = kind(trained, lr=self.lr, weight_decay=self.weight_decay)
        return step_schedule(optimizer, self.trainer, self.warmup_steps, self.schedule)
