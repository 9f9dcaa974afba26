"""The propagation unit: a ConvLSTM that refines the matte step by step at full resolution."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = tuple[Tensor, Tensor]  # output and memory of the cell, both [B, M, H, W]


class Propagation(nn.Module):
    """Image, adapted trimap and matte, over and over, to a better matte.

    Args:
        context: Channels of image and trimap together.
        width: Channels of the residual blocks.
        memory: Channels of the cell's memory and output.
        gate_kernel: Kernel of the cell's gates, odd.
        iterations: Steps.
        shared: All steps have the same weights.
    """

    def __init__(
        self,
        context: int,
        width: int,
        memory: int,
        gate_kernel: int,
        iterations: int,
        shared: bool,
    ) -> None:
        super().__init__()
        self.memory, self.iterations = memory, iterations
        self.steps = nn.ModuleList(
            Step(context + 1, width, memory, gate_kernel)
            for _ in range(1 if shared else iterations)
        )

    def forward(self, context: Tensor, alpha: Tensor) -> tuple[Tensor, ...]:
        """Refine a matte.

        Args:
            context: Image and trimap [B, C, H, W].
            alpha: First matte [B, 1, H, W], unbounded.

        Returns:
            The matte after each step [B, 1, H, W], unbounded.
        """
        # Channels last in memory: on a CPU, few channels are convolved three times as fast.
        context = context.contiguous(memory_format=torch.channels_last)
        nothing = context.new_zeros(len(context), self.memory, *context.shape[-2:])
        nothing = nothing.contiguous(memory_format=torch.channels_last)
        state, mattes = (nothing, nothing), []
        for number in range(self.iterations):
            step = self.steps[number % len(self.steps)]
            alpha, state = step(torch.cat([context, alpha], dim=1), state)
            mattes.append(alpha)
        return tuple(mattes)


class Step(nn.Module):
    """Two residual blocks, the cell, and a convolution that reads the matte off its output."""

    def __init__(self, before: int, width: int, memory: int, gate_kernel: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(ResBlock(before, width), ResBlock(width, width))
        self.cell = ConvLSTMCell(width, memory, gate_kernel)
        self.to_alpha = nn.Conv2d(memory, 1, kernel_size=3, padding=1)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The matte [B, 1, H, W] and the next state."""
        state = self.cell(self.blocks(x), state)
        return self.to_alpha(state[0]), state


class ConvLSTMCell(nn.Module):
    """Long short-term memory whose gates are convolutions (Shi et al., NeurIPS 2015).

    Without peepholes: the gates look at the input and at the last output, not at the memory.
    """

    def __init__(self, before: int, memory: int, kernel: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(before + memory, 4 * memory, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, state: State) -> State:
        """One step over the input [B, C, H, W]."""
        output, memory = state
        gates = self.gates(torch.cat([x, output], dim=1))
        entry, forget, exit_, new = gates.chunk(4, dim=1)
        memory = forget.sigmoid() * memory + entry.sigmoid() * new.tanh()
        return exit_.sigmoid() * memory.tanh(), memory


class ResBlock(nn.Module):
    """Two convolutions 3x3 with normalisation around a straight way, 1x1 where widths differ."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.project: nn.Module = nn.Identity()
        if before != after:
            self.project = nn.Sequential(
                nn.Conv2d(before, after, kernel_size=1, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, before, H, W] to [B, after, H, W]."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.project(x))
