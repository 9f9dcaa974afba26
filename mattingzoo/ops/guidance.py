"""What Background Matting needs besides the image, made from a composite's own layers."""

import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor

from mattingzoo.ops.noise import normal_like
from mattingzoo.ops.trimap import dilate, erode


def segmentation_from_alpha(alpha: Tensor, generator: torch.Generator) -> Tensor:
    """A soft, rough segmentation: alpha binarised, eroded, dilated and blurred at random.

    Args:
        alpha: Mattes [B, 1, H, W] in [0, 1].
        generator: Source of the kernel sizes, on the CPU.

    Returns:
        [B, 1, H, W] in [0, 1].

    Source:
        Sengupta et al., CVPR 2020, supplementary; constants of
        ``senguptaumd/Background-Matting:data_loader.py``: n iterations of a 5 × 5 ellipse reach
        2n pixels, so one kernel of diameter 4n + 1 stands for them.
    """
    batch = len(alpha)
    eroded = torch.randint(10, 20, (batch,), generator=generator)
    dilated = torch.randint(15, 30, (batch,), generator=generator)
    blur = 3.5 + 1.5 * torch.randint(0, 3, (batch,), generator=generator).float()
    # The released iterations belong to pictures of 512 pixels; smaller ones take their share.
    share = min(1.0, min(alpha.shape[-2:]) / 512)
    mask = dilate(erode(alpha > 0.5, _diameter(eroded, share)), _diameter(dilated, share))
    sigma = (blur * share).clamp(min=0.5).view(-1, 1).expand(-1, 2)
    sigma = sigma.to(alpha, non_blocking=True)
    blurred: Tensor = gaussian_blur2d(mask.float(), (41, 41), sigma, border_type="replicate")
    return blurred.clamp(0, 1)  # the weights of the kernel add up to 1 only nearly


def _diameter(iterations: Tensor, share: float) -> Tensor:
    return 2 * (2 * iterations * share).round().long() + 1


def perturb_background(background: Tensor, generator: torch.Generator) -> Tensor:
    """The background as a second photograph would show it: noisy, or of other brightness.

    With probability 0.4 Gaussian noise of mean −7..6 and deviation 2..5 levels of 255, otherwise a
    gamma drawn from N(1, 0.12).

    Args:
        background: [B, 3, H, W] in [0, 1].
        generator: Source of the perturbation, on the CPU.

    Returns:
        [B, 3, H, W] in [0, 1].

    Source:
        Sengupta et al., CVPR 2020, section 4.1, and its released loader; gamma acts on [0, 1],
        where the released code applies it to 0..255 and thereby leaves the range.
    """
    draws = (len(background), 1, 1, 1)
    noisy = torch.rand(draws, generator=generator) < 0.4
    mean = torch.randint(-7, 7, draws, generator=generator) / 255
    sigma = torch.randint(2, 6, draws, generator=generator) / 255
    gamma = (1 + 0.12 * torch.randn(draws, generator=generator)).clamp(min=0.1)
    drawn = torch.stack([noisy.float(), mean, sigma, gamma])
    noisy, mean, sigma, gamma = drawn.to(background, non_blocking=True)
    shifted = background + mean + sigma * normal_like(background, generator)
    adapted = background.clamp(min=0) ** gamma
    return torch.where(noisy > 0, shifted, adapted).clamp(0, 1)


def motion_from_image(image: Tensor) -> Tensor:
    """Motion stack of a still: its gray picture four times, [B, 4, H, W] in [0, 1]."""
    red, green, blue = image.unbind(dim=1)
    gray = (0.299 * red + 0.587 * green + 0.114 * blue).clamp(0, 1)
    return gray.unsqueeze(1).expand(-1, 4, -1, -1)
