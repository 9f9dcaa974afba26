"""HIM2K, a test set of human instance matting."""

from pathlib import Path

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules._pairs import (
    FilesSource,
    by_stem,
    contents,
    require_folders,
    require_partners,
    require_test,
)
from mattingzoo.dataset import OnBadFile
from mattingzoo.recipe import Recipe
from mattingzoo.source import Source, Split

SUBSETS = ("natural", "comp")


class HIM2KSource(FilesSource):
    """One sample for each person: ``alphas/SUBSET/NAME/NN.png`` over ``images/SUBSET/NAME.jpg``.

    Samples are called ``NAME_NN``.

    Args:
        root: Folder that holds ``images`` and ``alphas``.
        subset: ``natural`` or ``comp``.

    Attributes:
        images: The image of each sample, by name, for instance matting quality.

    Raises:
        FileNotFoundError: If a folder is missing, or an image has no alphas, or alphas no image.
    """

    def __init__(self, root: Path, subset: str) -> None:
        require_folders(root, (f"images/{subset}", f"alphas/{subset}"))
        alphas = root / "alphas" / subset
        images = by_stem(root / "images" / subset)
        folders = {path.name: path for path in sorted(alphas.iterdir()) if path.is_dir()}
        if not folders:
            raise FileNotFoundError(
                f"{alphas} holds no folders; expected one for each image with 00.png, 01.png, ... "
                f"in it; found {contents(alphas)}; take it from the original release"
            )
        lacking = [f"alphas/{subset}/{name}/" for name in images if name not in folders]
        lacking += [f"images/{subset}/{name}.jpg" for name in folders if name not in images]
        require_partners(root, lacking)
        people = {name: by_stem(folder) for name, folder in folders.items()}
        self.images = [name for name, persons in people.items() for _ in persons]
        super().__init__(
            [f"{name}_{number}" for name, persons in people.items() for number in persons],
            [
                {"image": images[name], "alpha": path}
                for name, persons in people.items()
                for path in persons.values()
            ],
        )


class HIM2K(MattingDataModule):
    """HIM2K: 2,000 images with a matte for each person in them, a test set.

    Content: a natural subset, photographs of several people, and a composed one. A sample is one
    person, so a model needs to be told which (box, clicks, trimap). `benchmarks/run.py` scores each
    person, and all people of an image at once, as the field does
    (:class:`mattingzoo.metrics.instances.IMQ`).

    Format: ``images/{natural,comp}/NAME.jpg`` and ``alphas/{natural,comp}/NAME/NN.png`` with NN
    from 00, as its authors describe (nowsyn/InstMatt).

    Licence: not stated; take it for research only.

    Citation: Sun, Tang, Tai: Human Instance Matting via Mutual Guidance and Multi-Instance
    Refinement, CVPR 2022.

    Args:
        root: Folder that holds ``images`` and ``alphas``.
        batch_size: See :class:`mattingzoo.datamodule.MattingDataModule`, as all that follow.
        num_workers: Loader processes.
        seed: Seed of all draws.
        recipe: The data recipe.
        on_bad_file: What to do with an unreadable file.
        limit: Use only so many evaluation samples.
        subset: ``natural`` or ``comp``; papers report them apart.
    """

    about = (
        "HIM2K comes from github.com/nowsyn/InstMatt: HIM2K/ with images/{natural,comp}/NAME.jpg "
        "and alphas/{natural,comp}/NAME/NN.png."
    )

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 1,
        num_workers: int | None = None,
        seed: int | None = None,
        recipe: Recipe | None = None,
        on_bad_file: OnBadFile = "raise",
        limit: int = 0,
        subset: str = "natural",
    ) -> None:
        if subset not in SUBSETS:
            raise ValueError(f"subset must be {' or '.join(SUBSETS)}, got {subset!r}")
        super().__init__(root, batch_size, num_workers, seed, recipe, on_bad_file, limit)
        self.subset = subset

    def make_source(self, split: Split) -> Source:
        """Every person of the subset."""
        require_test(split, type(self).__name__)
        return HIM2KSource(self.root, self.subset)
