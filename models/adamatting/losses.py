"""What AdaMatting is trained on: the adapted trimap, the matte where it counts, and the balance."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattingzoo.losses import l1_loss
from mattingzoo.models.adamatting.network import adapted_trimap
from mattingzoo.ops import unknown_region

LOG_2 = math.log(2)


def optimal_trimap(alpha: Tensor) -> Tensor:
    """The trimap to adapt to: classes [B, H, W] of mattes [B, 1, H, W] in [0, 1].

    0 (background) where alpha is 0, 2 (foreground) where it is 1, 1 (semi-transparent) elsewhere.
    Judged at 8 bits, so that mattes that were resized behave like stored ones.

    Source:
        Cai et al., section 3.1, as all re-implementations read it.
    """
    covered, opaque = alpha >= 0.5 / 255, alpha >= 254.5 / 255
    return (covered.long() + opaque.long())[:, 0]


def trimap_loss(logits: Tensor, alpha: Tensor) -> Tensor:
    """Cross-entropy of logits [B, 3, H, W] and the optimal trimap of ``alpha``, over all pixels."""
    with torch.autocast(logits.device.type, enabled=False):
        return F.cross_entropy(logits.float(), optimal_trimap(alpha))


def alpha_region(logits: Tensor | None, trimap: Tensor) -> Tensor:
    """Pixels that the matte is trained on [B, 1, H, W], bool.

    Those adapted to semi-transparent; those the given trimap leaves unknown where there are no
    logits, or not one pixel of the batch is semi-transparent.
    """
    unknown = unknown_region(trimap)
    if logits is None:
        return unknown
    adapted = unknown_region(adapted_trimap(logits))
    return torch.where(adapted.any(), adapted, unknown)  # decided without waiting for the GPU


def alpha_loss(mattes: tuple[Tensor, ...], alpha: Tensor, region: Tensor) -> Tensor:
    """Absolute error in the region, the mean over mattes [B, 1, H, W] that count alike."""
    errors = [l1_loss(matte, alpha, region) for matte in mattes]
    return torch.stack(errors).mean()


class Uncertainty(nn.Module):
    """Balance of the two losses by the uncertainty of the two tasks (Cai et al., equation 4).

    L = L_T / (2 σ_t²) + L_a / σ_a + log(2 σ_t σ_a), where a classification and an L1 regression are
    the tasks. It may become negative. At its minimum σ_t² = L_T and σ_a = L_a. In terms of the
    logarithms of σ², which may have any value, in float32 under autocast too.

    Args:
        sigma_t: σ of the trimap to start with.
        sigma_a: σ of the matte to start with.
        learned: Train them; else they stay.
    """

    log_var_t: Tensor
    log_var_a: Tensor

    def __init__(self, sigma_t: float, sigma_a: float, learned: bool) -> None:
        super().__init__()
        for name, sigma in {"t": sigma_t, "a": sigma_a}.items():
            log_var = torch.tensor(2 * math.log(sigma))
            if learned:
                self.register_parameter(f"log_var_{name}", nn.Parameter(log_var))
            else:
                self.register_buffer(f"log_var_{name}", log_var, persistent=False)

    def forward(self, loss_t: Tensor, loss_a: Tensor) -> Tensor:
        """The total of two losses, each a number."""
        with torch.autocast(loss_t.device.type, enabled=False):
            data = 0.5 * torch.exp(-self.log_var_t) * loss_t.float()
            data = data + torch.exp(-self.log_var_a / 2) * loss_a.float()
            return data + (self.log_var_t + self.log_var_a) / 2 + LOG_2

    def sigmas(self) -> dict[str, Tensor]:
        """Both σ, for logs."""
        return {
            "sigma_trimap": (self.log_var_t.detach() / 2).exp(),
            "sigma_alpha": (self.log_var_a.detach() / 2).exp(),
        }
