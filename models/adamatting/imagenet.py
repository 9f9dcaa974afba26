"""Starting the encoder from a ResNet-50 trained on ImageNet."""

import torch

from mattingzoo.models.adamatting.encoder import Encoder
from mattingzoo.pretrained import fill_encoder, read_encoder

FITS = "a state dict of torchvision.models.resnet50, which fits width=64 and blocks=(3, 4, 6)"


def load_resnet50(encoder: Encoder, source: str) -> None:
    """Initialise the encoder from the state of torchvision's resnet50.

    The fourth input channel, the trimap, starts at zero. A stem of another kernel than the
    source's 7 keeps its random weights.

    Args:
        encoder: Encoder to fill.
        source: As for :func:`mattingzoo.pretrained.read_encoder`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds another network, or timm cannot give it.
    """
    state = read_encoder(source, left_out=("layer4.", "fc."))
    stem, own = state.get("conv1.weight"), encoder.conv1.weight
    if stem is not None and stem.shape[2:] != own.shape[2:]:
        start = encoder.state_dict()
        state |= {k: v for k, v in start.items() if k.startswith(("conv1.", "bn1."))}
    elif stem is not None and stem.shape[1] == 3:
        state["conv1.weight"] = torch.cat([stem, torch.zeros_like(stem[:, :1])], dim=1)
    fill_encoder(encoder, state, source, FITS)
