"""Losses that more than one architecture trains with: plain functions of tensors.

All compute in float32, under autocast too. A mask holds the pixels that count [B, 1, H, W], bool;
a mean over them is one mean over the whole batch, so that every unknown pixel weighs the same
whichever picture it lies in. A mask without a pixel gives 0, with a gradient of zeros.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def l1_loss(pred: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute error.

    Args:
        pred: Prediction [B, C, H, W].
        target: Truth [B, C, H, W].
        mask: Pixels that count [B, 1, H, W], bool; None counts all.
    """
    check_shapes(pred, target)
    return masked_mean((pred.float() - target.float()).abs(), mask)


def alpha_prediction_loss(pred: Tensor, alpha: Tensor, mask: Tensor, eps: float = 1e-6) -> Tensor:
    """Alpha-prediction loss: the mean of sqrt(error^2 + eps^2).

    The value at a perfect prediction is ``eps``. The paper gives the term of one pixel and leaves
    open how to average; the mean over the masked pixels of the batch is that of mmagic.

    Args:
        pred: Predicted mattes [B, 1, H, W].
        alpha: True mattes [B, 1, H, W].
        mask: Pixels that count [B, 1, H, W], bool; the paper takes the unknown ones.
        eps: Rounds off the tip of the absolute value.

    Source:
        Xu et al., Deep Image Matting, CVPR 2017, section 4.1, L_alpha.
    """
    check_shapes(pred, alpha)
    return masked_mean(charbonnier(pred.float() - alpha.float(), eps), mask)


def compositional_loss(
    pred: Tensor,
    alpha: Tensor,
    foreground: Tensor,
    background: Tensor,
    mask: Tensor,
    eps: float = 1e-6,
) -> Tensor:
    """Compositional loss: the alpha-prediction loss, on the colours of two composites.

    Composites over the same foreground F and background B differ by (pred - alpha) (F - B), which
    is how it is computed. Colours lie in [0, 1]; the mean runs over pixels and channels.

    Args:
        pred: Predicted mattes [B, 1, H, W].
        alpha: True mattes [B, 1, H, W].
        foreground: True colours [B, 3, H, W].
        background: True colours [B, 3, H, W].
        mask: Pixels that count [B, 1, H, W], bool; the paper takes the unknown ones.
        eps: Rounds off the tip of the absolute value.

    Source:
        Xu et al., Deep Image Matting, CVPR 2017, section 4.1, L_c.
    """
    check_shapes(pred, alpha)
    check_shapes(foreground, background)
    contrast = foreground.float() - background.float()
    return masked_mean(charbonnier((pred.float() - alpha.float()) * contrast, eps), mask)


def gradient_loss(pred: Tensor, alpha: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute error of the differences between neighbours, across plus down.

    Args:
        pred: Predicted mattes [B, 1, H, W].
        alpha: True mattes [B, 1, H, W].
        mask: Pixels that count [B, 1, H, W], bool; of a pair both must. None counts all.
    """
    check_shapes(pred, alpha)
    if mask is not None:
        check_mask(pred, mask)
    error = pred.float() - alpha.float()
    total = error.new_zeros(())
    for dim in (-1, -2):
        size = error.shape[dim] - 1
        pair = None
        if mask is not None:
            pair = mask.narrow(dim, 0, size) & mask.narrow(dim, 1, size)
        total = total + masked_mean(error.diff(dim=dim).abs(), pair)
    return total


def laplacian_pyramid_loss(pred: Tensor, alpha: Tensor, levels: int = 5) -> Tensor:
    """L1 loss on Laplacian pyramids over the whole picture, level l of 0, 1, ... weighing 2^l.

    The mean over levels of 2^l times the mean absolute difference in level l, without the
    low-pass rest of the pyramid. Hou and Liu sum where this takes means, which makes the value
    independent of size and batch.

    Args:
        pred: Predicted mattes [B, 1, H, W].
        alpha: True mattes [B, 1, H, W].
        levels: Levels of the pyramid; each halves the picture.

    Raises:
        ValueError: If the picture is too small for that many levels.

    Source:
        Hou and Liu, Context-Aware Image Matting, ICCV 2019, L_lap, after Bojanowski et al.,
        ICML 2018; means and borders as in PeterL1n/RobustVideoMatting:train_loss.py.
    """
    check_shapes(pred, alpha)
    smallest = 4 * 2 ** (levels - 1)  # even, and reflecting two pixels takes three
    if min(pred.shape[-2:]) < smallest:
        raise ValueError(
            f"a pyramid of {levels} levels needs pictures of at least {smallest} x {smallest}, "
            f"got {pred.shape[-2]} x {pred.shape[-1]}; use larger crops or fewer levels"
        )
    with torch.autocast(pred.device.type, enabled=False):
        current = pred.float() - alpha.float()  # pyramids are linear: one of the difference will do
        total = current.new_zeros(())
        for level in range(levels):
            current = current[..., : current.shape[-2] // 2 * 2, : current.shape[-1] // 2 * 2]
            halved = blur(current)[..., ::2, ::2]
            total = total + 2**level * (current - enlarge(halved)).abs().mean()
            current = halved
    return total / levels


def masked_mean(error: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of errors [B, C, H, W] over the masked pixels of the batch; 0 where there is none."""
    if mask is None:
        return error.mean()
    check_mask(error, mask)
    count = mask.sum().clamp(min=1) * error.shape[1]
    return torch.where(mask, error, 0.0).sum() / count


def charbonnier(error: Tensor, eps: float) -> Tensor:
    """Absolute value with a rounded tip: sqrt(error^2 + eps^2)."""
    return (error.square() + eps**2).sqrt()


def blur(picture: Tensor) -> Tensor:
    """Binomial filter (1, 4, 6, 4, 1) / 16 in both directions, borders reflected."""
    taps = picture.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    channels = picture.shape[1]
    for dim, shape in ((-1, (1, 5)), (-2, (5, 1))):
        # By hand: the gradient of F.pad(mode="reflect") is not deterministic on CUDA.
        before = picture.narrow(dim, 1, 2).flip(dim)
        after = picture.narrow(dim, picture.shape[dim] - 3, 2).flip(dim)
        padded = torch.cat([before, picture, after], dim=dim)
        kernel = taps.view(1, 1, *shape).expand(channels, 1, *shape)
        picture = F.conv2d(padded, kernel, groups=channels)
    return picture


def enlarge(picture: Tensor) -> Tensor:
    """Double the sides: zeros between the pixels, then blur."""
    size = (*picture.shape[:2], 2 * picture.shape[-2], 2 * picture.shape[-1])
    sparse = picture.new_zeros(size)
    sparse[..., ::2, ::2] = 4 * picture
    return blur(sparse)


def check_shapes(pred: Tensor, target: Tensor) -> None:
    """Refuse two tensors that would broadcast instead of being compared."""
    if pred.shape != target.shape:
        raise ValueError(
            f"shapes differ: {tuple(pred.shape)} and {tuple(target.shape)}; both must be "
            "[B, C, H, W]"
        )


def check_mask(error: Tensor, mask: Tensor) -> None:
    """Refuse a mask that is not boolean or does not fit."""
    if mask.dtype != torch.bool:
        raise ValueError(
            f"mask must be bool, got {mask.dtype}; a trimap's unknown pixels are "
            "mattingzoo.ops.unknown_region(trimap)"
        )
    expected = (error.shape[0], 1, *error.shape[2:])
    if mask.shape != expected:
        raise ValueError(f"mask must have shape {expected}, got {tuple(mask.shape)}")
