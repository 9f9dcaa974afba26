"""The metrics of image matting, exact to the field's MATLAB code: functions and torchmetrics."""

from mattingzoo.metrics.accumulate import (
    MAD,
    MSE,
    SAD,
    Conn,
    Grad,
    ImageMean,
    MattingMetrics,
    PerImage,
)
from mattingzoo.metrics.connectivity import conn_map, connection_levels
from mattingzoo.metrics.functional import (
    conn,
    grad,
    mad,
    mse,
    sad,
    score_names,
    scores,
    scores_later,
)
from mattingzoo.metrics.gradient import grad_map
from mattingzoo.metrics.mattes import Region, region_mask

__all__ = [
    "MAD",
    "MSE",
    "SAD",
    "Conn",
    "Grad",
    "ImageMean",
    "MattingMetrics",
    "PerImage",
    "Region",
    "conn",
    "conn_map",
    "connection_levels",
    "grad",
    "grad_map",
    "mad",
    "mse",
    "region_mask",
    "sad",
    "score_names",
    "scores",
    "scores_later",
]
