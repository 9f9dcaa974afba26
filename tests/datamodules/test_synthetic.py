"""Built-in material, drawn anew or kept."""

from pathlib import Path

import numpy as np
import pytest

from mattingzoo.datamodules import synthetic
from mattingzoo.datamodules.synthetic import Synthetic
from mattingzoo.source import Pictures


def loaded(data: Synthetic, index: int, seed: int) -> Pictures:
    return data.source("train").load(index, np.random.default_rng(seed))


def same(one: Pictures, other: Pictures, keys: tuple[str, ...]) -> bool:
    return all(np.array_equal(one[key], other[key]) for key in keys)


SUBJECT = ("foreground", "alpha")


def test_without_a_cache_every_picture_is_new() -> None:
    data = Synthetic(size=48, length=3)
    assert not same(loaded(data, 0, 1), loaded(data, 0, 2), SUBJECT)
    assert same(loaded(data, 0, 1), loaded(data, 0, 1), (*SUBJECT, "background"))


def test_a_cache_draws_once_and_pairs_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Synthetic(size=48, length=4, cache=str(tmp_path / "kept"))
    first = [loaded(data, i, seed) for i in range(4) for seed in (1, 2, 3)]
    for name in ("render_foreground", "render_background"):
        monkeypatch.setattr(synthetic, name, None)  # what is kept is not drawn again
    again = [loaded(data, i, seed) for i in range(4) for seed in (1, 2, 3)]
    assert all(same(a, b, (*SUBJECT, "background")) for a, b in zip(first, again, strict=True))
    assert same(first[0], first[1], SUBJECT) and not same(first[0], first[3], SUBJECT)
    assert len({p["background"].tobytes() for p in first[:3]}) > 1


def test_a_cache_of_another_size_is_another(tmp_path: Path) -> None:
    for size in (32, 48):
        pictures = loaded(Synthetic(size=size, length=1, cache=str(tmp_path)), 0, 0)
        assert pictures["alpha"].shape == (size, size)
        assert pictures["background"].shape == (size, size, 3)


def test_evaluation_knows_no_cache(tmp_path: Path) -> None:
    plain, cached = Synthetic(size=48), Synthetic(size=48, cache=str(tmp_path / "kept"))
    pictures = [d.source("val").load(1, np.random.default_rng(0)) for d in (plain, cached)]
    assert same(pictures[0], pictures[1], (*SUBJECT, "background"))
    assert not (tmp_path / "kept").exists()
