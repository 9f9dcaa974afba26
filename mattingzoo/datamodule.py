"""The one LightningDataModule: a data set only says what its pictures are."""

import dataclasses
import os
from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import cv2
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor

from mattingzoo.batch import PICTURES, Batch, to_float
from mattingzoo.composer import Composer
from mattingzoo.dataset import (
    EpochSampler,
    MattingDataset,
    OnBadFile,
    ResumableLoader,
    collate_windows,
)
from mattingzoo.derive import derive
from mattingzoo.io import read_names
from mattingzoo.recipe import Recipe
from mattingzoo.source import Source, Split

#: Kernel diameters of trimaps for data sets that ship none; fixed, so that scores compare.
EVALUATION_TRIMAP_KERNELS = (5, 25)
EVALUATION_SEED = 0

#: What is read on the host: on a GPU each look at it would wait for all work under way.
HOST_KEYS = ("seed", "window", "true_outside")


class MattingDataModule(LightningDataModule, ABC):
    """Loads, composes and derives; every model trains and is scored on every data set through it.

    Workers decode and cut windows; everything else happens in batches on the device that holds
    them (:meth:`on_after_batch_transfer`). Evaluation pictures keep their full size, one a batch.

    Args:
        root: Folder of the data set; None for built-in data.
        batch_size: Training samples per process and step.
        num_workers: Loader processes; None takes one per core, at most 16.
        seed: Seed of windows, composition and shuffling; None takes ``seed_everything``'s, or 0.
        recipe: The data recipe, see :class:`mattingzoo.recipe.Recipe`.
        on_bad_file: ``raise`` stops at the first unreadable file; ``skip`` logs it and goes on.
        limit: Use only so many samples of an evaluation split, evenly spread; 0 uses all.
    """

    #: What the data set is, how it is laid out and where it comes from; shown when it is missing.
    about: str = ""
    #: Largest shift of a box's side in evaluation; the protocols of the field give the tight box.
    evaluation_box_jitter: float = 0.0

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 1,
        num_workers: int | None = None,
        seed: int | None = None,
        recipe: Recipe | None = None,
        on_bad_file: OnBadFile = "raise",
        limit: int = 0,
    ) -> None:
        super().__init__()
        self.root_argument = root
        self.batch_size = batch_size
        self.num_workers = min(os.cpu_count() or 1, 16) if num_workers is None else num_workers
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) if seed is None else seed
        self.recipe = recipe or Recipe()
        self.on_bad_file = on_bad_file
        self.limit = limit
        self._sources: dict[Split, Source] = {}
        self.save_hyperparameters(self._describe(), logger=True)

    @abstractmethod
    def make_source(self, split: Split) -> Source:
        """The pictures of one split.

        Raises:
            FileNotFoundError: If the data set is not where it should be.
            ValueError: If the data set has no such split.
        """

    @property
    def root(self) -> Path:
        """Folder of the data set.

        Raises:
            FileNotFoundError: If none was given or it does not exist; the message says what the
                data set is and that the synthetic one needs no files.
        """
        if self.root_argument is not None and Path(self.root_argument).is_dir():
            return Path(self.root_argument)
        found = (
            "no folder was given"
            if self.root_argument is None
            else (f"{self.root_argument!r} is not a folder")
        )
        raise FileNotFoundError(
            f"{type(self).__name__} needs its folder (--data-root, --data.root), {found}.\n"
            f"{self.about.strip()}\nThe built-in data needs nothing: --data synthetic"
        )

    def source(self, split: Split) -> Source:
        """The pictures of one split, made once."""
        if split not in self._sources:
            self._sources[split] = self.make_source(split)
            if split == "train" and self.recipe.avoid_backgrounds is not None:
                self._avoid(self._sources[split], Path(self.recipe.avoid_backgrounds))
        return self._sources[split]

    def _avoid(self, source: Source, file: Path) -> None:
        """Leave out the backgrounds that a list names; a list that names none is a mistake."""
        if source.leave_out_backgrounds(set(read_names(file))) == 0:
            raise ValueError(
                f"no training background of {type(self).__name__} is named in {file}; expected "
                "file names of backgrounds, one to a line; or leave avoid_backgrounds out"
            )

    def train_dataloader(self) -> ResumableLoader:
        """Shuffled windows, ``batch_size`` at a time."""
        return self._loader("train", self.recipe)

    def val_dataloader(self) -> ResumableLoader:
        """Whole pictures of the ``val`` split, one at a time, in order."""
        return self.evaluation_loader("val")

    def test_dataloader(self) -> ResumableLoader:
        """Whole pictures of the ``test`` split, one at a time, in order."""
        return self.evaluation_loader("test")

    def predict_dataloader(self) -> ResumableLoader:
        """The same as for testing."""
        return self.evaluation_loader("test")

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move all but seeds, window sides and flags, which are read on the host."""
        if batch is None:
            return batch
        host = {key: batch.pop(key) for key in HOST_KEYS if key in batch}  # type: ignore[misc]
        moved: Batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return cast(Batch, {**moved, **host})

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Compose a training batch, or complete an evaluation batch, where it now lies."""
        if batch is None:
            return batch
        trainer = self.trainer
        training = trainer is not None and trainer.training
        needed = wanted_keys(trainer.lightning_module, training) if trainer is not None else ()
        return self.prepare(batch, needed, "train" if training else None)

    def prepare(self, batch: Batch, needed: tuple[str, ...], split: Split | None = None) -> Batch:
        """Turn what the loader gave into what a model reads.

        Args:
            batch: A collated batch on any device.
            needed: Keys the model reads.
            split: ``train`` composes windows; anything else completes whole pictures.
        """
        generator = torch.Generator().manual_seed(int(batch["seed"][0]))
        if split == "train":
            Composer(self.recipe)(batch, generator)
            kernels = self.recipe.trimap_kernels
            return derive(batch, needed, generator, kernels, moving=True)
        for key in PICTURES:
            if key in batch:
                convert = _trimap_to_float if key == "trimap" else to_float
                batch[key] = convert(batch[key])  # type: ignore[literal-required]
        # Scores need a trimap and panels an image, whatever the model reads.
        needed = (*needed, "image", *(["trimap"] if "alpha" in batch else []))
        kernels, jitter = EVALUATION_TRIMAP_KERNELS, self.evaluation_box_jitter
        return derive(batch, needed, generator, kernels, jitter)

    def evaluation_loader(self, split: Split, leave_out: Collection[str] = ()) -> ResumableLoader:
        """Whole pictures of a split, one at a time, in order, but for those already done."""
        return self._loader(split, None, leave_out)

    def _loader(
        self, split: Split, recipe: Recipe | None, leave_out: Collection[str] = ()
    ) -> ResumableLoader:
        training = recipe is not None
        limit = 0 if training else self.limit
        # Evaluation trimaps and prompts are everybody's, not the user's seed's.
        seed = self.seed if training else EVALUATION_SEED
        dataset = MattingDataset(
            self.source(split), seed, recipe, self.on_bad_file, limit, leave_out
        )
        if self.num_workers:
            # Workers are parallel already, OpenCV's own threads would fight for the same cores;
            # said before they are forked, for in a worker it may crash.
            cv2.setNumThreads(0)
        rank = self.trainer.global_rank if self.trainer is not None else 0
        world = self.trainer.world_size if self.trainer is not None else 1
        return ResumableLoader(
            dataset,
            batch_size=self.batch_size if training else 1,
            sampler=EpochSampler(dataset, rank, world, self.seed, training),
            num_workers=self.num_workers,
            collate_fn=collate_windows,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.num_workers > 0,
        )

    def _describe(self) -> dict[str, Any]:
        """What a checkpoint records of the data, in plain types."""
        return {
            "data": type(self).__name__,
            "recipe": _plain(dataclasses.asdict(self.recipe)),
            "data_batch_size": self.batch_size,
            "data_seed": self.seed,
        }


def wanted_keys(module: LightningModule, training: bool) -> tuple[str, ...]:
    """Keys a model reads in training or in prediction."""
    keys = module.training_keys() if training else module.inputs  # type: ignore[operator]
    return tuple(cast(Any, keys))


def _trimap_to_float(trimap: Tensor) -> Tensor:
    """0, 128, 255 to 0, 0.5, 1."""
    if trimap.is_floating_point():
        return trimap
    return torch.where(trimap == 128, 0.5, (trimap == 255).float())


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
