"""The connectivity error: how differently two mattes hang together with the main object."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

# Smallest 8-bit alpha that reaches 0.1, 0.2, ..., 1.0: 26, 51, 77, ..., 255.
THRESHOLDS = [-(-255 * k // 10) for k in range(1, 11)]
LEVEL_REACHED = np.searchsorted(THRESHOLDS, np.arange(256), side="right").astype(np.uint8)
# An alpha counts as disconnected from 0.15 above its connection level; in units of 1/2550.
DISCONNECTED = 383


def conn_map(pred: Tensor, alpha: Tensor) -> Tensor:
    """Absolute difference of the disconnected parts of alpha at every pixel, exact.

    Args:
        pred: Predicted mattes [B, 1, H, W], uint8.
        alpha: True mattes [B, 1, H, W], uint8.

    Returns:
        Errors [B, 1, H, W], int16, in units of 1/2550; Conn is their sum over a region. The
        levels are found on the CPU, the rest is done on the mattes' device.

    Source:
        Yaoyi-Li/GCA-Matting:DIM_evaluation_code/compute_connectivity_error.m, the copy in which a
        threshold that no pixel reaches ends the search (Rhemann et al., CVPR 2009, undamped).
    """
    pairs = zip(pred[:, 0].cpu().numpy(), alpha[:, 0].cpu().numpy(), strict=True)
    levels = np.stack([connection_levels(p, a) for p, a in pairs])[:, None]  # [B, 1, H, W]
    connected = torch.from_numpy(levels).to(pred.device).short() * 255
    return (_disconnected(pred, connected) - _disconnected(alpha, connected)).abs()


def _disconnected(matte: Tensor, connected: Tensor) -> Tensor:
    """What exceeds the connection level by 0.15 or more, else 0; int16 in units of 1/2550."""
    excess = matte.short() * 10 - connected
    return excess * (excess >= DISCONNECTED)


def connection_levels(pred: Bytes, alpha: Bytes) -> Bytes:
    """Up to which alpha each pixel is connected with the main object of both mattes.

    At each threshold 0.1, 0.2, ..., 1.0 the main object is the largest 4-connected component of
    the pixels that reach it in both mattes, searched in the whole image. A pixel keeps the last
    threshold before the first one at which it is outside; there is no way back.

    Args:
        pred: Predicted matte [H, W].
        alpha: True matte [H, W].

    Returns:
        Ten times the level l [H, W], 0..10.
    """
    reached = LEVEL_REACHED[np.minimum(pred, alpha)]
    levels = np.zeros_like(reached)
    connected = np.ones(reached.shape, dtype=np.bool_)
    inner = levels  # the part of the levels within the current bounding box
    for k in range(1, 11):
        solid = reached >= k
        left, top, width, height = cv2.boundingRect(solid.view(np.uint8))
        box = np.s_[top : top + height, left : left + width]
        reached, connected, inner = reached[box], connected[box], inner[box]
        connected &= largest_component(solid[box])
        if not connected.any():
            break
        inner += connected
    return levels


def largest_component(solid: Mask) -> Mask:
    """The largest 4-connected component of a mask [H, W]; nothing if the mask is empty.

    Of equally large ones it is, as in MATLAB, the one that owns the first pixel in column-major
    order (smallest column, then smallest row).
    """
    if not solid.any():
        return solid
    _, labels = cv2.connectedComponents(solid.astype(np.uint8), connectivity=4)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0  # the background
    largest = np.flatnonzero(sizes == sizes.max())
    if len(largest) > 1:
        by_column = labels.ravel(order="F")
        largest = by_column[np.isin(by_column, largest).argmax(), None]
    component: Mask = labels == largest[0]
    return component
