"""The temporal errors of video matting, dtSSD and MESSDdt, of clips and as means over clips.

With d_t = pred_t - alpha_t, the error of frame t, and as means over pixels x:

    dtSSD   = sqrt(mean of (d_t+1(x) - d_t(x))²)
    MESSDdt = mean of |d_t(x)² - d_t+1(x + v_t(x))²|,  v_t the motion from frame t to t + 1

(Erofeev et al., "Perceptually Motivated Benchmark for Video Matting", BMVC 2015). Both are plain
values of a pair of frames, averaged over the pairs of a clip, then over clips. Mattes are rounded
to the nearest k/255 first. A mask selects x, so it is the earlier frame's.
"""

from typing import overload

import torch
from torch import Tensor

from mattingzoo.metrics.accumulate import PerImage
from mattingzoo.metrics.mattes import quantise
from mattingzoo.metrics.motion import follow

VIDEO_NAMES = ("dtSSD", "MESSDdt")


def dtssd(pred: Tensor, alpha: Tensor, mask: Tensor | None = None) -> Tensor:
    """How differently prediction and truth change from frame to frame, mean over a clip, plain.

    Args:
        pred: Predicted mattes of one clip [T, 1, H, W], floats in [0, 1] or uint8.
        alpha: True mattes, likewise.
        mask: Pixels to score [T, 1, H, W], bool; None scores the whole image.

    Returns:
        A float64 scalar in [0, 2]; NaN for a single frame. A pair whose mask is empty is left out.

    Raises:
        ValueError: If shapes differ, values leave [0, 1] or the mask is not bool.

    Source:
        MetricDTSSD in PeterL1n/RobustVideoMatting:evaluation/evaluate_lr.py: whole image, times
        100, and a first frame that counts as 0, so a clip has 100 (T - 1) / T times this value.
        yunkezhang/TCVOM, nowsyn/DVM and hmchuong/MaGGIe take the root of a sum over pixels
        instead of a mean, and scale it each in its own way: their figures do not compare.
    """
    return clip_score(pred, alpha, mask=mask).errors()[0]


def messddt(pred: Tensor, alpha: Tensor, flow: Tensor, mask: Tensor | None = None) -> Tensor:
    """How much the squared error changes along the motion, mean over a clip, plain.

    Between pixels the error of the later frame is interpolated linearly. A pixel whose motion is
    unknown or leaves the image is left out. The value depends on the flow: name it with each
    figure, and compare none across flows.

    Args:
        pred: Predicted mattes of one clip [T, 1, H, W], floats in [0, 1] or uint8.
        alpha: True mattes, likewise.
        flow: Motion from each frame to the next [T - 1, 2, H, W], float, in pixels, x to the
            right, then y down; NaN where unknown. Such as :func:`farneback_flow` of the truth.
        mask: Pixels to score [T, 1, H, W], bool; None scores the whole image.

    Returns:
        A float64 scalar in [0, 1]; NaN for a single frame. A pair without a pixel is left out.

    Raises:
        ValueError: If shapes differ, values leave [0, 1], the flow is not float or the mask not
            bool.

    Source:
        yunkezhang/TCVOM:calc_metric.py and utils/utils.py, except that it adds up the pixels and
        takes 0 outside the image; its flow comes with VideoMatting108. nowsyn/DVM:evaluation/
        metric.py and hmchuong/MaGGIe:maggie/utils/metric.py (times 10⁴) do not compute this: they
        swap x and y in the look-up and read the later frame of the first pair for all pairs.
    """
    return clip_score(pred, alpha, flow, mask).errors()[1]


def clip_score(
    pred: Tensor, alpha: Tensor, flow: Tensor | None = None, mask: Tensor | None = None
) -> "ClipScore":
    """Score a clip held in memory; see :func:`dtssd` and, if a flow is given, :func:`messddt`."""
    pred, alpha = quantise(pred, alpha, mask)
    pairs = len(pred) - 1
    if flow is not None:
        _check_flow(flow, pairs, pred)
    flows = [None] * pairs if flow is None else list(flow[:, None])
    masks = [None] * len(pred) if mask is None else list(mask[:, None])
    clip = ClipScore(motion=flow is not None)
    for frame in zip(pred[:, None], alpha[:, None], [None, *flows], masks, strict=True):
        clip.add(*frame)
    return clip


