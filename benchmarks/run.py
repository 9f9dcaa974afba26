"""Score models and baselines on data sets, and print the table.

    python benchmarks/run.py --model dim,trimap,closed-form --data synthetic
    python benchmarks/run.py --model dim --data comp1k --data-root DIR --weights dim.safetensors

Finished pictures are kept in OUT/journal: an interrupted run continues where it stopped. Results
go to OUT/results.json, OUT/per_image.csv and, as pictures, to OUT/panels. Means come with 95 %
intervals; `mattingzoo compare OUT/per_image.csv --models A,B` says whether two models differ, and
`mattingzoo score` scores the mattes of other tools in the same way. With --robustness there is
OUT/robustness.json, too: what errors of a captured background cost.
"""

import argparse
import inspect
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mattingzoo.cli import names
from mattingzoo.cli.errors import guarded, make_fabric
from mattingzoo.cli.load import Loaded, known_models, load_model
from mattingzoo.cli.main import show_warnings
from mattingzoo.datamodule import MattingDataModule
from mattingzoo.evaluation import ImageResult, Journal, Written, evaluate, scored_colours
from mattingzoo.leaderboard import check_login, log_to_wandb
from mattingzoo.module import REGIONS
from mattingzoo.results import (
    Entry,
    check_folder,
    image_rows,
    summarise,
    tables,
    write_results,
)
from mattingzoo.robustness import (
    AS_IT_IS,
    CONDITIONS,
    ROBUSTNESS_IDENTITY,
    Condition,
    Disturbed,
    robustness_table,
)

console = Console()
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--model", default="dim,trimap", help="comma list of names, or all")
    p.add_argument("--data", default="synthetic", help="comma list of names, or all")
    p.add_argument("--data-root", help="folder of the data set; for several, NAME=DIR,NAME=DIR")
    p.add_argument(
        "--data-option",
        action="append",
        default=[],
        metavar="NAME.KEY=VALUE",
        help="argument of a data set, e.g. p3m.subset=P3M-500-NP; may be given several times",
    )
    p.add_argument("--weights", help="weight file; for several models, NAME=FILE,NAME=FILE")
    p.add_argument("--random-weights", action="store_true", help="untrained, for smoke tests only")
    p.add_argument(
        "--prompt", choices=["box", "points"], default="box", help="what tells the object, if asked"
    )
    p.add_argument(
        "--prompt-jitter", type=float, default=0.0, metavar="SHARE",
        help="move each side of a box by up to this share of its width or height (default: 0, the "
        "tight box of the protocols; 0.1 is what SEMat is trained with)",
    )  # fmt: skip
    p.add_argument("--region", choices=[*REGIONS, "both"], default="both")
    p.add_argument(
        "--parts", action="store_true",
        help="SAD of transition, foreground and background too, as AM-2k, P3M and AIM print them",
    )  # fmt: skip
    p.add_argument("--limit", type=int, default=0, help="pictures per data set, evenly spread")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    p.add_argument("--precision", default="32-true", choices=PRECISIONS)
    p.add_argument("--out", type=Path, default=Path("results"), help="folder for result files")
    p.add_argument("--save-mattes", action="store_true", help="write every predicted matte")
    p.add_argument("--panels", action="store_true", help="write a panel for every picture")
    p.add_argument(
        "--extras", action="store_true",
        help="write what else models predict to OUT/extras: adapted trimaps, glance and focus, the "
        "foreground's colours, …",
    )  # fmt: skip
    p.add_argument(
        "--robustness", action="store_true",
        help="also score models that read a captured background with backgrounds that are moved, "
        "brighter or darker, or wrong: OUT/robustness.json",
    )  # fmt: skip
    p.add_argument("--wandb", choices=["off", "offline", "online"], default="off")
    p.add_argument("--seed", type=int, default=0, help="recorded; scores do not depend on it")
    p.add_argument("--num-workers", type=int, default=None, help="loader processes")
    p.add_argument("--on-bad-file", choices=["raise", "skip"], default="raise")
    return p


def main() -> None:
    """Run what the command line asks for; errors of use end with one sentence."""
    show_warnings()
    guarded(partial(run, parser().parse_args()))


