"""What the scores are made of: five exact sums per image, over the whole of it and over a region.

On a CPU the sums come from compiled loops, a thread per image. On a GPU differences and gradients
are summed there, for the whole batch and without waiting; connectivity, which is a matter of
branches, is found on CPU threads meanwhile, so that the next batch can be predicted.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mattingzoo.metrics.connectivity import conn_sums
from mattingzoo.metrics.differences import difference_sums
from mattingzoo.metrics.gradient import grad_map
from mattingzoo.metrics.gradient_cpu import grad_sums

#: Rows of a table of sums [B, 2, 5], and its columns: pixels, 1/255, 1/255², units of alpha per
#: pixel squared, 1/2550. As float64, integers up to 2⁵³ among them are exact.
WHOLE, MASKED = 0, 1
PIXELS, ABSOLUTE, SQUARED, GRADIENT, CONNECTIVITY = range(5)

Part = Literal["difference", "gradient", "connectivity"]
PARTS: frozenset[Part] = frozenset({"difference", "gradient", "connectivity"})
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
NO_MASK = np.zeros((0, 0), dtype=np.bool_)


def sums_later(
    pred: Tensor, alpha: Tensor, mask: Tensor | None, whole: bool, parts: frozenset[Part] = PARTS
) -> Callable[[], Tensor]:
    """Begin to sum; on a GPU nothing waits until the result is asked for.

    Args:
        pred: Predicted mattes [B, 1, H, W], uint8.
        alpha: True mattes, likewise.
        mask: Pixels of a region [B, 1, H, W], bool, or None.
        whole: Whether the sums over the whole image are asked for, too.
        parts: Which sums are asked for; the others are 0.

    Returns:
        What gives the table [B, 2, 5] of :data:`WHOLE` and :data:`MASKED` sums, float64, on the
        device of the mattes (on the CPU if that has no float64).
    """
    if not pred.is_cuda:
        table = sums_on_cpu(
            pred.cpu(), alpha.cpu(), mask if mask is None else mask.cpu(), whole, parts
        )
        return lambda: table
    partial = sums_on_device(pred, alpha, mask, whole, parts)
    if "connectivity" not in parts:
        return lambda: partial
    rows = _connectivity_later(pred, alpha, mask)

    def table_of_all() -> Tensor:
        found = torch.tensor([row.result() for row in rows], dtype=torch.float64)  # [B, 2]
        partial[:, :, CONNECTIVITY] = found.pin_memory().to(partial.device, non_blocking=True)
        return partial

    return table_of_all


def sums_on_cpu(
    pred: Tensor, alpha: Tensor, mask: Tensor | None, whole: bool, parts: frozenset[Part]
) -> Tensor:
    """The table of sums by compiled loops, see :func:`sums_later`."""
    images = zip(_arrays(pred), _arrays(alpha), _masks(mask, len(pred)), strict=True)
    if len(pred) == 1:
        return torch.from_numpy(_image_sums(*next(images), whole, parts))[None]
    work = [threads().submit(_image_sums, *image, whole, parts) for image in images]
    return torch.from_numpy(np.stack([image.result() for image in work]))


def sums_on_device(
    pred: Tensor, alpha: Tensor, mask: Tensor | None, whole: bool, parts: frozenset[Part]
) -> Tensor:
    """The table of sums by tensor operations, but for connectivity; see :func:`sums_later`."""
    table = torch.zeros((len(pred), 2, 5), dtype=torch.float64, device=pred.device)
    maps: dict[int, Tensor] = {}
    if "difference" in parts:
        difference = pred.int() - alpha.int()
        maps[ABSOLUTE], maps[SQUARED] = difference.abs(), difference * difference
    if "gradient" in parts:
        maps[GRADIENT] = grad_map(pred, alpha)
    table[:, WHOLE, PIXELS] = pred[0].numel()
    if mask is not None:
        table[:, MASKED, PIXELS] = mask.sum(dim=(1, 2, 3)).double()
    for column, errors in maps.items():
        exact = torch.float64 if errors.is_floating_point() else torch.int64
        if whole:
            table[:, WHOLE, column] = errors.sum(dim=(1, 2, 3), dtype=exact).double()
        if mask is not None:
            inside = (errors * mask).sum(dim=(1, 2, 3), dtype=exact)
            table[:, MASKED, column] = inside.double()
    return table


def _connectivity_later(
    pred: Tensor, alpha: Tensor, mask: Tensor | None
) -> list[Future[tuple[int, int]]]:
    """Send mattes to the host as bytes and have their connectivity summed there, by threads."""
    planes = torch.cat([pred, alpha] if mask is None else [pred, alpha, mask.byte()], dim=1)
    host = torch.empty(planes.shape, dtype=torch.uint8, pin_memory=True)
    host.copy_(planes, non_blocking=True)
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record()

    def sums(image: Bytes) -> tuple[int, int]:
        arrived.synchronize()
        region = image[2].view(np.bool_) if len(image) > 2 else NO_MASK
        return conn_sums(image[0], image[1], region)

    return [threads().submit(sums, image) for image in host.numpy()]


def _image_sums(
    pred: Bytes, alpha: Bytes, mask: Mask, whole: bool, parts: frozenset[Part]
) -> NDArray[np.float64]:
    """The sums of one image [2, 5]."""
    table = np.zeros((2, 5))
    table[:, PIXELS] = pred.size, np.count_nonzero(mask)
    if "difference" in parts:
        sums = difference_sums(pred, alpha, mask, whole)
        table[:, ABSOLUTE], table[:, SQUARED] = sums[:2], sums[2:]
    if "gradient" in parts:
        table[:, GRADIENT] = grad_sums(pred, alpha, mask, whole)
    if "connectivity" in parts:
        table[:, CONNECTIVITY] = conn_sums(pred, alpha, mask)
    return table


def _arrays(mattes: Tensor) -> list[Bytes]:
    # By NumPy: slicing a tensor takes longer than summing a small picture.
    return list(np.ascontiguousarray(mattes.numpy()[:, 0]))


def _masks(mask: Tensor | None, count: int) -> list[Mask]:
    return [NO_MASK] * count if mask is None else list(np.ascontiguousarray(mask.numpy()[:, 0]))


@cache
def threads() -> ThreadPoolExecutor:
    """As many threads as torch may use in this process; the compiled loops run side by side."""
    return ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="metrics")


# A forked process inherits the pool, but not its threads: work given to it would wait for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=threads.cache_clear)
