"""How fast the metrics are: ours beside an exact but plain port, in one run, on the same mattes.

    python benchmarks/metrics_speed.py --cutouts ../shared/data/cutouts
    python benchmarks/metrics_speed.py --evaluate --device cuda

The port does what the best public ones do: it labels every level with OpenCV and filters with a
two-dimensional derivative of a Gaussian in double precision. Both must agree, or the run stops.
Mattes are those of photographic cut-outs (of the built-in pictures, without --cutouts), enlarged,
pasted on a background, and predicted by the shipped DIM-tiny. Times are of one thread, unknown
region, 8-bit input in memory; the median of the repeats, port and ours by turns.

With --evaluate: how much longer evaluation takes with all metrics than the network alone.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.cli.load import load_model
from mattingzoo.metrics import MattingMetrics, conn, grad, scores
from mattingzoo.metrics.connectivity import DISCONNECTED
from mattingzoo.metrics.functional import SCORES
from mattingzoo.metrics.sums import MASKED, sums_on_cpu
from mattingzoo.ops import composite, trimap_from_alpha

console = Console()
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
THRESHOLDS = [-(-255 * k // 10) for k in range(1, 11)]  # 26, 51, ..., 255
METRICS = ("SAD+MSE", "Grad", "Conn", "all four")


class Example(NamedTuple):
    """One picture to score."""

    name: str
    pred: Bytes  # [H, W]
    alpha: Bytes
    unknown: Mask

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Prediction, truth and mask as batches of one [1, 1, H, W]."""
        pred, alpha, unknown = (torch.from_numpy(plane)[None, None] for plane in self[1:])
        return pred, alpha, unknown


def plain_sad_mse(pred: Bytes, alpha: Bytes, mask: Mask) -> tuple[float, float]:
    """SAD and MSE by whole-image NumPy expressions."""
    difference = pred / 255.0 - alpha / 255.0
    sad = np.abs(difference)[mask].sum() / 1000
    return float(sad), float((difference**2)[mask].sum() / mask.sum())


def plain_grad(pred: Bytes, alpha: Bytes, mask: Mask) -> float:
    """Grad by two-dimensional filters in double precision."""
    offsets = np.arange(-4, 5)
    bell = np.exp(-(offsets**2) / (2 * 1.4**2))
    kernel = np.outer(bell, offsets * bell)
    kernel /= np.sqrt((kernel**2).sum())
    magnitudes = []
    for matte in (pred, alpha):
        values = matte.astype(np.float64)
        values = (values - values.min()) / max(values.max() - values.min(), 1)
        along_x = cv2.filter2D(values, cv2.CV_64F, kernel, borderType=cv2.BORDER_REPLICATE)
        along_y = cv2.filter2D(values, cv2.CV_64F, kernel.T, borderType=cv2.BORDER_REPLICATE)
        magnitudes.append(np.sqrt(along_x**2 + along_y**2))
    return float(((magnitudes[0] - magnitudes[1]) ** 2)[mask].sum() / 1000)


def plain_conn(pred: Bytes, alpha: Bytes, mask: Mask) -> float:
    """Conn by labelling every level of the whole image."""
    levels = np.full(pred.shape, -1, dtype=np.int32)
    for k, threshold in enumerate(THRESHOLDS):
        solid = ((pred >= threshold) & (alpha >= threshold)).astype(np.uint8)
        # Transposed, so that of equally large components the first by column gets the first label.
        count, labels, about, _ = cv2.connectedComponentsWithStats(
            np.ascontiguousarray(solid.T), connectivity=4
        )
        largest = 1 + about[1:, cv2.CC_STAT_AREA].argmax() if count > 1 else -1
        levels[(levels < 0) & (largest != labels.T)] = k
    levels[levels < 0] = 10
    excess = [10 * matte.astype(np.int32) - 255 * levels for matte in (pred, alpha)]
    apart = [np.where(e >= DISCONNECTED, e, 0) for e in excess]
    return float(np.abs(apart[0] - apart[1])[mask].sum() / 2_550_000)


