"""Data sets: one file each; none knows a model."""

from mattingzoo.datamodules.comp1k import Composition1k
from mattingzoo.datamodules.cutouts import Cutouts
from mattingzoo.datamodules.folder import Folder
from mattingzoo.datamodules.mixture import Mixture
from mattingzoo.datamodules.synthetic import Synthetic

__all__ = ["Composition1k", "Cutouts", "Folder", "Mixture", "Synthetic"]
