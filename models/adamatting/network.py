"""The network of AdaMatting: one encoder, two decoders, a recurrent refinement of the matte."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mattingzoo.arguments import check_choice
from mattingzoo.models.adamatting.decoder import Decoder, Fusion, GlobalConv
from mattingzoo.models.adamatting.encoder import EXPANSION, Encoder, Features
from mattingzoo.models.adamatting.initialise import Start, initialise
from mattingzoo.models.adamatting.propagation import Propagation

STRIDE = 16  # four halvings

FedTrimap = Literal["softmax", "argmax", "logits"]


class AdaMattingOutput(NamedTuple):
    """Predictions of one forward pass, float32 and unbounded."""

    trimap: Tensor | None  # [B, 3, H, W] logits of background, semi-transparent and foreground
    coarse: Tensor  # [B, 1, H, W] the matte of the alpha decoder
    refined: tuple[Tensor, ...]  # [B, 1, H, W] each, after every step of the propagation unit

    @property
    def alpha(self) -> Tensor:
        """The last matte [B, 1, H, W]."""
        return self.refined[-1] if self.refined else self.coarse


class AdaMattingNet(nn.Module):
    """Trimap adaptation and alpha estimation on one encoder (Cai et al., ICCV 2019, section 3).

    Input:  image [B, 3, H, W] in [0, 1], trimap [B, 1, H, W] in {0, 0.5, 1}; H and W multiples
    of 16.

    Args:
        width: Channels of the stem; what follows is measured in it unless given.
        planes: Channels inside the bottlenecks of the encoder's stages; None takes 1, 2 and 4
            times ``width``.
        blocks: Bottlenecks of the stages; ResNet-50 has (3, 4, 6).
        stem_stride: Stride of the stem, 2 as in ResNet or 1.
        stem_kernel: Kernel of the stem.
        decoder_widths: Channels of the decoders' levels at stride 8, 4, 2 and 1; None takes 8, 4,
            1 and a half times ``width``.
        subpixel: Enlarge by sub-pixel convolutions, else bilinearly.
        global_conv: Shortcuts go through global convolutions, else through 1x1 convolutions.
        gcn_kernel: Kernel of the global convolutions.
        boundary_refinement: Let each of them end with a boundary refinement.
        share_middle: Both decoders share the global convolution of the middle shortcut.
        fusion: How shortcuts join, ``add`` or ``concat``.
        trimap_decoder: Build the trimap decoder; without it the given trimap takes the place of
            the adapted one.
        iterations: Steps of the propagation unit; 0 leaves it out.
        propagation_width: Channels of its residual blocks.
        memory_width: Channels of its memory.
        gate_kernel: Kernel of its gates.
        share_steps: Its steps have the same weights.
        fed_trimap: The adapted trimap as it sees it: ``softmax``, ``argmax`` (through which no
            gradient flows) or ``logits``.
        feed_given_trimap: It sees the given trimap too.
        start: Random start of all but the encoder, ``xavier`` or ``he``.
        statistics: Normalise images with ImageNet's mean and deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        width: int = 64,
        planes: tuple[int, int, int] | None = None,
        blocks: tuple[int, int, int] = (3, 4, 6),
        stem_stride: Literal[1, 2] = 2,
        stem_kernel: int = 7,
        decoder_widths: tuple[int, int, int, int] | None = None,
        subpixel: bool = True,
        global_conv: bool = True,
        gcn_kernel: int = 7,
        boundary_refinement: bool = False,
        share_middle: bool = False,
        fusion: Fusion = "add",
        trimap_decoder: bool = True,
        iterations: int = 3,
        propagation_width: int = 32,
        memory_width: int = 32,
        gate_kernel: int = 3,
        share_steps: bool = True,
        fed_trimap: FedTrimap = "softmax",
        feed_given_trimap: bool = False,
        start: Start = "xavier",
        statistics: bool = True,
    ) -> None:
        super().__init__()
        check_choice("stem_stride", str(stem_stride), ("1", "2"))
        check_choice("fusion", fusion, ("add", "concat"))
        check_choice("fed_trimap", fed_trimap, ("softmax", "argmax", "logits"))
        check_choice("start", start, ("xavier", "he"))
        kernels = {"stem_kernel": stem_kernel, "gcn_kernel": gcn_kernel, "gate_kernel": gate_kernel}
        for name, kernel in kernels.items():
            check_odd(name, kernel)
        if iterations < 0:
            raise ValueError(f"iterations must be 0 or more, got {iterations}")
        self.fed_trimap, self.feed_given_trimap = fed_trimap, feed_given_trimap
        planes = planes or (width, 2 * width, 4 * width)
        levels = decoder_widths or (8 * width, 4 * width, width, max(1, width // 2))
        self.encoder = Encoder(width, planes, blocks, stem_stride, stem_kernel)
        middle, deep, bottom = (EXPANSION * channels for channels in planes)

        def shortcut(before: int, after: int) -> nn.Module:
            if global_conv:
                return GlobalConv(before, after, gcn_kernel, boundary_refinement)
            return nn.Conv2d(before, after, kernel_size=1)

        self.gcn_mid_a = shortcut(middle, levels[1])
        self.gcn_shallow = shortcut(width, levels[2])
        self.a_decoder = Decoder(bottom, levels, (1, 2), 1, fusion, subpixel)
        self.gcn_deep: nn.Module | None = None
        self.gcn_mid_t: nn.Module | None = None
        self.t_decoder: Decoder | None = None
        self.propagation: Propagation | None = None
        if trimap_decoder:
            self.gcn_deep = shortcut(deep, levels[0])
            self.gcn_mid_t = None if share_middle else shortcut(middle, levels[1])
            self.t_decoder = Decoder(bottom, levels, (0, 1), 3, fusion, subpixel)
        if iterations:
            context = 6 + feed_given_trimap
            self.propagation = Propagation(
                context, propagation_width, memory_width, gate_kernel, iterations, share_steps
            )
        # ImageNet statistics; constants, so they stay out of checkpoints
        mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) if statistics else ([0.0], [1.0])
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        initialise(self, self.encoder, start)

    def forward(self, image: Tensor, trimap: Tensor) -> AdaMattingOutput:
        """Predict trimaps and mattes of a batch."""
        check_size(image)
        image = (image - self.mean) / self.std
        seen = torch.cat([image, trimap], dim=1)
        seen = seen.contiguous(memory_format=torch.channels_last)
        features: Features = self.encoder(seen)
        middle = self.gcn_mid_a(features.middle)  # [B, 256, H/4, W/4]
        shallow = self.gcn_shallow(features.shallow)  # [B, 64, H/2, W/2]
        coarse = self.a_decoder(features.bottom, middle, shallow).float()
        logits = None
        if self.t_decoder is not None and self.gcn_deep is not None:
            deep = self.gcn_deep(features.deep)  # [B, 512, H/8, W/8]
            if self.gcn_mid_t is not None:
                middle = self.gcn_mid_t(features.middle)
            # float32 from here on, under autocast too
            logits = self.t_decoder(features.bottom, deep, middle).float()
        if self.propagation is None:
            return AdaMattingOutput(logits, coarse, ())
        context = [image, one_hot(trimap) if logits is None else self.fed(logits)]
        context += [trimap] if self.feed_given_trimap else []
        refined = self.propagation(torch.cat(context, dim=1), coarse)
        return AdaMattingOutput(logits, coarse, tuple(alpha.float() for alpha in refined))

    def fed(self, logits: Tensor) -> Tensor:
        """The adapted trimap [B, 3, H, W] as the propagation unit sees it."""
        if self.fed_trimap == "argmax":
            return one_hot(adapted_trimap(logits))
        return logits.softmax(dim=1) if self.fed_trimap == "softmax" else logits


def adapted_trimap(logits: Tensor) -> Tensor:
    """Trimap [B, 1, H, W] in {0, 0.5, 1} of logits [B, 3, H, W]; 0.5 is semi-transparent."""
    return logits.argmax(dim=1, keepdim=True).to(logits.dtype) / 2


def one_hot(trimap: Tensor) -> Tensor:
    """Trimap [B, 1, H, W] in {0, 0.5, 1} as three channels of 0 and 1 [B, 3, H, W]."""
    return torch.cat([trimap == 0, trimap == 0.5, trimap == 1], dim=1).to(trimap.dtype)


def check_size(image: Tensor) -> None:
    """Refuse a picture that four halvings do not divide evenly."""
    height, width = image.shape[-2:]
    if height % STRIDE or width % STRIDE:
        raise ValueError(
            f"image must have sides that are multiples of {STRIDE}, got {height} x {width}; pad "
            f"it with mattingzoo.ops.pad_to_multiple(image, {STRIDE}) and crop the matte back"
        )


def check_odd(name: str, kernel: int) -> None:
    """Refuse a kernel without a middle."""
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"{name} must be an odd number of pixels, got {kernel}")
