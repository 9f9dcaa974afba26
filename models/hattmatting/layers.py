"""Pieces that several parts of HAttMatting are made of."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def conv_norm_relu(before: int, after: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    """Convolution that keeps the size, batch norm, ReLU."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class PooledNorm(nn.BatchNorm2d):
    """Batch norm of pictures pooled to one pixel, for any size of batch.

    A batch of one has one value per channel and thus no variance, at which batch norm gives up:
    the running statistics take their place.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, C, 1, 1]."""
        if self.training and len(x) == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


def run(module: nn.Module, *inputs: Tensor, sparing: bool) -> Any:
    """Run a module; if ``sparing``, keep its inputs only and run it again for its gradient.

    The second run leaves running statistics alone, so that training goes as it would without.
    """
    if not sparing or not torch.is_grad_enabled():
        return module(*inputs)

    def contexts() -> tuple[Any, Any]:
        return nullcontext(), _still_statistics(module)

    return checkpoint(module, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def _still_statistics(module: nn.Module) -> Iterator[None]:
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.training]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        # Not without statistics at all: both runs must save the same tensors.
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches
