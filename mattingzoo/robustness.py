"""How a model bears a captured background that is not what it should be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from rich import box
from rich.table import Table
from torch import Tensor

from mattingzoo.batch import Batch
from mattingzoo.datamodule import EVALUATION_SEED, MattingDataModule
from mattingzoo.dataset import MattingDataset, collate_windows
from mattingzoo.ops import move
from mattingzoo.results import IDENTITY, Entry
from mattingzoo.source import Source, Split

#: What makes two rows of ``robustness.json`` the same measurement.
ROBUSTNESS_IDENTITY = (*IDENTITY, "condition")


@dataclass(frozen=True)
class Condition:
    """What is done to a captured background, beyond what the data set does to it.

    Attributes:
        name: What tables and files call it.
        kind: ``moved`` by so many pixels, each picture in a direction of its own; ``brightness``
            times the amount; ``wrong``, that of another scene; ``none``.
        amount: Pixels, or a factor.
    """

    name: str
    kind: Literal["none", "moved", "brightness", "wrong"]
    amount: float = 0.0


AS_IT_IS = Condition("as it is", "none")
CONDITIONS = (
    *(Condition(f"moved by {pixels} px", "moved", pixels) for pixels in (1, 2, 4, 8, 16)),
    *(Condition(f"brightness x {by}", "brightness", by) for by in (0.75, 0.9, 1.1, 1.25)),
    Condition("of another scene", "wrong"),
)


class Disturbed(MattingDataModule):
    """A data set whose captured backgrounds are disturbed when it is evaluated.

    Args:
        data: The data set.
        condition: What to do to them.
    """

    def __init__(self, data: MattingDataModule, condition: Condition) -> None:
        super().__init__(
            data.root_argument, 1, data.num_workers, data.seed, data.recipe, data.on_bad_file,
            data.limit,
        )  # fmt: skip
        self.data = data
        self.condition = condition

    def make_source(self, split: Split) -> Source:
        """The pictures of the data set."""
        return self.data.source(split)

    def prepare(self, batch: Batch, needed: tuple[str, ...], split: Split | None = None) -> Batch:
        """What the data set makes of a batch, with another captured background."""
        batch = self.data.prepare(batch, needed, split)
        background = batch["captured_background"]
        if self.condition.kind == "moved":
            batch["captured_background"] = moved(background, self.condition.amount, batch["seed"])
        elif self.condition.kind == "brightness":
            batch["captured_background"] = (background * self.condition.amount).clamp(0, 1)
        elif self.condition.kind == "wrong":
            batch["captured_background"] = self._wrong(background, int(batch["index"][0]))
        return batch

    def _wrong(self, background: Tensor, index: int) -> Tensor:
        """The captured background of another scene, resized; turned round if there is no other."""
        other = another_scene(self.source("test"), index)
        if other is None:
            return background.flip(-2, -1)
        dataset = MattingDataset(self.source("test"), EVALUATION_SEED, None)
        loaded = collate_windows([dataset[(0, other)]])
        found = self.data.prepare(cast(Batch, loaded), ("captured_background",))
        wrong = found["captured_background"].to(background)
        return F.interpolate(wrong, background.shape[-2:], mode="bilinear", antialias=True)


def moved(background: Tensor, pixels: float, seed: Tensor) -> Tensor:
    """Backgrounds [B, 3, H, W] shifted, each in a direction that its seed [B] decides."""
    turns = torch.stack(
        [torch.rand((), generator=torch.Generator().manual_seed(int(s))) for s in seed]
    )
    angle = 2 * torch.pi * turns
    shift = pixels * torch.stack([angle.cos(), angle.sin()], dim=1)
    return move(background, torch.eye(2).expand(len(seed), 2, 2), shift, "border")


def another_scene(source: Source, index: int) -> int | None:
    """A sample that shows another foreground, half the data set away; None if all show one."""
    count, own = len(source), source.foreground_names[index]
    others = ((index + count // 2 + k) % count for k in range(count))
    return next((other for other in others if source.foreground_names[other] != own), None)


def robustness_table(entries: Sequence[Entry], data: str) -> Table:
    """Errors on the whole image under every condition, with how many times they grow.

    Args:
        entries: Of :func:`mattingzoo.results.summarise`, with ``condition``, of one data set.
        data: Its name.
    """
    view = Table(
        title=f"{data}, whole image: what a wrong captured background costs (lower is better)",
        caption="MSE ×10³; behind it how many times as large as with the background as it is.",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    view.add_column("captured background", no_wrap=True)
    models = list(dict.fromkeys(entry["model"] for entry in entries))
    for model in models:
        view.add_column(f"{model} SAD", justify="right")
        view.add_column("MSE", justify="right")
    found = {(entry["model"], entry["condition"]): entry for entry in entries}
    for condition in (AS_IT_IS, *CONDITIONS):
        cells = []
        for model in models:
            entry, still = found[model, condition.name], found[model, AS_IT_IS.name]
            growth = f" {entry['MSE'] / still['MSE']:.1f}x" if still["MSE"] else ""
            cells += [f"{entry['SAD']:.3f}", f"{1000 * entry['MSE']:.2f}{growth}"]
        view.add_row(condition.name, *cells)
    return view
