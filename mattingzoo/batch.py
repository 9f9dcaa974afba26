"""The sample contract: what every dataset provides and every model consumes.

One vocabulary for the whole zoo. A *sample* is one picture, a *batch* stacks samples along a new
first axis. All tensors are float32 unless said otherwise.
"""

from collections.abc import Collection, Sequence
from typing import TypedDict

import torch
from torch import Tensor
from torch.utils.data import default_collate


class Batch(TypedDict, total=False):
    """A batch of matting samples; a dataset's sample is the same without the leading ``B``."""

    image: Tensor  # [B, 3, H, W] in [0, 1], RGB
    alpha: Tensor  # [B, 1, H, W] in [0, 1]
    trimap: Tensor  # [B, 1, H, W] in {0, 0.5, 1}; 0.5 is unknown
    foreground: Tensor  # [B, 3, H, W] in [0, 1], colour not multiplied by alpha
    background: Tensor  # [B, 3, H, W] in [0, 1]
    captured_background: Tensor  # [B, 3, H, W] in [0, 1], the background photographed again
    segmentation: Tensor  # [B, 1, H, W] in [0, 1], soft and rough
    motion: Tensor  # [B, 4, H, W] in [0, 1], gray neighbouring frames
    box: Tensor  # [B, 4], x0 y0 x1 y1 in pixels, x1 and y1 exclusive
    points: Tensor  # [B, N, 3], x y in pixels and 1 foreground, 0 background, -1 padding
    name: list[str]  # unique within a data set; what result files are called
    index: Tensor  # [B] int64, position in the data set's own order
    original_size: Tensor  # [B, 2] int64, height and width of the file the sample came from
    seed: Tensor  # [B] int64 on the CPU, the source of every random draw for the sample
    true_outside: Tensor  # [B] bool on the CPU, whether foreground colours hold where alpha is 0
    window: Tensor  # [B] int64 on the CPU, side of a training window in pixels; gone once composed


PICTURES = (
    "image",
    "alpha",
    "trimap",
    "foreground",
    "background",
    "captured_background",
    "segmentation",
    "motion",
)

# What can be made from what: the field derives these, see `mattingzoo.derive`.
DERIVED_FROM: dict[str, tuple[str, ...]] = {
    "image": ("foreground", "alpha", "background"),
    "trimap": ("alpha",),
    "segmentation": ("alpha",),
    "box": ("alpha",),
    "points": ("alpha",),
    "captured_background": ("background",),
    "motion": ("image",),
}


def derivable(native: Collection[str]) -> frozenset[str]:
    """All keys to be had from a dataset that provides the keys ``native``."""
    have = set(native)
    # In the order of the table "image" comes before "motion", so one pass is enough.
    for key, needs in DERIVED_FROM.items():
        if have.issuperset(needs):
            have.add(key)
    return frozenset(have)


def check_keys(needed: Collection[str], native: Collection[str], model: str, dataset: str) -> None:
    """Refuse a pairing of model and dataset before any work starts.

    Raises:
        KeyError: If a needed key is neither native to the dataset nor derivable from it; the
            message names model, dataset and key.
    """
    missing = sorted(set(needed) - derivable(native))
    if missing:
        keys = " and ".join(repr(key) for key in missing)
        raise KeyError(
            f"{model} needs {keys}, which {dataset} does not have and which cannot be derived from "
            f"its {', '.join(sorted(native))}; choose a data set with {keys} or another model"
        )


def collate(samples: Sequence[Batch]) -> Batch:
    """Stack samples; pictures of differing size are refused with their names.

    Raises:
        ValueError: If the samples hold different keys or pictures of different size.
    """
    keys = set(samples[0])
    for sample in samples:
        if set(sample) != keys:
            raise ValueError(
                f"sample {sample.get('name')!r} has the keys {sorted(sample)}, the first of its "
                f"batch has {sorted(keys)}; a dataset must provide the same keys for every sample"
            )
    for key in sorted(keys.intersection(PICTURES)):
        sizes = {s["name"]: tuple(s[key].shape) for s in samples}  # type: ignore[literal-required]
        if len(set(sizes.values())) > 1:
            raise ValueError(
                f"{key!r} differs in size within one batch: {sizes}; evaluate with batch_size 1"
            )
    batch: Batch = default_collate(list(samples))
    return batch


def to_float(picture: Tensor) -> Tensor:
    """Bring an 8- or 16-bit picture to float32 in [0, 1]; floats pass unchanged."""
    if picture.dtype == torch.uint8:
        return picture.float() / 255
    if picture.dtype == torch.uint16:
        return picture.float() / 65535
    return picture
