"""SEMat, box-prompted matting on Segment Anything (Xia et al., arXiv 2410.06593)."""

from mattingzoo.models.semat.module import SEMat
from mattingzoo.models.semat.network import SEMatNet

__all__ = ["SEMat", "SEMatNet"]
