"""MMNet: Towards Real-Time Automatic Portrait Matting on Mobile Devices (Seo et al., 2019)."""

from mattingzoo.models.mmnet.module import MMNet
from mattingzoo.models.mmnet.network import MMNetwork

__all__ = ["MMNet", "MMNetwork"]
