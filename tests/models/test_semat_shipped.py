"""The weights of SEMat that come with the package."""

from mattingzoo.baselines import BoxBaseline, TrimapBaseline
from mattingzoo.cli.load import load_model, shipped_weights
from mattingzoo.datamodules import Synthetic
from mattingzoo.metrics import scores
from mattingzoo.module import MattingModule


def mean_sad(model: MattingModule, data: Synthetic) -> float:
    """Over the unknown region of the test pictures, by the tight box."""
    total = 0.0
    for batch in data.test_dataloader():
        assert batch is not None
        batch = data.prepare(batch, ("image", "box", "alpha", "trimap"))
        pred = model.eval().matte(batch)
        total += scores(pred, batch["alpha"], batch["trimap"], ("unknown",))["SAD/unknown"].item()
    return total


def test_they_are_small_and_beat_box_and_trimap() -> None:
    path = shipped_weights("semat")
    assert path is not None and path.stat().st_size <= 4 * 2**20
    loaded = load_model("semat")
    assert (loaded.variant, loaded.weights) == ("tiny", path.name)
    data = Synthetic(num_workers=0, limit=8)
    semat = mean_sad(loaded.module, data)
    assert semat < 0.9 * mean_sad(TrimapBaseline(), data)
    assert semat < 0.6 * mean_sad(BoxBaseline(), data)
