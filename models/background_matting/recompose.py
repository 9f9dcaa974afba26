"""Predicted subjects on other backgrounds, for the discriminator to judge."""

import torch
from torch import Tensor

SUBJECT = 0.2  # above it a segmentation holds the subject


def shift_subject(
    foreground: Tensor, alpha: Tensor, segmentation: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Roll colours and mattes sideways at random, each subject staying in its picture unbroken.

    Args:
        foreground: Colours [B, 3, H, W].
        alpha: Mattes [B, 1, H, W].
        segmentation: Where the subject is [B, 1, H, W] in [0, 1]; one that spans the width stays.
        generator: Source of the distances, on the CPU.
    """
    width = alpha.shape[-1]
    left, right = extent(segmentation > SUBJECT)
    drawn = torch.rand(len(alpha), generator=generator).to(alpha.device, non_blocking=True)
    # By -left to width - right pixels, each as likely.
    distance = (drawn * (width - right + left + 1)).long() - left
    columns = torch.arange(width, device=alpha.device)
    source = (columns - distance.view(-1, 1)).remainder(width)  # [B, W]
    both = torch.cat([foreground, alpha], dim=1)
    rolled = both.gather(-1, source.view(-1, 1, 1, width).expand_as(both))
    return rolled[:, :3], rolled[:, 3:]


def extent(mask: Tensor) -> tuple[Tensor, Tensor]:
    """First column of each mask [B, 1, H, W] and the one after its last, [B]; all if empty."""
    occupied = mask.any(dim=2).flatten(1).int()  # [B, W]
    return occupied.argmax(dim=1), occupied.shape[1] - occupied.flip(1).argmax(dim=1)


def exchanged(backgrounds: Tensor, generator: torch.Generator) -> Tensor:
    """Everybody's background [B, 3, H, W] goes to another sample; a single one stays."""
    count = len(backgrounds)
    steps = int(torch.randint(1, count, (), generator=generator)) if count > 1 else 0
    return backgrounds.roll(steps, 0)


def signed(picture: Tensor) -> Tensor:
    """From [0, 1] to the range of [-1, 1] that the discriminator looks at."""
    return 2 * picture - 1
