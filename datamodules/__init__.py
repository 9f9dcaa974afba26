"""Data sets: one file each; none knows a model."""

from mattingzoo.datamodules.aim500 import AIM500
from mattingzoo.datamodules.am2k import AM2k
from mattingzoo.datamodules.captured import Captured
from mattingzoo.datamodules.coco_matting import CocoMatting
from mattingzoo.datamodules.comp1k import Composition1k
from mattingzoo.datamodules.cutouts import Cutouts
from mattingzoo.datamodules.distinctions646 import Distinctions646
from mattingzoo.datamodules.folder import Folder
from mattingzoo.datamodules.him2k import HIM2K
from mattingzoo.datamodules.mixture import Mixture
from mattingzoo.datamodules.p3m import P3M10k
from mattingzoo.datamodules.refmatte_rw100 import RefMatteRW100
from mattingzoo.datamodules.rwp636 import RWP636
from mattingzoo.datamodules.sim import SIM
from mattingzoo.datamodules.synthetic import Synthetic

__all__ = [
    "AIM500",
    "HIM2K",
    "RWP636",
    "SIM",
    "AM2k",
    "Captured",
    "CocoMatting",
    "Composition1k",
    "Cutouts",
    "Distinctions646",
    "Folder",
    "Mixture",
    "P3M10k",
    "RefMatteRW100",
    "Synthetic",
]
