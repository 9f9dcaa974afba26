"""Starting the encoder from a VGG-16 that torchvision trained on ImageNet."""

from pathlib import Path

import torch
from torch import Tensor, nn

from mattingzoo.models.dim.network import DIMNet
from mattingzoo.weights import read_state


def load_vgg16(network: DIMNet, path: str | Path) -> None:
    """Initialise the encoder from a file with the state of torchvision's vgg16 or vgg16_bn.

    The fourth input channel, the trimap, starts at zero. The first fully connected layer becomes
    conv6 where the network has it as ``fc6``; the other variants of conv6 keep their random
    weights. The classifier's other layers are left out.

    Args:
        network: Network to fill; ``vgg16_bn`` needs ``batch_norm``, ``vgg16`` refuses it.
        path: File ending in .pth, .pt or .safetensors.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file holds another network.
    """
    path = Path(path)
    state = read_state(path)
    encoder, batch_norm = network.encoder, has_batch_norm(network)
    if batch_norm != ("features.1.running_mean" in state):
        found = "vgg16" if batch_norm else "vgg16_bn"
        raise ValueError(
            f"{path} holds {found}, but the network has batch_norm={batch_norm}; use the file of "
            f"{'vgg16_bn' if batch_norm else 'vgg16'} or set batch_norm={not batch_norm}"
        )
    expected = encoder.state_dict()
    converted = {}
    for key, source in vgg_names(network).items():
        if key.endswith("num_batches_tracked"):  # older files do not have it, nothing reads it
            converted[key] = state.pop(source, torch.tensor(0))
        elif source in state:
            converted[key] = fit(state.pop(source), expected[key])
    check_complete(path, expected, converted, state)
    if "conv6.weight" not in converted:
        converted |= {key: expected[key] for key in ("conv6.weight", "conv6.bias")}
    encoder.load_state_dict(converted)


def vgg_names(network: DIMNet) -> dict[str, str]:
    """Keys of the encoder, each with its name in torchvision's VGG."""
    names, offset = {}, 0
    for number, block in enumerate(network.encoder.blocks):
        for key in block.state_dict():
            layer, _, kind = key.partition(".")
            names[f"blocks.{number}.{key}"] = f"features.{offset + int(layer)}.{kind}"
        offset += len(list(block.children())) + 1  # torchvision counts the max-pool too
    if network.encoder.conv6.kernel_size == (7, 7):
        names |= {f"conv6.{kind}": f"classifier.0.{kind}" for kind in ("weight", "bias")}
    return names


def fit(value: Tensor, expected: Tensor) -> Tensor:
    """Give conv1_1 its fourth channel and turn fc6 into a convolution; pass everything else."""
    if value.ndim == 2 and value.numel() == expected.numel():
        return value.view_as(expected)
    if value.ndim == 4 and (value.shape[1], expected.shape[1]) == (3, 4):
        return torch.cat([value, torch.zeros_like(value[:, :1])], dim=1)
    return value


def check_complete(
    path: Path, expected: dict[str, Tensor], converted: dict[str, Tensor], left: dict[str, Tensor]
) -> None:
    """Refuse a file that lacks a layer, has one too many or another size of one."""
    faults = [f"has an unknown {key!r}" for key in left if not key.startswith("classifier.")]
    has_fc6 = expected["conv6.weight"].shape[-1] == 7
    for key, value in expected.items():
        if key in converted and converted[key].shape != value.shape:
            faults.append(
                f"has shape {tuple(converted[key].shape)} for {key!r}, the network "
                f"{tuple(value.shape)}"
            )
        elif key not in converted and (has_fc6 or not key.startswith("conv6.")):
            faults.append(f"has nothing for {key!r}")
    if faults:
        raise ValueError(
            f"{path} is not the VGG-16 of this network, it {'; it '.join(faults)}; give a state "
            "dict of torchvision.models.vgg16 or vgg16_bn"
        )


def has_batch_norm(network: DIMNet) -> bool:
    """Whether the encoder normalises."""
    return any(isinstance(layer, nn.BatchNorm2d) for layer in network.encoder.modules())
