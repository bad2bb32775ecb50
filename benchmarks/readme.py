"""The README's figures, written from the committed results; `--check` fails when they differ.

python -m benchmarks.readme
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import FOLDER
from fathom.card import CARD_FILE, Card, Figure, read_card

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
MODELS = ROOT / "model_repository"
BEGIN = "<!-- figures: begin (benchmarks/readme.py writes this part) -->"
END = "<!-- figures: end -->"
RESULTS = (
    "ablation",
    "engine_against_reference_002",
    "fps",
    "fps_against_in_process",
    "fps_against_in_process_f32",
    "fps_overhead",
    "rivals",
    "overload",
    "neighbours",
    "flicker",
)
DEFAULT = "indoor-mnv2"
_NAMES = {
    "delta1": "delta1",
    "abs_rel": "AbsRel",
    "rmse": "RMSE",
    "log10": "log10",
    "miou": "mIoU",
}


def main(argv: list[str] | None = None) -> int:
    """Write the figures, or with --check compare; 1 if they differ."""
    check = "--check" in (sys.argv[1:] if argv is None else argv)
    text = README.read_text(encoding="utf-8")
    cards = [read_card(path) for path in sorted(MODELS.glob(f"*/{CARD_FILE}"))]
    figures = render(cards, {name: _result(name) for name in RESULTS})
    wanted = with_figures(text, figures)
    if check and wanted != text:
        print("README.md does not quote the committed results: run python -m benchmarks.readme")
        return 1
    README.write_text(wanted, encoding="utf-8")
    return 0


def with_figures(text: str, figures: str) -> str:
    """The page with the part between its two marks replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{figures}\n{END}{after}"


def render(cards: Sequence[Card], results: Mapping[str, Mapping[str, Any]]) -> str:
    """All figures, each with its machine and protocol; results by their names in RESULTS."""
    return "\n\n".join(
        [
            _accuracy(cards),
            _recipes(results["ablation"]),
            _decoders(results["engine_against_reference_002"]),
            _speed(results["fps"]),
            _against(results["fps_against_in_process"], results["fps_against_in_process_f32"]),
            _overhead(results["fps_overhead"]),
            _rivals(results["rivals"]),
            _overload(results["overload"]),
            _neighbours(results["neighbours"]),
            _flicker(results["flicker"]),
        ]
    )


def _accuracy(cards: Sequence[Card]) -> str:
    """A row for each model; a figure that one has not is left empty."""
    protocol = next(iter(_tested(cards[0]).values())).protocol
    lines = [
        f"**Accuracy** on `{protocol}`: Eigen crop, no alignment, no flip. Trained on"
        f" {cards[0].data}.",
        "",
        f"| model | parameters | {' | '.join(_NAMES.values())} |",
        "|---" * (2 + len(_NAMES)) + "|",
    ]
    for card in cards:
        test = _tested(card)
        cells = [
            f"{test[name].value:.3f}{_unit(test[name].unit)}" if name in test else ""
            for name in _NAMES
        ]
        lines.append(f"| `{card.name}` | {card.parameters / 1e6:.2f} M | {' | '.join(cells)} |")
    return "\n".join(lines)


