"""The authors' generators, brought to this package's names.

They are linked from github.com/senguptaumd/Background-Matting: ``netG_epoch_*`` of the folders
real-fixed-cam, real-hand-held and syn-comp-adobe, and ``net_epoch_64.pth``; for non-commercial use
(CC BY-NC-SA 4.0). Their names count layers, those without parameters too.
"""

import re
from typing import Any

import torch
from torch import Tensor

from mattingzoo.models.background_matting.network import BackgroundMattingNet

FIRST = "model_enc1.1.weight"
STATISTICS = "num_batches_tracked"  # older files do not have it, nothing reads it

#: Position of the convolution of each of our :class:`ConvNorm`; its norm is at the next one.
CONV_NORMS = {
    "image_fine.0": "model_enc1.1",
    "image_fine.1": "model_enc1.4",
    "image_deep": "model_enc2.0",
    "switch_background": "comb_back.0",
    "switch_segmentation": "comb_seg.0",
    "switch_motion": "comb_multi.0",
    "merge": "model_res_dec.0",
    "alpha_up.0.1": "model_al_out.1",
    "alpha_up.1.1": "model_al_out.5",
    "foreground_up.1": "model_dec_fg1.1",
    "foreground_fine.1": "model_fg_out.1",
}
ENCODERS = {"background": "model_enc_back", "segmentation": "model_enc_seg"}
ENCODERS["motion"] = "model_enc_multi"
HEADS = {"to_alpha": "model_al_out.9", "to_foreground": "model_fg_out.5"}
#: Residual blocks, and the position of the first in its sequence.
BLOCKS = {
    "trunk": ("model_res_dec", 3),
    "alpha_trunk": ("model_res_dec_al", 0),
    "foreground_trunk": ("model_res_dec_fg", 0),
}


def convert(state: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Translate a public checkpoint.

    Args:
        state: Tensors by name, as the authors saved them, in a ``DataParallel`` or not.

    Returns:
        Hyper-parameters for :class:`mattingzoo.models.BackgroundMatting`, and the state of its
        ``network``. The network is the ``legacy`` one, which does not look at motion, and predicts
        as the authors do, the subject's surroundings at 512 pixels.

    Raises:
        ValueError: If it is another kind of file, or if a key is missing, left over or of another
            shape; the message lists them.
    """
    state = {key.removeprefix("module."): value for key, value in state.items()}
    hparams = read_hparams(state)
    converted, faults = {}, []
    for key, target in expected_state(hparams).items():
        theirs = their_name(key)
        if theirs not in state and key.endswith(STATISTICS):
            converted[key] = torch.tensor(0)
        elif theirs not in state:
            faults.append(f"{theirs} is missing")
        else:
            converted[key] = value = state.pop(theirs)
            if value.shape != target.shape:
                faults.append(f"{theirs} is {tuple(value.shape)}, not {tuple(target.shape)}")
    faults += [f"{key} is unknown" for key in state]
    if faults:
        more = f" and {len(faults) - 20} more faults" if len(faults) > 20 else ""
        raise ValueError(f"not a generator of Background Matting: {'; '.join(faults[:20])}{more}")
    return hparams, converted


def read_hparams(state: dict[str, Tensor]) -> dict[str, Any]:
    """Hyper-parameters of :class:`mattingzoo.models.BackgroundMatting` that fit a state."""
    if FIRST not in state:
        found = ", ".join(sorted(state)[:5])
        raise ValueError(
            f"not a generator of Background Matting: no {FIRST} among its {len(state)} keys "
            f"{found}, ..."
        )
    trunk, decoder = (
        len({key.split(".")[1] for key in state if re.match(rf"{name}\.\d+\.conv_block\.", key)})
        for name in ("model_res_dec", "model_res_dec_al")
    )
    return {
        "width": len(state[FIRST]),
        "n_blocks1": trunk,
        "n_blocks2": decoder,
        "legacy": True,
        "working_size": 512,
    }


def expected_state(hparams: dict[str, Any]) -> dict[str, Tensor]:
    """State of the network with these hyper-parameters: keys and shapes, no memory."""
    sizes = {name: hparams[name] for name in ("width", "n_blocks1", "n_blocks2")}
    with torch.device("meta"):
        return BackgroundMattingNet(use_motion=False, **sizes).state_dict()


def their_name(key: str) -> str:
    """The authors' name of one of our keys."""
    layer, kind = key.rsplit(".", 1)
    if layer in HEADS:
        return f"{HEADS[layer]}.{kind}"
    unit, place = layer.rsplit(".", 1)  # of a convolution (0) or its norm (1)
    sequence, position = _place(unit).rsplit(".", 1)
    return f"{sequence}.{int(position) + int(place)}.{kind}"


def _place(unit: str) -> str:
    """Where the authors have the convolution of one of our units."""
    if unit in CONV_NORMS:
        return CONV_NORMS[unit]
    part, number, *half = unit.split(".")
    if part in ENCODERS:
        return f"{ENCODERS[part]}.{1 + 3 * int(number)}"
    sequence, first = BLOCKS[part]
    return f"{sequence}.{first + int(number)}.conv_block.{1 if half == ['first'] else 5}"
