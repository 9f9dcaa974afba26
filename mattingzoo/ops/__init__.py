"""Batched tensor operations on pictures; each runs on whatever device holds its input."""

from mattingzoo.ops.blur import box_blur
from mattingzoo.ops.composite import combine_foregrounds, composite, extend_foreground
from mattingzoo.ops.geometry import move, pad_to_multiple, similarity, warp
from mattingzoo.ops.guidance import (
    motion_from_image,
    motion_from_layers,
    perturb_background,
    segmentation_from_alpha,
)
from mattingzoo.ops.prompts import box_from_alpha, points_from_alpha
from mattingzoo.ops.trimap import (
    dilate,
    erode,
    fill_known,
    grow,
    shrink,
    trimap_from_alpha,
    unknown_region,
)

__all__ = [
    "box_blur",
    "box_from_alpha",
    "combine_foregrounds",
    "composite",
    "dilate",
    "erode",
    "extend_foreground",
    "fill_known",
    "grow",
    "motion_from_image",
    "motion_from_layers",
    "move",
    "pad_to_multiple",
    "perturb_background",
    "points_from_alpha",
    "segmentation_from_alpha",
    "shrink",
    "similarity",
    "trimap_from_alpha",
    "unknown_region",
    "warp",
]