def run(arguments: argparse.Namespace) -> None:
    """Score every model on every data set; results are written after each pair."""
    models = _names(arguments.model, known_models())
    roots = _assign(arguments.data_root, "--data-root")
    weights = _assign(arguments.weights, "--weights")
    datasets = _datasets(arguments.data, roots)
    options = _options(arguments.data_option, datasets)
    check_login(arguments.wandb)
    check_folder(arguments.out)
    torch.manual_seed(arguments.seed)
    if not 0 <= arguments.prompt_jitter < 1:
        raise ValueError(f"--prompt-jitter must lie in [0, 1), got {arguments.prompt_jitter:g}")
    fabric = make_fabric(arguments.device, arguments.precision)
    loaded = [_load(m, weights, arguments) for m in models]
    sources = {
        _label(name, options[name]): _data(
            name, roots.get(name, roots.get("")), options[name], arguments
        )
        for name in datasets
    }
    for data in sources.values():
        data.source("test")  # what is missing is missed now, not after hours
    regions = REGIONS if arguments.region == "both" else (arguments.region,)
    if arguments.robustness and not any(map(_reads_background, loaded)):
        raise ValueError(
            f"--robustness is about models that read captured_background, of {arguments.model} "
            "none does; add difference-key, for one"
        )
    entries: list[Entry] = []
    images: list[Entry] = []
    for dataset, data in sources.items():
        disturbed: list[Entry] = []
        for model in loaded:
            results = score(model, dataset, data, fabric, arguments)
            about = _about(model, dataset, fabric, arguments)
            skipped = len(data.evaluation_loader("test")) - len(results)
            entries += summarise(results, regions, about, _protocol(data, model), skipped)
            images += image_rows(results, regions, about)
            write_results(arguments.out, entries, images)
            if arguments.robustness and _reads_background(model):
                disturbed += robustness(model, dataset, data, fabric, arguments, results)
        if disturbed:
            console.print(robustness_table(disturbed, dataset))
    log_to_wandb(entries, arguments.wandb, arguments.out)
    for table in tables(entries):
        console.print(table)
    console.print(f"results in {arguments.out / 'results.json'}")


def robustness(
    model: Loaded,
    dataset: str,
    data: MattingDataModule,
    fabric: Fabric,
    arguments: Any,
    undisturbed: list[ImageResult],
) -> list[Entry]:
    """Score one model with captured backgrounds disturbed in every way; written after each."""
    about, protocol = _about(model, dataset, fabric, arguments), _protocol(data, model)
    entries: list[Entry] = []
    for condition in (AS_IT_IS, *CONDITIONS):
        results = undisturbed
        if condition != AS_IT_IS:
            results = score(model, dataset, data, fabric, arguments, condition)
        (entry,) = summarise(results, ["whole"], about, protocol)
        entries.append({**entry, "condition": condition.name, "amount": condition.amount})
        out: Path = arguments.out
        write_results(out, entries, [], "robustness.json", ROBUSTNESS_IDENTITY)
    return entries


def score(
    model: Loaded,
    dataset: str,
    data: MattingDataModule,
    fabric: Fabric,
    arguments: Any,
    condition: Condition = AS_IT_IS,
) -> list[ImageResult]:
    """Score one model on one data set under a progress bar."""
    identity = {
        **_about(model, dataset, fabric, arguments),
        "files": _fingerprint(data),
        # Named only where they are scored: else old journals would be of no use.
        **({"parts": True} if arguments.parts else {}),
        **dict.fromkeys(scored_colours(model.module, data.source("test").native), True),
    }
    what = f"{model.model} on {dataset}"
    if condition != AS_IT_IS:
        identity["condition"] = condition.name
        what, data = f"{what}, background {condition.name}", Disturbed(data, condition)
    out: Path = arguments.out
    journal = Journal(out / "journal", identity)
    # Other weights have another digest: pictures never stay behind from an earlier run.
    own = f"{model.model}-{journal.digest[:6]}"
    wanted = {
        "panels": arguments.panels,
        "mattes": arguments.save_mattes,
        "extras": arguments.extras,
    }
    shown = condition == AS_IT_IS
    written = Written(**{k: out / k / dataset / own for k, on in wanted.items() if on and shown})
    model.module.to(fabric.device).eval()
    total = len(data.evaluation_loader("test"))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(what, total=total)
        results = []
        for result in evaluate(model.module, data, fabric, journal, written, arguments.parts):
            results.append(result)
            progress.advance(task)
    model.module.cpu()
    if not results:
        raise ValueError(f"{dataset} gave no picture that could be scored")
    return results


def _reads_background(model: Loaded) -> bool:
    return "captured_background" in model.module.inputs


def _about(model: Loaded, dataset: str, fabric: Fabric, arguments: Any) -> Entry:
    device = fabric.device
    return {
        "model": model.model,
        "variant": model.variant,
        "recipe": model.recipe,
        "weights": model.weights,
        "weights_sha256": model.weights_sha256,
        "prompt": _prompt(model, arguments),
        "data": dataset,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "precision": arguments.precision,
        "seed": arguments.seed,
    }


