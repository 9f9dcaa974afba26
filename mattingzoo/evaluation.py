"""Scoring one model on one data set, picture by picture; interrupted runs continue."""

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from mattingzoo import __version__
from mattingzoo.batch import Batch, check_keys
from mattingzoo.datamodule import MattingDataModule
from mattingzoo.gathering import Gathering
from mattingzoo.io import write_png
from mattingzoo.memory import PeakMemory
from mattingzoo.metrics import mse_fg, part_scores, scores_later
from mattingzoo.metrics.sums import threads
from mattingzoo.module import FOREGROUND, REGIONS, MattingModule
from mattingzoo.pictures import Picture, panel, to_bytes

PANEL_HEIGHT = 320
#: Pictures that may be scored on CPU threads while a GPU predicts the next ones.
AHEAD = 8


@dataclass
class ImageResult:
    """What is known of one picture once it is scored.

    Attributes:
        name: The sample's name.
        foreground: The foreground it shows.
        scores: ``SAD/unknown``, ``MSE/whole``, … in the papers' units (MSE and MAD plain).
        seconds: Time of the forward pass alone, transfers, loading and scoring left out.
        peak_memory_mb: Peak while predicting: device memory, or the process's on a CPU.
        content: SHA-256 over image, alpha and trimap as scored, 8 bits.
        flags: ``nan`` or ``constant`` if the prediction is degenerate.
        instances: With the last sample of an image of several, what the image adds to the instance
            matting quality, see :class:`mattingzoo.gathering.Gathering`.
        parts: If asked for, :func:`mattingzoo.metrics.part_scores`: ``SAD-T``, ``SAD-FG``, …
        mse_fg: :func:`mattingzoo.metrics.mse_fg` where model and data have foreground colours;
            NaN for a picture without foreground.
    """

    name: str
    foreground: str
    scores: dict[str, float]
    seconds: float
    peak_memory_mb: float
    content: str
    flags: list[str] = field(default_factory=list)
    instances: list[float] | None = None
    parts: dict[str, float] | None = None
    mse_fg: float | None = None


@dataclass(frozen=True)
class Written:
    """Folders for what pictures are written as; None writes none.

    Attributes:
        panels: One panel a picture.
        mattes: The predicted mattes.
        extras: What else the model predicts, a folder inside for each.
    """

    panels: Path | None = None
    mattes: Path | None = None
    extras: Path | None = None

    def complete(self, name: str, extras: Collection[str]) -> bool:
        """Whether a picture of a model with such extras has all its files."""
        folders = [self.panels, self.mattes]
        folders += [self.extras / key for key in extras] if self.extras is not None else []
        return all((f / f"{name}.png").exists() for f in folders if f is not None)

    def write(self, batch: Batch, pred: Tensor, extras: dict[str, Tensor]) -> None:
        """Write what is wanted of one picture, each file whole or not at all."""
        name = batch["name"][0]
        if self.panels is not None:
            _write(self.panels, name, panel(batch, pred, PANEL_HEIGHT, extras))
        if self.mattes is not None:
            _write(self.mattes, name, to_bytes(pred[0]))
        if self.extras is not None:
            for key, picture in extras.items():
                _write(self.extras / key, name, to_bytes(picture[0]))


NOTHING = Written()


