"""Instance matting quality within an evaluation that goes person by person."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mattingzoo.metrics.instances import imq_of, instance_row
from mattingzoo.metrics.mattes import to_8_bit
from mattingzoo.source import Source


class Gathering:
    """Keeps the mattes of an image's instances until the last one is in, then scores them at once.

    Args:
        source: Says by :attr:`mattingzoo.source.Source.images` which samples are of one image.
    """

    def __init__(self, source: Source) -> None:
        self._image = dict(zip(source.names, source.images or [], strict=False))
        self._left = Counter(self._image.values())
        self._pred: dict[str, list[Tensor]] = {}
        self._alpha: dict[str, list[Tensor]] = {}

    def whole(self, done: Collection[str]) -> set[str]:
        """Those of the samples ``done`` whose image is done as a whole; the others come again.

        A run that was stopped between two persons of an image has lost the first one's matte.
        """
        found = Counter(self._image[name] for name in done if name in self._image)
        return {
            name
            for name in done
            if name not in self._image or found[self._image[name]] == self._left[self._image[name]]
        }

    def add(self, name: str, pred: Tensor, alpha: Tensor) -> list[float] | None:
        """Take in one sample's mattes [1, 1, H, W] in [0, 1].

        Returns:
            With the last sample of an image :func:`mattingzoo.metrics.instances.instance_row` of
            it, else None.
        """
        image = self._image.get(name)
        if image is None:
            return None
        # 8 bits on the host: what is scored, a fourth of the size, and not on the GPU.
        self._pred.setdefault(image, []).append(to_8_bit(pred).cpu())
        self._alpha.setdefault(image, []).append(to_8_bit(alpha).cpu())
        self._left[image] -= 1
        if self._left[image]:
            return None
        row = instance_row(torch.cat(self._pred.pop(image)), torch.cat(self._alpha.pop(image)))
        return [float(value) for value in row]


def summarise_instances(rows: Sequence[list[float]]) -> Mapping[str, Any] | None:
    """``IMQ/MAD`` and so on, ``RQ``, and of how many images; None if there were none.

    Args:
        rows: One of :meth:`Gathering.add` for each image.
    """
    if not rows:
        return None
    scores = imq_of(torch.tensor(rows, dtype=torch.float64))
    return {**{name: float(value) for name, value in scores.items()}, "n_images": len(rows)}
