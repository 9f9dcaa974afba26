"""Samples that do not depend on workers, and loaders that stop and continue."""

import logging
from typing import Any

import numpy as np
import pytest
import torch

from mattingzoo.adobe import fit_background
from mattingzoo.batch import Batch
from mattingzoo.dataset import EpochSampler, MattingDataset, ResumableLoader, collate_windows
from mattingzoo.io import BadFileError
from mattingzoo.recipe import Recipe
from mattingzoo.source import Pictures, Source

RECIPE = Recipe(crop_size=8, crop_sides=(8, 12), background="random", degrade=0.7)


class Drawn(Source):
    """Layers of differing size; what is random comes from ``rng``; some are bad files."""

    native = frozenset({"foreground", "alpha", "background"})

    def __init__(self, count: int = 10, bad: tuple[int, ...] = (), side: int = 20) -> None:
        self.names = [f"s{i}" for i in range(count)]
        self.foreground_names = self.names
        self.bad = bad
        self.side = side

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        if index in self.bad:
            raise BadFileError(f"{index}.png is truncated")
        height, width = self.side + index, self.side
        alpha = np.full((height, width), 255, np.uint8)
        alpha[3:9, 3:15] = 100 + index
        return {
            "foreground": np.full((height, width, 3), index, np.uint8),
            "alpha": alpha,
            "background": rng.integers(256, size=(16, 24, 3), dtype=np.uint8),
        }

    def outside_is_true(self, index: int) -> bool:
        return index % 2 == 0


class Photographs(Source):
    """Images without anything else."""

    native = frozenset({"image"})
    names = foreground_names = ("a", "b")

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        return {"image": np.zeros((5, 7 + index, 3), np.uint8)}


def training(source: Source | None = None, seed: int = 1, **options: Any) -> MattingDataset:
    return MattingDataset(source or Drawn(), seed, RECIPE, **options)


def make_loader(dataset: MattingDataset, workers: int = 0, batch_size: int = 2) -> ResumableLoader:
    return ResumableLoader(
        dataset,
        batch_size=batch_size,
        sampler=EpochSampler(dataset, 0, 1, seed=5, training=True),
        num_workers=workers,
        collate_fn=collate_windows,
        persistent_workers=workers > 0,
    )


def epoch_of(loader: ResumableLoader, epoch: int) -> list[Batch]:
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    return [batch for batch in loader if batch is not None]


def assert_same(first: list[Batch], second: list[Batch]) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a["name"] == b["name"] and set(a) == set(b)
        for key in set(a) - {"name"}:
            assert torch.equal(a[key], b[key]), key  # type: ignore[literal-required]


def names_of(batches: list[Batch]) -> list[str]:
    return [name for batch in batches for name in batch["name"]]


def test_samples_do_not_depend_on_the_number_of_workers() -> None:
    alone, together = make_loader(training()), make_loader(training(), workers=2)
    for epoch in (0, 1):
        assert_same(epoch_of(alone, epoch), epoch_of(together, epoch))


def test_every_epoch_differs_and_comes_again() -> None:
    loader = make_loader(training())
    first, second, again = epoch_of(loader, 0), epoch_of(loader, 1), epoch_of(loader, 0)
    assert_same(first, again)
    assert names_of(first) != names_of(second)
    a, b = training()[0, 3], training()[1, 3]
    assert a is not None and b is not None
    assert not torch.equal(a["background"], b["background"])


def test_another_seed_is_another_sample() -> None:
    a, b = training(seed=1)[0, 3], training(seed=2)[0, 3]
    assert a is not None and b is not None
    assert not torch.equal(a["background"], b["background"])
    assert a["seed"] != b["seed"]


def test_sample_does_not_depend_on_limits_or_on_what_is_done() -> None:
    full = training()[0, 6]
    some = training(leave_out=("s1", "s2"))[0, 4]
    spread = training(limit=5)[0, 3]
    assert full is not None and some is not None and spread is not None
    for other in (some, spread):
        assert other["name"] == "s6"
        assert torch.equal(full["background"], other["background"])


def test_training_sample_says_what_it_is() -> None:
    sample = training()[0, 3]
    assert sample is not None
    side = int(sample["window"])
    assert side in RECIPE.crop_sides
    assert sample["original_size"].tolist() == [23, 20]
    assert sample["true_outside"].item() is False
    for key in ("foreground", "alpha", "background"):
        picture = sample[key]  # type: ignore[literal-required]
        assert picture.dtype == torch.uint8 and picture.shape[1:] == (side, side)


