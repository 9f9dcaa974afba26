"""Stage 2 looks at the subject closely, and lays it over other backgrounds."""

import torch
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.ops import move

#: Above it a segmentation holds the subject.
SUBJECT = 0.2
MARGINS = (0.1, 0.4)  # of the box's longer side


def crop_to_subject(batch: Batch, generator: torch.Generator) -> Batch:
    """Enlarge the surroundings of each subject to the whole picture.

    The surroundings are the box of the segmentation and a margin, drawn for each sample between a
    tenth and four tenths of its longer side, as far as the picture reaches. A picture without a
    subject stays whole.

    Args:
        batch: Holds image, captured background, segmentation and motion, of any size.
        generator: Source of the margins, on the CPU.

    Returns:
        These four, of the same size.

    Source:
        The released ``data_loader.py``, VideoData.
    """
    segmentation = batch["segmentation"]
    height, width = segmentation.shape[-2:]
    subject = segmentation > SUBJECT
    left, right = extent(subject, dim=-1)
    top, bottom = extent(subject, dim=-2)
    low, high = MARGINS
    share = low + (high - low) * torch.rand(len(subject), generator=generator)
    margin = share.to(left, non_blocking=True) * torch.maximum(right - left, bottom - top)
    left, right = (left - margin).clamp(min=0), (right + margin).clamp(max=width)
    top, bottom = (top - margin).clamp(min=0), (bottom + margin).clamp(max=height)
    matrix = torch.stack([(right - left) / width, (bottom - top) / height], dim=-1).diag_embed()
    centre = torch.stack([left + right - width, top + bottom - height], dim=-1) / 2

    def closer(picture: Tensor) -> Tensor:
        return move(picture, matrix, centre, "border").clamp(0, 1)

    return Batch(
        image=closer(batch["image"]),
        captured_background=closer(batch["captured_background"]),
        segmentation=closer(batch["segmentation"]),
        motion=closer(batch["motion"]),
    )


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
    left, right = extent(segmentation > SUBJECT, dim=-1)
    drawn = torch.rand(len(alpha), generator=generator).to(left, non_blocking=True)
    # By -left to width - right pixels, each as likely.
    distance = (drawn * (width - right + left + 1)).floor() - left
    columns = torch.arange(width, device=alpha.device)
    source = (columns - distance.long().view(-1, 1)).remainder(width)  # [B, W]
    both = torch.cat([foreground, alpha], dim=1)
    rolled = both.gather(-1, source.view(-1, 1, 1, width).expand_as(both))
    return rolled[:, :3], rolled[:, 3:]


def extent(mask: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Where masks [B, 1, H, W] begin and end along a dimension, float [B]; all of it if empty."""
    other = -2 if dim == -1 else -1
    occupied = mask.any(dim=other).flatten(1).float()  # [B, H] or [B, W]
    first = occupied.argmax(dim=1)
    last = occupied.shape[1] - occupied.flip(1).argmax(dim=1)
    return first.float(), last.float()


def exchanged(backgrounds: Tensor, generator: torch.Generator) -> Tensor:
    """Everybody's background [B, 3, H, W] goes to another sample; a single one stays."""
    count = len(backgrounds)
    steps = int(torch.randint(1, count, (), generator=generator)) if count > 1 else 0
    return backgrounds.roll(steps, 0)


def signed(picture: Tensor) -> Tensor:
    """From [0, 1] to the range of [-1, 1] that the discriminator looks at."""
    return 2 * picture - 1