class Journal:
    """Finished pictures of one model on one data set, a line each, safe against interruption.

    Args:
        folder: Where journals lie.
        identity: All that makes a score what it is; another identity has another journal.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        text = json.dumps({**identity, "version": __version__}, sort_keys=True, default=str)
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{identity['model']}-{identity['data']}-{self.digest}.jsonl"

    def read(self) -> dict[str, ImageResult]:
        """Finished pictures by name; a torn last line is dropped."""
        done: dict[str, ImageResult] = {}
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                try:
                    result = ImageResult(**json.loads(line))
                except (json.JSONDecodeError, TypeError):
                    continue
                done[result.name] = result
        return done

    def add(self, result: ImageResult) -> None:
        """Append one picture; on disk before the next begins."""
        torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n")
        with self.path.open("a") as file:
            file.write(("\n" if torn else "") + json.dumps(asdict(result)) + "\n")


def evaluate(
    module: MattingModule,
    data: MattingDataModule,
    fabric: Fabric,
    journal: Journal,
    written: Written = NOTHING,
    parts: bool = False,
) -> Iterator[ImageResult]:
    """Score a model on the test split of a data set.

    Args:
        module: The model, already on the device of ``fabric``.
        data: The data set.
        fabric: Gives device and precision.
        journal: Pictures in it are not computed again.
        written: Folders for pictures.
        parts: Score transition, foreground and background for themselves, too.

    Yields:
        One result a picture, in the data set's order.

    Raises:
        KeyError: If the data set lacks what the model needs.
    """
    source = data.source("test")
    needed = (*module.inputs, "alpha", *scored_colours(module, source.native))
    check_keys(needed, source.native, type(module).__name__, type(data).__name__)
    foregrounds = dict(zip(source.names, source.foreground_names, strict=True))
    done = journal.read()
    # Pictures asked for as files are computed again if the file is not there.
    done = {name: r for name, r in done.items() if written.complete(name, module.extras)}
    gathering = Gathering(source)
    done = {name: done[name] for name in gathering.whole(done)}
    loader = data.evaluation_loader("test", done)
    fresh = iter(loader)
    warm = False
    under_way: deque[Callable[[], ImageResult]] = deque()
    for name in loader.dataset.names():  # type: ignore[attr-defined]
        if name in done:
            under_way.append(partial(done.__getitem__, name))
        else:
            batch = next(fresh)
            if batch is None:  # a bad file, skipped and logged
                continue
            batch = data.transfer_batch_to_device(batch, fabric.device, 0)
            batch = data.prepare(batch, needed)
            if not warm:  # the first pass allocates and compiles: it is not timed
                with fabric.autocast():
                    module.matte(batch)
                warm = True
            scored, pred, extras = _score_later(
                module, batch, fabric, foregrounds[name], gathering, parts
            )
            written.write(batch, pred, extras)
            under_way.append(partial(_entered, scored, journal))
        # On a CPU scoring would take the time from the prediction that is being measured.
        while len(under_way) > (AHEAD if fabric.device.type == "cuda" else 0):
            yield under_way.popleft()()
    for finish in under_way:
        yield finish()


def scored_colours(module: MattingModule, native: Collection[str]) -> tuple[str, ...]:
    """The batch's key of foreground colours, if a model predicts them and a data set has them."""
    return (FOREGROUND,) if FOREGROUND in module.extras and FOREGROUND in native else ()


def _score_later(
    module: MattingModule,
    batch: Batch,
    fabric: Fabric,
    foreground: str,
    gathering: Gathering,
    parts: bool,
) -> tuple[Callable[[], ImageResult], Tensor, dict[str, Tensor]]:
    """Predict a picture and begin to score it; what gives its result, the matte and the extras."""
    with PeakMemory(fabric.device) as memory, fabric.autocast():
        _wait(fabric.device)
        start = time.perf_counter()
        pred, extras = module.matte_with_extras(batch)
        _wait(fabric.device)
        seconds = time.perf_counter() - start
    flags = _degenerate(pred, batch["trimap"])
    pred = pred.nan_to_num(0.0)
    extras = {key: picture.nan_to_num(0.0) for key, picture in extras.items()}
    instances = gathering.add(batch["name"][0], pred, batch["alpha"])
    scores = scores_later(pred, batch["alpha"], batch["trimap"], REGIONS)
    of_parts = part_scores(pred, batch["alpha"], batch["trimap"]) if parts else None
    of_colour = None
    if FOREGROUND in extras and FOREGROUND in batch:
        of_colour = mse_fg(extras[FOREGROUND], batch["foreground"], batch["alpha"])
    planes = [to_bytes(batch[key][0]) for key in ("image", "alpha", "trimap")]
    content = threads().submit(_digest, planes)

    def result() -> ImageResult:
        return ImageResult(
            name=batch["name"][0],
            foreground=foreground,
            scores={key: float(value[0]) for key, value in scores().items()},
            seconds=seconds,
            peak_memory_mb=memory.megabytes,
            content=content.result(),
            flags=flags,
            instances=instances,
            parts=None if of_parts is None else {k: float(v[0]) for k, v in of_parts.items()},
            mse_fg=None if of_colour is None else float(of_colour[0]),
        )

    return result, pred, extras


def _entered(result: Callable[[], ImageResult], journal: Journal) -> ImageResult:
    finished = result()
    journal.add(finished)
    return finished


def _write(folder: Path, name: str, picture: Picture) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_png(folder / f"{name}.png", picture)


def _degenerate(pred: Tensor, trimap: Tensor) -> list[str]:
    """What a healthy prediction never is: not a number, or the same everywhere it matters."""
    if not pred.isfinite().all():
        return ["nan"]
    unknown = pred[trimap == 0.5]
    looked_at = unknown if len(unknown) > 1 else pred.flatten()
    return ["constant"] if float(looked_at.max() - looked_at.min()) < 1e-3 else []


def _digest(planes: Iterable[Picture]) -> str:
    """SHA-256 over pictures of 8 bits, their sizes included."""
    digest = hashlib.sha256()
    for plane in planes:
        channels_first = plane[None] if plane.ndim == 2 else plane.transpose(2, 0, 1)
        digest.update(str((1, *channels_first.shape)).encode())
        digest.update(plane.tobytes())
    return digest.hexdigest()


def data_hash(results: Iterable[ImageResult]) -> str:
    """One hash for the pictures scored: equal hashes mean the very same pixels and trimaps."""
    joined = "".join(result.content for result in results)
    return hashlib.sha256(joined.encode()).hexdigest()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
