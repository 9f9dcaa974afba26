"""From decoded windows to training samples: batched tensor operations on the batch's device."""

import torch
from kornia.enhance import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation
from torch import Tensor

from mattingzoo.batch import Batch, to_float
from mattingzoo.derive import random_trimap
from mattingzoo.ops import combine_foregrounds, composite, extend_foreground, similarity, warp
from mattingzoo.ops.noise import normal_like
from mattingzoo.recipe import Recipe
from mattingzoo.rssn import denoise_layers, draw_noise, match_sharpness

#: Pictures that lie on one another and are turned alike.
COLOURS = ("image", "foreground", "background", "captured_background")
ALIKE = (*COLOURS, "alpha", "segmentation", "motion")


class Composer:
    """Turns windows into training samples by a recipe.

    Takes foreground, alpha and background windows (or an image with what else a data set without
    these layers has), 8-bit, padded to one size, with the true side of each in ``window`` [B].
    Gives float samples of ``recipe.crop_size`` with image, whatever else there was and, if alpha
    is there, a trimap. An image that comes with some of its layers, or with its captured
    background, is turned with them but keeps its colours.

    Args:
        recipe: What to draw and how strongly.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Compose one batch, in place.

        Args:
            batch: Windows, see the class.
            generator: Source of every draw, on the CPU: equal on every device.
        """
        sides = batch.pop("window").float()
        if "alpha" in batch:  # footage for training without truth has none
            batch["alpha"] = to_float(batch["alpha"])
        if "foreground" in batch:
            batch["foreground"] = _trusted_foreground(batch)
        if "image" in batch:
            self._turn_image(batch, sides, generator)
        else:
            self._compose_layers(batch, sides, generator)
        if self.recipe.noise > 0:
            batch["image"] = self._noise(batch["image"], generator)
        if "alpha" in batch:
            batch["trimap"] = random_trimap(batch["alpha"], self.recipe.trimap_kernels, generator)
        return batch

    def _turn_image(self, batch: Batch, sides: Tensor, generator: torch.Generator) -> None:
        matrix = self._draw_matrix(sides, generator)
        for key in ALIKE:
            if key in batch:
                picture = to_float(batch[key])  # type: ignore[literal-required]
                batch[key] = self._warp(picture, matrix, sides, "reflection")  # type: ignore[literal-required]
        if not any(key in batch for key in COLOURS[1:]):
            batch["image"] = self._jitter(batch["image"], generator)

    def _compose_layers(self, batch: Batch, sides: Tensor, generator: torch.Generator) -> None:
        subject = self._warp_subject(batch["foreground"], batch["alpha"], sides, generator)
        foreground, alpha = subject[:, :3], subject[:, 3:]
        if self.recipe.combine > 0 and len(alpha) > 1:
            foreground, alpha = self._combine(foreground, alpha, generator)
        # The background is not turned with its subject: only resized, and mirrored on its own.
        still = self._draw_matrix(sides, generator, still=True)
        background = self._warp(to_float(batch["background"]), still, sides, "reflection")
        foreground = self._jitter(foreground, generator)
        background = self._jitter(background, generator)
        if "noise" in self.recipe.rssn:
            foreground, background = denoise_layers(foreground, background, generator)
        if "sharpness" in self.recipe.rssn:
            background = match_sharpness(background, generator)
        image = composite(foreground, alpha, background)
        if "noise" in self.recipe.rssn:
            noise = draw_noise(image, generator)
            image, foreground, background = (
                (picture + noise).clamp(0, 1) for picture in (image, foreground, background)
            )
        batch["image"], batch["alpha"] = image, alpha
        batch["foreground"], batch["background"] = foreground, background

    def _warp_subject(
        self, foreground: Tensor, alpha: Tensor, sides: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Foreground and alpha [B, 4, S, S] resampled at once; alpha is 0 beyond the window."""
        matrix = self._draw_matrix(sides, generator)
        colour = self._warp(foreground, matrix, sides, "border")
        return torch.cat([colour, self._warp(alpha, matrix, sides, "zeros")], dim=1)

    def _draw_matrix(
        self, sides: Tensor, generator: torch.Generator, still: bool = False
    ) -> Tensor:
        r, count = self.recipe, len(sides)
        size, angle, slant = 2 * torch.rand((3, count), generator=generator) - 1
        flip = torch.rand(count, generator=generator) < r.flip
        scale = sides / r.crop_size
        if still:
            return similarity(scale, torch.zeros(count), flip, torch.zeros(count))
        return similarity(scale * r.scale**size, angle * r.rotate, flip, slant * r.shear)

    def _warp(self, picture: Tensor, matrix: Tensor, sides: Tensor, padding: str) -> Tensor:
        extent = sides.view(-1, 1).expand(-1, 2)
        return warp(picture, matrix, extent, self.recipe.crop_size, padding)

    def _combine(
        self, foreground: Tensor, alpha: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        chosen = torch.rand((len(alpha), 1, 1, 1), generator=generator) < self.recipe.combine
        chosen = chosen.to(alpha.device, non_blocking=True)
        both, merged = combine_foregrounds(
            foreground, alpha, foreground.roll(1, 0), alpha.roll(1, 0)
        )
        # A merger that covers the whole picture has nothing to learn from.
        chosen = chosen & (merged < 1).flatten(1).any(dim=1).view(-1, 1, 1, 1)
        return torch.where(chosen, both, foreground), torch.where(chosen, merged, alpha)

    def _jitter(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        strength = self.recipe.jitter
        if strength == 0:
            return picture
        draws = 2 * torch.rand((4, len(picture)), generator=generator) - 1
        light, contrast, saturation, hue = (strength * draws).to(picture, non_blocking=True)
        picture = adjust_brightness(picture, light)
        picture = adjust_contrast(picture, 1 + contrast)
        picture = adjust_saturation(picture, 1 + 2 * saturation)
        turned: Tensor = adjust_hue(picture, hue)
        return turned.clamp(0, 1)

    def _noise(self, image: Tensor, generator: torch.Generator) -> Tensor:
        sigma = self.recipe.noise * torch.rand((len(image), 1, 1, 1), generator=generator)
        sigma = sigma.to(image, non_blocking=True)
        return (image + sigma * normal_like(image, generator)).clamp(0, 1)


def _trusted_foreground(batch: Batch) -> Tensor:
    """Foreground colours as floats, carried outward in the samples where they are arbitrary."""
    foreground, alpha = to_float(batch["foreground"]), batch["alpha"]
    (rows,) = torch.where(~batch["true_outside"])  # known on the host
    if len(rows) == 0:
        return foreground
    rows = rows.to(alpha.device, non_blocking=True)
    carried = extend_foreground(foreground[rows], alpha[rows])
    return foreground.index_copy(0, rows, carried)
