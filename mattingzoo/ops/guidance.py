"""What Background Matting needs besides the image, made from a composite's own layers."""

import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor

from mattingzoo.ops.composite import composite
from mattingzoo.ops.geometry import move, similarity
from mattingzoo.ops.noise import normal_like
from mattingzoo.ops.trimap import grow, shrink, trimap_from_alpha

#: Side of the pictures that the published constants, in pixels, belong to; smaller ones take their
#: share.
WORKING_SIZE = 512
HOLES = (15, 25, 35, 45)  # sides in pixels
MISALIGNMENT = 2.0  # pixels, either way


def segmentation_from_alpha(alpha: Tensor, generator: torch.Generator) -> Tensor:
    """A soft, rough segmentation: alpha binarised, eroded, dilated, pierced and blurred at random.

    Args:
        alpha: Mattes [B, 1, H, W] in [0, 1].
        generator: Source of the strengths, on the CPU.

    Returns:
        [B, 1, H, W] in [0, 1].

    Source:
        Sengupta et al., CVPR 2020, supplementary; constants of
        ``senguptaumd/Background-Matting:data_loader.py``: 10 to 19 erosions and 15 to 29 dilations
        by a 5 × 5 ellipse, up to two holes on the unknown pixels, a blur of sigma 3.5, 5 or 6.5.
    """
    batch, share = len(alpha), _share(alpha)
    eroded = torch.randint(10, 20, (batch,), generator=generator) * share
    dilated = torch.randint(15, 30, (batch,), generator=generator) * share
    blur = 3.5 + 1.5 * torch.randint(0, 3, (batch,), generator=generator).float()
    mask = shrink(alpha > 0.5, eroded.round().long())
    mask = grow(mask, dilated.round().long()) & ~_holes(alpha, share, generator)
    sigma = (blur * share).clamp(min=0.5).view(-1, 1).expand(-1, 2)
    sigma = sigma.to(alpha, non_blocking=True)
    blurred: Tensor = gaussian_blur2d(mask.float(), (41, 41), sigma, border_type="replicate")
    return blurred.clamp(0, 1)  # the weights of the kernel add up to 1 only nearly


def _share(picture: Tensor) -> float:
    return min(1.0, min(picture.shape[-2:]) / WORKING_SIZE)


