"""Learning curves of the runs in a report of `python -m training ablation`, as a picture.

    python -m benchmarks.curves benchmarks/results/ablation.json

A run whose validation pictures were fitted on as well has a star: its curve says how well it
remembers them, not how well it does.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.plot import Chart, Line, draw, shades, write_png

_FITTED_TOO, _STAR = "train", "*"
_SIZE_PX = (460, 1100)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw a report's curves; returns 0."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.curves",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("report", type=Path, help="JSON of python -m training ablation --report")
    parser.add_argument("--picture", type=Path, help="where it goes, else beside the report")
    options = parser.parse_args(argv)
    runs = json.loads(options.report.read_text(encoding="utf-8"))["runs"]
    path = options.picture or options.report.with_suffix(".png")
    write_png(path, draw(chart(runs)))
    print(f"written to {path}")
    return 0


def chart(runs: Sequence[Mapping[str, Any]]) -> Chart:
    """delta1 on the validation pictures after each epoch, a line for each run; seeds share one
    colour and one name.
    """
    names = list(dict.fromkeys(map(_name, runs)))
    colours = dict(zip(names, shades(len(names)), strict=True))
    named: set[str] = set()
    lines = []
    for run in runs:
        name = _name(run)
        lines.append(
            Line(
                x=np.arange(1.0, len(run["curve"]) + 1),
                y=np.array(run["curve"], np.float64),
                colour=colours[name],
                name="" if name in named else name,
                width_px=2,
            )
        )
        named.add(name)
    starred = any(name.endswith(_STAR) for name in names)
    return Chart(
        title="",
        x_label=f"epoch ({_STAR} val was fitted on too)" if starred else "epoch",
        y_label="delta1 on val",
        lines=lines,
        size_px=_SIZE_PX,
    )


def _name(run: Mapping[str, Any]) -> str:
    fitted = run["settings"]["fit_part"] == _FITTED_TOO
    return f"{run['name']}{_STAR if fitted else ''}"


if __name__ == "__main__":
    sys.exit(main())
