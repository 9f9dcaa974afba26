"""MattingMetrics alone on real processes, as any torch.distributed project would use it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mattingzoo.metrics import MattingMetrics

IMAGES = 5

# Processes of their own: a fork of this one, which has threads, may wait for them for ever.
SCRIPT = """
import json, sys, warnings
from pathlib import Path
import torch
from torch import distributed
from mattingzoo.metrics import MattingMetrics
warnings.simplefilter("ignore")  # of a process without images
rank, world, folder, indexed = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4] == "1"
part = json.loads(sys.argv[5])
store = f"file://{folder}/store"
distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
pred, alpha, trimap = torch.load(f"{folder}/images.pt", weights_only=True)
metrics = MattingMetrics()
for batch in (part[:2], part[2:]):
    if batch:
        index = torch.tensor(batch) if indexed else None
        metrics.update(pred[batch], alpha[batch], trimap[batch], index)
means = {name: value.item() for name, value in metrics.compute().items()}
order = metrics.per_image()["index"].tolist()
Path(folder, f"{rank}.json").write_text(json.dumps([means, order]))
distributed.destroy_process_group()
"""


def images() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pred, alpha = torch.rand((2, IMAGES, 1, 12, 9), generator=generator)
    return pred, alpha, (alpha > 0.3).float() / 2


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
    torch.save(images(), tmp_path / "images.pt")
    world = len(parts)
    common = [str(world), str(tmp_path), str(int(indexed))]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), *common, json.dumps(part)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, part in enumerate(parts)
    ]
    for process in started:
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error[-2000:]
    for rank in range(world):
        means, found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert means == pytest.approx(expected, rel=1e-12)
        assert found == order
