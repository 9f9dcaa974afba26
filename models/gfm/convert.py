"""The authors' public checkpoints, brought to this package's names.

Linked in github.com/JizhiziLi/GFM (MIT): ``gfm_NAME.pth`` of r34_tt, r34_ft, r34_bt, r34_2b_tt,
d121_tt, r101_tt and d121_rim. Plain state dicts that hold the backbone twice, whole and in stages.
"""

import re
from typing import Any

import torch
from torch import Tensor

from mattingzoo.models.gfm.network import GFMNet
from mattingzoo.weights import mismatches

#: The backbone as a whole: the same tensors again, and a classifier that nothing uses.
DROPPED = ("resnet.", "densenet.")

#: A key that only checkpoints with this encoder have, the first that fits.
ENCODER_OF = {
    "encoder6.1.conv1.weight": "r34_2b",
    "encoder1.0.denselayer1.conv1.weight": "d121",
    "encoder1.1.0.conv3.weight": "r101",
    "encoder1.1.0.conv1.weight": "r34",
}

RESNET = {
    r"encoder0\.0\.": "encoder.conv1.",
    r"encoder0\.1\.": "encoder.bn1.",
    r"encoder1\.1\.": "encoder.layer1.",
    r"encoder([234])\.": r"encoder.layer\1.",
}
ENCODERS = {
    "r34": RESNET,
    "r101": RESNET,
    "r34_2b": {
        r"encoder0\.": "encoder.stem.",
        r"encoder([1234])\.": r"encoder.layer\1.",
        # Blocks are counted after a pooling, which has no weights.
        **{rf"encoder{k}\.{b + 1}\.": f"encoder.layer{k}.{b}." for k in (5, 6) for b in range(3)},
    },
    "d121": {
        r"encoder0\.0\.": "encoder.features.conv0.",
        r"encoder0\.1\.": "encoder.features.norm0.",
        r"encoder([1234])\.0\.": r"encoder.features.denseblock\1.",
        r"encoder([123])\.1\.": r"encoder.features.transition\1.",
        r"encoder4\.1\.": "encoder.squeeze.0.",
        r"encoder4\.2\.": "encoder.squeeze.1.",
    },
}
REST = {
    r"psp_module\.stages\.": "glance.pool.stages.",
    r"psp_module\.bottleneck\.": "glance.pool.fuse.",
    r"bridge_block\.": "focus.bridge.",
    r"rim\.0\.": "blend.expand.",
    r"rim\.1\.fc\.0\.": "blend.squeeze.",
    r"rim\.1\.fc\.2\.": "blend.excite.",
    r"rim\.2\.": "blend.to_alpha.",
}
DECODERS = {"g": "glance", "f": "focus"}
HEADS = {"": 0, "_tt": 0, "_ft": 1, "_bt": 2}


def convert(
    state: dict[str, Tensor], variant: str | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Translate a public checkpoint.

    Args:
        state: Tensors by name, as the authors saved them.
        variant: ``FT`` or ``BT``, which have the same layers, so that a file cannot tell; must be
            said for these two.

    Returns:
        Hyper-parameters for :class:`mattingzoo.models.GFM`, and the state of its ``network``.

    Raises:
        ValueError: If it is another kind of file, if ``variant`` is needed or wrong, or if a key is
            missing, left over or of another shape; the message lists them.
    """
    state = {key.removeprefix("module."): value for key, value in state.items()}
    encoder = recognise(state)
    hparams = {"encoder": encoder, "variant": read_variant(state, encoder, variant)}
    converted = rename(state, encoder)
    faults = mismatches(expected_state(hparams), converted, shown=20)
    if faults:
        raise ValueError(f"not a public checkpoint of GFM; {faults}")
    return hparams, converted


def recognise(state: dict[str, Tensor]) -> str:
    """The encoder of a checkpoint."""
    for key, encoder in ENCODER_OF.items():
        if key in state:
            return encoder
    raise ValueError(
        f"not a public checkpoint of GFM: none of {', '.join(ENCODER_OF)} among its {len(state)} "
        f"keys {', '.join(sorted(state)[:5])}, ..."
    )


def read_variant(state: dict[str, Tensor], encoder: str, said: str | None) -> str:
    """The representation of a checkpoint, with what was said of it where it cannot tell."""
    if "rim.0.weight" in state:
        found: tuple[str, ...] = ("RIM",)
    else:
        head = "decoder0_g.0.weight" if encoder == "r34_2b" else "decoder0_g.6.weight"
        if head not in state:
            raise ValueError(f"not a public checkpoint of GFM: it lacks {head}")
        found = ("TT",) if len(state[head]) == 3 else ("FT", "BT")
    if said is None and len(found) == 1:
        return found[0]
    if said not in found:
        raise ValueError(
            f"this checkpoint is of variant {' or '.join(found)}, "
            + ("say which: variant=FT" if said is None else f"variant={said} was said")
        )
    return said


def rename(state: dict[str, Tensor], encoder: str) -> dict[str, Tensor]:
    """The state of :class:`GFMNet`; names that are not known stay as they are."""
    unused = (*DROPPED, "psp1.") if encoder == "r34_2b" else DROPPED
    kept = {key: value for key, value in state.items() if not key.startswith(unused)}
    return {new_name(key, encoder): value for key, value in kept.items()}


def new_name(key: str, encoder: str) -> str:
    """Our name of one of their keys; the key itself if it has none."""
    deepest = 6 if encoder == "r34_2b" else 4  # they count levels from the shallowest
    if match := re.match(rf"psp([1-{deepest}])\.", key):
        return f"glance.contexts.{deepest - int(match[1])}.{key[match.end() :]}"
    if match := re.match(r"decoder0_([gf])(_tt|_ft|_bt|)\.", key):
        rest = key[match.end() :]
        rest = rest.removeprefix("0.") if encoder == "r34_2b" else rest  # one layer, not a sequence
        return f"{DECODERS[match[1]]}.heads.{HEADS[match[2]]}.{rest}"
    if match := re.match(rf"decoder([1-{deepest}])_([gf])\.", key):
        level = deepest - int(match[1])
        return f"{DECODERS[match[2]]}.levels.{level}.{key[match.end() :]}"
    for theirs, ours in {**ENCODERS[encoder], **REST}.items():
        if re.match(theirs, key):
            return re.sub(f"^{theirs}", ours, key)
    return key


def expected_state(hparams: dict[str, Any]) -> dict[str, Tensor]:
    """State of the network with these hyper-parameters: keys and shapes, no memory."""
    with torch.device("meta"):
        return GFMNet(**hparams).state_dict()
