"""Background Matting, from a captured background (Sengupta et al., CVPR 2020)."""

from mattingzoo.models.background_matting.module import BackgroundMatting
from mattingzoo.models.background_matting.network import BackgroundMattingNet

__all__ = ["BackgroundMatting", "BackgroundMattingNet"]