def test_plain_index_belongs_to_the_first_epoch() -> None:
    plain, keyed = training()[4], training()[0, 4]
    assert plain is not None and keyed is not None
    assert_same([plain], [keyed])


def test_whole_picture_comes_with_its_background_fitted() -> None:
    source = Drawn()
    sample = MattingDataset(source, 0, None)[0, 2]
    assert sample is not None and "window" not in sample
    background = source.load(2, np.random.default_rng([0, 0, 2]))["background"]
    expected = torch.from_numpy(fit_background(background, 22, 20).copy()).permute(2, 0, 1)
    assert torch.equal(sample["background"], expected)


def test_photographs_without_mattes_can_be_loaded() -> None:
    sample = MattingDataset(Photographs(), 0, None)[0, 1]
    assert sample is not None
    assert sample["original_size"].tolist() == [5, 8]


@pytest.mark.parametrize("extra", [(), ("foreground",), ("captured_background",)])
def test_image_is_cut_with_whatever_comes_with_it(extra: tuple[str, ...]) -> None:
    class Photograph(Drawn):
        def load(self, index: int, rng: np.random.Generator) -> Pictures:
            picture = rng.integers(256, size=(30, 20, 3), dtype=np.uint8)
            layers = super().load(10, rng)
            return {"image": picture, "alpha": layers["alpha"], **dict.fromkeys(extra, picture)}

    sample = training(Photograph())[0, 0]
    assert sample is not None
    for key in extra:
        assert torch.equal(sample[key], sample["image"])  # type: ignore[literal-required]


def test_layers_are_preferred_to_their_image() -> None:
    class Composite(Drawn):
        def load(self, index: int, rng: np.random.Generator) -> Pictures:
            layers = super().load(index, rng)
            return {**layers, "image": layers["foreground"], "trimap": layers["alpha"]}

    sample = training(Composite())[0, 0]
    assert sample is not None
    assert {"foreground", "alpha", "background"} == set(sample) & {*Composite.native, "image"}
    assert "trimap" not in sample


def test_photograph_is_preferred_to_its_estimated_layers() -> None:
    class Photograph(Drawn):
        natural = True

        def load(self, index: int, rng: np.random.Generator) -> Pictures:
            picture = rng.integers(256, size=(30, 20, 3), dtype=np.uint8)
            layers = dict.fromkeys(("foreground", "background"), picture)
            return {"image": picture, "alpha": super().load(10, rng)["alpha"], **layers}

    sample = training(Photograph())[0, 0]
    assert sample is not None
    for key in ("foreground", "background"):  # cut where the image is, though RECIPE is "random"
        assert torch.equal(sample[key], sample["image"])  # type: ignore[literal-required]


def test_bad_file_stops_the_run() -> None:
    with pytest.raises(BadFileError, match=r"^4\.png is truncated$"):
        training(Drawn(bad=(4,)))[0, 4]


def test_bad_file_in_a_worker_keeps_its_message() -> None:
    loader = make_loader(training(Drawn(1, bad=(0,))), workers=1)
    with pytest.raises(BadFileError, match=r"0\.png is truncated"):
        epoch_of(loader, 0)
    workers: Any = loader._iterator
    workers._shutdown_workers()  # the traceback keeps them; its collection would wait for seconds


def test_bad_file_is_skipped_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        batches = epoch_of(make_loader(training(Drawn(bad=(4,)), on_bad_file="skip")), 0)
    # The next good one takes its place: every process of a run keeps its number of steps.
    assert sorted(names_of(batches)) == sorted(f"s{i if i != 4 else 5}" for i in range(10))
    assert "skipped s4: 4.png is truncated" in caplog.text


def test_skipped_evaluation_sample_counts_nowhere() -> None:
    dataset = MattingDataset(Drawn(3, bad=(1,)), 1, None, on_bad_file="skip")
    assert [dataset[0, i] is None for i in range(3)] == [False, True, False]


def test_training_without_any_good_file_ends() -> None:
    dataset = training(Drawn(3, bad=(0, 1, 2)), on_bad_file="skip")
    with pytest.raises(BadFileError, match="none of the 3 training samples"):
        dataset[0, 0]


def test_evaluation_on_more_processes_than_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match="2 pictures cannot be evaluated on 3 processes"):
        shares(2, 3, training=False)


def test_batch_of_bad_files_alone_is_none() -> None:
    assert collate_windows([None, None]) is None


