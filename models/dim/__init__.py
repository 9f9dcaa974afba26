"""Deep Image Matting (Xu et al., CVPR 2017)."""

from mattingzoo.models.dim.module import DIM
from mattingzoo.models.dim.network import DIMNet

__all__ = ["DIM", "DIMNet"]
