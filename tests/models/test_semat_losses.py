"""Values of the specification (section 15), and definitions written out slowly."""

import multiprocessing
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from mattingzoo.models.semat.losses import (
    NGHMLoss,
    gradient_penalty_loss,
    matting_losses,
    regularisation_loss,
    sobel,
)

LOGITS = torch.tensor([[2.0, 0, 0], [0, 1, 0], [0, 0, 0], [0.5, 0.5, 3]])
TARGETS = torch.tensor([0, 1, 2, 2])


def ramp() -> tuple[Tensor, Tensor, Tensor]:
    pred = (torch.arange(64) / 63).expand(1, 1, 64, 64).contiguous()
    trimap = torch.zeros(1, 1, 64, 64)
    trimap[..., 16:48] = 0.5
    return pred, pred.square(), trimap


def test_published_values_on_a_ramp() -> None:
    expected = {"unknown": 0.228521, "known": 0.099521, "lap": 0.165190, "grad": 0.062432}
    losses = matting_losses(*ramp())
    assert {name: round(value.item(), 6) for name, value in losses.items()} == expected


def test_values_do_not_depend_on_the_batch() -> None:
    pred, alpha, trimap = ramp()
    twice = matting_losses(*(torch.cat([t, t]) for t in (pred, alpha, trimap)))
    for name, value in matting_losses(pred, alpha, trimap).items():
        assert twice[name].item() == pytest.approx(value.item(), rel=1e-5), name


def test_nothing_unknown_gives_zero_not_nan() -> None:
    pred, alpha, trimap = ramp()
    pred.requires_grad_()
    losses = matting_losses(pred, alpha, trimap.round())
    assert losses["unknown"] == losses["grad"] == 0
    sum(losses.values()).backward()
    assert pred.grad is not None and pred.grad.isfinite().all()


def test_sobel_is_the_convolution_with_zeros_around() -> None:
    picture = torch.rand(2, 1, 7, 9)
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    kernels = torch.stack([across, across.T]).unsqueeze(1)
    torch.testing.assert_close(sobel(picture), F.conv2d(picture, kernels, padding=1))


def test_gradient_penalty_also_shrinks_gradients() -> None:
    pred, _, trimap = ramp()
    value = gradient_penalty_loss(pred, pred, trimap == 0.5)
    # The ramp's Sobel is 8 / 63 across but for the first and last row, where a tap is missing.
    across = 0.01 * 8 / 63 * (62 + 2 * 3 / 4) / 64
    # Down it is 0, but in those rows the ramp against the zeros around.
    columns = torch.arange(16.0, 48) / 63
    down = 0.01 * 2 * (4 * columns).sum().item() / (64 * 32)
    assert value.item() == pytest.approx(across + down, rel=1e-5)


def test_regularisation_rests_where_sam_is() -> None:
    kept = torch.randn(2, 1, 8, 8)
    live = kept.clone().requires_grad_()
    loss = regularisation_loss(live, kept)
    loss.backward()
    assert live.grad is not None and live.grad.abs().max() < 1e-8
    p = kept.sigmoid()
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).mean()
    assert loss.item() == pytest.approx(entropy.item(), rel=1e-5)
    assert regularisation_loss(kept + 0.5, kept) > loss.detach()


def test_trimap_loss_has_the_published_values_and_state() -> None:
    loss = NGHMLoss()
    first = loss(LOGITS, TARGETS)
    assert first.item() == pytest.approx(0.510403, abs=1e-6)
    assert first.item() == pytest.approx(F.cross_entropy(LOGITS, TARGETS).item(), rel=1e-6)
    expected = torch.zeros(10)
    expected[[1, 2, 4, 6]] = 0.25
    assert torch.equal(loss.counts, expected)
    logits = LOGITS.clone()
    logits[3] = torch.tensor([3, 0.5, 0.5])
    assert loss(logits, TARGETS).item() == pytest.approx(1.374867, abs=1e-6)
    expected[[2, 4, 6]], expected[[1, 9]] = 0.4375, 0.25
    assert torch.equal(loss.counts, expected)


def nghm_by_hand(logits: Tensor, targets: Tensor, counts: list[float]) -> float:
    """Pixel by pixel; ``counts`` is moved on in place."""
    pixels = [(x.double().softmax(0)[y].item()) for x, y in zip(logits, targets, strict=True)]
    edges = [i / 10 for i in range(10)] + [1 + 1e-6]
    places = []
    for p in pixels:
        g = float(torch.tensor(1 - p, dtype=torch.float32))
        assume(min(abs(g - edge) for edge in edges) > 1e-6)  # rounding decides there
        places.append(max(i for i in range(10) if edges[i] <= g < edges[i + 1]))
    for i in range(10):
        if places.count(i):
            counts[i] = 0.75 * counts[i] + 0.25 * places.count(i)
    weights = [1 / counts[place] for place in places]
    terms = [
        w / sum(weights) * -torch.tensor(p).log() for w, p in zip(weights, pixels, strict=True)
    ]
    return float(sum(terms))


@given(st.integers(0, 2**16), st.integers(1, 40))
def test_trimap_loss_equals_its_definition(seed: int, pixels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    loss, counts = NGHMLoss(), [0.0] * 10
    for _ in range(3):
        logits = 3 * torch.randn(pixels, 3, generator=generator)
        targets = torch.randint(3, (pixels,), generator=generator)
        expected = nghm_by_hand(logits, targets, counts)
        assert loss(logits, targets).item() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert loss.counts.tolist() == pytest.approx(counts)


def test_trimap_loss_of_pictures_is_that_of_their_pixels() -> None:
    logits, targets = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
    flat = NGHMLoss()(logits.permute(0, 2, 3, 1).reshape(-1, 3), targets.flatten())
    torch.testing.assert_close(NGHMLoss()(logits, targets), flat)


def test_trimap_loss_weighs_a_rare_gradient_as_much_as_a_common_one() -> None:
    easy, hard = torch.tensor([4.0, 0, 0]), torch.tensor([-4.0, 0, 0])
    many = torch.stack([easy] * 99 + [hard])
    value = NGHMLoss()(many, torch.zeros(100, dtype=torch.long))
    entropies = F.cross_entropy(torch.stack([easy, hard]), torch.zeros(2).long(), reduction="none")
    torch.testing.assert_close(value, entropies.mean())


def test_certain_mistakes_stay_finite() -> None:
    logits = torch.tensor([[200.0, 0, 0], [-200.0, 0, 0]], requires_grad=True)
    loss = NGHMLoss()(logits, torch.zeros(2, dtype=torch.long))
    loss.backward()
    assert loss.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


def count_on(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    loss = NGHMLoss()
    loss(LOGITS[2 * rank : 2 * rank + 2], TARGETS[2 * rank : 2 * rank + 2])
    torch.save(loss.counts, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_processes_count_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=count_on, args=(r, str(tmp_path))) for r in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    alone = NGHMLoss()
    alone(LOGITS, TARGETS)
    for rank in range(2):
        assert torch.equal(torch.load(tmp_path / f"{rank}.pt"), alone.counts)
