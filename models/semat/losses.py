"""The objectives of SEMat: four losses of the matte, two that guide the decoder.

What the paper shares with others stands in :mod:`mattingzoo.losses`. The forward pass that put the
terms together was never published; formulas and weights are those of the released code, see the
model card.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from mattingzoo.losses import check_mask, check_shapes, l1_loss, laplacian_pyramid_loss

SHRINKAGE = 0.01  # weight of the matte's own gradient beside the gradient's error


def matting_losses(pred: Tensor, alpha: Tensor, trimap: Tensor) -> dict[str, Tensor]:
    """The losses of the matte, to be summed: L1 where unknown and known, Laplacian, gradient.

    Args:
        pred: Predicted mattes [B, 1, H, W].
        alpha: True mattes [B, 1, H, W].
        trimap: Trimaps [B, 1, H, W] in {0, 0.5, 1}.
    """
    unknown = trimap == 0.5
    return {
        "unknown": l1_loss(pred, alpha, unknown),
        "known": l1_loss(pred, alpha, ~unknown),
        "lap": laplacian_pyramid_loss(pred, alpha, levels=5),
        "grad": gradient_penalty_loss(pred, alpha, unknown),
    }


def gradient_penalty_loss(pred: Tensor, alpha: Tensor, unknown: Tensor) -> Tensor:
    """Error of Sobel gradients over the unknown region, and a little of their own size.

    Sums of absolute values over the region, across plus down, divided by its pixels; 0 if it has
    none. Sobel weights 1, 2, 1 are not normalised, borders are padded with 0.

    Args:
        pred: Predicted mattes [B, 1, H, W].
        alpha: True mattes [B, 1, H, W].
        unknown: Pixels that count [B, 1, H, W], bool.

    Source:
        XiaRho/SEMat:modeling/criterion/matting_criterion.py.
    """
    check_shapes(pred, alpha)
    check_mask(pred, unknown)
    of_pred, of_alpha = sobel(pred.float()), sobel(alpha.float())
    per_pixel = (of_pred - of_alpha).abs() + SHRINKAGE * of_pred.abs()
    return (per_pixel * unknown).sum() / unknown.sum().clamp(min=1)


def sobel(picture: Tensor) -> Tensor:
    """Derivatives across and down [B, 2, H, W] of a map [B, 1, H, W]."""
    framed = F.pad(picture, (1, 1, 1, 1))
    across = framed[..., 2:] - framed[..., :-2]  # [B, 1, H + 2, W]
    down = framed[..., 2:, :] - framed[..., :-2, :]  # [B, 1, H, W + 2]
    across = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    down = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return torch.cat([across, down], dim=1)


def regularisation_loss(logits: Tensor, reference: Tensor) -> Tensor:
    """Cross-entropy between mask logits [B, 1, H, W] and those of the untouched SAM.

    The target is SAM's probability, not its decision: the gradient is zero where both agree.
    """
    check_shapes(logits, reference)
    return F.binary_cross_entropy_with_logits(logits.float(), reference.float().sigmoid())


class NGHMLoss(nn.Module):
    """Cross-entropy of trimap classes, harmonised by how common each size of gradient is.

    Pixels are put into ten bins by 1 - (probability of the true class), the size of their gradient,
    and weigh the inverse of the number of pixels their bin has held of late. The weights are
    divided by their sum over the batch: a bin counts as a whole, however many pixels it has.

    The counts are a running state. They are summed over processes, so that all weigh alike; the
    sum of weights is each process's own. They leave weight files and belong into checkpoints.

    Args:
        bins: Number of bins.
        momentum: Share of the old count that each step keeps.

    Source:
        Li et al., Gradient Harmonized Single-stage Detector, AAAI 2019; normalised as in
        XiaRho/SEMat:modeling/criterion/matting_criterion.py.
    """

    counts: Tensor
    edges: Tensor

    def __init__(self, bins: int = 10, momentum: float = 0.75) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("counts", torch.zeros(bins), persistent=False)
        self.register_buffer("edges", torch.arange(1, bins) / bins, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of one batch; updates the counts.

        Args:
            logits: Of the classes [B, C, ...].
            target: True classes [B, ...], integers.
        """
        log_probability = logits.float().log_softmax(dim=1)
        entropy = -log_probability.gather(1, target.unsqueeze(1)).flatten()
        gradient = 1 - (-entropy.detach()).exp()
        place = torch.bucketize(gradient, self.edges, right=True)
        self.update(torch.bincount(place, minlength=len(self.counts)))
        weight = 1 / self.counts[place]
        return (weight * entropy).sum() / weight.sum()

    def update(self, found: Tensor) -> None:
        """Take the pixels [bins] of one step into the counts; bins without any keep theirs."""
        found = found.to(self.counts)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(found)
        moved = self.momentum * self.counts + (1 - self.momentum) * found
        self.counts.copy_(torch.where(found > 0, moved, self.counts))
