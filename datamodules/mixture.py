"""Several data sets trained on as one."""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.dataset import OnBadFile
from mattingzoo.recipe import Recipe
from mattingzoo.source import Pictures, Source, Split


class MixtureSource(Source):
    """The samples of several sources, one after the other; keys are those that all have."""

    def __init__(self, parts: Sequence[Source], labels: Sequence[str]) -> None:
        self.parts, self.labels = parts, labels
        self.native = frozenset.intersection(*(part.native for part in parts))
        self.natural = all(part.natural for part in parts)
        self._count()

    def _count(self) -> None:
        self.ends = list(accumulate(len(part) for part in self.parts))
        labelled = list(zip(self.labels, self.parts, strict=True))
        self.names = [f"{label}/{name}" for label, part in labelled for name in part.names]
        self.foreground_names = [
            f"{label}/{name}" for label, part in labelled for name in part.foreground_names
        ]

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        """Load from the part the index falls into."""
        part, local = self._find(index)
        pictures = part.load(local, rng)
        return {key: picture for key, picture in pictures.items() if key in self.native}

    def leave_out_backgrounds(self, names: Collection[str]) -> int:
        """Every part leaves out its own, and perhaps samples with them."""
        left_out = sum(part.leave_out_backgrounds(names) for part in self.parts)
        self._count()
        return left_out

    def outside_is_true(self, index: int) -> bool:
        """As the part says."""
        part, local = self._find(index)
        return part.outside_is_true(local)

    def files(self, index: int) -> list[Any]:
        """As the part says."""
        part, local = self._find(index)
        return part.files(local)

    def _find(self, index: int) -> tuple[Source, int]:
        which = bisect_right(self.ends, index)
        return self.parts[which], index - (self.ends[which - 1] if which else 0)


class Mixture(MattingDataModule):
    """Several data sets trained on as one; the first of them validates and tests.

    A part's length decides its share: ``length`` of Synthetic, ``per_foreground`` of Cutouts.

    Args:
        parts: The data sets; only their pictures are used, everything else is set here.
        batch_size: Training samples per process and step.
        num_workers: Loader processes; None takes one per core, at most 16.
        seed: Seed of windows, composition and shuffling; None takes ``seed_everything``'s, or 0.
        recipe: The data recipe.
        on_bad_file: ``raise`` or ``skip``.
        limit: Use only so many samples of an evaluation split, evenly spread; 0 uses all.
    """

    def __init__(
        self,
        parts: list[MattingDataModule],
        batch_size: int = 1,
        num_workers: int | None = None,
        seed: int | None = None,
        recipe: Recipe | None = None,
        on_bad_file: OnBadFile = "raise",
        limit: int = 0,
    ) -> None:
        if not parts:
            raise ValueError("parts must name at least one data set, got an empty list")
        super().__init__(None, batch_size, num_workers, seed, recipe, on_bad_file, limit)
        self.parts = parts

    def make_source(self, split: Split) -> Source:
        """All parts for training, the first one else."""
        if split != "train":
            return self.parts[0].source(split)
        labels = [f"{i}-{type(part).__name__}" for i, part in enumerate(self.parts)]
        return MixtureSource([part.source("train") for part in self.parts], labels)
