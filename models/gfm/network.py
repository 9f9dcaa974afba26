"""The network of GFM: one encoder, a decoder that glances, a decoder that focuses."""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from mattingzoo.arguments import check_choice
from mattingzoo.models.gfm.decoders import FocusDecoder, GlanceDecoder, make_plan
from mattingzoo.models.gfm.encoders import EncoderName, make_encoder
from mattingzoo.models.gfm.merge import CLASSES, Representation, glance_map, merge

STRIDE = 32  # five halvings

#: One representation alone, or all three, blended (RIM).
Variant = Literal["TT", "FT", "BT", "RIM"]


class Prediction(NamedTuple):
    """What one representation gives, float32."""

    glance: Tensor  # [B, 3 or 2, H, W] logits of the classes, background first
    focus: Tensor  # [B, 1, H, W] in [0, 1]
    alpha: Tensor  # [B, 1, H, W] in [0, 1], both merged


class GFMOutput(NamedTuple):
    """Predictions of one forward pass, float32."""

    parts: tuple[Prediction, ...]  # of each of the network's representations
    alpha: Tensor  # [B, 1, H, W], the matte to use; RIM's is not bounded


class GFMNet(nn.Module):
    """Glance and Focus Matting (Li et al., IJCV 2022, section 4).

    Input: image [B, 3, H, W] in [0, 1], H and W multiples of 32. Nothing is normalised; the layers
    see 0 to 255, as those of the authors' weights do.

    Args:
        encoder: ``r34``, ``r101``, ``d121``, ``r34_2b`` (ResNet-34 with two more blocks, from full
            resolution on) or ``tiny``.
        variant: What glance predicts: ``TT`` a trimap, ``FT`` the eroded foreground, ``BT`` the
            dilated one; ``RIM`` predicts all three and blends the mattes.
        widths: Channels of the tiny encoder at strides 2, 4, 8, 16 and 32.
        blocks: Its residual blocks at strides 4, 8, 16 and 32.
    """

    def __init__(
        self,
        encoder: EncoderName = "r34",
        variant: Variant = "TT",
        widths: tuple[int, int, int, int, int] = (16, 24, 40, 64, 96),
        blocks: tuple[int, int, int, int] = (2, 2, 2, 1),
    ) -> None:
        super().__init__()
        check_choice("variant", variant, get_args(Variant))
        self.representations: tuple[Representation, ...] = (
            ("TT", "FT", "BT") if variant == "RIM" else (variant,)
        )
        self.encoder = make_encoder(encoder, widths, blocks)
        plan = make_plan(encoder, self.encoder.channels)
        classes = [CLASSES[representation] for representation in self.representations]
        self.glance = GlanceDecoder(plan, classes)
        self.focus = FocusDecoder(plan, self.encoder.channels, len(classes))
        self.blend = Blend(len(classes)) if variant == "RIM" else None

    def forward(self, image: Tensor) -> GFMOutput:
        """Predict the mattes of a batch."""
        check_size(image)
        image = (255 * image).contiguous(memory_format=torch.channels_last)
        features = self.encoder(image)  # at strides 2, 4, 8, 16 and 32
        glances, focuses = self.glance(features[-1]), self.focus(features)
        parts = tuple(
            predict(glance, focus, representation)
            for glance, focus, representation in zip(
                glances, focuses, self.representations, strict=True
            )
        )
        if self.blend is None:
            return GFMOutput(parts, parts[0].alpha)
        return GFMOutput(parts, self.blend(torch.cat([part.alpha for part in parts], dim=1)))


def predict(glance: Tensor, focus: Tensor, representation: Representation) -> Prediction:
    """The prediction of both decoders' logits, in float32 from here on, under autocast too."""
    glance, focus = glance.float(), focus.float().sigmoid()
    return Prediction(glance, focus, merge(glance_map(glance), focus, representation))


class Blend(nn.Module):
    """RIM's last step: one matte of several, by 1x1 convolutions with squeeze-and-excitation."""

    def __init__(self, mattes: int, width: int = 16, reduction: int = 4) -> None:
        super().__init__()
        self.expand = nn.Conv2d(mattes, width, kernel_size=1)
        self.squeeze = nn.Linear(width, width // reduction, bias=False)
        self.excite = nn.Linear(width // reduction, width, bias=False)
        self.to_alpha = nn.Conv2d(width, 1, kernel_size=1)

    def forward(self, mattes: Tensor) -> Tensor:
        """Mattes [B, N, H, W] to one [B, 1, H, W], unbounded."""
        with torch.autocast(mattes.device.type, enabled=False):  # bfloat16 knows 256 mattes
            x = self.expand(mattes)  # [B, 16, H, W]
            weights = self.excite(self.squeeze(x.mean(dim=(2, 3))).relu()).sigmoid()
            alpha: Tensor = self.to_alpha(x * weights[:, :, None, None])
        return alpha


def check_size(image: Tensor) -> None:
    """Refuse a picture that five halvings do not divide evenly."""
    height, width = image.shape[-2:]
    if height % STRIDE or width % STRIDE:
        raise ValueError(
            f"image must have sides that are multiples of {STRIDE}, got {height} x {width}; to "
            "train, choose such a crop_size in the recipe; to predict, call the module, which "
            "resizes pictures"
        )
