"""Public checkpoints of Deep Image Matting, brought to this package's names.

The authors published none. These are re-implementations, trained on the Adobe set and therefore
for non-commercial use only; :data:`SOURCES` has their names of the layers. A fourth one, that of
foamliu/Deep-Image-Matting-PyTorch, cannot be had: its file is a pickled module, which would run
code when read, so that :func:`mattingzoo.weights.read_state` refuses it; and its decoder differs.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from mattingzoo.models.dim.network import DIMNet

CONVS = (2, 2, 3, 3, 3)  # VGG-16: all sources have it
CONV6_OF_KERNEL = {7: "fc6", 3: "conv3", 1: "conv1"}


class Naming(NamedTuple):
    """A source's names: {b} is the block, {k} the convolution in it, both from 1; {i} 2 (k - 1)."""

    conv: str
    norm: str  # empty without batch normalisation
    conv6: str
    deconv: str
    to_alpha: str
    refiner: str  # prefix
    activation: str


SOURCES = {
    "open-mmlab/mmagic": Naming(
        conv="backbone.encoder.layer{b}.{i}",
        norm="",
        conv6="backbone.encoder.conv6",
        deconv="backbone.decoder.deconv{b}_1",
        to_alpha="backbone.decoder.deconv1",
        refiner="refiner.",
        activation="sigmoid",
    ),
    "huochaitiantang/pytorch-deep-image-matting": Naming(
        conv="conv{b}_{k}",
        norm="",
        conv6="conv6_1",
        deconv="deconv{b}_1",
        to_alpha="deconv1",
        refiner="",
        activation="sigmoid",
    ),
    "poppinace/indexnet_matting": Naming(
        conv="conv{b}{k}",
        norm="bn{b}{k}",
        conv6="conv6",
        deconv="dconv{b}",
        to_alpha="alpha_pred",
        refiner="",
        activation="clamp",  # linear in training, cut to [0, 1] in use
    ),
}


def convert(
    state: dict[str, Tensor], skips: bool | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Translate a public checkpoint.

    Args:
        state: Tensors by name, as the source saved them.
        skips: Whether the decoder adds the encoder maps. Nothing in a file tells, so it must be
            said for the one source where it can be either, huochaitiantang with a 3x3 conv6:
            True for its release V1.5, False for v1.4.

    Returns:
        Hyper-parameters for :class:`mattingzoo.models.DIM`, and the state of its ``network``. A
        file with a refiner becomes stage 3; one of stage 2 looks the same.

    Raises:
        ValueError: If the source is not recognised, if ``skips`` is needed or wrong, or if a key
            is missing, left over or of another shape.
    """
    state = {key.removeprefix("module."): value for key, value in state.items()}
    source = recognise(state)
    hparams = read_hparams(state, source, skips)
    expected = expected_state(hparams)
    names = layer_names(SOURCES[source])
    converted, faults = {}, []
    for key, target in expected.items():
        layer, _, kind = key.rpartition(".")
        theirs = f"{names[layer]}.{kind}"
        if theirs in state and state[theirs].shape == target.shape:
            converted[key] = state.pop(theirs)
        elif theirs in state:
            faults.append(
                f"{theirs} is {tuple(state.pop(theirs).shape)}, not {tuple(target.shape)}"
            )
        elif kind == "num_batches_tracked":  # older files do not have it, nothing reads it
            converted[key] = torch.tensor(0)
        else:
            faults.append(f"{theirs} is missing")
    faults += [f"{key} is unknown" for key in state]
    if faults:
        raise ValueError(f"not a DIM checkpoint of {source}: {'; '.join(faults)}")
    return hparams, converted


def recognise(state: dict[str, Tensor]) -> str:
    """Name the source whose first convolution is among the keys."""
    firsts = {source: naming.conv.format(b=1, k=1, i=0) for source, naming in SOURCES.items()}
    for source, first in firsts.items():
        if f"{first}.weight" in state:
            return source
    wanted = ", ".join(f"{first}.weight ({source})" for source, first in firsts.items())
    raise ValueError(
        f"not a known checkpoint of DIM: none of {wanted} among its {len(state)} keys "
        f"{', '.join(sorted(state)[:5])}, ..."
    )


def read_hparams(state: dict[str, Tensor], source: str, skips: bool | None) -> dict[str, Any]:
    """Hyper-parameters of :class:`mattingzoo.models.DIM` that fit a state."""
    naming = SOURCES[source]
    conv6 = f"{naming.conv6}.weight"
    kernel = state[conv6].shape[-1] if conv6 in state else None
    if kernel not in CONV6_OF_KERNEL:
        raise ValueError(
            f"not a DIM checkpoint of {source}: {conv6} must have a kernel of 1, 3 or 7, "
            f"{'it is missing' if kernel is None else f'got {kernel}'}"
        )
    either = source.startswith("huochaitiantang/") and kernel == 3
    if either and skips is None:
        raise ValueError(
            f"a checkpoint of {source} with a 3x3 conv6 does not tell whether its decoder adds the "
            "encoder maps; say skips=True for release V1.5, skips=False for v1.4"
        )
    if skips and not either:
        raise ValueError(f"skips=True, but this network of {source} does not add encoder maps")
    return {
        "width": state[f"{naming.conv.format(b=1, k=1, i=0)}.weight"].shape[0],
        "conv6": CONV6_OF_KERNEL[kernel],
        "skips": bool(skips),
        "batch_norm": bool(naming.norm),
        "activation": naming.activation,
        "stage": 3 if f"{naming.refiner}refine_pred.weight" in state else 1,
    }


def expected_state(hparams: dict[str, Any]) -> dict[str, Tensor]:
    """State of the network with these hyper-parameters: keys and shapes, no memory."""
    options = {name: value for name, value in hparams.items() if name != "stage"}
    with torch.device("meta"):
        return DIMNet(convs=CONVS, refine=hparams["stage"] > 1, **options).state_dict()


def layer_names(naming: Naming) -> dict[str, str]:
    """The source's name of each of our layers."""
    names = {
        "encoder.conv6": naming.conv6,
        "decoder.deconv6": naming.deconv.format(b=6),
        "decoder.to_alpha": naming.to_alpha,
    }
    stride = 3 if naming.norm else 2  # convolution, normalisation, ReLU
    for block, convs in enumerate(CONVS, start=1):
        for conv in range(1, convs + 1):
            place = {"b": block, "k": conv, "i": 2 * (conv - 1)}
            ours = f"encoder.blocks.{block - 1}."
            names[f"{ours}{stride * (conv - 1)}"] = naming.conv.format(**place)
            if naming.norm:
                names[f"{ours}{stride * (conv - 1) + 1}"] = naming.norm.format(**place)
        names[f"decoder.deconvs.{5 - block}"] = naming.deconv.format(b=block)
    for layer, theirs in enumerate(("refine_conv1", "refine_conv2", "refine_conv3", "refine_pred")):
        names[f"refiner.{2 * layer}"] = f"{naming.refiner}{theirs}"
    return names