def _prompt(model: Loaded, arguments: Any) -> str | None:
    """What tells a model the object; None for one that is not told."""
    if not model.module.prompts:
        return None
    moved = arguments.prompt == "box" and arguments.prompt_jitter > 0
    return f"box ±{100 * arguments.prompt_jitter:g} %" if moved else str(arguments.prompt)


def _protocol(data: MattingDataModule, model: Loaded) -> str:
    native = data.source("test").native
    trimap = "trimaps shipped with the data" if "trimap" in native else "trimaps made from alpha"
    known = (
        "known region overwritten by the trimap"
        if "trimap" in model.module.inputs
        else "prediction as it is"
    )
    return f"{trimap}; {known}; full size; mattes rounded to 8 bits; means over images"


def _data(
    name: str, root: str | None, options: dict[str, Any], arguments: Any
) -> MattingDataModule:
    cls = names.find_datamodule(name)
    data = cls(
        root,
        num_workers=arguments.num_workers,
        on_bad_file=arguments.on_bad_file,
        limit=arguments.limit,
        **options,
    )
    data.evaluation_box_jitter = arguments.prompt_jitter
    return data


def _options(given: list[str], datasets: list[str]) -> dict[str, dict[str, Any]]:
    """``NAME.KEY=VALUE``, checked against the data sets' own arguments; digits are a number."""
    common = set(inspect.signature(MattingDataModule).parameters)
    options: dict[str, dict[str, Any]] = {name: {} for name in datasets}
    for text in given:
        name, _, rest = text.partition(".")
        key, equals, value = rest.partition("=")
        if name not in options:
            raise ValueError(f"--data-option {text!r}: {name!r} is not one of --data")
        known = sorted(set(inspect.signature(names.find_datamodule(name)).parameters) - common)
        if not equals or key not in known:
            own = ", ".join(known) or "none"
            raise ValueError(f"--data-option takes NAME.KEY=VALUE, {name} has {own}; got {text!r}")
        options[name][key] = int(value) if value.isdigit() else value
    return options


def _label(name: str, options: dict[str, Any]) -> str:
    """What tables call a data set: with what was chosen of it, but not where it lies."""
    chosen = [str(value) for value in options.values()]
    return "-".join([name, *(text for text in chosen if Path(text).name == text)])


def _fingerprint(data: MattingDataModule) -> list[Any]:
    """Name, size and time of every file: a changed data set starts anew."""
    source = data.source("test")
    stats = [(str(f), f.stat()) for i in range(len(source)) for f in source.files(i) if f.exists()]
    return [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]


def _names(text: str, known: list[str]) -> list[str]:
    chosen = known if text == "all" else [name.strip() for name in text.split(",")]
    wrong = [name for name in chosen if name not in known]
    if wrong:
        raise ValueError(f"unknown name {', '.join(wrong)}; there are {', '.join(known)}")
    return chosen


def _datasets(text: str, roots: dict[str, str]) -> list[str]:
    """Data sets to score on; ``all`` means those that have a root, and the built-in one."""
    known = {
        name: cls
        for name, cls in sorted(names.datamodules().items())
        if "root" in inspect.signature(cls).parameters  # a mixture has parts instead
    }
    if text != "all":
        return _names(text, list(known))
    chosen = [name for name in known if name == "synthetic" or name in roots]
    left_out = [name for name in known if name not in chosen]
    if left_out:
        console.print(f"left out, for they have no --data-root NAME=DIR: {', '.join(left_out)}")
    return chosen


def _load(name: str, weights: dict[str, str], arguments: argparse.Namespace) -> Loaded:
    own = weights.get(name, weights.get(""))
    model = load_model(name, own, arguments.random_weights)
    if model.module.prompts:
        model.module.use_prompt(arguments.prompt)
    return model


def _assign(text: str | None, option: str) -> dict[str, str]:
    """``NAME=PATH,NAME=PATH``, or one path for all, filed under the empty name."""
    if text is None:
        return {}
    known = {*known_models(), *names.datamodules()}
    if text.partition("=")[0] not in known:
        return {"": text}
    pairs = [pair.partition("=") for pair in text.split(",")]
    wrong = [
        f"{name}{equals}{path}" for name, equals, path in pairs if name not in known or not path
    ]
    if wrong:
        raise ValueError(f"{option} takes PATH or NAME=PATH,NAME=PATH; cannot read {wrong[0]!r}")
    return {name: path for name, _, path in pairs}


if __name__ == "__main__":
    main()
