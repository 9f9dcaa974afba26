"""The discriminator of adversarial training."""

from typing import Literal

from torch import Tensor, nn

Norm = Literal["batch", "instance"]

SLOPE = 0.2  # of the leaky rectifier


class PatchDiscriminator(nn.Module):
    """Judge overlapping patches of 70 pixels, each as real or not (pix2pix's 70 x 70 PatchGAN).

    Input:  [B, in_channels, H, W]; sides of 24 pixels or more, in train mode of ``batch`` 32.
    Output: [B, 1, ~H/8, ~W/8] unbounded scores, logits to a cross-entropy and the values
    themselves to least squares.

    Args:
        in_channels: Channels of what is judged.
        width: Channels of the first layer; the paper has 64.
        norm: Normalisation of the three inner layers: ``batch``, or ``instance``, which has no
            weights, so that the convolutions before it keep their biases.
        padding: Zeros around each layer: 1 in pix2pix, 2 in pix2pixHD.

    Source:
        Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017,
        appendix 6.1.2.
    """

    def __init__(
        self, in_channels: int, width: int = 64, norm: Norm = "batch", padding: int = 1
    ) -> None:
        super().__init__()
        if norm not in ("batch", "instance"):
            raise ValueError(f"norm must be one of batch, instance, got {norm!r}")
        widths = (width, 2 * width, 4 * width, 8 * width)
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, width, kernel_size=4, stride=2, padding=padding),
            nn.LeakyReLU(SLOPE),
        ]
        for before, after, stride in zip(widths, widths[1:], (2, 2, 1), strict=False):
            biased = norm == "instance"
            layers += [
                nn.Conv2d(before, after, 4, stride, padding, bias=biased),
                nn.BatchNorm2d(after) if norm == "batch" else nn.InstanceNorm2d(after),
                nn.LeakyReLU(SLOPE),
            ]
        layers.append(nn.Conv2d(widths[-1], 1, kernel_size=4, stride=1, padding=padding))
        self.layers = nn.Sequential(*layers)

    def forward(self, picture: Tensor) -> Tensor:
        """Score patches; float32 under autocast too, as losses need it."""
        scores: Tensor = self.layers(picture)
        return scores.float()
