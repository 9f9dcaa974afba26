"""What HAttMatting is trained on: pixels, structure, and the verdict of a discriminator.

All compute in float32, under autocast too.
"""

import torch
import torch.nn.functional as F
from kornia.metrics import ssim
from torch import Tensor

from mattingzoo.losses import check_shapes


def mse_loss(pred: Tensor, alpha: Tensor) -> Tensor:
    """Mean squared error of mattes [B, 1, H, W] over the whole picture.

    Source:
        Qiao et al., CVPR 2020, L_MSE. There is no trimap, thus no region.
    """
    check_shapes(pred, alpha)
    return F.mse_loss(pred.float(), alpha.float())


def ssim_loss(pred: Tensor, alpha: Tensor, window: int = 11) -> Tensor:
    """1 - the mean structural similarity of mattes [B, 1, H, W] in [0, 1]; in [0, 2].

    Gaussian window of deviation 1.5, borders reflected, constants 0.01^2 and 0.03^2. Some
    re-implementations add the similarity itself to the loss, which trains for dissimilar mattes.

    Args:
        pred: Predicted mattes.
        alpha: True mattes.
        window: Side of the window in pixels, odd.

    Raises:
        ValueError: If the mattes are too small for the window.

    Source:
        Qiao et al., CVPR 2020, L_SSIM, of Wang et al., TIP 2004.
    """
    check_shapes(pred, alpha)
    if min(pred.shape[-2:]) <= window // 2:
        raise ValueError(
            f"a window of {window} pixels needs mattes of at least {window // 2 + 1} pixels, got "
            f"{pred.shape[-2]} x {pred.shape[-1]}; use larger crops or a smaller ssim_window"
        )
    with torch.autocast(pred.device.type, enabled=False):
        # kornia's own loss is half of this; without eps, equal mattes are similar to exactly 1
        similarity: Tensor = ssim(pred.float(), alpha.float(), window, eps=0.0)
        return 1 - similarity.mean()


def fooling_loss(verdict: Tensor) -> Tensor:
    """The generator's adversarial loss -log D of logits on its mattes, the mean over patches."""
    return F.softplus(-verdict.float()).mean()


def telling_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss -log D(real) - log(1 - D(fake)) of logits, means over patches."""
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def accuracy(real: Tensor, fake: Tensor) -> Tensor:
    """Share of patches a discriminator's logits judge rightly; 1/2 by guessing, 1 in a collapse."""
    right = (real > 0).float().mean() + (fake < 0).float().mean()
    return right / 2
