"""The feature-aligned transformer: SAM's image encoder, told which object it is about."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mattingzoo.models.semat.attention import fuse_attention
from mattingzoo.models.semat.lora import add_lora, without_lora
from mattingzoo.models.semat.sam import PATCH


class Features(NamedTuple):
    """What the image encoder knows of a picture; h = w = frame / 16."""

    embedding: Tensor  # [B, D, h, w] SAM's image embedding
    taps: tuple[Tensor, ...]  # [B, h, w, C] after each block with global attention


class FeatureAlignedEncoder(nn.Module):
    """SAM's image encoder with the box as a further input plane and with LoRA.

    The box enters as "prompt enhancement": a second patch embedding sees the picture and a plane
    that is 1 inside the box, and is added to SAM's own. It starts at random, so that the first
    step is *not* SAM's encoder; LoRA starts at zero.

    Args:
        vit: ``image_encoder`` of a SAM; taken over, not copied.
        prompt_enhancement: Let the box into the encoder; without it the features of a picture do
            not depend on the box.
        lora_rank: Rank of the adaptation; 0 leaves it out.
        lora_alpha: Its scale times its rank.
        lora_dropout: Probability of dropping one of its inputs.
        fused_attention: Compute attention without maps of tokens by tokens, with equal results.
        checkpointing: Keep the input of each block only, and compute the rest twice.
    """

    def __init__(
        self,
        vit: Any,
        prompt_enhancement: bool = True,
        lora_rank: int = 16,
        lora_alpha: float = 16.0,
        lora_dropout: float = 0.1,
        fused_attention: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.vit = vit
        self.size: int = vit.img_size
        self.channels: int = vit.pos_embed.shape[-1]
        self.prompt_embed: nn.Conv2d | None = None
        if prompt_enhancement:
            self.prompt_embed = nn.Conv2d(4, self.channels, PATCH, PATCH)
        if fused_attention:
            fuse_attention(vit)
        if lora_rank:
            add_lora(vit, lora_rank, lora_alpha, lora_dropout)
        self.checkpointing = checkpointing

    @property
    def tap_count(self) -> int:
        """Number of blocks with global attention."""
        return sum(block.window_size == 0 for block in self.vit.blocks)

    def forward(self, image: Tensor, boxes: Tensor) -> Features:
        """Encode normalised pictures [B, 3, S, S], each with its box [B, 4]."""
        return self.encode(self.add_boxes(self.embed_patches(image), boxes))

    def embed_patches(self, image: Tensor) -> Tensor:
        """What enters the blocks [B, h, w, C], but for the boxes: all that boxes do not change."""
        tokens: Tensor = self.vit.patch_embed(image)
        if self.prompt_embed is not None:
            weight, bias = self.prompt_embed.weight[:, :3], self.prompt_embed.bias
            tokens = tokens + F.conv2d(image, weight, bias, stride=PATCH).permute(0, 2, 3, 1)
        return tokens

    def add_boxes(self, tokens: Tensor, boxes: Tensor) -> Tensor:
        """Add the boxes' plane to the patches, where boxes enter the encoder at all."""
        if self.prompt_embed is None:
            return tokens
        plane = box_plane(boxes, self.size)
        added = F.conv2d(plane, self.prompt_embed.weight[:, 3:], stride=PATCH)
        return tokens + added.permute(0, 2, 3, 1)

    def encode(self, tokens: Tensor) -> Features:
        """Run the blocks over patches [B, h, w, C]."""
        x = tokens + self.vit.pos_embed
        taps = []
        for block in self.vit.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
            if block.window_size == 0:
                taps.append(x)
        return Features(self.vit.neck(x.permute(0, 3, 1, 2)), tuple(taps))

    def encode_plain(self, image: Tensor) -> Features:
        """SAM's own features of normalised pictures: no box, no LoRA."""
        with without_lora(self.vit):
            return self.encode(self.vit.patch_embed(image))


def box_plane(boxes: Tensor, size: int) -> Tensor:
    """Planes [B, 1, S, S] that are 1 inside boxes [B, 4], whose corners are cut to integers.

    Half-open as in the reference: a box names its last row and column, and they stay 0.
    """
    x0, y0, x1, y1 = boxes.int().unsqueeze(-1).unbind(dim=1)  # [B, 1] each
    steps = torch.arange(size, device=boxes.device)
    columns = (steps >= x0) & (steps < x1)  # [B, S]
    rows = (steps >= y0) & (steps < y1)
    return (rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1).float()
