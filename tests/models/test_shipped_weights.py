"""The weights that come with the package: small, known by name, better than no network."""

from functools import cache
from typing import NamedTuple

import pytest

from mattingzoo.cli.load import load_model, shipped_weights
from mattingzoo.cli.names import models
from mattingzoo.datamodules import Synthetic
from mattingzoo.metrics import Region, scores


class Claim(NamedTuple):
    """SAD is less than ``share`` of each baseline's, in this region of the built-in test set."""

    region: Region
    baselines: tuple[str, ...]
    share: float


WITHOUT_A_HINT = ("mean", "all-foreground", "all-background")
CLAIMS = {
    "adamatting": Claim("unknown", ("trimap",), 0.9),
    "background_matting": Claim("whole", ("difference-key",), 0.95),
    "dim": Claim("unknown", ("trimap",), 0.7),
    "gfm": Claim("whole", WITHOUT_A_HINT, 0.85),
    "hattmatting": Claim("whole", WITHOUT_A_HINT, 0.9),
    "mmnet": Claim("whole", WITHOUT_A_HINT, 0.9),
    "semat": Claim("unknown", ("trimap", "box"), 0.9),
}


@cache
def mean_sad(name: str, region: Region) -> float:
    """On the first pictures of the built-in test set, of all its kinds."""
    model, data, total = load_model(name).module.eval(), Synthetic(num_workers=0, limit=8), 0.0
    for batch in data.test_dataloader():
        assert batch is not None
        batch = data.prepare(batch, (*model.inputs, "alpha", "trimap"))
        pred = model.matte(batch)
        found = scores(pred, batch["alpha"], batch["trimap"], (region,))
        total += found[f"SAD/{region}"].item()
    return total / 8


def test_every_model_that_ships_weights_claims_something() -> None:
    assert {name for name in models() if shipped_weights(name)} == set(CLAIMS)


@pytest.mark.parametrize("name", CLAIMS)
def test_they_are_small_and_named(name: str) -> None:
    path = shipped_weights(name)
    assert path is not None and path.stat().st_size <= 4 * 2**20
    loaded = load_model(name)
    assert loaded.weights == path.name
    assert path.stem == f"{name}-{loaded.variant}"


@pytest.mark.parametrize("name", CLAIMS)
def test_they_beat_the_baselines(name: str) -> None:
    claim = CLAIMS[name]
    own = mean_sad(name, claim.region)
    for baseline in claim.baselines:
        assert own < claim.share * mean_sad(baseline, claim.region), baseline
