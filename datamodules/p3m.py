"""P3M-10k, portraits with blurred faces."""

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules._pairs import contents
from mattingzoo.datamodules._photographs import PhotographsSource
from mattingzoo.dataset import OnBadFile
from mattingzoo.recipe import Recipe
from mattingzoo.source import Source, Split

#: Test subsets, and what their folder of photographs is called.
SUBSETS = {"P3M-500-P": "blurred_image", "P3M-500-NP": "original_image"}


class P3M10k(MattingDataModule):
    """P3M-10k: 9,421 portraits to train, 500 with blurred faces and 500 with open ones to test.

    Content: photographs of people in natural scenes. Faces are blurred in training and in
    P3M-500-P; P3M-500-NP shows public figures, their faces as they are. The field validates on the
    test set; ``holdout`` validates on training portraits instead, and leaves them out of training.

    Format: ``train/{blurred_image,mask}``, ``validation/P3M-500-P/{blurred_image,mask,trimap}`` and
    ``validation/P3M-500-NP/{original_image,mask,trimap}``, ``p_XXXXXXXX.jpg`` and ``.png``; the
    test folders may lie in the root itself, as the authors' settings have them. Foregrounds and
    backgrounds are not distributed: put estimates into ``train/{fg,bg}`` for models that are
    trained on both. ``facemask/`` is not read. The field scores the whole image.

    Licence: after an agreement, which names the MIT licence.

    Citation: Li, Ma, Zhang, Tao: Privacy-Preserving Portrait Matting, ACM MM 2021.

    Args:
        root: Folder that holds ``train`` and ``validation``.
        batch_size: See :class:`mattingzoo.datamodule.MattingDataModule`, as all that follow.
        num_workers: Loader processes.
        seed: Seed of all draws.
        recipe: The data recipe.
        on_bad_file: What to do with an unreadable file.
        limit: Use only so many evaluation samples.
        subset: ``P3M-500-P`` or ``P3M-500-NP``, what to test on; papers report them apart.
        holdout: Validate on so many training portraits, the last by name; 0 validates on the test
            set.
    """

    about = (
        "P3M-10k comes from github.com/JizhiziLi/P3M: train/ with blurred_image/ and mask/, "
        "validation/ with P3M-500-P/ and P3M-500-NP/."
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
        subset: str = "P3M-500-P",
        holdout: int = 0,
    ) -> None:
        if subset not in SUBSETS:
            raise ValueError(f"subset must be {' or '.join(SUBSETS)}, got {subset!r}")
        super().__init__(root, batch_size, num_workers, seed, recipe, on_bad_file, limit)
        self.subset = subset
        self.holdout = holdout

    def make_source(self, split: Split) -> Source:
        """The training portraits, the test subset, or the held-out portraits if there are any."""
        if split == "train" or (split == "val" and self.holdout):
            return PhotographsSource(self.root / "train", "blurred_image", split, self.holdout)
        for folder in (self.root / "validation" / self.subset, self.root / self.subset):
            if folder.is_dir():
                return PhotographsSource(folder, SUBSETS[self.subset])
        raise FileNotFoundError(
            f"{self.root} lacks validation/{self.subset}/; expected it there or in the root "
            f"itself; found {contents(self.root)}; pass the folder that holds it as root"
        )
