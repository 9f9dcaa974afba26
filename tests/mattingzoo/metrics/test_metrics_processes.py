"""MattingMetrics alone on real processes, as any torch.distributed project would use it."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from mattingzoo.metrics import MattingMetrics

IMAGES = 5


def images() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pred, alpha = torch.rand((2, IMAGES, 1, 12, 9), generator=generator)
    return pred, alpha, (alpha > 0.3).float() / 2


def score(rank: int, world: int, parts: list[list[int]], indexed: bool, folder: str) -> None:
    """What one process does: score its images, two at a time, and write the results."""
    store = f"file://{folder}/store"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    metrics = MattingMetrics()
    pred, alpha, trimap = images()
    for batch in (parts[rank][:2], parts[rank][2:]):
        if batch:
            index = torch.tensor(batch) if indexed else None
            metrics.update(pred[batch], alpha[batch], trimap[batch], index)
    means = {name: value.item() for name, value in metrics.compute().items()}
    order = metrics.per_image()["index"].tolist()
    Path(folder, f"{rank}.json").write_text(json.dumps([means, order]))
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.*was called before.*")  # on the process without images
@pytest.mark.parametrize(
    ("parts", "indexed", "order"),
    [
        ([[0, 2, 4], [1, 3, 0]], True, [0, 1, 2, 3, 4]),  # as DistributedSampler pads
        ([[4, 1], [0, 2, 3], []], True, [0, 1, 2, 3, 4]),
        ([[0, 3], [1, 4], [2]], False, [-1] * 5),
    ],
)
def test_means_are_those_of_one_process(
    tmp_path: Path, parts: list[list[int]], indexed: bool, order: list[int]
) -> None:
    single = MattingMetrics()
    single.update(*images())
    expected = {name: value.item() for name, value in single.compute().items()}
    world = len(parts)
    # Forked, for a fresh process could not import this file by name; after threads were started.
    multiprocessing.start_processes(
        score, (world, parts, indexed, str(tmp_path)), nprocs=world, start_method="fork"
    )
    for rank in range(world):
        means, found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert means == pytest.approx(expected, rel=1e-12)
        assert found == order
