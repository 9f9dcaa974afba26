"""How long networks for phones take on a CPU, side by side, and what they cost on paper.

    python benchmarks/latency.py
    python benchmarks/latency.py --models md16-0.5,mmnet-1.0,mmnet-0.5 --sizes 256 --threads 1

Models: mmnet-W at any width W; what its paper compares with, Mobile DeepLabv3 of output stride 8
or 16, md8-W and md16-W (W = 0.35, 0.5, 0.75, 1.0), built here of timm's MobileNetV2 with as many
parameters as the paper prints; and lraspp, torchvision's LR-ASPP on MobileNetV3-Large, all with
two classes. Weights are random: they make no difference to the time.

Runtimes: PyTorch as it is (eager), torch.compile, ONNX Runtime (needs pip install
'mattingzoo[export]'). Every round measures every model, size and runtime once, so that whatever
else the machine does falls on all of them; times are medians over the rounds, ratios medians of
each round's own ratio to the first model. Prints a table and writes OUT/latency.json.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from mattingzoo.cli.errors import guarded
from mattingzoo.io import write_text_atomic
from mattingzoo.models.mmnet import MMNetwork
from mattingzoo.onnx import check_packages, open_graph, write_graph

console = Console()
RUNTIMES = ("eager", "compile", "onnx")
WARM_UP = 3  # runs before the first round: compilation, allocations
MOBILENETS = {
    0.35: "mobilenetv2_035",
    0.5: "mobilenetv2_050",
    0.75: "mobilenetv2_075",
    1.0: "mobilenetv2_100",
}
Run = Callable[[], Any]
Key = tuple[str, int, str]  # model, size, runtime


@dataclass
class Measured:
    """One model at one size in one runtime."""

    model: str
    size: int
    runtime: str
    threads: int
    milliseconds: float  # median over rounds
    quartiles: tuple[float, float]
    ratio: float  # to the first model at the same size in the same runtime
    parameters: int  # with running statistics, as the paper counts
    mega_macs: float  # of convolutions and matrix products


class Matte(nn.Module):
    """The part of a two-class network that a phone needs: image to foreground probability."""

    def __init__(self, network: nn.Module, logits: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.network, self.logits = network, logits

    def forward(self, image: Tensor) -> Tensor:
        """Matte [B, 1, H, W] of an image [B, 3, H, W]."""
        return self.logits(self.network(image)).softmax(dim=1)[:, 1:]


class MobileDeepLab(nn.Module):
    """DeepLabv3 on MobileNetV2 (Sandler et al., CVPR 2018, section 6.3): no dilated branches.

    Args:
        width: Width multiplier of MobileNetV2.
        stride: Output stride, 8 or 16.
    """

    def __init__(self, width: float, stride: int) -> None:
        super().__init__()
        self.features = timm.create_model(
            MOBILENETS[width], features_only=True, output_stride=stride, out_indices=(4,)
        )
        before = self.features.feature_info.channels()[-1]
        self.local, self.whole = conv_norm(before, 256), conv_norm(before, 256)
        self.project = conv_norm(512, 256)
        self.classify = nn.Conv2d(256, 2, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits [B, 2, H, W]."""
        (x,) = self.features(image)  # [B, C, H/stride, W/stride]
        whole = self.whole(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        logits = self.classify(self.project(torch.cat([whole, self.local(x)], dim=1)))
        return F.interpolate(logits, image.shape[-2:], mode="bilinear")


def conv_norm(before: int, after: int) -> nn.Sequential:
    """A 1x1 convolution, normalised, with ReLU."""
    conv = nn.Conv2d(before, after, kernel_size=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU())


def build(name: str) -> nn.Module:
    """A network by name, image to matte, in evaluation mode.

    Raises:
        ValueError: If there is none of this name.
    """
    family, _, text = name.partition("-")
    try:
        width = float(text or "nan")
    except ValueError:
        width = float("nan")
    if family == "mmnet" and width > 0:
        return Matte(MMNetwork(width), lambda output: output.logits).eval()
    if family in ("md8", "md16") and width in MOBILENETS:
        stride = int(family.removeprefix("md"))
        return Matte(MobileDeepLab(width, stride), lambda logits: logits).eval()
    if name == "lraspp":
        network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=2)
        return Matte(network, lambda output: output["out"]).eval()
    widths = ", ".join(map(str, MOBILENETS))
    raise ValueError(
        f"there is no model {name!r}; there are mmnet-WIDTH, md8-WIDTH and md16-WIDTH of width "
        f"{widths}, and lraspp"
    )


def parameters(network: nn.Module) -> int:
    """Trained parameters and running statistics."""
    statistics_ = (b.numel() for b in network.buffers() if b.is_floating_point())
    return sum(p.numel() for p in network.parameters()) + sum(statistics_)


