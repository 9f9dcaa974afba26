"""The composition route RSSN: composites that look less like composites, for every model.

Four discrepancies betray a composite, and a network may learn them instead of matting: resolution,
semantic ambiguity, sharpness and noise. The first is closed where windows are cut
(:mod:`mattingzoo.windows`), the second by leaving out backgrounds that hold salient objects of
their own (``avoid_backgrounds`` of the recipe), the others here, on the layers of a batch.

Source: Li et al., Bridging Composite and Real, IJCV 2022, section 5; JizhiziLi/GFM:core/data.py.
"""

import torch
from kornia.filters import bilateral_blur
from torch import Tensor

from mattingzoo.ops import box_blur
from mattingzoo.ops.noise import normal_like

PROBABILITY = 0.5  # of denoising, of blurring and of noise, each drawn for itself
BLUR_KERNELS = (20, 30, 40, 50, 60)  # of windows of 640, 960 or 1,280 pixels
BLUR_WINDOW = 960  # the middle one; a sample takes its share of the kernels
NOISE_SIGMA = 10 / 255


def match_sharpness(background: Tensor, generator: torch.Generator) -> Tensor:
    """Box-blur backgrounds with probability 0.5, as a lens does what is behind its subject.

    Args:
        background: Colours [B, 3, H, W] in [0, 1].
        generator: Source of the draws, on the CPU.
    """
    count = len(background)
    blurred = torch.rand(count, generator=generator) < PROBABILITY
    which = torch.randint(len(BLUR_KERNELS), (count,), generator=generator)
    share = min(background.shape[-2:]) / BLUR_WINDOW
    radius = (share * torch.tensor(BLUR_KERNELS)[which] / 2).round().clamp(min=1).long()
    return box_blur(background, torch.where(blurred, radius, 0))


def denoise_layers(
    foreground: Tensor, background: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Take the noise out of both layers with probability 0.5, so that they do not differ in it.

    The paper denoises beforehand with BM3D; a bilateral filter, which takes no time on the device,
    stands in for it.

    Args:
        foreground: Colours [B, 3, H, W] in [0, 1].
        background: Likewise.
        generator: Source of the draws, on the CPU.
    """
    chosen = torch.rand(len(foreground), generator=generator) < PROBABILITY
    return _denoised(foreground, chosen), _denoised(background, chosen)


def draw_noise(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Noise [B, 3, H, W] of deviation 10/255 with probability 0.5, else zeros.

    To be added to the composite and both of its layers, so that the compositing equation holds.

    Args:
        picture: Says of which shape and on which device.
        generator: Source of the draws, on the CPU.
    """
    noisy = torch.rand((len(picture), 1, 1, 1), generator=generator) < PROBABILITY
    sigma = (NOISE_SIGMA * noisy).to(picture, non_blocking=True)
    return sigma * normal_like(picture, generator)


def _denoised(picture: Tensor, chosen: Tensor) -> Tensor:
    if not chosen.any() or min(picture.shape[-2:]) < 3:  # borders are reflected by two pixels
        return picture
    index = chosen.nonzero()[:, 0].to(picture.device, non_blocking=True)
    smooth = bilateral_blur(picture[index], (5, 5), 0.1, (1.5, 1.5), color_distance_type="l2")
    return picture.index_copy(0, index, smooth)
