"""The network of SEMat: feature-aligned transformer, matte-aligned decoder, detail decoder."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mattingzoo.models.semat.decoder import (
    DecoderOutput,
    MatteAlignedDecoder,
    best_mask,
    regularised,
)
from mattingzoo.models.semat.detail import DetailDecoder
from mattingzoo.models.semat.encoder import FeatureAlignedEncoder, Features
from mattingzoo.models.semat.lora import merge_lora
from mattingzoo.models.semat.sam import SAMName, TinySAM, build_sam, read_sam
from mattingzoo.weights import mismatches


class SEMatOutput(NamedTuple):
    """Of one forward pass; S is the side of the frame."""

    alpha: Tensor  # [B, 1, S, S] in (0, 1)
    trimap: Tensor  # [B, 3, S/4, S/4] logits of background, unknown and foreground
    decoded: DecoderOutput  # what SAM's mask decoder gave along the way


class Embedding(NamedTuple):
    """What can be known of pictures before their prompts."""

    image: Tensor  # [B, 3, S, S] normalised
    tokens: Tensor | None  # [B, h, w, C] patches before the blocks, where boxes still enter
    features: Features | None  # of the whole image encoder, where they do not


class Reference(NamedTuple):
    """The masks of SAM as it was, nothing adapted and nothing added."""

    logits: Tensor  # [B, 1, S/4, S/4] the mask it expects most of, or HQ-SAM's
    chosen: Tensor  # [B] which of its masks that is


class SEMatNet(nn.Module):
    """Box-prompted matting on Segment Anything (Xia et al., arXiv 2410.06593).

    Input:  image [B, 3, S, S] in [0, 1], padded with 0 at the bottom and right; boxes [B, 4] of x0,
    y0, x1, y1 in pixels of that frame, the last object pixel included. S is :attr:`size`.

    Args:
        sam: Variant of SAM.
        hq: Build HQ-SAM's branch, which adds its mask to the trimap logits.
        prompt_enhancement: Let the box into the image encoder.
        lora_rank: Rank of the adaptation of the image encoder; 0 leaves it out.
        lora_alpha: Its scale times its rank.
        lora_dropout: Probability of dropping one of its inputs.
        widths: Channels of the detail decoder.
        stem_kernel: Its kernel at full resolution.
        tiny: Sizes of ``sam="tiny"``.
        fused_attention: Compute attention without maps of tokens by tokens, with equal results.
        checkpointing: Compute encoder blocks and the detail decoder twice to save memory.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        sam: SAMName = "vit_l",
        hq: bool = False,
        prompt_enhancement: bool = True,
        lora_rank: int = 16,
        lora_alpha: float = 16.0,
        lora_dropout: float = 0.1,
        widths: tuple[int, int, int, int] = (32, 64, 128, 256),
        stem_kernel: int = 13,
        tiny: TinySAM = TinySAM(),  # noqa: B008 - immutable
        fused_attention: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.merged = sam, False
        parts = build_sam(sam, tiny)
        self.encoder = FeatureAlignedEncoder(
            parts.image_encoder,
            prompt_enhancement,
            lora_rank,
            lora_alpha,
            lora_dropout,
            fused_attention,
            checkpointing,
        )
        self.size = self.encoder.size
        self.prompt_encoder = parts.prompt_encoder
        self.decoder = MatteAlignedDecoder(parts.mask_decoder, self.encoder.channels, hq)
        self.detail = DetailDecoder(
            self.encoder.channels, self.encoder.tap_count, widths, stem_kernel, checkpointing
        )
        # ImageNet statistics; constants, so they stay out of checkpoints
        statistics = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
        self.register_buffer("mean", statistics[0].view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", statistics[1].view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor, boxes: Tensor) -> SEMatOutput:
        """Predict the mattes of a batch, a box for each picture."""
        return self.decode(self.embed(image), boxes)

    def embed(self, image: Tensor) -> Embedding:
        """All that does not depend on a box.

        With prompt enhancement that is the patch embedding alone: the box enters right after it.
        Without, it is the whole image encoder.
        """
        image = self.normalise(image)
        tokens = self.encoder.embed_patches(image)
        if self.encoder.prompt_embed is not None:
            return Embedding(image, tokens, None)
        return Embedding(image, None, self.encoder.encode(tokens))

    def decode(self, embedding: Embedding, boxes: Tensor) -> SEMatOutput:
        """Predict the mattes of boxes [N, 4], of N pictures or all of one."""
        image = embedding.image.expand(len(boxes), -1, -1, -1)
        if embedding.tokens is not None:
            features = self.encoder.encode(self.encoder.add_boxes(embedding.tokens, boxes))
        else:
            assert embedding.features is not None
            features = repeat(embedding.features, len(boxes))
        decoded = self.decoder(features, *self.embed_prompts(boxes=boxes))
        alpha = self.detail(image, decoded.matting, features.taps)
        return SEMatOutput(alpha, decoded.matting, decoded)

    def normalise(self, image: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] with ImageNet's statistics; padding is normalised like all else."""
        if image.shape[-2:] != (self.size, self.size):
            raise ValueError(
                f"image must be {self.size} x {self.size} for {self.name}, got "
                f"{image.shape[-2]} x {image.shape[-1]}; see mattingzoo.models.semat.letterbox"
            )
        return (image - self.mean) / self.std

    def embed_prompts(
        self, boxes: Tensor | None = None, points: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """SAM's embedding of prompts: sparse [N, P, D], dense [N, D, h, w] and grid [1, D, h, w].

        In float32 under autocast too, for sines of coordinates that were rounded are wrong.
        """
        with torch.autocast(self.mean.device.type, enabled=False):
            boxes = None if boxes is None else boxes.float()
            sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=None)
            return sparse, dense, self.prompt_encoder.get_dense_pe()

    @torch.no_grad()
    def reference(
        self,
        image: Tensor,
        boxes: Tensor | None = None,
        points: tuple[Tensor, Tensor] | None = None,
    ) -> Reference:
        """Masks of SAM itself, of normalised pictures, N of them or one, with N prompts."""
        return self.plain_masks(self.encoder.encode_plain(image), boxes, points)

    @torch.no_grad()
    def plain_masks(
        self,
        features: Features,
        boxes: Tensor | None = None,
        points: tuple[Tensor, Tensor] | None = None,
    ) -> Reference:
        """The same from SAM's own features."""
        prompts = self.embed_prompts(boxes, points)
        features = repeat(features, len(prompts[0]))
        output = self.decoder(features, *prompts, matting=False)
        index = best_mask(output)
        return Reference(regularised(output, index), index)

    def freeze(self, train_sam: bool) -> None:
        """Say what is trained.

        Args:
            train_sam: False trains LoRA, the boxes' patch embedding, matting tokens with their
                head and the detail decoder, as the paper. True trains SAM too, but for what no
                loss reaches: prompts other than boxes, and the heads of SAM's own masks.
        """
        self.requires_grad_(True)
        untrained = [
            self.prompt_encoder.mask_downscaling,
            self.prompt_encoder.not_a_point_embed,
            *self.prompt_encoder.point_embeddings[:2],
            self.decoder.sam.output_hypernetworks_mlps,
            self.decoder.sam.iou_prediction_head,
        ]
        if not train_sam:
            untrained = [self.encoder.vit, self.prompt_encoder, self.decoder.sam]
            untrained += [self.decoder.hq] if self.decoder.hq is not None else []
        for part in untrained:
            part.requires_grad_(False)
        for name, weight in self.encoder.vit.named_parameters():
            if ".lora_" in name:
                weight.requires_grad_(True)

    def merge_lora(self) -> None:
        """Fold the adaptation into SAM's weights: equal mattes, faster, and no way back.

        The state then is that of ``lora_rank=0``. SAM's own masks are gone, so that neither
        training nor prompting with points is possible.
        """
        merge_lora(self.encoder.vit)
        self.merged = True

    def load_sam(self, path: str) -> None:
        """Start from a local file of SAM's or HQ-SAM's weights, see :func:`~.sam.read_sam`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is not of this variant; the message lists the keys.
        """
        state = read_sam(path, self.name, self.decoder.hq is not None)
        ours = {key: value for key, value in self.state_dict().items() if sam_name(key)}
        theirs = {key: sam_name(key) for key in ours}
        faults = mismatches({name: ours[key] for key, name in theirs.items()}, state, shown=5)
        if faults:
            raise ValueError(f"sam_checkpoint {path} is not a SAM of sam={self.name!r}; {faults}")
        self.load_state_dict({key: state[name] for key, name in theirs.items()}, strict=False)


def repeat(features: Features, count: int) -> Features:
    """Features of one picture for ``count`` prompts; those of ``count`` pictures pass."""
    embedding = features.embedding.expand(count, -1, -1, -1)
    return Features(embedding, tuple(tap.expand(count, -1, -1, -1) for tap in features.taps))


def sam_name(key: str) -> str:
    """The name that a public file of SAM has for a key of :class:`SEMatNet`; empty for none."""
    if ".lora_" in key:
        return ""
    names = {
        "encoder.vit.": "image_encoder.",
        "prompt_encoder.": "prompt_encoder.",
        "decoder.sam.": "mask_decoder.",
        "decoder.hq.token.": "mask_decoder.hf_token.",
        "decoder.hq.mlp.": "mask_decoder.hf_mlp.",
        "decoder.hq.": "mask_decoder.",
    }
    for ours, theirs in names.items():
        if key.startswith(ours):
            return theirs + key.removeprefix(ours)
    return ""
