"""The training recipe of AdaMatting: two tasks at once, balanced by their uncertainties."""

from typing import Any, ClassVar, Literal, get_args

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

from mattingzoo.arguments import check_choice
from mattingzoo.batch import Batch
from mattingzoo.models.adamatting.decoder import Fusion
from mattingzoo.models.adamatting.imagenet import load_resnet50
from mattingzoo.models.adamatting.initialise import Start
from mattingzoo.models.adamatting.losses import (
    Uncertainty,
    alpha_loss,
    alpha_region,
    trimap_loss,
)
from mattingzoo.models.adamatting.network import (
    STRIDE,
    AdaMattingNet,
    AdaMattingOutput,
    FedTrimap,
    adapted_trimap,
)
from mattingzoo.ops import fill_known, pad_to_multiple
from mattingzoo.pretrained import StartsFromImageNet
from mattingzoo.schedules import Schedule, step_schedule

Constrain = Literal["both", "adapted", "input"]


class AdaMatting(StartsFromImageNet):
    """AdaMatting, or Disentangled Image Matting (Cai et al., ICCV 2019).

    Besides the matte it gives the adapted trimap, ``adapted_trimap``: which pixels are transparent,
    semi-transparent and opaque, in the network's own opinion.

    Args:
        width: Channels of the stem; what follows is measured in it unless given.
        planes: Channels inside the bottlenecks of the encoder's three stages; None takes 1, 2 and
            4 times ``width``.
        blocks: Bottlenecks of the stages; ResNet-50 has (3, 4, 6).
        stem_stride: Stride of the stem: 2 as in ResNet, or 1, where the first stage halves.
        stem_kernel: Kernel of the stem; 7 in ResNet.
        decoder_widths: Channels of the decoders' levels at stride 8, 4, 2 and 1; None takes 8, 4,
            1 and a half times ``width``.
        subpixel: Enlarge by sub-pixel convolutions (paper), else bilinearly.
        global_conv: Shortcuts go through global convolutions (paper), else through 1x1
            convolutions.
        gcn_kernel: Kernel of the global convolutions.
        boundary_refinement: Let each of them end with a boundary refinement.
        share_middle: Both decoders share the global convolution of the middle shortcut.
        fusion: How shortcuts join, ``add`` or ``concat``.
        trimap_decoder: Adapt the trimap (paper). Without it the given trimap takes the place of the
            adapted one everywhere, and the matte has the only loss.
        iterations: Steps of the propagation unit, 3 in the paper; 0 leaves it out.
        propagation_width: Channels of its residual blocks.
        memory_width: Channels of its memory.
        gate_kernel: Kernel of its gates.
        share_steps: Its steps have the same weights.
        fed_trimap: The adapted trimap as it sees it: ``softmax``, ``argmax`` (through which no
            gradient flows) or ``logits``.
        feed_given_trimap: It sees the given trimap too.
        start: Random start of all but the encoder, ``xavier`` or ``he``.
        statistics: Normalise images with ImageNet's mean and deviation.
        loss_region: Where the matte is trained: ``adapted`` to semi-transparent, or unknown to the
            given trimap, ``input``.
        supervise: Mattes that are trained: the ``last``, or ``all``, the coarse one included.
        sigma_t: Uncertainty of the trimap to start with.
        sigma_a: Uncertainty of the matte to start with.
        learned_sigmas: Learn both (paper); else they stay.
        constrain: Trimap that sets a matte to 0 and 1 where it is known: the ``adapted`` (paper),
            the given one, ``input``, or ``both``, the given one having the last word.
        lr: Learning rate.
        optimizer: ``adam`` or ``adamw``.
        weight_decay: Weight decay of all but the uncertainties.
        warmup_steps: Steps over which the learning rate grows linearly to ``lr``.
        schedule: What follows: ``exponential`` and ``step``, 40 times a tenth less, ``poly``,
            ``cosine`` or ``constant``; see :mod:`mattingzoo.schedules`.
        encoder_weights: File of torchvision's resnet50 to start the encoder from, or
            ``timm:NAME`` for timm to fetch it where the network is reachable.
        from_scratch: Permit training to begin with nothing learnt; otherwise it needs
            ``encoder_weights``, ``init_from`` or a checkpoint to resume.
        init_from: Weights of another run to start from.
    """

    inputs = ("image", "trimap")
    pretrained = ("resnet50", "resnet50.tv_in1k")
    extras: ClassVar[tuple[str, ...]] = ("adapted_trimap",)

    def __init__(
        self,
        width: int = 64,
        planes: tuple[int, int, int] | None = None,
        blocks: tuple[int, int, int] = (3, 4, 6),
        stem_stride: Literal[1, 2] = 2,
        stem_kernel: int = 7,
        decoder_widths: tuple[int, int, int, int] | None = None,
        subpixel: bool = True,
        global_conv: bool = True,
        gcn_kernel: int = 7,
        boundary_refinement: bool = False,
        share_middle: bool = False,
        fusion: Fusion = "add",
        trimap_decoder: bool = True,
        iterations: int = 3,
        propagation_width: int = 32,
        memory_width: int = 32,
        gate_kernel: int = 3,
        share_steps: bool = True,
        fed_trimap: FedTrimap = "softmax",
        feed_given_trimap: bool = False,
        start: Start = "xavier",
        statistics: bool = True,
        loss_region: Literal["adapted", "input"] = "adapted",
        supervise: Literal["last", "all"] = "last",
        sigma_t: float = 4.0,
        sigma_a: float = 4.0,
        learned_sigmas: bool = True,
        constrain: Constrain = "both",
        lr: float = 1e-4,
        optimizer: Literal["adam", "adamw"] = "adam",
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        schedule: Schedule = "exponential",
        encoder_weights: str | None = None,
        from_scratch: bool = False,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        # A checkpoint holds the weights, so that loading it needs no file they started from.
        self.save_hyperparameters(ignore=["encoder_weights", "init_from"])
        check_choice("loss_region", loss_region, ("adapted", "input"))
        check_choice("supervise", supervise, ("last", "all"))
        check_choice("constrain", constrain, get_args(Constrain))
        check_choice("optimizer", optimizer, ("adam", "adamw"))
        check_choice("schedule", schedule, get_args(Schedule))
        for name, sigma in {"sigma_t": sigma_t, "sigma_a": sigma_a}.items():
            if sigma <= 0:
                raise ValueError(f"{name} must be above 0, got {sigma:g}")
        if constrain == "adapted" and not trimap_decoder:
            raise ValueError(
                "constrain='adapted' needs trimap_decoder=True; there is no adapted trimap without"
            )
        self.loss_region, self.supervise, self.constrain = loss_region, supervise, constrain
        self.lr, self.optimizer, self.weight_decay = lr, optimizer, weight_decay
        self.warmup_steps, self.schedule = warmup_steps, schedule
        self.network = AdaMattingNet(
            width,
            planes,
            blocks,
            stem_stride,
            stem_kernel,
            decoder_widths,
            subpixel,
            global_conv,
            gcn_kernel,
            boundary_refinement,
            share_middle,
            fusion,
            trimap_decoder,
            iterations,
            propagation_width,
            memory_width,
            gate_kernel,
            share_steps,
            fed_trimap,
            feed_given_trimap,
            start,
            statistics,
        )
        # A single task has nothing to be balanced with.
        self.balance = Uncertainty(sigma_t, sigma_a, learned_sigmas) if trimap_decoder else None
        self.start_from(encoder_weights, init_from, from_scratch)

    def load_encoder(self, source: str) -> None:
        """Start the encoder from a ResNet-50."""
        load_resnet50(self.network.encoder, source)

    def training_keys(self) -> tuple[str, ...]:
        """Keys that ``training_step`` reads."""
        return (*self.inputs, "alpha")

    def forward(self, batch: Batch) -> Tensor:
        """Predict mattes [B, 1, H, W] of any size, 0 and 1 where ``constrain`` says so."""
        return self.forward_with_extras(batch)[0]

    def forward_with_extras(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The same, and the adapted trimap [B, 1, H, W] in {0, 0.5, 1} if it is adapted."""
        output = self.predictions(batch)
        alpha, extras = output.alpha.clamp(0, 1), {}
        if output.trimap is not None:
            extras["adapted_trimap"] = adapted_trimap(output.trimap)
            if self.constrain != "input":
                alpha = fill_known(alpha, extras["adapted_trimap"])
        if self.constrain != "adapted":
            alpha = fill_known(alpha, batch["trimap"])
        return alpha, extras

    def predictions(self, batch: Batch) -> AdaMattingOutput:
        """Run the network on pictures of any size."""
        height, width = batch["image"].shape[-2:]
        image = pad_to_multiple(batch["image"], STRIDE)
        trimap = pad_to_multiple(batch["trimap"], STRIDE)
        logits, coarse, refined = self.network(image, trimap)
        return AdaMattingOutput(
            None if logits is None else logits[..., :height, :width],
            coarse[..., :height, :width],
            tuple(alpha[..., :height, :width] for alpha in refined),
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of both tasks; it may be negative, see :class:`Uncertainty`."""
        output, alpha = self.predictions(batch), batch["alpha"]
        adapted = output.trimap if self.loss_region == "adapted" else None
        region = alpha_region(adapted, batch["trimap"])
        mattes = (output.coarse, *output.refined) if self.supervise == "all" else (output.alpha,)
        loss = loss_a = alpha_loss(mattes, alpha, region)
        self.log("train/loss_alpha", loss_a)
        if output.trimap is not None and self.balance is not None:
            loss_t = trimap_loss(output.trimap, alpha)
            self.log("train/loss_trimap", loss_t)
            for name, sigma in self.balance.sigmas().items():
                self.log(f"train/{name}", sigma)
            loss = self.balance(loss_t, loss_a)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam; weights decay, uncertainties do not: decay would pull both towards 1."""
        kind = Adam if self.optimizer == "adam" else AdamW
        groups: list[dict[str, Any]] = [
            {"params": list(self.network.parameters()), "weight_decay": self.weight_decay}
        ]
        learned = [] if self.balance is None else list(self.balance.parameters())
        if learned:
            groups.append({"params": learned, "weight_decay": 0.0})
        optimizer: Optimizer = kind(groups, lr=self.lr)
        return step_schedule(optimizer, self.trainer, self.warmup_steps, self.schedule)
