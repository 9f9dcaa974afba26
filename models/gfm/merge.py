"""Collaborative matting: how a coarse glance and a fine focus make one matte."""

from typing import Literal

import torch
from torch import Tensor

#: What glance predicts: a trimap (TT), the inner foreground (FT) or the outer one (BT).
Representation = Literal["TT", "FT", "BT"]

CLASSES: dict[Representation, int] = {"TT": 3, "FT": 2, "BT": 2}
CERTAIN = 1e-4  # an interpolated glance this close to 0 or 1 is 0 or 1 but for rounding


def glance_map(logits: Tensor) -> Tensor:
    """The likeliest class of every pixel [B, 1, H, W]: {0, 0.5, 1} of three, {0, 1} of two."""
    return logits.argmax(dim=1, keepdim=True).to(logits.dtype) / (logits.shape[1] - 1)


def merge(glance: Tensor, focus: Tensor, representation: Representation) -> Tensor:
    """Merge the two predictions by the representation's rule.

    - ``TT``: glance where it is 0 or 1, focus in between;
    - ``FT``: glance is the eroded foreground, focus what the matte has beyond it: min(1, g + f);
    - ``BT``: glance is the dilated foreground, focus what it has beyond the matte: max(0, g − f).

    Args:
        glance: :func:`glance_map`, perhaps enlarged, so that values between classes occur.
        focus: [B, 1, H, W] in [0, 1].
        representation: What glance predicts.

    Returns:
        Mattes [B, 1, H, W] in [0, 1]; their gradient reaches focus alone.

    Source:
        Li et al., IJCV 2022, section 4; JizhiziLi/GFM:core/util.py.
    """
    if representation == "FT":
        return (glance + focus).clamp(max=1)
    if representation == "BT":
        return (glance - focus).clamp(min=0)
    certain = (glance <= CERTAIN) | (glance >= 1 - CERTAIN)
    return torch.where(certain, glance.round(), focus)
