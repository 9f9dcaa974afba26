"""Models: one folder each; none knows a data set or another model."""

from mattingzoo.models.adamatting import AdaMatting
from mattingzoo.models.background_matting import BackgroundMatting
from mattingzoo.models.dim import DIM
from mattingzoo.models.gfm import GFM
from mattingzoo.models.hattmatting import HAttMatting
from mattingzoo.models.mmnet import MMNet
from mattingzoo.models.semat import SEMat

__all__ = [
    "DIM",
    "GFM",
    "AdaMatting",
    "BackgroundMatting",
    "HAttMatting",
    "MMNet",
    "SEMat",
]
