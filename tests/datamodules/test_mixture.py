"""Several data sets as one: which part a sample comes from, and what all have in common."""

import numpy as np
import pytest
import torch

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules import Mixture
from mattingzoo.datamodules.mixture import MixtureSource
from mattingzoo.recipe import Recipe
from mattingzoo.source import Pictures, Source, Split


class Flat(Source):
    """Pictures of one gray value; the alpha says which part and which sample."""

    def __init__(self, value: int, count: int, true_outside: bool, extra: bool = False) -> None:
        self.native = frozenset(
            {"foreground", "alpha", "background"} | ({"image"} if extra else set())
        )
        self.value = value
        self.true_outside = true_outside
        self.names = [f"n{i}" for i in range(count)]
        self.foreground_names = [f"f{i // 2}" for i in range(count)]

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        gray = np.full((8, 8, 3), self.value, np.uint8)
        alpha = np.full((8, 8), self.value + index, np.uint8)
        return {key: alpha if key == "alpha" else gray for key in self.native}

    def files(self, index: int) -> list[str]:
        return [f"{self.value}-{index}"]


class Part(MattingDataModule):
    def __init__(self, value: int, count: int) -> None:
        super().__init__(num_workers=0)
        self.value, self.count = value, count

    def make_source(self, split: Split) -> Source:
        return Flat(self.value if split == "train" else self.value + 100, self.count, True)


def two() -> MixtureSource:
    return MixtureSource([Flat(10, 2, True, extra=True), Flat(50, 3, False)], ["a", "b"])


def test_samples_follow_one_another() -> None:
    source = two()
    assert len(source) == 5
    assert source.names == ["a/n0", "a/n1", "b/n0", "b/n1", "b/n2"]
    assert source.foreground_names == ["a/f0", "a/f0", "b/f0", "b/f0", "b/f1"]
    rng = np.random.default_rng(0)
    assert [int(source.load(i, rng)["alpha"][0, 0]) for i in range(5)] == [10, 11, 50, 51, 52]
    assert [source.files(i) for i in range(5)] == [["10-0"], ["10-1"], ["50-0"], ["50-1"], ["50-2"]]


def test_keys_are_those_that_all_have() -> None:
    source = two()
    assert source.native == {"foreground", "alpha", "background"}
    assert set(source.load(0, np.random.default_rng(0))) == source.native


def test_each_part_says_whether_its_colours_hold_outside() -> None:
    assert [two().outside_is_true(i) for i in range(5)] == [True, True, False, False, False]


def test_an_empty_part_is_passed_over() -> None:
    source = MixtureSource([Flat(10, 0, True), Flat(50, 1, True)], ["a", "b"])
    assert source.load(0, np.random.default_rng(0))["alpha"][0, 0] == 50


def test_training_takes_all_parts_and_evaluation_the_first() -> None:
    data = Mixture([Part(10, 2), Part(50, 3)], num_workers=0)
    assert len(data.source("train")) == 5
    for split in ("val", "test"):
        source = data.source(split)
        assert len(source) == 2
        assert source.load(0, np.random.default_rng(0))["alpha"][0, 0] == 110


def test_same_data_set_twice_has_distinct_names() -> None:
    names = Mixture([Part(10, 2), Part(10, 2)], num_workers=0).source("train").names
    assert len(set(names)) == 4


def test_batches_mix_parts() -> None:
    recipe = Recipe(crop_size=4, crop_sides=(4,))
    data = Mixture([Part(10, 2), Part(50, 3)], 5, num_workers=0, seed=0, recipe=recipe)
    raw = next(iter(data.train_dataloader()))
    assert raw is not None
    batch = data.prepare(raw, ("trimap",), "train")
    values = (batch["alpha"][:, 0, 0, 0] * 255).round().sort().values
    assert torch.equal(values, torch.tensor([10.0, 11, 50, 51, 52]))


def test_mixture_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="parts must name at least one data set, got an empty"):
        Mixture([])