def mega_macs(network: nn.Module, size: int) -> float:
    """Million multiply-accumulates of convolutions and matrix products on one picture."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, size, size))
    operations: int = counter.get_total_flops()
    return operations / 2e6


def prepare(network: nn.Module, size: int, runtime: str, threads: int) -> Run:
    """A call that runs the network once, warmed up."""
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    run: Run
    if runtime == "onnx":
        with tempfile.TemporaryDirectory() as folder:
            path = write_graph(network, Path(folder) / "network.onnx", {"image": image})
            session = open_graph(path, threads)
        run = partial(session.run, None, {"image": image.numpy()})
    else:
        called: Callable[[Tensor], Tensor] = network
        if runtime == "compile":
            # Of one size, as on a phone; and whole or not at all: torch falls back silently.
            called = torch.compile(network, dynamic=False, fullgraph=True)
        run = partial(torch.inference_mode()(called), image)
    for _ in range(WARM_UP):
        run()
    return run


def measure(
    names: list[str], sizes: list[int], runtimes: list[str], threads: int, rounds: int
) -> list[Measured]:
    """Times of all models, sizes and runtimes with this many threads, taken by turns."""
    torch.set_num_threads(threads)
    torch.compiler.reset()  # what is compiled knows its number of threads
    # All share one forward, which torch would not compile more than eight times.
    torch._dynamo.config.recompile_limit = max(8, len(names) * len(sizes))
    networks = {name: build(name) for name in names}
    runs: dict[Key, Run] = {}
    for name, network in networks.items():
        for size in sizes:
            for runtime in runtimes:
                console.print(f"[dim]{name} @{size}, {runtime}, {threads} thread(s)[/dim]")
                runs[name, size, runtime] = prepare(network, size, runtime, threads)
    times: dict[Key, list[float]] = {key: [] for key in runs}
    for _ in range(rounds):
        for key, run in runs.items():
            start = time.perf_counter()
            run()
            times[key].append(1000 * (time.perf_counter() - start))
    costs = {(name, size): mega_macs(networks[name], size) for name in names for size in sizes}
    return [
        Measured(
            name,
            size,
            runtime,
            threads,
            statistics.median(own),
            quartiles(own),
            median_ratio(own, times[names[0], size, runtime]),
            parameters(networks[name]),
            costs[name, size],
        )
        for (name, size, runtime), own in times.items()
    ]


def quartiles(times: list[float]) -> tuple[float, float]:
    """A quarter of the times lies below the first, a quarter above the second."""
    if len(times) < 2:
        return times[0], times[0]
    low, _, high = statistics.quantiles(times, n=4, method="inclusive")
    return low, high


def median_ratio(own: list[float], first: list[float]) -> float:
    """Median over rounds of a round's own ratio: what slows a round down slows both."""
    return statistics.median(a / b for a, b in zip(own, first, strict=True))


def table(rows: list[Measured]) -> Table:
    """One line for each model, size and number of threads; a column pair for each runtime."""
    runtimes = [name for name in RUNTIMES if any(row.runtime == name for row in rows)]
    view = Table(title=f"milliseconds a picture, and ratio to {rows[0].model}")
    for name in ("threads", "size", "model", "parameters", "M MACs"):
        view.add_column(name, justify="left" if name == "model" else "right")
    for name in runtimes:
        view.add_column(name, justify="right")
        view.add_column("ratio", justify="right")
    lines: dict[tuple[int, int, str], dict[str, Measured]] = {}
    for row in rows:
        lines.setdefault((row.threads, row.size, row.model), {})[row.runtime] = row
    for (threads, size, model), by_runtime in lines.items():
        some = next(iter(by_runtime.values()))
        cells = [str(threads), str(size), model, f"{some.parameters:,}", f"{some.mega_macs:.1f}"]
        for name in runtimes:
            cells += [f"{by_runtime[name].milliseconds:.1f}", f"{by_runtime[name].ratio:.2f}"]
        view.add_row(*cells)
    return view


def machine() -> dict[str, Any]:
    """What the times belong to."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],  # of others too: not 0 says that ratios are worth more
        "torch": torch.__version__,
    }


def main() -> None:
    """Run what the command line asks for; errors of use end with one sentence."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = "md16-0.75,md16-0.5,lraspp,mmnet-1.0,mmnet-0.75,mmnet-0.5"
    p.add_argument("--models", default=default, help="comma list; ratios are to the first")
    p.add_argument("--sizes", type=int, nargs="+", default=[256, 128], help="sides in pixels")
    p.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=list(RUNTIMES))
    p.add_argument(
        "--threads", nargs="+", default=["1", "all"], help="numbers of threads; all: one per core"
    )
    p.add_argument("--rounds", type=int, default=30)
    p.add_argument("--out", type=Path, default=Path("results"), help="folder of latency.json")
    guarded(partial(run, p.parse_args()))


def run(arguments: argparse.Namespace) -> None:
    """Measure, print, write."""
    names = [name.strip() for name in arguments.models.split(",")]
    for name in names:
        build(name)  # what is wrong is said now, not after minutes
    if arguments.rounds < 1:
        raise ValueError(f"--rounds must be at least 1, got {arguments.rounds}")
    if "onnx" in arguments.runtimes:
        check_packages()
    counts = [thread_count(text) for text in arguments.threads]
    about, rows = machine(), []
    for threads in dict.fromkeys(counts):
        rows += measure(names, arguments.sizes, arguments.runtimes, threads, arguments.rounds)
    console.print(table(rows))
    arguments.out.mkdir(parents=True, exist_ok=True)
    written = {"machine": about, "rounds": arguments.rounds, "rows": [asdict(row) for row in rows]}
    path = arguments.out / "latency.json"
    write_text_atomic(path, json.dumps(written, indent=1) + "\n")
    console.print(f"results in {path}")


def thread_count(text: str) -> int:
    """A number of threads; ``all`` is one per core."""
    if text == "all":
        return os.cpu_count() or 1
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"--threads takes numbers of at least 1, or all; got {text!r}")
    return int(text)


if __name__ == "__main__":
    main()
