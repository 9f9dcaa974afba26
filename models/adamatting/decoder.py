"""What stands between the encoder and the two predictions: shortcuts and the decoders."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Fusion = Literal["add", "concat"]


class GlobalConv(nn.Module):
    """A k x k convolution by two separable ones, across and down (Peng et al., CVPR 2017).

    Args:
        before: Channels of the shortcut.
        after: Channels of the decoder level it goes to.
        kernel: Its side, odd.
        refine: Add Peng et al.'s boundary refinement, a residual of two 3x3 convolutions.
    """

    def __init__(self, before: int, after: int, kernel: int, refine: bool) -> None:
        super().__init__()
        down, across = (kernel, 1), (1, kernel)
        self.down_across = separable(before, after, down, across)
        self.across_down = separable(before, after, across, down)
        self.refine = None
        if refine:
            self.refine = nn.Sequential(
                nn.Conv2d(after, after, kernel_size=3, padding=1),
                nn.ReLU(),
                nn.Conv2d(after, after, kernel_size=3, padding=1),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, before, H, W] to [B, after, H, W]."""
        x = self.down_across(x) + self.across_down(x)
        return x if self.refine is None else x + self.refine(x)


def separable(
    before: int, after: int, first: tuple[int, int], second: tuple[int, int]
) -> nn.Sequential:
    """Two convolutions in a row, of the kernels given."""
    return nn.Sequential(
        nn.Conv2d(before, after, first, padding="same"),
        nn.Conv2d(after, after, second, padding="same"),
    )


class Level(nn.Module):
    """Convolution 3x3 with normalisation and ReLU, then sub-pixel convolution to twice the size.

    Without the sub-pixel convolution (Shi et al., CVPR 2016) the enlargement is bilinear.
    """

    def __init__(self, before: int, after: int, subpixel: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(after)
        self.subpixel = nn.Conv2d(after, 4 * after, kernel_size=3, padding=1) if subpixel else None

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, before, H, W] to [B, after, 2H, 2W]."""
        x = F.relu(self.norm(self.conv(x)))
        if self.subpixel is None:
            return F.interpolate(x, scale_factor=2, mode="bilinear")
        return F.pixel_shuffle(self.subpixel(x), 2)


class Decoder(nn.Module):
    """Four levels from stride 16 to full resolution, and the prediction.

    Args:
        before: Channels of the encoder's bottom.
        widths: Channels of the levels.
        shortcuts: After which levels, counted from 0, a shortcut joins.
        predictions: Channels of the prediction: 3 for a trimap, 1 for a matte.
        fusion: How it joins.
        subpixel: Enlarge by sub-pixel convolutions.
    """

    def __init__(
        self,
        before: int,
        widths: tuple[int, int, int, int],
        shortcuts: tuple[int, ...],
        predictions: int,
        fusion: Fusion,
        subpixel: bool,
    ) -> None:
        super().__init__()
        self.shortcuts, self.fusion = shortcuts, fusion
        levels = []
        for number, after in enumerate(widths):
            levels.append(Level(before, after, subpixel))
            before = 2 * after if fusion == "concat" and number in shortcuts else after
        self.levels = nn.ModuleList(levels)
        self.head = nn.Conv2d(before, predictions, kernel_size=3, padding=1)

    def forward(self, bottom: Tensor, *shortcuts: Tensor) -> Tensor:
        """Raw prediction [B, predictions, H, W] from stride 16 and the shortcuts, deepest first."""
        joining = dict(zip(self.shortcuts, shortcuts, strict=True))
        x = bottom
        for number, level in enumerate(self.levels):
            x = level(x)
            if number in joining and self.fusion == "add":
                x = x + joining[number]
            elif number in joining:
                x = torch.cat([x, joining[number]], dim=1)
        raw: Tensor = self.head(x)
        return raw
