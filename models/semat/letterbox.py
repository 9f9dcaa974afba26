"""Between pictures of any size and the square frame that SAM's positional embeddings fix."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Letterbox:
    """Long side resized to the frame's, the rest padded with 0 at the bottom and right.

    Bilinear, half-pixel centres, no antialiasing, enlarging smaller pictures: the reference's.

    Attributes:
        height: Rows of the picture.
        width: Columns of the picture.
        size: Side of the frame.
    """

    height: int
    width: int
    size: int

    @property
    def rows(self) -> int:
        """Rows of the frame that the picture fills."""
        return self._filled(self.height)

    @property
    def columns(self) -> int:
        """Columns of the frame that the picture fills."""
        return self._filled(self.width)

    def picture(self, picture: Tensor) -> Tensor:
        """Bring pictures or mattes [B, C, H, W] into the frame [B, C, S, S]."""
        resized = resize(picture, self.rows, self.columns)
        return F.pad(resized, (0, self.size - self.columns, 0, self.size - self.rows))

    def trimap(self, trimap: Tensor) -> Tensor:
        """Bring trimaps [B, 1, H, W] into the frame, in {0, 0.5, 1} as before; padding is 0.

        Resized trimaps become known below 85 and from 170 of 255, as in the reference's targets.
        """
        levels = (self.picture(trimap) * 255).round()
        return torch.where(levels < 85, 0.0, torch.where(levels < 170, 0.5, 1.0))

    def boxes(self, boxes: Tensor) -> Tensor:
        """Bring boxes [N, 4], right and bottom exclusive, into the frame, the last pixel included.

        Corners are rounded and lie within the frame. A box of no pixel becomes 0, 0, 0, 0.
        """
        moved = boxes * self._scales(boxes).repeat(2) - boxes.new_tensor([0.0, 0.0, 1.0, 1.0])
        return (moved + 0.5).floor().clamp(0, self.size - 1)

    def points(self, points: Tensor) -> Tensor:
        """Bring pixels [N, P, 2] of x and y into the frame; centres stay centres."""
        return (points + 0.5) * self._scales(points) - 0.5

    def matte(self, alpha: Tensor) -> Tensor:
        """Bring mattes [B, 1, S, S] of the frame back to the picture [B, 1, H, W]."""
        return resize(alpha[..., : self.rows, : self.columns], self.height, self.width)

    def _filled(self, side: int) -> int:
        # At least a pixel: a line of 1 x 4000 would vanish.
        return max(1, int(side * self.size / max(self.height, self.width) + 0.5))

    def _scales(self, like: Tensor) -> Tensor:
        return like.new_tensor([self.columns / self.width, self.rows / self.height])


def letterbox(picture: Tensor, size: int) -> Letterbox:
    """The frame of side ``size`` for a picture [B, C, H, W]."""
    height, width = picture.shape[-2:]
    return Letterbox(height, width, size)


def resize(picture: Tensor, height: int, width: int) -> Tensor:
    """Resize [B, C, H, W] bilinearly; the right size passes untouched."""
    if picture.shape[-2:] == (height, width):
        return picture
    return F.interpolate(picture, (height, width), mode="bilinear", align_corners=False)


def tight_boxes(masks: Tensor) -> Tensor:
    """Boxes [N, 4] of masks [N, 1, H, W], bool; the last pixel included, 0 for an empty mask."""
    corners = []
    for occupied in (masks[:, 0].any(dim=1), masks[:, 0].any(dim=2)):  # [N, W], [N, H]
        first = occupied.int().argmax(dim=1)
        last = occupied.shape[1] - 1 - occupied.flip(1).int().argmax(dim=1)
        corners.append((first, last))
    (x0, x1), (y0, y1) = corners
    boxes = torch.stack([x0, y0, x1, y1], dim=1).float()
    return boxes.masked_fill(~masks.flatten(1).any(dim=1, keepdim=True), 0)
