"""From a :class:`mattingzoo.source.Source` to torch samples, for training and for evaluation."""

import logging
import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal, cast

# Its import asks the network for a newer version, unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data.distributed import DistributedSampler

from mattingzoo.adobe import adobe_composite
from mattingzoo.batch import PICTURES, Batch, collate
from mattingzoo.io import BadFileError
from mattingzoo.recipe import Recipe
from mattingzoo.source import Pictures, Source
from mattingzoo.windows import cut, pad_square

log = logging.getLogger(__name__)

OnBadFile = Literal["raise", "skip"]
Key = tuple[int, int]  # epoch and index: all that a sample's randomness depends on besides the seed
LAYERS = ("foreground", "alpha", "background")
WITHOUT_LAYERS = (
    *("image", "alpha", "foreground", "background"),
    *("captured_background", "segmentation", "motion"),
)


class MattingDataset(Dataset[Batch | None]):
    """Decoded samples of a source; windows for training, whole pictures for evaluation.

    Args:
        source: Where the pictures come from.
        seed: With epoch and index the seed of every draw, so samples do not depend on workers.
        recipe: Cut training windows by it; None gives whole pictures.
        on_bad_file: ``raise`` stops at the first unreadable file; ``skip`` logs it and goes on.
        limit: Use only so many samples, evenly spread over the source; 0 uses all.
        leave_out: Names of samples not to load, because they are done.
    """

    def __init__(
        self,
        source: Source,
        seed: int,
        recipe: Recipe | None,
        on_bad_file: OnBadFile = "raise",
        limit: int = 0,
        leave_out: Collection[str] = (),
    ) -> None:
        self.source = source
        self.seed = seed
        self.recipe = recipe
        self.on_bad_file = on_bad_file
        count = min(limit, len(source)) if limit else len(source)
        # Spread, since neighbours often show the same foreground.
        self._all = [i * len(source) // count for i in range(count)]
        self.indices = [i for i in self._all if source.names[i] not in leave_out]

    def __len__(self) -> int:
        return len(self.indices)

    def names(self) -> list[str]:
        """Names of all samples, those left out included, in order."""
        return [self.source.names[i] for i in self._all]

    def __getitem__(self, key: Key | int) -> Batch | None:
        """Load one sample.

        Where bad files are skipped, training gets the next good sample instead, so that every
        process keeps its number of steps; evaluation gets None, so that nothing counts twice.

        A plain index belongs to epoch 0: Lightning's ``overfit_batches`` brings its own sampler.

        Raises:
            BadFileError: If a file is unreadable and not to be skipped, or all are.
        """
        epoch, position = key if isinstance(key, tuple) else (0, key)
        candidates = 1 if self.recipe is None else len(self.indices)
        for attempt in range(candidates):
            index = self.indices[(position + attempt) % len(self.indices)]
            try:
                return self._load(epoch, index)
            except BadFileError as error:
                if self.on_bad_file == "raise":
                    raise
                log.warning("skipped %s: %s", self.source.names[index], error)
        if self.recipe is None:
            return None
        raise BadFileError(f"none of the {candidates} training samples can be read; see the log")

    def _load(self, epoch: int, index: int) -> Batch:
        rng = np.random.default_rng([self.seed, epoch, index])
        pictures = self.source.load(index, rng)
        sample = self._whole(pictures) if self.recipe is None else self._window(pictures, rng)
        about = {
            "name": self.source.names[index],
            "index": torch.tensor(index),
            "original_size": torch.tensor(pictures[_measured(pictures)].shape[:2]),
            "seed": torch.tensor(int(rng.integers(2**62))),
            "true_outside": torch.tensor(self.source.outside_is_true(index)),
        }
        return cast(Batch, {**sample, **about})

    def _whole(self, pictures: Pictures) -> Batch:
        if "image" not in pictures:
            # As a file would hold it: in 8 bits, whatever device scores it.
            layers = (pictures[key] for key in LAYERS)
            pictures["image"], pictures["background"] = adobe_composite(*layers)
        return _tensors(pictures)

    def _window(self, pictures: Pictures, rng: np.random.Generator) -> Batch:
        assert self.recipe is not None
        layers = pictures.keys() >= set(LAYERS) and not self.source.natural
        kept = [key for key in (LAYERS if layers else WITHOUT_LAYERS) if key in pictures]
        windows, side = cut({key: pictures[key] for key in kept}, self.recipe, rng)
        if layers and self.recipe.degrade > 0:
            windows["background"] = _degrade(windows["background"], self.recipe.degrade, rng)
        sample = _tensors(windows)
        return cast(Batch, {**sample, "window": torch.tensor(side)})


def collate_windows(samples: Sequence[Batch | None]) -> Batch | None:
    """Stack samples, padding windows to the largest; None if every sample was skipped."""
    kept = [sample for sample in samples if sample is not None]
    if not kept:
        return None
    if "window" in kept[0]:
        largest = max(int(cast(dict[str, Tensor], sample)["window"]) for sample in kept)
        for sample in kept:
            _pad(cast(dict[str, Tensor], sample), largest)
    return collate(kept)


class EpochSampler(DistributedSampler[Any]):
    """Indices with their epoch, split over processes; resumable inside an epoch.

    Training is shuffled by (seed, epoch), and every process gets the same number of samples.
    Evaluation keeps the order and splits without repeating a sample, so that a mean over
    processes is the mean over the data set. (A ``DistributedSampler``, for that is the class
    Lightning leaves in place.)

    Args:
        dataset: What to index.
        rank: This process.
        world: Number of processes.
        seed: Seed of the shuffles.
        training: Shuffle and even out, or keep order and never repeat.

    Raises:
        ValueError: If a process would have nothing to evaluate: it would leave the others waiting.
    """

    def __init__(
        self, dataset: Dataset[Any], rank: int, world: int, seed: int, training: bool
    ) -> None:
        super().__init__(dataset, world, rank, shuffle=training, seed=seed, drop_last=False)
        self.training = training
        self.start = 0  # samples of this process to leave out, in the epoch being resumed
        if not training:
            count = len(cast(Any, dataset))
            if count < world and world > 1:
                raise ValueError(
                    f"{count} pictures cannot be evaluated on {world} processes; use at most "
                    f"{max(count, 1)}"
                )
            self.num_samples = len(range(rank, count, world))

    def __iter__(self) -> Iterator[Key]:
        if self.training:
            indices = list(super().__iter__())
        else:
            indices = list(range(self.rank, len(cast(Any, self.dataset)), self.num_replicas))
        start, self.start = self.start, 0
        return iter([(self.epoch if self.training else 0, i) for i in indices[start:]])


class ResumableLoader(DataLoader[Batch | None]):
    """A loader that continues in the middle of an epoch, at the batch after the last one used.

    Lightning stores :meth:`state_dict` in every checkpoint.
    """

    used = 0

    def __iter__(self) -> Iterator[Batch | None]:  # type: ignore[override]
        sampler = self._epoch_sampler()
        self.used = sampler.start // (self.batch_size or 1) if sampler else 0
        for batch in super().__iter__():
            self.used += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Epoch and number of batches used in it."""
        sampler = self._epoch_sampler()
        return {"epoch": sampler.epoch if sampler else 0, "used": self.used}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Leave out the batches used, if the epoch was not finished; else begin the next one."""
        sampler = self._epoch_sampler()
        if sampler:
            finished = state["used"] >= len(self)
            sampler.set_epoch(state["epoch"] + finished)
            sampler.start = 0 if finished else state["used"] * (self.batch_size or 1)

    def _epoch_sampler(self) -> EpochSampler | None:
        # Lightning rebuilds loaders for prediction and overfit_batches, with a sampler of its own.
        sampler = cast(Sampler[Any], self.sampler)
        return sampler if isinstance(sampler, EpochSampler) else None


def _degrade(picture: Any, probability: float, rng: np.random.Generator) -> Any:
    """Blur or compress a background as photographs are, or leave it."""
    transform = A.Compose(
        [
            A.OneOf(
                [
                    A.GaussianBlur(blur_limit=0, sigma_limit=(0.5, 3.0), p=1.0),
                    A.ImageCompression(quality_range=(40, 95), p=1.0),
                    A.MotionBlur(blur_limit=(3, 9), p=1.0),
                ],
                p=probability,
            )
        ],
        seed=int(rng.integers(2**31)),
    )
    return transform(image=np.ascontiguousarray(picture))["image"]


def _measured(pictures: Pictures) -> str:
    """The picture whose size is the sample's; not the background, which may be of another."""
    return next(key for key in ("alpha", "image") if key in pictures)


def _tensors(pictures: Pictures) -> Batch:
    sample = {}
    for key, picture in pictures.items():
        array = np.atleast_3d(picture).transpose(2, 0, 1)
        # A copy: pictures may be views of read-only buffers, which torch does not accept.
        sample[key] = torch.from_numpy(array.copy())
    return cast(Batch, sample)


def _pad(sample: dict[str, Tensor], largest: int) -> None:
    """Pad one sample's windows: all by repeating the edge, but alpha by 0."""
    side = int(sample["window"])
    for key in PICTURES:
        if key in sample and side < largest:
            padded = pad_square(sample[key].permute(1, 2, 0).numpy(), largest)
            sample[key] = torch.from_numpy(np.atleast_3d(padded)).permute(2, 0, 1)
    if "alpha" in sample:
        sample["alpha"][:, side:] = 0
        sample["alpha"][:, :, side:] = 0
