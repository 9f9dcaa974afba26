"""HAttMatting: Attention-Guided Hierarchical Structure Aggregation (Qiao et al., CVPR 2020)."""

from mattingzoo.models.hattmatting.module import HAttMatting
from mattingzoo.models.hattmatting.network import HAttMattingNet

__all__ = ["HAttMatting", "HAttMattingNet"]
