"""The matte-aligned decoder: matting tokens that ride along in SAM's mask decoder."""

from typing import Any, NamedTuple

import torch
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.mask_decoder import MLP
from torch import Tensor, nn

from mattingzoo.models.semat.encoder import Features


class DecoderOutput(NamedTuple):
    """Raw logits at a quarter of the frame's size, float32."""

    masks: Tensor  # [B, 4, S/4, S/4] SAM's masks: one for clear prompts, three for others
    quality: Tensor  # [B, 4] the IoU that SAM expects of each
    matting: Tensor | None  # [B, 3, S/4, S/4] background, unknown, foreground
    hq: Tensor | None  # [B, 1, S/4, S/4] HQ-SAM's mask


class TokenHead(nn.Module):
    """Learned tokens and the feature map that they are multiplied with (HQ-SAM, NeurIPS 2023).

    HQ-SAM has one such token, for a better mask; SEMat three, for the classes of a trimap.

    Args:
        tokens: Number of tokens; they share one MLP.
        width: Channels of SAM's decoder, 256 in public models.
        vit_width: Channels of the image encoder.
    """

    def __init__(self, tokens: int, width: int, vit_width: int) -> None:
        super().__init__()
        self.token = nn.Embedding(tokens, width)
        self.mlp = MLP(width, width, width // 8, 3)
        self.compress_vit_feat = upscaler(vit_width, width, width // 8)
        self.embedding_encoder = upscaler(width, width // 4, width // 8)
        self.embedding_maskfeature = nn.Sequential(
            nn.Conv2d(width // 8, width // 4, 3, padding=1),
            LayerNorm2d(width // 4),
            nn.GELU(),
            nn.Conv2d(width // 4, width // 8, 3, padding=1),
        )

    def forward(self, tokens: Tensor, upscaled: Tensor, features: Features) -> Tensor:
        """Logits [B, T, 4h, 4w].

        Args:
            tokens: The tokens as the transformer left them [B, T, D].
            upscaled: SAM's upscaled embedding [B, D/8, 4h, 4w].
            features: Of the image encoder; its first tap is used.
        """
        early = features.taps[0].permute(0, 3, 1, 2)  # [B, C, h, w]
        feature = self.embedding_maskfeature(upscaled) + self.embedding_encoder(features.embedding)
        feature = feature + self.compress_vit_feat(early)
        return torch.einsum("btc,bchw->bthw", self.mlp(tokens), feature)


class MatteAlignedDecoder(nn.Module):
    """SAM's mask decoder with room for further tokens.

    ``segment_anything`` runs it for one picture at a time; here a batch has a prompt per picture.

    Args:
        sam: ``mask_decoder`` of a SAM; taken over, not copied.
        vit_width: Channels of the image encoder.
        hq: Add HQ-SAM's token and branch.
    """

    def __init__(self, sam: Any, vit_width: int, hq: bool = False) -> None:
        super().__init__()
        self.sam = sam
        self.matting = TokenHead(3, sam.transformer_dim, vit_width)
        self.hq = TokenHead(1, sam.transformer_dim, vit_width) if hq else None

    def forward(
        self,
        features: Features,
        sparse: Tensor,
        dense: Tensor,
        position: Tensor,
        matting: bool = True,
    ) -> DecoderOutput:
        """Decode the masks of a batch.

        Args:
            features: Of the image encoder.
            sparse: Embedded points or box corners [B, P, D].
            dense: Embedded mask prompt [B, D, h, w].
            position: Positional encoding of the grid [1, D, h, w].
            matting: Whether the matting tokens take part; they change SAM's masks too.
        """
        sam = self.sam
        own = sam.num_mask_tokens + 1
        learned = [sam.iou_token.weight, sam.mask_tokens.weight]
        if self.hq is not None:
            learned.append(self.hq.token.weight)
        if matting:
            learned.append(self.matting.token.weight)
        tokens = torch.cat(learned).expand(len(sparse), -1, -1)
        tokens = torch.cat([tokens, sparse.to(tokens)], dim=1)  # [B, T, D]
        source = features.embedding + dense
        hs, source = sam.transformer(source, position.expand(len(source), -1, -1, -1), tokens)
        source = source.transpose(1, 2).unflatten(2, dense.shape[-2:])  # [B, D, h, w]
        upscaled = sam.output_upscaling(source)  # [B, D/8, 4h, 4w]
        weights = [mlp(hs[:, 1 + i]) for i, mlp in enumerate(sam.output_hypernetworks_mlps)]
        masks = torch.einsum("btc,bchw->bthw", torch.stack(weights, dim=1), upscaled)
        quality = sam.iou_prediction_head(hs[:, 0])
        hq = None
        if self.hq is not None:
            hq = self.hq(hs[:, own : own + 1], upscaled, features).float()
            own += 1
        logits = None
        if matting:
            logits = self.matting(hs[:, own : own + 3], upscaled, features).float()
            logits = logits if hq is None else logits + hq  # one map for all three classes
        return DecoderOutput(masks.float(), quality.float(), logits, hq)


def upscaler(before: int, between: int, after: int) -> nn.Sequential:
    """Two transposed convolutions that double the sides, four times larger in all."""
    return nn.Sequential(
        nn.ConvTranspose2d(before, between, kernel_size=2, stride=2),
        LayerNorm2d(between),
        nn.GELU(),
        nn.ConvTranspose2d(between, after, kernel_size=2, stride=2),
    )


def best_mask(output: DecoderOutput) -> Tensor:
    """Of SAM's three masks for unclear prompts the index [B] of the one it expects most of."""
    return 1 + output.quality[:, 1:].argmax(dim=1)


def regularised(output: DecoderOutput, index: Tensor) -> Tensor:
    """The logits [B, 1, S/4, S/4] that should stay SAM's: HQ-SAM's mask, or SAM's ``index``-th."""
    if output.hq is not None:
        return output.hq
    rows = torch.arange(len(index), device=index.device)
    return output.masks[rows, index].unsqueeze(1)