def ours_sad_mse(pred: Tensor, alpha: Tensor, mask: Tensor) -> tuple[float, float]:
    """SAD and MSE from one table of sums, as :func:`mattingzoo.metrics.scores` makes them."""
    table = sums_on_cpu(pred, alpha, mask, whole=False, parts=frozenset({"difference"}))
    pixels, absolute, squared, *_ = table[0, MASKED].tolist()
    return absolute / SCORES["SAD"].unit, squared / (SCORES["MSE"].unit * pixels)


def contestants(example: Example) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Port and ours, ready to be called, by metric."""
    planes, tensors = example[1:], example.tensors()
    pred, alpha, unknown = tensors
    trimap = torch.where(unknown, 128, 0).to(torch.uint8)

    def ours() -> tuple[float, ...]:
        found = scores(pred, alpha, trimap, ("unknown",))
        return tuple(found[f"{m}/unknown"].item() for m in ("SAD", "MSE", "Grad", "Conn"))

    return {
        "SAD+MSE": (
            lambda: plain_sad_mse(*planes),
            lambda: ours_sad_mse(*tensors),
        ),
        "Grad": (lambda: plain_grad(*planes), lambda: grad(*tensors).item()),
        "Conn": (lambda: plain_conn(*planes), lambda: conn(*tensors).item()),
        "all four": (
            lambda: (*plain_sad_mse(*planes), plain_grad(*planes), plain_conn(*planes)),
            ours,
        ),
    }


def race(example: Example, repeats: int) -> dict[str, tuple[float, float]]:
    """Median milliseconds of port and ours by metric.

    Raises:
        ValueError: If they disagree by more than a millionth.
    """
    result = {}
    for metric, both in contestants(example).items():
        port, ours = (np.atleast_1d(run()) for run in both)  # also compiles, and warms caches
        if not np.allclose(port, ours, rtol=1e-6):
            raise ValueError(f"{metric} of {example.name}: the port says {port}, ours {ours}")
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(repeats):
            for run, kept in zip(both, times, strict=True):
                start = time.perf_counter()
                run()
                kept.append(1000 * (time.perf_counter() - start))
        result[metric] = statistics.median(times[0]), statistics.median(times[1])
    return result


def examples(cutouts: Path | None, megapixels: float, count: int) -> Iterator[Example]:
    """Enlarged pictures and what the shipped model makes of them."""
    module = load_model("dim").module.eval()
    for name, foreground, alpha, background in layers(cutouts, count):
        scale = (megapixels * 1e6 / (alpha.shape[0] * alpha.shape[1])) ** 0.5
        size = (round(alpha.shape[1] * scale), round(alpha.shape[0] * scale))
        planes = [cv2.resize(p, size, interpolation=cv2.INTER_CUBIC) for p in (foreground, alpha)]
        planes.append(cv2.resize(background, size, interpolation=cv2.INTER_AREA))
        fg, a, bg = (
            torch.from_numpy(np.atleast_3d(p)).permute(2, 0, 1)[None] / 255 for p in planes
        )
        band = torch.tensor([round(15 * max(scale, 1))])
        trimap = trimap_from_alpha(a, band, band)
        batch: Batch = {"image": composite(fg, a, bg), "trimap": trimap}
        pred = (module.matte(batch) * 255).round().to(torch.uint8)
        yield Example(name, pred[0, 0].numpy(), planes[1], (trimap == 0.5)[0, 0].numpy())


def layers(cutouts: Path | None, count: int) -> Iterator[tuple[str, Bytes, Bytes, Bytes]]:
    """Foregrounds, mattes and backgrounds, evenly spread over what there is."""
    from mattingzoo.datamodules import Cutouts, Synthetic

    data = Synthetic() if cutouts is None else Cutouts(str(cutouts))
    source = data.source("test")
    for i in range(count):
        pictures = source.load(i * len(source) // count, np.random.default_rng(i))
        name = source.names[i * len(source) // count]
        yield name, pictures["foreground"], pictures["alpha"], pictures["background"]


def speed(cutouts: Path | None, sizes: list[float], count: int, repeats: int) -> None:
    """Print one table a size."""
    for megapixels in sizes:
        pictures = examples(cutouts, megapixels, count)
        task = f"{megapixels:g} MP"
        found = [
            race(example, repeats) for example in track(pictures, task, count, console=console)
        ]
        console.print(table(found, f"{megapixels:g} megapixels, {count} pictures, one thread"))


def table(found: list[dict[str, tuple[float, float]]], title: str) -> Table:
    """Times and ratios over all pictures."""
    view = Table(title=title)
    for column in (
        "metric",
        "port ms",
        "ours ms",
        "ours, slowest",
        "ratio, median",
        "ratio, worst",
    ):
        view.add_column(column, justify="left" if column == "metric" else "right")
    for metric in METRICS:
        port, ours = zip(*(times[metric] for times in found), strict=True)
        ratios = [p / o for p, o in zip(port, ours, strict=True)]
        view.add_row(
            metric,
            f"{statistics.median(port):.1f}",
            f"{statistics.median(ours):.2f}",
            f"{max(ours):.2f}",
            f"{statistics.median(ratios):.1f}×",
            f"{min(ratios):.1f}×",
        )
    return view


def evaluate(cutouts: Path | None, megapixels: float, count: int, device: torch.device) -> None:
    """Print how long prediction takes without and with all metrics, both regions."""
    module = load_model("dim").module.eval().to(device)
    batches: list[Batch] = []
    for example in examples(cutouts, megapixels, count):
        _, alpha, unknown = example.tensors()
        image = (alpha / 255).expand(-1, 3, -1, -1)
        batch = {"image": image, "alpha": alpha / 255, "trimap": torch.where(unknown, 0.5, 0.0)}
        batches.append({k: v.to(device) for k, v in batch.items()})  # type: ignore[assignment]

    def run(metrics: MattingMetrics | None) -> float:
        start = time.perf_counter()
        for batch in batches:
            pred = module.matte(batch)
            if metrics is not None:
                metrics.update(pred, batch["alpha"], batch["trimap"])
        if metrics is not None:
            metrics.compute()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / len(batches)

    run(MattingMetrics().to(device))  # compiles, and warms caches
    alone, scored = zip(
        *((run(None), run(MattingMetrics().to(device))) for _ in range(5)), strict=True
    )
    a, b = statistics.median(alone), statistics.median(scored)
    console.print(
        f"{device}, {megapixels:g} MP: network alone {1000 * a:.1f} ms a picture, with all metrics "
        f"over both regions {1000 * b:.1f} ms: {100 * (b / a - 1):+.1f} %"
    )


def main() -> None:
    """Run what the command line asks for."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--cutouts", type=Path, help="folder of cut-outs; default: built-in pictures")
    p.add_argument("--megapixels", type=float, nargs="+", default=[1.0, 4.0])
    p.add_argument("--count", type=int, default=12, help="pictures per size")
    p.add_argument("--repeats", type=int, default=5)
    p.add_argument("--evaluate", action="store_true", help="metrics' share of evaluation instead")
    p.add_argument("--device", default="cpu", help="of --evaluate")
    arguments = p.parse_args()
    cv2.setNumThreads(1)
    if arguments.evaluate:
        for megapixels in arguments.megapixels:
            device = torch.device(arguments.device)
            evaluate(arguments.cutouts, megapixels, arguments.count, device)
        return
    torch.set_num_threads(1)
    speed(arguments.cutouts, arguments.megapixels, arguments.count, arguments.repeats)


if __name__ == "__main__":
    main()
