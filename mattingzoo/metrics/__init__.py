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
from mattingzoo.metrics.colour import ForegroundMSE, mse_fg
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
from mattingzoo.metrics.instances import (
    IMQ,
    instance_errors,
    instance_iou,
    instance_similarity,
    match_instances,
)
from mattingzoo.metrics.mattes import Region, region_mask
from mattingzoo.metrics.motion import farneback_flow
from mattingzoo.metrics.parts import PART_NAMES, PartMetrics, part_scores
from mattingzoo.metrics.portrait import gradient_distance, portrait_scores
from mattingzoo.metrics.video import ClipScore, VideoMetrics, clip_score, dtssd, messddt

__all__ = [
    "IMQ",
    "MAD",
    "MSE",
    "PART_NAMES",
    "SAD",
    "ClipScore",
    "Conn",
    "ForegroundMSE",
    "Grad",
    "ImageMean",
    "MattingMetrics",
    "PartMetrics",
    "PerImage",
    "Region",
    "VideoMetrics",
    "clip_score",
    "conn",
    "conn_map",
    "connection_levels",
    "dtssd",
    "farneback_flow",
    "grad",
    "grad_map",
    "gradient_distance",
    "instance_errors",
    "instance_iou",
    "instance_similarity",
    "mad",
    "match_instances",
    "messddt",
    "mse",
    "mse_fg",
    "part_scores",
    "portrait_scores",
    "region_mask",
    "sad",
    "score_names",
    "scores",
    "scores_later",
]
