"""Gaussian noise drawn where it is used."""

import torch
from torch import Tensor


def normal_like(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise of a picture's shape, drawn on its device.

    A CPU generator seeds one on the device, so that a large batch is not drawn on the host; the
    values therefore differ from device to device, every other draw of the zoo does not.
    """
    if picture.device.type == "cpu":
        return torch.randn(picture.shape, generator=generator)
    seed = int(torch.randint(2**62, (), generator=generator))
    local = torch.Generator(picture.device).manual_seed(seed)
    return torch.randn(picture.shape, generator=local, device=picture.device)
