"""What a data set is to the rest of the zoo: a list of pictures to decode, and nothing else.

Cropping, compositing, trimaps, prompts and batching are the same for every data set and live in
:mod:`mattingzoo.dataset` and :mod:`mattingzoo.composer`.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "val", "test"]

#: Contract keys (see :class:`mattingzoo.batch.Batch`) to 8-bit pictures: [H, W, 3] RGB for image,
#: foreground and backgrounds, [H, W] for alpha, trimap and segmentation, [H, W, 4] for motion.
Pictures = dict[str, NDArray[Any]]


class Source(ABC):
    """The samples of one split of a data set, decoded one at a time.

    Attributes:
        native: Contract keys that :meth:`load` returns, for every sample.
        names: One unique name per sample, in the published order.
        foreground_names: The foreground each sample shows. Composition-1k has 1,000 names and 50
            foregrounds; averages over the former are not 1,000 independent measurements.
        images: The image each sample shows, where several samples, persons say, are of one image;
            they follow one another, and instance matting quality is reported. None elsewhere.
        true_outside: Whether foreground colours are meaningful where alpha is 0. Cut-outs are
            arbitrary there (often black), so their colours are carried outward before resampling.
        natural: Whether images are photographs, their layers estimates. Training then keeps the
            image and turns its layers with it; it does not compose them anew.
    """

    native: frozenset[str]
    names: Sequence[str]
    foreground_names: Sequence[str]
    images: Sequence[str] | None = None
    true_outside: bool = False
    natural: bool = False

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def load(self, index: int, rng: np.random.Generator) -> Pictures:
        """Decode one sample at its full size.

        A background may differ in size from its foreground; the composer fits it. Everything
        random is drawn from ``rng``, so a sample is a function of its seed.

        Raises:
            mattingzoo.io.BadFileError: If a file is missing, truncated or does not fit its partner.
        """

    def leave_out_backgrounds(self, names: Collection[str]) -> int:
        """Do not compose on the backgrounds of these file names any more.

        Sources that draw from files of backgrounds override this; the others have none to leave.

        Returns:
            How many of its backgrounds it leaves out.

        Raises:
            ValueError: If none would be left.
        """
        return 0

    def outside_is_true(self, index: int) -> bool:
        """``true_outside`` of one sample; differs between samples only in a mixture."""
        return self.true_outside

    def files(self, index: int) -> list[Any]:
        """Paths of the files a sample is read from; empty for generated data."""
        return []


def without(backgrounds: Sequence[Path], names: Collection[str]) -> list[Path]:
    """The backgrounds whose file names are not among ``names``.

    Raises:
        ValueError: If there are some, and none is left.
    """
    kept = [path for path in backgrounds if path.name not in names]
    if backgrounds and not kept:
        raise ValueError(
            f"all {len(backgrounds)} backgrounds in {backgrounds[0].parent} are to be left out; "
            "shorten the list that avoid_backgrounds names"
        )
    return kept
