"""AdaMatting: Disentangled Image Matting (Cai et al., ICCV 2019)."""

from mattingzoo.models.adamatting.module import AdaMatting
from mattingzoo.models.adamatting.network import AdaMattingNet

__all__ = ["AdaMatting", "AdaMattingNet"]
