"""SAM's attention on ``scaled_dot_product_attention``, which keeps no map of tokens by tokens."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FusedAttention(nn.Module):
    """Takes the place of ``segment_anything``'s Attention: same weights, names and results.

    SAM adds a bias that depends on the query and on the rows and columns between it and a key:
    bias(q, k) = q . R_row(row_q - row_k) + q . R_column(column_q - column_k). Handing that over as
    a mask would make the very map of tokens by tokens that fused attention avoids: at 1024 pixels
    16.8 million numbers per head and picture. But the bias is an inner product as well: with the
    query's h + w products with R as further channels of the query, and as further channels of a
    key a one in the place of its row and one in that of its column, q' . k' is the biased logit.

    Args:
        attention: Layer with relative positions to take the weights of; they are shared.
        grid: Tokens down and across that it attends over.
    """

    rows: Tensor
    places: Tensor

    def __init__(self, attention: Any, grid: int) -> None:
        super().__init__()
        self.num_heads, self.scale = attention.num_heads, attention.scale
        self.qkv, self.proj = attention.qkv, attention.proj
        self.rel_pos_h, self.rel_pos_w = attention.rel_pos_h, attention.rel_pos_w
        if len(self.rel_pos_h) != 2 * grid - 1:
            raise ValueError(
                f"relative positions of {len(self.rel_pos_h)} distances, expected {2 * grid - 1} "
                f"for {grid} tokens a side"
            )
        steps = torch.arange(grid)
        rows = steps.view(-1, 1) - steps.view(1, -1) + grid - 1  # [query, key] -> row of rel_pos
        one = torch.eye(grid)
        places = torch.cat([one.repeat_interleave(grid, dim=0), one.repeat(grid, 1)], dim=1)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("places", places, persistent=False)  # [h w, h + w]

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each [h, w] of [B, h, w, C]."""
        batch, height, width, channels = x.shape
        qkv = self.qkv(x).view(batch, height * width, 3, self.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # [B, heads, h w, d] each
        query = torch.cat([query * self.scale, *self.biases(query, height, width)], dim=-1)
        places = self.places.to(key).expand(*key.shape[:2], -1, -1)
        key = torch.cat([key, places], dim=-1)  # [B, heads, h w, d + h + w]
        # Kernels want all three equally wide, in multiples of 8.
        extent, size = value.shape[-1], -(-query.shape[-1] // 8) * 8
        query, key, value = (F.pad(t, (0, size - t.shape[-1])) for t in (query, key, value))
        out = F.scaled_dot_product_attention(query, key, value, scale=1.0)[..., :extent]
        out = out.transpose(1, 2).reshape(batch, height, width, channels)
        projected: Tensor = self.proj(out)
        return projected

    def biases(self, query: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """The bias of each query against each row [B, heads, h w, h] and column [..., w]."""
        grid = query.view(*query.shape[:2], height, width, -1)
        row = torch.einsum("bnhwc,hkc->bnhwk", grid, self.rel_pos_h[self.rows].to(query))
        column = torch.einsum("bnhwc,wkc->bnhwk", grid, self.rel_pos_w[self.rows].to(query))
        return row.flatten(2, 3), column.flatten(2, 3)


def fuse_attention(encoder: Any) -> None:
    """Put :class:`FusedAttention` into every block of an image encoder, in place."""
    grid = encoder.pos_embed.shape[1]
    for block in encoder.blocks:
        block.attn = FusedAttention(block.attn, block.window_size or grid)
