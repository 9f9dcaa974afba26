"""The authors' public checkpoints, brought to this package's names.

They are on huggingface.co/XiaRho/SEMat, for non-commercial use (CC BY-NC 4.0), as detectron2 wrote
them: ``{"model": {...}}``. The SAM and the HQ-SAM variant can be converted; that of SAM2 is another
network.
"""

import re
from typing import Any

import torch
from torch import Tensor

from mattingzoo.models.semat.network import SEMatNet
from mattingzoo.weights import mismatches

VARIANTS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}  # by the channels of the image encoder
VIT = "sam_model.image_encoder.base_model.model."
POSITIONS = f"{VIT}pos_embed"

#: Parts that prediction does not use: a second copy of SAM's decoder, for the training loss.
DROPPED = ("sam_model.frozen_mask_decoder.",)

#: Beginning of their names and of ours, tried in this order.
PREFIXES = {
    VIT: "encoder.vit.",
    "condition_layer.patch_embed.proj.": "encoder.prompt_embed.",
    "sam_model.prompt_encoder.": "prompt_encoder.",
    "sam_model.mask_decoder.matting_hf_token.": "decoder.matting.token.",
    "sam_model.mask_decoder.matting_hf_mlp.": "decoder.matting.mlp.",
    "sam_model.mask_decoder.matting_": "decoder.matting.",
    "sam_model.mask_decoder.hf_token.": "decoder.hq.token.",
    "sam_model.mask_decoder.hf_mlp.": "decoder.hq.mlp.",
    "sam_model.mask_decoder.compress_vit_feat.": "decoder.hq.compress_vit_feat.",
    "sam_model.mask_decoder.embedding_encoder.": "decoder.hq.embedding_encoder.",
    "sam_model.mask_decoder.embedding_maskfeature.": "decoder.hq.embedding_maskfeature.",
    "sam_model.mask_decoder.": "decoder.sam.",
    "matting_decoder.big_kernel_process.": "detail.stem.",
    "matting_decoder.vit_feat_proj.": "detail.tap_proj.",
    "matting_decoder.vit_feat_aggregation.": "detail.fusion.",
    "matting_decoder.down_blks.": "detail.downs.",
    "matting_decoder.mid_layer.": "detail.middle.",
    "matting_decoder.up_blks.": "detail.ups.",
    "matting_decoder.matting_head.": "detail.to_alpha.",
}

#: Names within them.
INNER = {
    r"\.base_layer\.": ".",
    r"\.lora_A\.default\.": ".lora_a.",
    r"\.lora_B\.default\.": ".lora_b.",
    r"\.basic_layer\.0\.": ".first.",
    r"\.basic_layer\.2\.": ".second.",
    r"\.res_layer\.": ".shortcut.",
}


def convert(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Translate a public checkpoint.

    Args:
        state: Tensors by name, as the authors saved them, with or without the level ``model``.

    Returns:
        Hyper-parameters for :class:`mattingzoo.models.SEMat`, and the state of its ``network``.

    Raises:
        ValueError: If it is another kind of file, or if a key is missing, left over or of another
            shape; the message lists them.
    """
    state = state.get("model", state)
    hparams = read_hparams(state)
    converted = rename(state)
    faults = mismatches(expected_state(hparams), converted, shown=20)
    if faults:
        raise ValueError(f"not a public checkpoint of SEMat; {faults}")
    return hparams, converted


def rename(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of :class:`SEMatNet`; names that are not known stay as they are."""
    kept = {key: value for key, value in state.items() if not key.startswith(DROPPED)}
    return {new_name(key): value for key, value in kept.items()}


def new_name(key: str) -> str:
    """Our name of one of their keys; the key itself if it has none."""
    for theirs, ours in PREFIXES.items():
        if key.startswith(theirs):
            key = ours + key.removeprefix(theirs)
            for pattern, replacement in INNER.items():
                key = re.sub(pattern, replacement, key)
            return key
    return key


def read_hparams(state: dict[str, Tensor]) -> dict[str, Any]:
    """Hyper-parameters of :class:`mattingzoo.models.SEMat` that fit a state."""
    if any(".trunk." in key for key in state):
        raise ValueError(
            "this is SEMat on SAM2, another network, which is not here; give the checkpoint of the "
            "SAM or the HQ-SAM variant"
        )
    if POSITIONS not in state:
        found = ", ".join(sorted(state)[:5])
        raise ValueError(
            f"not a public checkpoint of SEMat: no {POSITIONS} among its {len(state)} keys "
            f"{found}, ..."
        )
    channels = state[POSITIONS].shape[-1]
    if channels not in VARIANTS:
        raise ValueError(
            f"not a public checkpoint of SEMat: {POSITIONS} has {channels} channels, SAM's have "
            f"{', '.join(map(str, VARIANTS))}"
        )
    first = state.get(f"{VIT}patch_embed.proj.lora_A.default.weight")
    return {
        "sam": VARIANTS[channels],
        "hq": "sam_model.mask_decoder.hf_token.weight" in state,
        "lora_rank": 16 if first is None else len(first),
        "train_sam": False,
    }


def expected_state(hparams: dict[str, Any]) -> dict[str, Tensor]:
    """State of the network with these hyper-parameters: keys and shapes, no memory."""
    options = {name: value for name, value in hparams.items() if name != "train_sam"}
    with torch.device("meta"):
        return SEMatNet(**options).state_dict()