@pytest.mark.parametrize(("limit", "expected"), [(0, 10), (3, 3), (10, 10), (99, 10)])
def test_limit_takes_no_more_than_there_are(limit: int, expected: int) -> None:
    assert len(training(limit=limit)) == expected


def test_limit_spreads_over_the_source() -> None:
    assert training(Drawn(1000), limit=4).names() == ["s0", "s250", "s500", "s750"]


def test_what_is_done_is_left_out_but_still_named() -> None:
    dataset = training(limit=5, leave_out={"s2": 1, "s9": 1})
    assert dataset.names() == ["s0", "s2", "s4", "s6", "s8"]
    assert len(dataset) == 4


def test_smaller_windows_are_padded_with_edges_and_empty_alpha() -> None:
    dataset = MattingDataset(Drawn(2), 1, Recipe(crop_size=8, crop_sides=(8,)))
    large = MattingDataset(Drawn(2), 1, Recipe(crop_size=8, crop_sides=(12,)))
    small = dataset[0, 0]
    raw = dataset[0, 0]
    assert small is not None and raw is not None
    batch = collate_windows([small, large[0, 1]])
    assert batch is not None
    assert batch["window"].tolist() == [8, 12]
    for key in ("foreground", "alpha", "background"):
        picture, original = batch[key][0], raw[key]  # type: ignore[literal-required]
        assert picture.shape[1:] == (12, 12)
        assert torch.equal(picture[:, :8, :8], original)
        if key != "alpha":
            assert torch.equal(picture[:, 11, :8], original[:, 7])
    assert batch["alpha"][0, :, 8:].max() == 0 and batch["alpha"][0, :, :, 8:].max() == 0
    assert batch["alpha"][1].max() > 0


def shares(count: int, world: int, training: bool, epoch: int = 0) -> list[list[int]]:
    indices = []
    for rank in range(world):
        sampler = EpochSampler(range(count), rank, world, 3, training)  # type: ignore[arg-type]
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert len(keys) == len(sampler)
        assert {key[0] for key in keys} <= {epoch if training else 0}
        indices.append([key[1] for key in keys])
    return indices


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("count", [2, 12, 13])
def test_training_is_shared_evenly(count: int, world: int) -> None:
    parts = shares(count, world, training=True)
    together = [index for part in parts for index in part]
    assert len({len(part) for part in parts}) == 1
    assert set(together) == set(range(count))
    assert len(together) - count == -count % world  # repeated only where it does not come out even


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("count", [3, 4, 12, 13])
def test_evaluation_neither_repeats_nor_misses(count: int, world: int) -> None:
    parts = shares(count, world, training=False, epoch=4)
    assert sorted(index for part in parts for index in part) == list(range(count))
    assert all(part == sorted(part) for part in parts)


def test_training_is_shuffled_by_seed_and_epoch() -> None:
    first, second = shares(12, 1, training=True)[0], shares(12, 1, training=True, epoch=1)[0]
    assert first != second and first != sorted(first)
    assert first == shares(12, 1, training=True)[0]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("used", [1, 3])
def test_new_loader_continues_with_the_remaining_batches(used: int, workers: int) -> None:
    whole = epoch_of(make_loader(training()), 1)
    broken = make_loader(training(), workers)
    broken.sampler.set_epoch(1)  # type: ignore[attr-defined]
    batches = iter(broken)
    for _ in range(used):
        next(batches)
    state = broken.state_dict()
    assert state == {"epoch": 1, "used": used}
    fresh = make_loader(training(), workers)
    fresh.load_state_dict(state)
    assert_same([b for b in fresh if b is not None], whole[used:])
    assert fresh.state_dict() == {"epoch": 1, "used": 5}
    assert_same(epoch_of(fresh, 2), epoch_of(make_loader(training()), 2))


def test_finished_epoch_is_followed_by_the_next() -> None:
    finished = make_loader(training())
    epoch_of(finished, 1)
    fresh = make_loader(training())
    fresh.load_state_dict(finished.state_dict())
    assert_same([b for b in fresh if b is not None], epoch_of(finished, 2))


def test_interrupted_twice_continues_where_it_was() -> None:
    whole = epoch_of(make_loader(training()), 0)
    state = {"epoch": 0, "used": 1}
    for used in (2, 4):
        loader = make_loader(training())
        loader.load_state_dict(state)
        batches = iter(loader)
        while loader.used < used:
            next(batches)
        state = loader.state_dict()
    loader = make_loader(training())
    loader.load_state_dict(state)
    assert_same([b for b in loader if b is not None], whole[4:])
