"""What GFM is trained on: the classes glance tells, the opacity focus tells, and their merger."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mattingzoo.losses import charbonnier, check_shapes
from mattingzoo.models.gfm.merge import Representation
from mattingzoo.models.gfm.network import Prediction
from mattingzoo.ops import dilate, erode, trimap_from_alpha, unknown_region

EPS = 1e-6
LEVELS = 5  # of the Laplacian pyramid, besides its low-pass rest

#: What the cross-entropy of glance takes for logits.
GlanceLoss = Literal["sigmoid", "logits"]


class Targets(NamedTuple):
    """What one representation is to predict."""

    glance: Tensor  # [B, H, W] classes, int64
    focus: Tensor  # [B, 1, H, W] in [0, 1]
    transition: Tensor  # [B, 1, H, W], bool: where focus is trained


def make_targets(
    alpha: Tensor, representation: Representation, transition_kernel: int, mask_kernel: int
) -> Targets:
    """Classes and details that a matte falls into.

    - ``TT``: the trimap, and the matte itself;
    - ``FT``: whether a pixel is in the eroded foreground, and what the matte has beyond that;
    - ``BT``: whether it is in the dilated foreground, and what that has beyond the matte.

    Args:
        alpha: True mattes [B, 1, H, W] in [0, 1].
        representation: What glance predicts.
        transition_kernel: Diameter of the ellipse that makes the trimap, 25 in the authors' code.
        mask_kernel: Diameter of the ellipse that erodes and dilates the foreground, 50 there.

    Source:
        JizhiziLi/GFM:core/data.py and core/util.py. There the masks are made before a window is
        cut and resized; here of the sample, so that the kernels are as large in every one.
    """
    count = len(alpha)
    trimap = trimap_from_alpha(alpha, *torch.full((2, count), transition_kernel))
    transition = unknown_region(trimap)
    if representation == "TT":
        return Targets((2 * trimap[:, 0]).long(), alpha, transition)
    kernel = torch.full((count,), mask_kernel)
    if representation == "FT":
        inner = erode(alpha >= 254.5 / 255, kernel)
        return Targets(inner[:, 0].long(), (alpha - inner.to(alpha.dtype)).clamp(min=0), transition)
    outer = dilate(alpha >= 0.5 / 255, kernel)
    return Targets(outer[:, 0].long(), (outer.to(alpha.dtype) - alpha).clamp(min=0), transition)


def prediction_losses(
    prediction: Prediction, targets: Targets, alpha: Tensor, glance_loss: GlanceLoss
) -> dict[str, Tensor]:
    """The losses of one representation, but for the composition's.

    Args:
        prediction: What the network gives.
        targets: What it is to give.
        alpha: True mattes [B, 1, H, W].
        glance_loss: See :func:`cross_entropy`.
    """
    return {
        "glance": cross_entropy(prediction.glance, targets.glance, glance_loss),
        "focus": focus_loss(prediction.focus, targets.focus, targets.transition),
        "fusion": fusion_loss(prediction.alpha, alpha),
    }


def cross_entropy(logits: Tensor, classes: Tensor, on: GlanceLoss) -> Tensor:
    """Cross-entropy of glance's classes, over all pixels.

    Args:
        logits: [B, C, H, W].
        classes: [B, H, W].
        on: ``logits``; or ``sigmoid``, as in the authors' code: sigmoids go where logits belong,
            so that it cannot fall below 0.55144 of three classes and 0.31326 of two.
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.float()
        return F.cross_entropy(logits.sigmoid() if on == "sigmoid" else logits, classes)


def focus_loss(focus: Tensor, target: Tensor, transition: Tensor) -> Tensor:
    """Error of focus in the transition: L1 per pixel of it, and the Laplacian loss of its picture.

    Args:
        focus: Prediction [B, 1, H, W].
        target: Truth [B, 1, H, W].
        transition: Pixels that count [B, 1, H, W], bool.
    """
    check_shapes(focus, target)
    error = (focus.float() - target.float()) * transition
    return charbonnier(error, EPS).sum() / (transition.sum() + 1) + laplacian_loss(error)


def fusion_loss(pred: Tensor, alpha: Tensor) -> Tensor:
    """Error of the merged matte over the whole picture: L1 and Laplacian."""
    check_shapes(pred, alpha)
    error = pred.float() - alpha.float()
    return charbonnier(error, EPS).mean() + laplacian_loss(error)


def composition_loss(pred: Tensor, image: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """Error of the picture that the matte composes: summed over colours, a mean over pixels.

    Args:
        pred: Predicted mattes [B, 1, H, W].
        image: The picture [B, 3, H, W] in [0, 1].
        foreground: Its layers [B, 3, H, W] in [0, 1].
        background: Likewise.
    """
    check_shapes(foreground, background)
    check_shapes(image, background)
    pred = pred.float()
    error = pred * foreground.float() + (1 - pred) * background.float() - image.float()
    return charbonnier(error, EPS / 255).sum(dim=1).mean()


def laplacian_loss(error: Tensor) -> Tensor:
    """L1 loss on Laplacian pyramids, of the difference of two mattes, for pyramids are linear.

    Every level is what blurring takes away, the next one the blurred picture at half the size; the
    sum of the levels' mean absolute values, and that of the low-pass rest.

    Args:
        error: [B, 1, H, W]; sides of 32 pixels or more.
    """
    with torch.autocast(error.device.type, enabled=False):
        current = error.float()
        kernel = blur_kernel().to(current)
        total = current.new_zeros(())
        for _ in range(LEVELS):
            blurred = F.conv2d(F.pad(current, (2, 2, 2, 2), mode="replicate"), kernel)
            total = total + (current - blurred).abs().mean()
            current = F.avg_pool2d(blurred, kernel_size=2)
        return total + current.abs().mean()


def blur_kernel() -> Tensor:
    """The authors' kernel [1, 1, 5, 5]: a *sum* of two Gaussians across and down, no product."""
    taps = (-(torch.arange(5.0) - 2).square()).exp()
    kernel = taps[:, None] + taps[None, :]
    return (kernel / kernel.sum()).view(1, 1, 5, 5)
