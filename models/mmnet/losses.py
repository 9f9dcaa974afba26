"""What MMNet is trained on: five terms of weight one, means over all pixels of the batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mattingzoo.losses import check_shapes, l1_loss
from mattingzoo.models.mmnet.network import MMNetOutput

SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))
SOBEL_SUM = 8  # of absolute weights


def mmnet_losses(
    output: MMNetOutput, alpha: Tensor, image: Tensor, composition_factor: float = 1.0
) -> dict[str, Tensor]:
    """The five terms by name; the loss is their mean.

    Args:
        output: Of the network.
        alpha: True mattes [B, 1, H, W].
        image: [B, 3, H, W] in [0, 1].
        composition_factor: Multiplies the image in the compositional term: 1 is the paper's
            formula, 1/255 what the authors' code computes.

    Source:
        Seo et al., arXiv 1904.03816, section 3.3; hyperconnect/MMNet:factory/losses_funcs.py.
    """
    pred = output.alpha
    coarse = F.interpolate(alpha, size=output.auxiliary.shape[-2:], mode="nearest")
    return {
        "alpha": l1_loss(pred, alpha),
        "composition": composition_loss(pred, alpha, composition_factor * image),
        "gradient": sobel_loss(pred, alpha),
        "kl": kl_loss(output.logits, alpha),
        "auxiliary": kl_loss(output.auxiliary, coarse),
    }


def composition_loss(pred: Tensor, alpha: Tensor, image: Tensor) -> Tensor:
    """Mean absolute difference of the pictures [B, 3, H, W] that two mattes cut out of an image."""
    check_shapes(pred, alpha)
    return l1_loss(pred * image, alpha * image)


def sobel_loss(pred: Tensor, alpha: Tensor) -> Tensor:
    """Mean absolute difference of the gradients, across and down, beyond the border zeros.

    Sobel's filter, its absolute weights made to sum to one.
    """
    check_shapes(pred, alpha)
    across = pred.new_tensor(SOBEL, dtype=torch.float32) / SOBEL_SUM
    filters = torch.stack([across, across.T])[:, None]  # [2, 1, 3, 3]
    with torch.autocast(pred.device.type, enabled=False):
        # Filters are linear: one of the difference will do.
        return F.conv2d(pred.float() - alpha.float(), filters, padding=1).abs().mean()


def kl_loss(logits: Tensor, alpha: Tensor) -> Tensor:
    """Cross-entropy of logits [B, 2, H, W], channel 1 foreground, with alpha as a soft label.

    Kullback and Leibler's divergence but for the entropy of ``alpha``, a constant.
    """
    with torch.autocast(logits.device.type, enabled=False):
        target = torch.cat([1 - alpha, alpha], dim=1)
        return F.cross_entropy(logits.float(), target.float())
