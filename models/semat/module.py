"""The training recipe of SEMat, and its prediction from boxes and points."""

import logging
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from mattingzoo.batch import Batch
from mattingzoo.models.semat.decoder import regularised
from mattingzoo.models.semat.letterbox import letterbox, resize
from mattingzoo.models.semat.losses import NGHMLoss, matting_losses, regularisation_loss
from mattingzoo.models.semat.network import SEMatNet
from mattingzoo.models.semat.prompting import (
    NothingFoundError,
    PictureEmbedding,
    boxes_of_points,
    check_boxes,
    check_points,
    embed_picture,
    matte_boxes,
)
from mattingzoo.models.semat.sam import SAM_PAGE, SAMName, TinySAM
from mattingzoo.models.semat.schedule import Schedule, check_schedule, lr_factor
from mattingzoo.module import MattingModule
from mattingzoo.weights import load_weights

log = logging.getLogger(__name__)

NORMS = (nn.LayerNorm, LayerNorm2d, _BatchNorm)
COUNTS = "semat_trimap_counts"  # key of the trimap loss's state in checkpoints


class SEMat(MattingModule):
    """SEMat (Xia et al., arXiv 2410.06593): the matte of the object in a box, with SAM inside.

    Pictures of any size are resized so that their long side is the network's frame, 1024 pixels
    in all variants but ``tiny``, and mattes are resized back.

    Args:
        sam: Variant of Segment Anything: ``vit_b``, ``vit_l`` (paper), ``vit_h``, or ``tiny``, a
            small one for tests and CPUs, whose sizes are the arguments that begin with ``tiny_``.
        hq: Build on HQ-SAM, whose mask is added to the trimap logits.
        sam_checkpoint: Local file of SAM's (of HQ-SAM's) weights, see the model card.
        train_sam: Train SAM's own weights too. None does so if neither ``sam_checkpoint`` nor
            ``init_from`` gives any: then there is nothing to be kept, and ``reg_weight`` has no
            effect.
        prompt_enhancement: Let the box into the image encoder, as the paper. Without it the
            encoder runs once per picture however many boxes follow.
        lora_rank: Rank of the adaptation of the image encoder; 0 leaves it out.
        lora_alpha: Its scale times its rank.
        lora_dropout: Probability of dropping one of its inputs.
        widths: Channels of the detail decoder at a half to a sixteenth of the frame.
        stem_kernel: Its kernel at full resolution.
        tiny_size: Side of the frame of ``tiny``, a multiple of 16.
        tiny_width: Channels of its image encoder.
        tiny_depth: Blocks of its image encoder.
        tiny_heads: Attention heads of each block.
        tiny_window: Side of its attention windows in tokens.
        tiny_decoder_width: Channels of its mask decoder; 256 in SAM.
        reg_weight: Weight of staying close to SAM's own masks; 0 saves a second encoder pass.
        trimap_weight: Weight of the trimap loss.
        lr: Learning rate; the paper uses 5e-5.
        weight_decay: Weight decay of all but normalisations and positional embeddings.
        warmup_steps: Steps over which the learning rate grows linearly from a thousandth.
        schedule: ``steps`` (paper) halves the rate after half of the run and takes a fifth of it
            after three quarters; ``cosine`` falls to zero; ``constant``.
        fused_attention: Attend without maps of tokens by tokens; results are equal.
        checkpointing: Compute encoder blocks and the detail decoder twice to save memory.
        init_from: Weights of another run to start from.
    """

    inputs = ("image", "box")
    prompts = ("box", "points")

    def __init__(
        self,
        sam: SAMName = "vit_l",
        hq: bool = False,
        sam_checkpoint: str | None = None,
        train_sam: bool | None = None,
        prompt_enhancement: bool = True,
        lora_rank: int = 16,
        lora_alpha: float = 16.0,
        lora_dropout: float = 0.1,
        widths: tuple[int, int, int, int] = (32, 64, 128, 256),
        stem_kernel: int = 13,
        tiny_size: int = 256,
        tiny_width: int = 64,
        tiny_depth: int = 8,
        tiny_heads: int = 4,
        tiny_window: int = 4,
        tiny_decoder_width: int = 256,
        reg_weight: float = 0.2,
        trimap_weight: float = 0.05,
        lr: float = 5e-5,
        weight_decay: float = 0.1,
        warmup_steps: int = 250,
        schedule: Schedule = "steps",
        fused_attention: bool = True,
        checkpointing: bool = False,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        # A checkpoint holds the weights, so that loading it needs no file they started from.
        self.save_hyperparameters(ignore=["sam_checkpoint", "init_from"])
        check_schedule(schedule)
        check_arguments(lora_rank, lora_dropout, reg_weight, trimap_weight)
        if sam_checkpoint and init_from:
            raise ValueError(
                f"init_from={init_from} would overwrite sam_checkpoint={sam_checkpoint}; give one"
            )
        self.reg_weight, self.trimap_weight = reg_weight, trimap_weight
        self.lr, self.weight_decay = lr, weight_decay
        self.warmup_steps, self.schedule = warmup_steps, schedule
        self.network = SEMatNet(
            sam,
            hq,
            prompt_enhancement,
            lora_rank,
            lora_alpha,
            lora_dropout,
            widths,
            stem_kernel,
            TinySAM(tiny_size, tiny_width, tiny_depth, tiny_heads, tiny_window, tiny_decoder_width),
            fused_attention,
            checkpointing,
        )
        self.trimap_loss = NGHMLoss()
        if sam_checkpoint:
            self.network.load_sam(sam_checkpoint)
        if init_from:
            load_weights(self, init_from)
        self.has_sam = bool(sam_checkpoint or init_from)
        self.say_trained(not self.has_sam if train_sam is None else train_sam)

    def say_trained(self, train_sam: bool) -> None:
        """Say whether SAM's own weights are trained, and remember it for checkpoints."""
        self.train_sam = self.hparams["train_sam"] = train_sam
        self.network.freeze(train_sam)

    def training_keys(self) -> tuple[str, ...]:
        """Keys that ``training_step`` reads."""
        return (*self.inputs, "alpha", "trimap")

    def on_fit_start(self) -> None:
        """Say loudly what a run without SAM's weights is."""
        if self.has_sam or self.global_rank != 0:
            return
        what = (
            "the encoder and SAM's decoder are trained from scratch, without the loss that keeps "
            "SAM's masks"
            if self.train_sam
            else "a random encoder is kept frozen (train_sam=False), which teaches little"
        )
        log.warning(
            "SEMat has no weights of SAM: %s. The paper starts from a file of %s: "
            "--model.sam_checkpoint FILE",
            what,
            SAM_PAGE,
        )

    def use_prompt(self, kind: str) -> None:
        """Predict from boxes, or from points by way of SAM's own mask, see :meth:`predict`."""
        super().use_prompt(kind)
        if kind == "points":
            self._check_points_possible()
        self.inputs = ("image", kind)

    def forward(self, batch: Batch) -> Tensor:
        """Predict mattes [B, 1, H, W] of the objects in ``box``, one for each picture.

        Of the objects at ``points`` after :meth:`use_prompt`; nothing where SAM finds nothing.
        """
        image = batch["image"]
        if "points" in self.inputs:
            each = zip(image, batch["points"], strict=True)
            return torch.cat([self._matte_at(one[None], at[None]) for one, at in each])
        frame = letterbox(image, self.network.size)
        output = self.network(frame.picture(image), frame.boxes(batch["box"]))
        return frame.matte(output.alpha)

    def prompted(
        self, image: Tensor, boxes: Tensor | None = None, points: Tensor | None = None
    ) -> Tensor:
        """As :meth:`predict`, of one picture [1, 3, H, W]."""
        return self.predict(self.embed(image), boxes, points)

    def _matte_at(self, image: Tensor, points: Tensor) -> Tensor:
        """The matte at the points of one picture; empty where there is none to be found."""
        nothing = torch.zeros_like(image[:, :1])
        if not (points[..., 2] == 1).any():  # the true matte has no opaque pixel to click on
            return nothing
        try:
            return self.predict(self.embed(image), points=points)
        except NothingFoundError:
            return nothing

    def embed(self, image: Tensor) -> PictureEmbedding:
        """Compute of a picture what does not depend on the prompt, for :meth:`predict`.

        With ``prompt_enhancement`` the box enters the image encoder right after its patch
        embedding, so that only the patch embedding can be shared and the encoder runs for every
        box. Without it the whole image encoder runs here, once.

        Args:
            image: One picture [1, 3, H, W] in [0, 1], of any size.
        """
        self._check_evaluating()
        with torch.inference_mode():
            return embed_picture(self.network, image.to(self.device))

    def predict(
        self,
        embedding: PictureEmbedding,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        at_once: int = 8,
    ) -> Tensor:
        """Mattes [N, 1, H, W] in [0, 1] of N objects of one picture.

        SEMat knows boxes only. Points are first turned into a mask by SAM itself, nothing adapted,
        and the tight box of that mask is what SEMat sees.

        Args:
            embedding: Of the picture, from :meth:`embed`.
            boxes: x0, y0, x1, y1 in its pixels [N, 4], x1 and y1 exclusive.
            points: x, y in its pixels and the label, 1 on the object, 0 off it, -1 for padding
                [N, P, 3]; instead of boxes.
            at_once: Objects computed together; fewer need less memory.

        Raises:
            ValueError: If both or neither of boxes and points are given, if their shape or order
                is wrong, if SAM finds nothing at some points, or if there is no SAM left to ask.
        """
        self._check_evaluating()
        if (boxes is None) == (points is None):
            raise ValueError("give boxes or points, one of them")
        with torch.inference_mode():
            if boxes is not None:
                check_boxes(boxes)
                framed = embedding.frame.boxes(boxes.to(self.device, torch.float32))
            else:
                assert points is not None
                check_points(points)
                self._check_points_possible()
                points = points.to(self.device, torch.float32)
                framed = boxes_of_points(self.network, embedding, points)
            return matte_boxes(self.network, embedding, framed, at_once).float().clamp(0, 1)

    def merge_lora(self) -> None:
        """Fold the adaptation into SAM's weights for prediction, see the network's.

        The module then is one of ``lora_rank=0``, and its hyper-parameters say so.
        """
        self.network.merge_lora()
        self.hparams["lora_rank"] = 0

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The sum of the objectives, all at the frame's size."""
        frame = letterbox(batch["image"], self.network.size)
        image, boxes = frame.picture(batch["image"]), frame.boxes(batch["box"])
        alpha, trimap = frame.picture(batch["alpha"]), frame.trimap(batch["trimap"])
        output = self.network(image, boxes)
        losses = matting_losses(output.alpha, alpha, trimap)
        weights = {"trimap": self.trimap_weight, "reg": self.reg_weight}
        classes = (2 * trimap[:, 0]).long()
        losses["trimap"] = self.trimap_loss(self._at_full_size(output.trimap), classes)
        if self.reg_weight > 0 and not self.train_sam:
            kept = self.network.reference(self.network.normalise(image), boxes)
            live = regularised(output.decoded, kept.chosen)
            losses["reg"] = regularisation_loss(
                self._at_full_size(live), self._at_full_size(kept.logits)
            )
        loss = alpha.new_zeros(())
        for name, value in losses.items():
            self.log(f"train/loss_{name}", value)
            loss = loss + weights.get(name, 1.0) * value
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW on what is trained; normalisations and positional embeddings do not decay."""
        total = 0.0
        if self.schedule != "constant":
            total = float(self.trainer.estimated_stepping_batches)
        groups = parameter_groups(self.network, self.weight_decay)
        optimizer = AdamW(groups, lr=self.lr)
        schedule, warmup = self.schedule, self.warmup_steps
        factors = LambdaLR(optimizer, lambda step: lr_factor(step, total, warmup, schedule))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": factors, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state of the trimap loss, which is no weight."""
        checkpoint[COUNTS] = self.trimap_loss.counts.detach().cpu().clone()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up that state, and train what the run began to train."""
        if COUNTS in checkpoint:
            self.trimap_loss.counts.copy_(checkpoint[COUNTS])
        train_sam = checkpoint.get("hyper_parameters", {}).get("train_sam")
        if train_sam is not None:
            self.say_trained(train_sam)
            self.has_sam = not train_sam

    def _at_full_size(self, logits: Tensor) -> Tensor:
        return resize(logits, self.network.size, self.network.size)

    def _check_evaluating(self) -> None:
        if self.training:
            raise ValueError("prompting needs evaluation mode; call .eval() on the model first")

    def _check_points_possible(self) -> None:
        if self.train_sam or self.network.merged:
            why = "was merged with LoRA" if self.network.merged else "was trained on boxes only"
            raise ValueError(f"points need SAM's own decoder and weights, but it {why}; give boxes")


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trained parameters in two groups, those that decay and those that do not."""
    still = {id(p) for m in network.modules() if isinstance(m, NORMS) for p in m.parameters()}
    still |= {id(p) for name, p in network.named_parameters() if name.endswith("pos_embed")}
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) not in still], "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) in still], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def check_arguments(
    lora_rank: int, lora_dropout: float, reg_weight: float, trimap_weight: float
) -> None:
    """Refuse numbers out of range."""
    if lora_rank < 0:
        raise ValueError(f"lora_rank must be 0 or more, got {lora_rank}")
    if not 0 <= lora_dropout < 1:
        raise ValueError(f"lora_dropout must lie in [0, 1), got {lora_dropout:g}")
    for name, value in {"reg_weight": reg_weight, "trimap_weight": trimap_weight}.items():
        if value < 0:
            raise ValueError(f"{name} must be 0 or more, got {value:g}")
