"""What Background Matting is trained on: composites with their truth, then its own teacher.

Pictures lie in [0, 1] as everywhere in this package. The published weights belong to errors in the
network's range of [-1, 1], which are :data:`SPAN` times as large.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.losses import check_mask, check_shapes
from mattingzoo.models.background_matting.network import BackgroundMattingOutput
from mattingzoo.ops import composite

SPAN = 2.0  # length of [-1, 1]
OPAQUE = 0.975  # where the matte is above it the image is the foreground; 0.95 in [-1, 1]
VISIBLE = 0.005  # above it the true foreground counts; -0.99 in [-1, 1]
SEEN_BY_TEACHER = 0.01  # above it the teacher's foreground counts; -0.98 in [-1, 1]

Terms = dict[str, Tensor]


def summed_l1(pred: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Absolute error in the range [-1, 1], added over channels, averaged over a sample's mask.

    The mean over samples; one whose mask is empty counts as 0.

    Args:
        pred: Prediction [B, C, H, W], of range [0, 1].
        target: Truth [B, C, H, W].
        mask: Pixels that count [B, 1, H, W], bool; None counts all.

    Source:
        The released code's L1: a sum over the masked pixels, divided by their number + 1e-6.
    """
    check_shapes(pred, target)
    error = (pred.float() - target.float()).abs().sum(dim=1, keepdim=True)
    if mask is None:
        return SPAN * error.mean()
    check_mask(error, mask)
    count = mask.sum(dim=(1, 2, 3)) + 1e-6
    return SPAN * (torch.where(mask, error, 0.0).sum(dim=(1, 2, 3)) / count).mean()


def sobel_l1(pred: Tensor, target: Tensor, zero_padding: bool = False) -> Tensor:
    """Absolute error of the Sobel gradients of two mattes in the range [-1, 1], across plus down.

    The kernels are not normalised: a step of 1 in [-1, 1] has a gradient of 4.

    Args:
        pred: Predicted mattes [B, 1, H, W] in [0, 1].
        target: True mattes [B, 1, H, W] in [0, 1].
        zero_padding: Continue both by 0 in [-1, 1], which is a matte of one half, as the released
            code does: where they differ at the border, they differ there in gradient too. Else by
            their own border.
    """
    check_shapes(pred, target)
    with torch.autocast(pred.device.type, enabled=False):
        error = SPAN * (pred.float() - target.float())  # gradients are linear: one will do
        error = F.pad(error, (1, 1, 1, 1), mode="constant" if zero_padding else "replicate")
        across = error[..., 2:] - error[..., :-2]
        across = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
        down = error[..., 2:, :] - error[..., :-2, :]
        down = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
        return across.abs().mean() + down.abs().mean()


def opaque_from_image(output: BackgroundMattingOutput, image: Tensor) -> Tensor:
    """Foreground colours [B, 3, H, W]: the image's own where the matte is opaque."""
    return torch.where(output.alpha > OPAQUE, image, output.foreground)


def supervised_terms(
    output: BackgroundMattingOutput, batch: Batch, zero_padding: bool = False
) -> Terms:
    """The terms of stage 1, already weighed: their sum is the loss.

    All are 0 at the truth, for images that are exactly composed.

    Args:
        output: Prediction.
        batch: Holds image, alpha, foreground and the clean background.
        zero_padding: See :func:`sobel_l1`.

    Source:
        Sengupta et al., CVPR 2020, equation 1; weights and masks of the released
        ``train_adobe.py``. The composite is over the clean background though the network saw the
        captured one.
    """
    alpha, image = batch["alpha"], batch["image"]
    colour = opaque_from_image(output, image)
    seen = alpha > VISIBLE
    return {
        "alpha": summed_l1(output.alpha, alpha),
        "gradient": sobel_l1(output.alpha, alpha, zero_padding),
        "foreground": 2 * summed_l1(output.foreground, batch["foreground"], seen),
        "composition": summed_l1(composite(colour, output.alpha, batch["background"]), image),
    }


def distilled_terms(
    output: BackgroundMattingOutput,
    taught: BackgroundMattingOutput,
    batch: Batch,
    zero_padding: bool = False,
) -> Terms:
    """The terms of stage 2 other than the discriminator's; their sum still wants its weight.

    Args:
        output: The student's prediction.
        taught: The teacher's, which takes the place of the truth.
        batch: Holds image, captured background and segmentation.
        zero_padding: See :func:`sobel_l1`.

    Source:
        Sengupta et al., CVPR 2020, equation 2; weights and masks of the released
        ``train_real_fixed.py``. Image and composite are compared on the subject, in the colours
        that the network gives also where it is opaque.
    """
    subject = batch["segmentation"] > OPAQUE
    taught_colour = taught.alpha > SEEN_BY_TEACHER
    again = composite(output.foreground, output.alpha, batch["captured_background"])
    return {
        "alpha": summed_l1(output.alpha, taught.alpha),
        "gradient": 0.5 * sobel_l1(output.alpha, taught.alpha, zero_padding),
        "foreground": summed_l1(output.foreground, taught.foreground, taught_colour),
        "composition": summed_l1(again, batch["image"], subject),
    }


def least_squares(logits: Tensor, target: float) -> Tensor:
    """The loss of a least-squares GAN: the mean squared distance of logits to 1 or 0."""
    return (logits.float() - target).square().mean()


def supervision_weight(epoch: int, start: float, halve_every: int) -> float:
    """How much the teacher weighs in an epoch of 0, 1, ...

    Halved after the first epoch, then every so many epochs: with ``halve_every=2`` these are 1,
    1/2, 1/2, 1/4, 1/4, ... times ``start``, as the released code has it.
    """
    return float(start * 0.5 ** math.ceil(epoch / halve_every))