class ClipScore:
    """Temporal errors of one clip, frame by frame; holds one frame, however long the clip is.

    Args:
        motion: Score MESSDdt, too; each frame but the first then needs its flow.
    """

    def __init__(self, motion: bool = False) -> None:
        self.motion = motion
        self._before: Tensor | None = None  # [1, 1, H, W], int32 in 1/255: the last frame's error
        self._mask: Tensor | None = None  # [1, 1, H, W], bool: the last frame's mask
        self._total = torch.zeros(1 + motion, dtype=torch.float64)
        self._pairs = torch.zeros(1 + motion, dtype=torch.int64)  # those with a pixel to score

    def add(
        self,
        pred: Tensor,
        alpha: Tensor,
        flow: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> None:
        """Take in the next frame.

        Args:
            pred: Predicted matte [1, 1, H, W], floats in [0, 1] or uint8.
            alpha: True matte, likewise.
            flow: Motion from the frame before to this one [1, 2, H, W], see :func:`messddt`;
                None for the first frame and without ``motion``.
            mask: Pixels of this frame to score [1, 1, H, W], bool; None for all.

        Raises:
            ValueError: If it is not one frame or not of the size of the last one, if values leave
                [0, 1], or if a flow is missing or out of place. The score stays as it was.
        """
        pred, alpha = quantise(pred, alpha, mask)
        before, first = self._before, self._before is None
        expected = (1, *(pred if before is None else before).shape[1:])
        if pred.shape != expected:
            raise ValueError(
                f"pred must be one frame {expected} of the clip, got shape {tuple(pred.shape)}; "
                "pass frames one by one, each clip to its own ClipScore"
            )
        if (flow is None) != (first or not self.motion):
            raise ValueError(
                "flow must be given for each frame but the first if motion=True, else None; got "
                f"{'None' if flow is None else 'a flow'} for {'the first' if first else 'a later'} "
                f"frame with motion={self.motion}"
            )
        if flow is not None:
            _check_flow(flow, 1, pred)
        now = pred.int() - alpha.int()
        if before is not None:
            errors = [_change(before, now, self._mask)]
            if flow is not None:
                errors.append(_change_along(before, now, flow, self._mask))
            values = torch.stack(errors)
            self._total = self._total.to(values.device) + values.nan_to_num(0)
            self._pairs = self._pairs.to(values.device) + ~values.isnan()
        self._before, self._mask = now, mask

    def errors(self) -> Tensor:
        """Means over pairs, float64 [1 or 2]: dtSSD and, with motion, MESSDdt; NaN without any."""
        return self._total / self._pairs


class VideoMetrics(PerImage):
    """Means over clips of dtSSD and MESSDdt; a clip of a single frame is undefined and left out.

    Args:
        motion: Score MESSDdt, too; clips then need a flow.
    """

    def __init__(self, motion: bool = False) -> None:
        super().__init__(VIDEO_NAMES[: 1 + motion])
        self.motion = motion

    @overload
    def update(self, pred: ClipScore, *, index: Tensor | None = None) -> None: ...
    @overload
    def update(
        self,
        pred: Tensor,
        alpha: Tensor,
        flow: Tensor | None = None,
        mask: Tensor | None = None,
        index: Tensor | None = None,
    ) -> None: ...
    def update(
        self,
        pred: Tensor | ClipScore,
        alpha: Tensor | None = None,
        flow: Tensor | None = None,
        mask: Tensor | None = None,
        index: Tensor | None = None,
    ) -> None:
        """Take in one clip.

        Args:
            pred: Predicted mattes [T, 1, H, W], or the score of a clip that was too long for
                memory, which has seen its last frame.
            alpha: True mattes [T, 1, H, W]; nothing beside a score, like what follows.
            flow: Motion from each frame to the next [T - 1, 2, H, W], with ``motion`` only.
            mask: Pixels to score [T, 1, H, W], bool; None scores the whole image.
            index: Position of the clip in the data set [1], as in :class:`PerImage`.

        Raises:
            ValueError: If the clip was scored with another ``motion``, or as in :func:`messddt`.
        """
        if isinstance(pred, ClipScore):
            clip = pred
        elif alpha is None:
            raise ValueError("alpha must be given with pred, got None; pass both or a ClipScore")
        else:
            clip = clip_score(pred, alpha, flow, mask)
        if clip.motion != self.motion:
            raise ValueError(
                f"motion must be the same in clip and metric, got {clip.motion} and {self.motion}; "
                "give a clip its flow if motion=True and none otherwise"
            )
        self.add(clip.errors()[None].to(self.device), index)

    def compute(self) -> dict[str, Tensor]:
        """The means so far, float64 scalars named "dtSSD" and, with motion, "MESSDdt"."""
        return dict(zip(self.names, self.mean(), strict=True))


def _change(before: Tensor, now: Tensor, mask: Tensor | None) -> Tensor:
    """The dtSSD of two errors [1, 1, H, W], a float64 scalar; NaN if the mask is empty."""
    squared = (now - before).square()
    kept = squared if mask is None else squared * mask
    pixels = squared.numel() if mask is None else mask.sum()
    return (kept.sum(dtype=torch.int64).double() / pixels).sqrt() / 255


def _change_along(before: Tensor, now: Tensor, flow: Tensor, mask: Tensor | None) -> Tensor:
    """The MESSDdt of two errors [1, 1, H, W], a float64 scalar; NaN if no pixel is left."""
    moved, inside = follow(now[0, 0].float(), flow[0])
    kept = inside if mask is None else inside & mask[0, 0]
    change = (before[0, 0].float().square() - moved.square()).abs() * kept
    return change.sum(dtype=torch.float64) / (255**2 * kept.sum())


def _check_flow(flow: Tensor, pairs: int, mattes: Tensor) -> None:
    """Refuse what is not a motion for every pixel of so many pairs of frames."""
    expected = (pairs, 2, *mattes.shape[2:])
    if flow.shape != expected or not flow.is_floating_point():
        raise ValueError(
            f"flow must be floats {expected}, one motion per pair of frames, "
            f"got {flow.dtype} {tuple(flow.shape)}; channels are x and y in pixels"
        )
