"""Several objects in one picture: what boxes share is computed once, then box after box."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mattingzoo.models.semat.encoder import Features
from mattingzoo.models.semat.letterbox import Letterbox, letterbox, resize, tight_boxes
from mattingzoo.models.semat.network import Embedding, SEMatNet


class NothingFoundError(ValueError):
    """SAM's mask of some points is empty."""


@dataclass
class PictureEmbedding:
    """A picture, ready for prompts.

    Attributes:
        frame: Between the picture and the network's frame.
        embedding: What the network knows of it before a box.
        plain: SAM's own features, computed when points first ask for them.
    """

    frame: Letterbox
    embedding: Embedding
    plain: Features | None = None


def embed_picture(network: SEMatNet, image: Tensor) -> PictureEmbedding:
    """Prepare one picture [1, 3, H, W] in [0, 1] for prompts.

    Raises:
        ValueError: If it is not one picture.
    """
    if image.ndim != 4 or image.shape[:2] != (1, 3):
        raise ValueError(f"image must be one picture [1, 3, H, W], got {tuple(image.shape)}")
    frame = letterbox(image, network.size)
    return PictureEmbedding(frame, network.embed(frame.picture(image.float())))


def matte_boxes(
    network: SEMatNet, picture: PictureEmbedding, boxes: Tensor, at_once: int
) -> Tensor:
    """Mattes [N, 1, H, W] of boxes [N, 4] of the frame, ``at_once`` at a time."""
    mattes = [
        picture.frame.matte(network.decode(picture.embedding, some).alpha)
        for some in torch.split(boxes, at_once)
    ]
    return torch.cat(mattes)


def boxes_of_points(network: SEMatNet, picture: PictureEmbedding, points: Tensor) -> Tensor:
    """Boxes [N, 4] of the frame about the masks that SAM itself makes of points [N, P, 3].

    Raises:
        NothingFoundError: If SAM finds nothing at the points of one object.
    """
    if picture.plain is None:
        picture.plain = network.encoder.encode_plain(picture.embedding.image)
    frame = picture.frame
    prompt = frame.points(points[..., :2]), points[..., 2]
    logits = network.plain_masks(picture.plain, points=prompt).logits
    masks = resize(logits, frame.size, frame.size)[..., : frame.rows, : frame.columns] > 0
    empty = (~masks.flatten(1).any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise NothingFoundError(
            f"SAM's masks of the points of object {', '.join(map(str, empty))} are empty; give "
            "other points, or a box"
        )
    return tight_boxes(masks)


def check_boxes(boxes: Tensor) -> None:
    """Refuse boxes that are not [N, 4] with x0 < x1 and y0 < y1."""
    if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) == 0:
        raise ValueError(f"boxes must be [N, 4] of x0, y0, x1, y1, got {tuple(boxes.shape)}")
    wrong = ~((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    if wrong.any():
        raise ValueError(
            f"boxes are x0, y0, x1, y1 with x0 < x1 and y0 < y1, got {boxes[wrong][0].tolist()}"
        )


def check_points(points: Tensor) -> None:
    """Refuse points that are not [N, P, 3], or an object without one on it."""
    if points.ndim != 3 or points.shape[2] != 3 or len(points) == 0:
        raise ValueError(
            f"points must be [N, P, 3] of x, y and 1 foreground, 0 background or -1 padding, got "
            f"{tuple(points.shape)}"
        )
    if not (points[..., 2] == 1).any(dim=1).all():
        raise ValueError("points of each object need at least one with label 1, foreground")