def _holes(alpha: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Up to two squares [B, 1, H, W], bool, each centred on a pixel about the matte's edge."""
    batch, (height, width) = len(alpha), alpha.shape[-2:]
    count = torch.randint(0, 3, (batch, 1), generator=generator)
    sides = torch.tensor(HOLES)[torch.randint(0, 4, (batch, 2), generator=generator)] * share
    sides = torch.where(torch.arange(2) < count, sides.round(), 0.0)
    places = torch.rand((batch, 2), generator=generator)
    sides, places = (draw.to(alpha.device, non_blocking=True) for draw in (sides, places))
    eroded, dilated = (torch.full((batch,), 2 * round(n * share) + 1) for n in (5, 10))
    edge = (trimap_from_alpha(alpha, eroded, dilated) == 0.5).flatten(1)  # [B, H W]
    # The n-th edge pixel is where a running count first reaches n.
    running = edge.cumsum(dim=1)
    chosen = torch.searchsorted(running, (places * running[:, -1:]).long() + 1)
    centres = torch.stack([chosen // width, chosen % width]).view(2, batch, 2, 1)
    axes = (torch.arange(side, device=alpha.device) for side in (height, width))
    inside = [
        (axis - centre).abs() < sides.unsqueeze(-1) / 2  # [B, 2, H] and [B, 2, W]
        for axis, centre in zip(axes, centres, strict=True)
    ]
    squares = inside[0].unsqueeze(3) & inside[1].unsqueeze(2)  # [B, 2, H, W]
    somewhere = edge.any(dim=1).view(-1, 1, 1, 1)  # a uniform matte has nowhere to put them
    holes: Tensor = squares.any(dim=1, keepdim=True) & somewhere
    return holes


def perturb_background(background: Tensor, generator: torch.Generator) -> Tensor:
    """The background as a second photograph would show it.

    With probability 0.4 Gaussian noise of mean −7..6 and deviation 2..5 levels of 255, otherwise a
    gamma drawn from N(1, 0.12). Half of them are also misaligned by up to two pixels.

    Args:
        background: [B, 3, H, W] in [0, 1].
        generator: Source of the perturbation, on the CPU.

    Returns:
        [B, 3, H, W] in [0, 1].

    Source:
        Sengupta et al., CVPR 2020, section 4.1, and its released loader; gamma acts on [0, 1],
        where the released code applies it to 0..255 and thereby leaves the range. How far hand-held
        backgrounds are misaligned is not published.
    """
    draws = (len(background), 1, 1, 1)
    noisy = torch.rand(draws, generator=generator) < 0.4
    mean, sigma = _noise_levels(draws, generator)
    gamma = (1 + 0.12 * torch.randn(draws, generator=generator)).clamp(min=0.1)
    drawn = torch.stack([noisy.float(), mean, sigma, gamma])
    noisy, mean, sigma, gamma = drawn.to(background, non_blocking=True)
    background = _misaligned(background, generator)
    shifted = background + mean + sigma * normal_like(background, generator)
    adapted = background.clamp(min=0) ** gamma
    return torch.where(noisy > 0, shifted, adapted).clamp(0, 1)


def _noise_levels(draws: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the released code's noise, in [0, 1] units."""
    mean = torch.randint(-7, 7, draws, generator=generator) / 255
    return mean, torch.randint(2, 6, draws, generator=generator) / 255


def _misaligned(background: Tensor, generator: torch.Generator) -> Tensor:
    batch, reach = len(background), MISALIGNMENT * _share(background)
    moved = torch.rand((batch, 1), generator=generator) < 0.5
    shift = reach * (2 * torch.rand((batch, 2), generator=generator) - 1)
    return move(background, torch.eye(2).expand(batch, 2, 2), moved * shift, "border")


def motion_from_image(image: Tensor) -> Tensor:
    """Motion stack of a still: its gray picture four times, [B, 4, H, W] in [0, 1]."""
    return _gray(image).expand(-1, 4, -1, -1)


def motion_from_layers(
    foreground: Tensor, alpha: Tensor, background: Tensor, generator: torch.Generator
) -> Tensor:
    """Motion stack of a composite: its subject moved at random four times, before noisy background.

    Args:
        foreground: Colours [B, 3, H, W] in [0, 1].
        alpha: Opacity [B, 1, H, W] in [0, 1].
        background: Colours [B, 3, H, W] in [0, 1].
        generator: Source of movement and noise, on the CPU.

    Returns:
        [B, 4, H, W] in [0, 1].

    Source:
        Sengupta et al., CVPR 2020, and its released loader: scale, rotation, shear and a shift of
        N(0, 5) pixels. There the matrices are multiplied element by element, which leaves nothing
        of rotation and shear; here they are matrix products. Deviations of scale (2 %), rotation
        (2 degrees) and shear (0.02) are ours.
    """
    return torch.cat(
        [_gray(_moved(foreground, alpha, background, generator)) for _ in range(4)], dim=1
    )


def _moved(
    foreground: Tensor, alpha: Tensor, background: Tensor, generator: torch.Generator
) -> Tensor:
    batch = len(alpha)
    scale, angle, slant = torch.randn((3, batch), generator=generator)
    matrix = similarity(1.02**scale, 2 * angle, torch.zeros(batch, dtype=torch.bool), 0.02 * slant)
    shift = 5 * _share(alpha) * torch.randn((batch, 2), generator=generator)
    mean, sigma = torch.stack(_noise_levels((batch, 1, 1, 1), generator)).to(
        background, non_blocking=True
    )
    noisy = background + mean + sigma * normal_like(background, generator)
    colour = move(foreground, matrix, shift, "border")
    opacity = move(alpha, matrix, shift, "zeros")
    return composite(colour, opacity, noisy.clamp(0, 1))


def _gray(image: Tensor) -> Tensor:
    red, green, blue = image[:, :1], image[:, 1:2], image[:, 2:]
    return (0.299 * red + 0.587 * green + 0.114 * blue).clamp(0, 1)
