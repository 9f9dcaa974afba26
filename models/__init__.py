"""Models: one folder each; none knows a data set or another model."""

from mattingzoo.models.adamatting import AdaMatting
from mattingzoo.models.dim import DIM
from mattingzoo.models.mmnet import MMNet
from mattingzoo.models.semat import SEMat

__all__ = ["DIM", "AdaMatting", "MMNet", "SEMat"]
