"""Built-in matting material: needs no files, has exact mattes and true colours."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.dataset import OnBadFile
from mattingzoo.io import list_images, read_array, read_rgb, write_array
from mattingzoo.pictures import Picture
from mattingzoo.procedural import KINDS, render_background, render_foreground
from mattingzoo.recipe import Recipe
from mattingzoo.source import Pictures, Source, Split, without

#: Evaluation pictures never depend on the user's seed: everybody's test split is the same.
SPLIT_SEEDS = {"val": 1_000_001, "test": 1_000_002}
SPLIT_SIZES = {"val": 16, "test": 50}
CACHE_SEED = 1_000_003


class SyntheticTrain(Source):
    """Endless procedural foregrounds on procedural backgrounds or on a folder of photographs.

    Args:
        length: Names, and so pictures per epoch.
        size: Side of every picture in pixels.
        backgrounds: Photographs to use instead of drawn backgrounds; empty draws them.
        cache: Folder that keeps what was drawn. With it there are ``length`` foregrounds and as
            many backgrounds, paired anew each time, instead of a new picture every time.
    """

    native = frozenset({"foreground", "alpha", "background"})
    true_outside = True

    def __init__(
        self, length: int, size: int, backgrounds: Sequence[Path], cache: Path | None = None
    ) -> None:
        self.size = size
        self.backgrounds = backgrounds
        self.cache = cache
        self.names = [f"synthetic_{i:05d}" for i in range(length)]
        self.foreground_names = self.names

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        """Draw a new picture, of which the index is only the name; or read those drawn before."""
        seed = int(rng.integers(2**31))
        if self.cache is None:
            foreground, alpha, _ = render_foreground(seed, index, self.size)
        else:
            foreground, alpha = self._kept_foreground(self.cache, index)
        if self.backgrounds:
            background = read_rgb(self.backgrounds[int(rng.integers(len(self.backgrounds)))])
        elif self.cache is None:
            background = render_background(seed, index, self.size)
        else:
            background = self._kept_background(self.cache, int(rng.integers(len(self))))
        return {"foreground": foreground, "alpha": alpha, "background": background}

    def _kept_foreground(self, cache: Path, index: int) -> tuple[Picture, Picture]:
        # Plain arrays: to decode PNGs would cost more than all the rest of a sample.
        path = cache / f"{self.size}px" / f"foreground_{index:05d}.npy"
        if not path.exists():
            layer = render_foreground(CACHE_SEED, index, self.size)
            write_array(path, np.dstack([layer.rgb, layer.alpha]))
        rgba = read_array(path)
        return rgba[..., :3], rgba[..., 3]

    def _kept_background(self, cache: Path, index: int) -> Picture:
        path = cache / f"{self.size}px" / f"background_{index:05d}.npy"
        if not path.exists():
            write_array(path, render_background(CACHE_SEED, index, self.size))
        return read_array(path)

    def leave_out_backgrounds(self, names: Collection[str]) -> int:
        """Draw none of these photographs any more."""
        before = len(self.backgrounds)
        self.backgrounds = without(self.backgrounds, names)
        return before - len(self.backgrounds)


class SyntheticEvaluation(Source):
    """A fixed set, every kind in turn."""

    native = frozenset({"foreground", "alpha", "background"})
    true_outside = True

    def __init__(self, split: Split, size: int) -> None:
        self.seed = SPLIT_SEEDS[split]
        self.size = size
        self.kinds = [KINDS[i % len(KINDS)] for i in range(SPLIT_SIZES[split])]
        self.names = [f"{kind}_{i:02d}" for i, kind in enumerate(self.kinds)]
        self.foreground_names = self.names

    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        """Render picture ``index``; the same for every user, seed and epoch."""
        foreground = render_foreground(self.seed, index, self.size, self.kinds[index])
        return {
            "foreground": foreground.rgb,
            "alpha": foreground.alpha,
            "background": render_background(self.seed, index, self.size),
        }


class Synthetic(MattingDataModule):
    """Procedural hair, feathers, foliage, nets, smoke, glass and blur; endless, 16 val, 50 test.

    Every training picture is new. The evaluation splits are the same for everybody, whatever the
    seed. A check of code and recipes, not a benchmark: nobody's photographs look like it.

    Args:
        root: Folder of photographs to use as training backgrounds; None renders them.
        batch_size: Training samples per process and step.
        num_workers: Loader processes; None takes one per core, at most 16.
        seed: Seed of windows, composition and shuffling; None takes ``seed_everything``'s, or 0.
        recipe: The data recipe.
        on_bad_file: ``raise`` or ``skip``, for the folder of backgrounds.
        limit: Use only so many samples of an evaluation split, evenly spread; 0 uses all.
        length: Training pictures per epoch.
        size: Side of every picture in pixels.
        cache: Folder to keep training pictures in, such as ``data/synthetic``: each of ``length``
            is drawn once and read from then on, a hundred times faster; 0.7 MB each at 320 pixels.
            None draws a new one every time, which takes a core a fifth of a second.
    """

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 1,
        num_workers: int | None = None,
        seed: int | None = None,
        recipe: Recipe | None = None,
        on_bad_file: OnBadFile = "raise",
        limit: int = 0,
        length: int = 2000,
        size: int = 320,
        cache: str | None = None,
    ) -> None:
        super().__init__(root, batch_size, num_workers, seed, recipe, on_bad_file, limit)
        self.length = length
        self.size = size
        self.cache = None if cache is None else Path(cache)

    def make_source(self, split: Split) -> Source:
        """Endless pictures for training, the fixed sets else."""
        if split != "train":
            return SyntheticEvaluation(split, self.size)
        backgrounds = [] if self.root_argument is None else list_images(self.root)
        return SyntheticTrain(self.length, self.size, backgrounds, self.cache)
