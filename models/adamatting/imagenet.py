"""Starting the encoder from a ResNet-50 trained on ImageNet."""

from pathlib import Path

import torch
from torch import Tensor

from mattingzoo.models.adamatting.encoder import Encoder
from mattingzoo.weights import read_state

TIMM = "timm:"
LEFT_OUT = ("layer4.", "fc.")  # what the encoder does not have of a ResNet-50
OPTIONAL = "num_batches_tracked"  # older files do not have it, nothing reads it


def load_resnet50(encoder: Encoder, source: str) -> None:
    """Initialise the encoder from the state of torchvision's resnet50.

    The fourth input channel, the trimap, starts at zero. A stem of another kernel than the
    source's 7 keeps its random weights.

    Args:
        encoder: Encoder to fill.
        source: A file ending in .pth, .pt or .safetensors; or ``timm:NAME``, such as
            ``timm:resnet50.tv_in1k``, for timm to download or to find in its cache.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds another network, or timm cannot give it.
    """
    state = read_timm(source.removeprefix(TIMM)) if source.startswith(TIMM) else read_state(source)
    state = {key: value for key, value in state.items() if not key.startswith(LEFT_OUT)}
    expected = encoder.state_dict()
    stem = state.get("conv1.weight")
    if stem is not None and stem.shape[2:] != expected["conv1.weight"].shape[2:]:
        own = {key: value for key, value in expected.items() if key.startswith(("conv1.", "bn1."))}
        state |= own
    elif stem is not None and stem.shape[1] == 3:
        state["conv1.weight"] = torch.cat([stem, torch.zeros_like(stem[:, :1])], dim=1)
    for key, value in expected.items():
        if key.endswith(OPTIONAL):
            state.setdefault(key, value)
    check_complete(source, expected, state)
    encoder.load_state_dict(state)


def read_timm(name: str) -> dict[str, Tensor]:
    """State of a model that timm has the weights of.

    Raises:
        ValueError: If it has no such model, or can neither download nor find it.
    """
    import timm  # slow to import, and seldom asked for

    try:
        state: dict[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # of the network, of the hub, of timm: a dozen types
        raise ValueError(
            f"timm cannot give the weights of {name!r} ({type(error).__name__}: {error}); without "
            "a network, fetch torchvision's resnet50 elsewhere and give its file instead"
        ) from error
    return state


def check_complete(source: str, expected: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    """Refuse weights that lack a layer, have one too many or another size of one."""
    faults = [f"has an unknown {key!r}" for key in state if key not in expected]
    faults += [f"has nothing for {key!r}" for key in expected if key not in state]
    faults += [
        f"has shape {tuple(state[key].shape)} for {key!r}, the encoder {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    if faults:
        more = f" and {len(faults) - 8} more faults" if len(faults) > 8 else ""
        name = source if source.startswith(TIMM) else Path(source).name
        raise ValueError(
            f"{name} does not fit the encoder: it {'; it '.join(faults[:8])}{more}; give a state "
            "dict of torchvision.models.resnet50, which fits width=64 and blocks=(3, 4, 6)"
        )
