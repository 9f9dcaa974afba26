"""RWP-636, a test set of portraits."""

from mattingzoo.datamodule import MattingDataModule
from mattingzoo.datamodules._pairs import require_folders, require_test
from mattingzoo.datamodules.folder import FolderSource
from mattingzoo.source import Source, Split


class RWP636(MattingDataModule):
    """RWP-636 (Real World Portrait): 636 portraits with hand-made mattes, a test set.

    Content: photographs of people from the net, varied in pose and quality.

    Format: ``image/NAME.jpg`` and ``alpha/NAME.png``, as yucornetto/MGMatting and
    SHI-Labs/Matting-Anything read them. ``detailmap/`` (the authors' regions of fine structure,
    ``NAME_cloud_trimap.jpg``) is not read: it is no trimap, it has no known foreground. Trimaps
    are made from alpha, so scores of the unknown region are not the authors' "detail" scores.

    Licence: research only, CC BY-NC 2.0.

    Citation: Yu, Zhang, Zhang, Wang, Lin, Xu, Bai, Yuille: Mask Guided Matting via Progressive
    Refinement Network, CVPR 2021.
    """

    about = (
        "RWP-636 comes from github.com/yucornetto/MGMatting: RealWorldPortrait-636/ with image/ "
        "(NAME.jpg) and alpha/ (NAME.png)."
    )

    def make_source(self, split: Split) -> Source:
        """All portraits."""
        require_test(split, type(self).__name__)
        require_folders(self.root, ("image", "alpha"))
        return FolderSource(self.root)
