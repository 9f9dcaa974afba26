"""Data sets: one file each; none knows a model."""

from mattingzoo.datamodules.coco_matting import CocoMatting
from mattingzoo.datamodules.comp1k import Composition1k
from mattingzoo.datamodules.cutouts import Cutouts
from mattingzoo.datamodules.folder import Folder
from mattingzoo.datamodules.him2k import HIM2K
from mattingzoo.datamodules.mixture import Mixture
from mattingzoo.datamodules.refmatte_rw100 import RefMatteRW100
from mattingzoo.datamodules.rwp636 import RWP636
from mattingzoo.datamodules.sim import SIM
from mattingzoo.datamodules.synthetic import Synthetic

__all__ = [
    "HIM2K",
    "RWP636",
    "SIM",
    "CocoMatting",
    "Composition1k",
    "Cutouts",
    "Folder",
    "Mixture",
    "RefMatteRW100",
    "Synthetic",
]
