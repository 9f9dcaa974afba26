"""Peak memory of a piece of work, on a GPU or in the process."""

import resource
import sys
from pathlib import Path
from types import TracebackType

import torch

_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class PeakMemory:
    """Context manager; afterwards ``megabytes`` holds the peak.

    On CUDA the peak of allocated device memory. On a CPU the peak resident size of the process,
    counted from entry where Linux allows the counter to be reset, else since the process began.

    Args:
        device: Where the work runs.
    """

    megabytes: float = 0.0

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __enter__(self) -> "PeakMemory":
        """Reset the counter."""
        if self.device.type == "cuda":
            torch.zeros((), device=self.device)  # brings CUDA up: there is no counter before
            torch.cuda.reset_peak_memory_stats(self.device)
        elif _RESET.exists():
            try:
                _RESET.write_text("5")
            except OSError:
                return self  # a sealed /proc: the peak since the start is still true
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Read the counter."""
        if self.device.type == "cuda":
            self.megabytes = torch.cuda.max_memory_allocated(self.device) / 2**20
        else:
            self.megabytes = _resident_peak()


def _resident_peak() -> float:
    """Peak resident size of this process in MiB."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
