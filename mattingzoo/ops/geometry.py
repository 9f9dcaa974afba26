"""Padding to network strides, and one interpolation for crop, resize, rotation and flip."""

import torch
import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(picture: Tensor, multiple: int) -> Tensor:
    """Pad right and bottom to the next multiple of a network's stride.

    Reflects where the picture is larger than its padding, else repeats the border.

    Args:
        picture: [B, C, H, W], any size.
        multiple: Stride in pixels.

    Returns:
        [B, C, H', W'] with H' and W' multiples of ``multiple``; crop back with ``[..., :H, :W]``.
    """
    height, width = picture.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if bottom == 0 and right == 0:
        return picture
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(picture, (0, right, 0, bottom), mode=mode)


def similarity(scale: Tensor, angle: Tensor, flip: Tensor, shear: Tensor) -> Tensor:
    """Matrices from output to input offsets about a centre.

    Args:
        scale: Input pixels per output pixel [B].
        angle: Counter-clockwise rotation of the content in degrees [B].
        flip: Mirror left to right [B], bool.
        shear: Horizontal shear, pixels across per pixel down [B].

    Returns:
        [B, 2, 2] acting on (x, y) columns.
    """
    radians = torch.deg2rad(angle)
    cos, sin = radians.cos() * scale, radians.sin() * scale
    mirror = torch.where(flip, -1.0, 1.0).to(scale)
    rows = [cos * mirror, cos * shear - sin, sin * mirror, sin * shear + cos]
    return torch.stack(rows, dim=-1).view(-1, 2, 2)


def warp(picture: Tensor, matrix: Tensor, extent: Tensor, size: int, padding: str) -> Tensor:
    """Sample a square of ``size`` pixels bilinearly about the centre of the picture.

    Pixel centres lie at half-integers. No point is mixed with what lies outside: enlarging a
    picture that is 1 up to its edge gives 1 up to the edge, whatever the padding.

    Args:
        picture: [B, C, H, W]; beyond ``extent`` it may hold anything.
        matrix: Output to input offsets [B, 2, 2], see :func:`similarity`.
        extent: Width and height that count, from the top left corner [B, 2].
        size: Output side in pixels.
        padding: What lies outside: ``zeros``, ``border`` or ``reflection``.

    Returns:
        [B, C, size, size].
    """
    steps = torch.arange(size, device=picture.device, dtype=picture.dtype) - (size - 1) / 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    matrix, extent = (t.to(picture, non_blocking=True) for t in (matrix, extent.view(-1, 1, 2)))
    offsets = torch.stack([x, y], dim=-1).view(1, -1, 2) @ matrix.transpose(1, 2)
    points = offsets + extent / 2  # [B, size², 2]
    inside = ((points >= 0) & (points <= extent)).all(dim=-1)
    if padding == "reflection":
        points = extent - (points.remainder(2 * extent) - extent).abs()
    points = torch.minimum(points.clamp(min=0.5), extent - 0.5)
    rows, columns = picture.shape[-2:]
    grid = torch.stack([points[..., 0] / columns, points[..., 1] / rows], dim=-1) * 2 - 1
    sampled = F.grid_sample(
        picture, grid.view(-1, size, size, 2), padding_mode="border", align_corners=False
    )
    return sampled * inside.view(-1, 1, size, size) if padding == "zeros" else sampled


def move(picture: Tensor, matrix: Tensor, shift: Tensor, padding: str) -> Tensor:
    """Sample a picture of the same size bilinearly, turned about its centre and shifted.

    Args:
        picture: [B, C, H, W].
        matrix: Output to input offsets from the centre [B, 2, 2], see :func:`similarity`.
        shift: Pixels by which what is sampled lies right of and below that [B, 2].
        padding: What lies outside, ``zeros`` or ``border``.

    Returns:
        [B, C, H, W]; the identity and no shift give the picture back.
    """
    height, width = picture.shape[-2:]
    matrix, shift = (t.to(picture, non_blocking=True) for t in (matrix, shift))
    # affine_grid measures offsets in halves of the sides.
    half = picture.new_tensor([width / 2, height / 2])
    theta = torch.cat([matrix * half / half.view(2, 1), (shift / half).unsqueeze(-1)], dim=-1)
    with torch.autocast(picture.device.type, enabled=False):  # half precision misses pixels
        grid = F.affine_grid(theta, list(picture.shape), align_corners=False)
        return F.grid_sample(picture, grid, padding_mode=padding, align_corners=False)
