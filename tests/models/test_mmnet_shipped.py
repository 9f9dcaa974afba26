"""The weights of MMNet-1.0 that come with the package."""

import pytest

from mattingzoo.baselines import AllBackground, AllForeground, Mean
from mattingzoo.cli.load import load_model, shipped_weights
from mattingzoo.datamodules import Synthetic
from mattingzoo.metrics import scores
from mattingzoo.module import MattingModule


def mean_sad(model: MattingModule, data: Synthetic) -> float:
    """Over whole test pictures: the network is told nothing of the object."""
    total = 0.0
    for batch in data.test_dataloader():
        assert batch is not None
        batch = data.prepare(batch, ("image", "alpha", "trimap"))
        pred = model.eval().matte(batch)
        total += scores(pred, batch["alpha"], batch["trimap"], ("whole",))["SAD/whole"].item()
    return total


@pytest.mark.skipif(shipped_weights("mmnet") is None, reason="MMNet-1.0 is still to be trained")
def test_they_are_the_full_network_and_beat_every_constant() -> None:
    path = shipped_weights("mmnet")
    assert path is not None and path.name == "mmnet-1.0.safetensors"
    loaded = load_model("mmnet")
    assert sum(p.numel() for p in loaded.module.parameters()) == 190_652
    data = Synthetic(num_workers=0, limit=8)
    constants = (
        mean_sad(baseline, data) for baseline in (Mean(), AllForeground(), AllBackground())
    )
    assert mean_sad(loaded.module, data) < 0.6 * min(constants)
