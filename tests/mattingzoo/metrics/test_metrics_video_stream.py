"""Clips scored frame by frame, and the torchmetrics class: means over clips."""

import pytest
import torch
from torch import Tensor

from mattingzoo.metrics.video import ClipScore, VideoMetrics, clip_score, dtssd, messddt

NAN = float("nan")


def clips(length: int, seed: int, height: int = 7, width: int = 9) -> tuple[Tensor, Tensor]:
    """Random 8-bit prediction and truth of one clip."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(256, (2, length, 1, height, width), generator=generator).byte()
    return frames[0], frames[1]


def flows(pairs: int, seed: int, height: int = 7, width: int = 9) -> Tensor:
    """Random motion of up to some pixels, a part of it unknown."""
    generator = torch.Generator().manual_seed(seed)
    flow = torch.randn(pairs, 2, height, width, generator=generator) * 2
    return flow.masked_fill(torch.rand(flow.shape, generator=generator) < 0.05, NAN)


# Frame by frame


def test_frames_one_by_one_equal_the_whole_clip() -> None:
    (pred, alpha), flow = clips(5, seed=8), flows(4, seed=8)
    mask = pred > 60
    clip = ClipScore(motion=True)
    for t in range(5):
        frame = slice(t, t + 1)
        clip.add(pred[frame] / 255, alpha[frame], flow[t - 1 : t] if t else None, mask[frame])
    assert torch.equal(clip.errors(), clip_score(pred, alpha, flow, mask).errors())


def test_a_clip_holds_one_frame_however_long_it_is() -> None:
    def held(clip: ClipScore) -> int:
        values = [value for value in vars(clip).values() if isinstance(value, Tensor)]
        return sum(value.untyped_storage().nbytes() for value in values)

    clip = ClipScore()
    sizes = []
    for t in range(20):
        clip.add(*clips(1, seed=t))
        sizes.append(held(clip))
    assert set(sizes) == {sizes[0]}


def test_a_refused_frame_leaves_the_score_as_it_was() -> None:
    (pred, alpha), clip = clips(3, seed=9), ClipScore()
    clip.add(pred[:1], alpha[:1])
    clip.add(pred[1:2], alpha[1:2])
    with pytest.raises(ValueError, match="pred must be one frame"):
        clip.add(*clips(1, seed=0, height=8))
    with pytest.raises(ValueError, match="flow must be given"):
        clip.add(pred[2:], alpha[2:], torch.zeros(1, 2, 7, 9))
    clip.add(pred[2:], alpha[2:])
    assert torch.equal(clip.errors()[0], dtssd(pred, alpha))


# The torchmetrics class


def test_mean_is_over_clips_not_pairs() -> None:
    metrics, long, short = VideoMetrics(motion=True), clips(6, seed=10), clips(2, seed=11)
    motions = flows(5, seed=10), flows(1, seed=11)
    metrics.update(*long, motions[0])
    metrics.update(*short, motions[1])
    means = metrics.compute()
    assert list(means) == ["dtSSD", "MESSDdt"]
    torch.testing.assert_close(means["dtSSD"], (dtssd(*long) + dtssd(*short)) / 2)
    torch.testing.assert_close(
        means["MESSDdt"], (messddt(*long, motions[0]) + messddt(*short, motions[1])) / 2
    )


def test_without_motion_there_is_only_dtssd() -> None:
    metrics, clip = VideoMetrics(), clips(3, seed=12)
    mask = clip[0] > 100
    metrics.update(*clip, mask=mask)
    assert metrics.compute() == {"dtSSD": dtssd(*clip, mask)}


def test_a_clip_score_counts_like_the_clip() -> None:
    streamed, whole, clip = VideoMetrics(), VideoMetrics(), clips(4, seed=13)
    for metrics in (streamed, whole):
        metrics.update(*clips(2, seed=0))
    before = streamed.compute()
    score = ClipScore()
    for pred, alpha in zip(*clip, strict=True):
        score.add(pred[None], alpha[None])
    streamed.update(score)
    whole.update(*clip)
    assert streamed.compute() == whole.compute() != before


def test_a_clip_with_an_index_counts_once() -> None:
    metrics, clip, first = VideoMetrics(), clips(4, seed=13), torch.tensor([0])
    metrics.update(*clips(3, seed=14), index=first + 1)
    metrics.update(*clip, index=first)
    once = metrics.compute()
    metrics.update(clip_score(*clip), index=first)
    assert metrics.compute() == once


def test_forward_gives_the_value_of_the_clip() -> None:
    metrics, clip = VideoMetrics(), clips(4, seed=14)
    metrics.update(*clips(2, seed=0))
    assert metrics(*clip) == {"dtSSD": dtssd(*clip)}
    assert metrics(clip_score(*clip)) == {"dtSSD": dtssd(*clip)}
    assert metrics.compute() != {"dtSSD": dtssd(*clip)}  # the first clip is not forgotten


def test_clips_of_one_frame_are_left_out_and_counted() -> None:
    metrics, clip = VideoMetrics(), clips(3, seed=15)
    metrics.update(*clip)
    metrics.update(*clips(1, seed=16))
    with pytest.warns(UserWarning, match="dtSSD of 1 of 2"):
        assert metrics.compute() == {"dtSSD": dtssd(*clip)}


def test_reset_forgets() -> None:
    metrics, clip = VideoMetrics(), clips(3, seed=17)
    metrics.update(*clips(3, seed=18))
    metrics.reset()
    metrics.update(*clip)
    assert metrics.compute() == {"dtSSD": dtssd(*clip)}


def test_persistent_state_goes_on() -> None:
    metrics, copy = VideoMetrics(), VideoMetrics()
    for each in (metrics, copy):
        each.persistent(True)
    metrics.update(*clips(3, seed=19))
    copy.load_state_dict(metrics.state_dict())
    for each in (metrics, copy):
        each.update(*clips(2, seed=20))
    assert copy.compute() == metrics.compute()


# Refused input


def test_refuses_a_flow_out_of_place() -> None:
    still, frame = torch.zeros(1, 2, 7, 9), clips(1, seed=0)
    clip = ClipScore(motion=True)
    with pytest.raises(ValueError, match=r"got a flow for the first frame with motion=True"):
        clip.add(*frame, still)
    clip.add(*frame)
    with pytest.raises(ValueError, match=r"got None for a later frame with motion=True"):
        clip.add(*frame)
    with pytest.raises(ValueError, match=r"flow must be floats \(1, 2, 7, 9\)"):
        clip.add(*frame, still[..., :-1])


def test_refuses_several_frames_at_once() -> None:
    with pytest.raises(ValueError, match=r"one frame \(1, 1, 7, 9\) of the clip, got shape \(2, 1"):
        ClipScore().add(*clips(2, seed=0))


def test_refuses_clips_with_another_motion() -> None:
    with pytest.raises(ValueError, match=r"motion must be the same .* got False and True"):
        VideoMetrics(motion=True).update(*clips(2, seed=0))
    with pytest.raises(ValueError, match=r"motion must be the same .* got True and False"):
        VideoMetrics().update(ClipScore(motion=True))


def test_refuses_a_missing_truth() -> None:
    with pytest.raises(ValueError, match="alpha must be given with pred"):
        VideoMetrics().update(clips(2, seed=0)[0])  # type: ignore[call-overload]