def _recipes(report: Mapping[str, Any]) -> str:
    """Runs of one budget beside each other; what they gain is against the first."""
    runs, figures = report["runs"], report["over_seeds"]
    epochs = {run["epochs"] for run in runs}
    floor = next(iter(figures.values()))["delta1"]["mean"]
    lines = [
        f"**Recipes**, {'/'.join(map(str, sorted(epochs)))} epochs each of the 700 pictures that"
        " the list `train_fit` names, from an encoder that knows ImageNet, on the 95 of `val`,"
        " which are not fitted on; mean and half the range over seeds;"
        " `python -m training ablation`, [every run](benchmarks/results/ablation.json).",
        "",
        "| recipe | seeds | delta1 | AbsRel | RMSE | points of delta1 |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in figures.items():
        seeds = len(report["seeds"][name])
        cells = [
            f"{each[key]['mean']:.3f}"
            + (f" ± {each[key]['spread'] / 2:.3f}" if seeds > 1 else "")
            + _unit(unit)
            for key, unit in (("delta1", ""), ("abs_rel", ""), ("rmse", "m"))
        ]
        gained = f"{100 * (each['delta1']['mean'] - floor):+.1f}"
        lines.append(f"| {name} | {seeds} | {' | '.join(cells)} | {gained} |")
    return "\n".join(lines)


def _decoders(result: Mapping[str, Any]) -> str:
    figures = result["figures"]
    lines = [
        "**Decoder**: one frame by OpenVINO in"
        f" {figures['precision']} on {result['machine']}, the same field of view, random weights;"
        " reference-002 is the decoder of Song & Kim (2022) as it was published;"
        f" load average before the run {result['load_average_before'][0]:.2f},"
        f" {result['date'][:10]}; `python benchmarks/engine.py --against reference-002`.",
        "",
        "| student | parameters | ms | frames/s |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {figures['students'][name]['parameters'] / 1e6:.2f} M | {ms:.2f} |"
        f" {figures['fps'][name]:.0f} |"
        for name, ms in figures["ms"].items()
    ]
    times = "; ".join(f"{pair}: {ratio:.1f}" for pair, ratio in figures["times_as_fast"].items())
    return "\n".join([*lines, "", f"Times as fast: {times}."])


def _tested(card: Card) -> Mapping[str, Figure]:
    return {figure.name: figure for figure in card.figures if ", test," in figure.protocol}


def _speed(result: Mapping[str, Any]) -> str:
    figures = result["figures"]
    rows = [
        ("the network alone", figures["model"]),
        ("decode, infer, finish, encode", figures["in_server"]),
        ("gRPC stream, 1 frame in flight", figures["closed_loop_1"]),
        ("gRPC stream, 4 frames in flight", figures["closed_loop_4"]),
        ("one camera at 30 frames/s, age", figures["open_loop_30fps"]),
        ("one camera at 60 frames/s, age", figures["open_loop_60fps"]),
    ]
    lines = [
        f"**Speed** of `{DEFAULT}` in {figures['precision']} by {figures['engine']} on"
        f" {result['machine']}; 640x480 JPEG of {figures['picture_bytes'] / 1e3:.0f} KB in, 16-bit"
        f" millimetres out, the client on the same cores; load average before the run"
        f" {result['load_average_before'][0]:.2f}, {result['date'][:10]}; `make bench`.",
        "",
        "| | p50 ms | p95 ms | p99 ms | frames/s |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['p50_ms']:.1f} | {row['p95_ms']:.1f} | {row['p99_ms']:.1f} |"
        f" {row['fps']:.0f} |"
        for name, row in rows
    ]
    memory = figures["server_resident_mib"]
    return "\n".join([*lines, "", f"The server holds {memory:.0f} MiB of memory meanwhile."])


def _against(result: Mapping[str, Any], in_f32: Mapping[str, Any]) -> str:
    figures, f32 = result["figures"], in_f32["figures"]
    fps = figures["fps"]
    best, best_f32 = (each["fps"][each["best_in_process"]] for each in (figures, f32))
    return (
        f"One saturated stream gets {fps['server']:.0f} of the {best:.0f} frames/s that the same"
        f" work reaches in one process on the same cores, {figures['ratio']:.0%}, with a client"
        f" that costs next to nothing; with gRPC's own library there it is {fps['lean']:.0f}"
        f" ({figures['ratio_lean']:.0%}), and where that builds and reads every message"
        f" {fps['session']:.0f}. A bare gRPC server with nothing but that work behind it gets"
        f" {fps['bare']:.0f} ({figures['ratio_bare']:.0%}). In f32, as on a processor without bf16,"
        f" it is {f32['fps']['server']:.0f} of {best_f32:.0f} ({f32['ratio']:.0%})"
        f" ({result['date'][:10]};"
        " `python benchmarks/fps.py --against-in-process`)."
    )


def _overhead(result: Mapping[str, Any]) -> str:
    p50_ms = result["figures"]["p50_ms"]
    stream, unary = (
        f"{p50_ms[f'{kind}_lean']:.2f} ms {how} (echo {p50_ms[f'{kind}_echo']:.2f} ms, with gRPC"
        f" set as the server sets it {p50_ms[f'{kind}_echo_in_place']:.2f} ms)"
        for kind, how in (("stream", "over a kept stream"), ("unary", "a call"))
    )
    return (
        "The server alone, beside a gRPC echo that does nothing with as many bytes: a raw picture"
        f" of 320x256 in, 16-bit millimetres out, no network, p50 {stream}, {unary}"
        f" ({result['date'][:10]}; `python benchmarks/fps.py --overhead`)."
    )


def _rivals(result: Mapping[str, Any]) -> str:
    figures = result["figures"]
    rows = figures["rows"]
    scenes = list(dict.fromkeys(_scene(row) for row in rows))
    lines = [
        f"**Beside others**: `{figures['model']}`, the same file in the same engine, on"
        f" {result['machine']}; median of {figures['rounds']} rounds of {figures['seconds']:.0f} s,"
        f" {result['date'][:10]}; `python -m benchmarks.rivals`. A client sends every frame when"
        " it is due, or one at a time and then the newest.",
        "",
        "| server, client | " + " | ".join(f"{s}: frames/s | age p99 ms" for s in scenes) + " |",
        "|---|" + "---|---|" * len(scenes),
    ]
    clients = dict.fromkeys((row["cell"]["server"], row["cell"]["style"]) for row in rows)
    for client in clients:
        mine = [row for row in rows if (row["cell"]["server"], row["cell"]["style"]) == client]
        cells = [
            f"{row['figures']['fps']:.0f} | {row['figures']['age_p99_ms']:.0f}" for row in mine
        ]
        lines.append(f"| {client[0]}, {client[1]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _scene(row: Mapping[str, Any]) -> str:
    scene = row["cell"]["scene"]
    return f"{scene['cameras']} x {scene['fps']:.0f} fps"


def _overload(result: Mapping[str, Any]) -> str:
    runs = result["figures"]["runs"]
    first = runs[0]
    cameras = f"{first['cameras']} cameras at {first['offered_fps_each']:.0f} frames/s each"
    lines = [
        f"**Overload**: {cameras}, {first['seconds'] / 60:.0f} minutes a run, into an engine of a"
        f" fixed cost, open loop, on {result['machine']}, {result['date'][:10]}. Every frame sent"
        " was answered once.",
        "",
        "| offered | served | most / least served | age p50 ms | age p99 ms | memory grew |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {run['load']:.1f}x capacity | {run['served_share_of_capacity']:.1%} of it |"
        f" {run['max_over_min_served']:.3f} | {run['age_ms']['p50_ms']:.0f} |"
        f" {run['age_ms']['p99_ms']:.0f} | {run['server_resident_mib']['growth']:.1f} MiB |"
        for run in runs
    ]
    picture = "![Worst age in each 5 s, by camera](benchmarks/results/overload.png)"
    return "\n".join([*lines, "", picture])


def _neighbours(result: Mapping[str, Any]) -> str:
    figures = result["figures"]
    lines = [
        f"**Neighbours**: what a camera of {figures['fps']:.0f} frames/s notices of another client"
        f" on an engine of a fixed cost, on {result['machine']}, {result['date'][:10]};"
        " `python -m benchmarks.neighbours`. An engine that computes is not interrupted: beside"
        " whoever keeps it busy a frame waits for the rest of one batch, flood or not.",
        "",
        "| beside | age p50 ms | p95 | p99 |",
        "|---|---|---|---|",
    ]
    for phase, each in figures["phases"].items():
        ages = each["age"]
        beside = "nobody" if phase == "alone" else f"a {phase}"
        cells = [f"{ages[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms")]
        lines.append(f"| {beside} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _flicker(result: Mapping[str, Any]) -> str:
    figures = result["figures"]
    sources = {"samples/desk.mp4": "desk.mp4", "a still photo": "still photo", "a clip": "frames"}
    lines = [
        "**Smoothing**: mean change of depth from frame to frame on pixels that do not move, and"
        f" what it costs against a depth camera; {result['date'][:10]}; `benchmarks/flicker.py`,"
        " the clip is `fr1/rpy` of TUM RGB-D.",
        "",
        "| strength | " + " | ".join(sources) + " | AbsRel of the clip |",
        "|---|" + "---|" * (len(sources) + 1),
    ]
    for strength in ("0", "0.5", "0.8"):
        parts = [figures[source][f"strength_{strength}"] for source in sources.values()]
        changes = " | ".join(f"{part['mean_percent']:.1f} %" for part in parts)
        lines.append(f"| {strength} | {changes} | {parts[-1]['abs_rel']:.4f} |")
    return "\n".join(lines)


def _unit(unit: str) -> str:
    return " m" if unit == "m" else ""


def _result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return result


if __name__ == "__main__":
    sys.exit(main())
