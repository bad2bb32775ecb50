"""Runs of one budget beside each other: trained where they are not yet, then told in one report.

A plan is a TOML file with the flags of every run under [common], and under [runs.NAME] those that
make the difference, with `seeds`:

    [common]
    data = "nyuv2"
    epochs = 20

    [runs.supervised]
    recipe = "supervised"
    seeds = [0, 1]

A run's folder is NAME-sSEED. Weights are chosen on validation pictures, so the best epoch's figures
flatter every run alike; the last epoch's are beside them.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import cast

from fathom.errors import Code, FathomError
from training.flags import parse
from training.loop import BEST, LAST, METRICS, PATHS, train
from training.prepare import recipe_of
from training.settings import TrainSettings
from training.students.checkpoint import read_notes, write_atomically

TOLD = ("delta1", "abs_rel", "rmse")
COMMAND = "python -m training"
# Said of a run by its folder, or not what it computes.
UNTOLD = {"out", "resume", "threads", "tensorboard", "teacher_cache"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One trained run.

    command  that trains it; of paths only the last part
    fit_s    on whatever machine and in whatever company it ran
    best     validation figures of the epoch with the best delta1; last, of the last epoch
    curve    delta1 after each epoch
    """

    name: str
    seed: int
    command: str
    settings: Mapping[str, object]
    epochs: int
    fit_s: float
    best_epoch: int
    best: Mapping[str, float | None]
    last: Mapping[str, float | None]
    curve: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure over the seeds of a run: mean, and the largest less the smallest."""

    mean: float
    spread: float


def planned(plan: Path, out: Path) -> Iterator[list[str]]:
    """The flags of every run of a plan.

    raises  BAD_SETTING for a plan that is not of the form above
    """
    try:
        told = tomllib.loads(plan.read_text())
        common, runs = told.get("common", {}), told["runs"]
        named = [(name, {**common, **run}) for name, run in runs.items()]
        seeds = {name: list(run.pop("seeds")) for name, run in named}
    except (OSError, KeyError, AttributeError, TypeError, tomllib.TOMLDecodeError) as error:
        raise FathomError(
            Code.BAD_SETTING,
            expected="a plan with [runs.NAME] and seeds in each",
            got=f"{plan}: {error}",
            repair="write it as the first lines of training/ablation.py show",
        ) from error
    for name, run in named:
        flags = [word for flag, value in run.items() for word in (f"--{flag}", str(value))]
        for seed in seeds[name]:
            yield [*flags, "--seed", str(seed), "--out", str(out / f"{name}-s{seed}")]


def trained(flags: Sequence[str]) -> Path:
    """The folder of a run, trained to its end, from where it stands."""
    settings = parse(TrainSettings, flags).with_preset()
    if (settings.out / LAST).exists():
        settings = settings.model_copy(update={"resume": True})
    train(settings, recipe_of(settings))
    return settings.out


def read_run(folder: Path) -> Run:
    """What a run's folder says about it; also of a run that is still going on."""
    if not (folder / METRICS).is_file():
        raise FathomError(
            Code.BAD_DATA,
            expected="the folder of a run with at least one epoch",
            got=str(folder),
            repair="give folders that were the --out of python -m training",
        )
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    notes = read_notes(folder / BEST)
    told, epoch = cast("Mapping[str, object]", notes["settings"]), cast("int", notes["epoch"])
    settings = {
        key: Path(str(value)).name if key in PATHS and value else value
        for key, value in told.items()
        if key not in UNTOLD
    }
    seed = cast("int", settings["seed"])
    words = [word for key, value in settings.items() for word in as_flag(key, value)]
    return Run(
        name=folder.name.removesuffix(f"-s{seed}"),
        seed=seed,
        command=" ".join((COMMAND, *words, "--out", f"runs/{folder.name}")),
        settings=settings,
        epochs=len(lines),
        fit_s=round(sum(line["fit_s"] for line in lines), 1),
        best_epoch=epoch,
        best=lines[epoch]["val"],
        last=lines[-1]["val"],
        curve=[round(line["val"]["delta1"], 5) for line in lines],
    )


def as_flag(name: str, value: object) -> Sequence[str]:
    """How a setting is said on the command line; nothing where it is not."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        usual = TrainSettings.model_fields[name].default
        return () if value is usual else (f"--{flag}" if value else f"--no-{flag}",)
    return () if value is None else (f"--{flag}", str(value))


def over_seeds(runs: Sequence[Run]) -> dict[str, Figure]:
    """Every figure that all of the runs' best epochs have."""
    values = {key: [run.best[key] for run in runs] for key in runs[0].best}
    numbers = {key: [v for v in each if v is not None] for key, each in values.items()}
    return {
        key: Figure(mean=fmean(found), spread=max(found) - min(found))
        for key, found in numbers.items()
        if len(found) == len(runs)
    }


def by_name(runs: Iterable[Run]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.name, []).append(run)
    return groups


def write_report(path: Path, runs: Sequence[Run]) -> str:
    """Write the report as JSON and, beside it, its table; returns the table."""
    groups = by_name(runs)
    means = {name: over_seeds(group) for name, group in groups.items()}
    told = {
        "what": "validation figures of the best epoch by delta1; spread: largest less smallest",
        "seeds": {name: [run.seed for run in group] for name, group in groups.items()},
        "over_seeds": {
            name: {key: asdict(figure) for key, figure in figures.items()}
            for name, figures in means.items()
        },
        "runs": [asdict(run) for run in runs],
    }
    table = as_table(groups, means)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(told, indent=1) + "\n").encode())
    write_atomically(path.with_suffix(".md"), (table + "\n").encode())
    return table


def as_table(groups: Mapping[str, Sequence[Run]], means: Mapping[str, Mapping[str, Figure]]) -> str:
    """Markdown; points of delta1 are against the first run."""
    floor = next(iter(means.values()))["delta1"].mean
    rows = [
        ("run", "recipe", "epochs", "seeds", *TOLD, "points of delta1"),
        ("---",) * (5 + len(TOLD)),
    ]
    for name, group in groups.items():
        figures = means[name]
        cells = [f"{figures[key].mean:.4f} ± {figures[key].spread / 2:.4f}" for key in TOLD]
        epochs = "/".join(str(n) for n in sorted({run.epochs for run in group}))
        gained = f"{100 * (figures['delta1'].mean - floor):+.2f}"
        recipe = str(group[0].settings["recipe"])
        rows.append((name, recipe, epochs, str(len(group)), *cells, gained))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
