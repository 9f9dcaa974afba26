"""GFM: Glance and Focus Matting (Li et al., IJCV 2022)."""

from mattingzoo.models.gfm.module import GFM
from mattingzoo.models.gfm.network import GFMNet

__all__ = ["GFM", "GFMNet"]
