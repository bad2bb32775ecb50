"""Frames per second and milliseconds: of the model alone, in the server, and end to end.

    python benchmarks/fps.py
    python benchmarks/fps.py --engine null --json benchmarks/results/fps_null.json
    python benchmarks/fps.py --against-in-process --lanes 2
    python benchmarks/fps.py --overhead

model       the engine's `infer`, nothing else
in server   decode, infer, finish and encode, without a connection
closed loop one gRPC stream from another process, N frames in flight
open loop   one camera at a fixed rate; age counts from each frame's own time

The client runs on the same cores as the server, as the figures say.

--against-in-process  instead: one saturated stream against the same work without a server, in turns
--overhead            instead: the null engine beside a bare gRPC echo of as many bytes, in turns
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from benchmarks.against import against_in_process
from benchmarks.cameras import Tally, closed_loop, open_loop
from benchmarks.in_process import whole_path
from benchmarks.overhead import overhead
from benchmarks.pictures import camera_jpeg
from benchmarks.results import FOLDER, Summary, write_result
from benchmarks.serving import Serving, serving
from fathom.allocator import keep_freed_memory
from server.models import open_models
from server.settings import load
from server.telemetry import Telemetry

_WARM_UP = 30


def main(argv: list[str] | None = None) -> int:
    """Run all parts, print a table, write JSON."""
    keep_freed_memory()
    arguments, server_arguments = _parser().parse_known_args(argv)
    load_before = os.getloadavg()
    part, measure = (
        ("fps_against_in_process", _against_in_process)
        if arguments.against_in_process
        else ("fps_overhead", _overhead)
        if arguments.overhead
        else ("fps", _all_parts)
    )
    path = arguments.json or FOLDER / f"{part}.json"
    print(f"load average {load_before[0]:.2f}")
    write_result(path, measure(arguments, server_arguments), load_before)
    print(f"written to {path}")
    return 0


def _all_parts(arguments: argparse.Namespace, server_arguments: list[str]) -> dict[str, object]:
    picture = camera_jpeg()
    print(f"640x480 JPEG of {len(picture) / 1e3:.0f} KB")
    figures: dict[str, object] = {"picture_bytes": len(picture)}
    figures |= _in_process(server_arguments, picture, arguments.frames)
    with serving(server_arguments) as server:
        figures |= _end_to_end(server, picture, arguments)
        figures["server_resident_mib"] = round(server.resident_mib, 1)
    print(f"server's resident memory {figures['server_resident_mib']} MiB")
    return figures


def _against_in_process(
    arguments: argparse.Namespace, server_arguments: list[str]
) -> dict[str, object]:
    figures = against_in_process(
        server_arguments, camera_jpeg(), frames=arguments.frames, rounds=arguments.rounds
    )
    for name in (
        "fps",
        "best_in_process",
        "ratio",
        "ratio_lean",
        "ratio_session",
        "ratio_bare",
        "ratio_of_rounds",
        "idle_cores",
    ):
        print(f"{name:<16} {figures[name]}")
    return {"server_arguments": server_arguments} | figures


def _overhead(arguments: argparse.Namespace, server_arguments: list[str]) -> dict[str, object]:
    figures = overhead(server_arguments, frames=arguments.frames, rounds=arguments.rounds)
    for name in ("p50_ms", "ratio_to_echo"):
        print(f"{name:<14} {figures[name]}")
    return {"server_arguments": server_arguments} | figures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python benchmarks/fps.py",
        description=__doc__,
        epilog="other options go to the server, for example --engine null --lanes 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--frames", type=int, default=500, help="frames a part (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="of each open loop (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (%(default)s)")
    parser.add_argument("--json", type=Path, help=f"where results go, else in {FOLDER.name}/")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--against-in-process", action="store_true", help="see above")
    instead.add_argument("--overhead", action="store_true", help="see above")
    return parser


def _in_process(server_arguments: list[str], picture: bytes, frames: int) -> dict[str, object]:
    settings, _ = load(server_arguments)
    # One frame at a time, on all cores: what the network and the path can do, not the server.
    alone = settings.model_copy(update={"lanes": 1})
    model = next(iter(open_models(alone, Telemetry())))
    spec = model.engine.spec
    pixels = np.zeros((1, *spec.input_size, 3), np.uint8)
    parts: dict[str, object] = {"engine": spec.name, "precision": spec.precision}
    for name, call in (
        ("model", lambda: model.engine.infer(pixels, 0)),
        ("in_server", whole_path(model, picture)),
    ):
        summary = _time(call, frames)
        _print(name, summary, 1e3 / summary.mean_ms)
        parts[name] = asdict(summary) | {"fps": round(1e3 / summary.mean_ms, 1)}
    model.engine.close()
    return parts


def _end_to_end(
    server: Serving, picture: bytes, arguments: argparse.Namespace
) -> dict[str, object]:
    closed_loop(server.grpc, picture, in_flight=2, frames=_WARM_UP)
    parts: dict[str, object] = {}
    for in_flight in (1, 2, 4, 8):
        tally = closed_loop(server.grpc, picture, in_flight=in_flight, frames=arguments.frames)
        name = f"closed_loop_{in_flight}"
        parts[name] = _report(name, tally, tally.round_trips_s)
    for fps in (30, 60):
        tally = open_loop(server.grpc, picture, fps=fps, seconds=arguments.seconds)
        name = f"open_loop_{fps}fps"
        parts[name] = _report(name, tally, tally.ages_s)
    return parts


def _report(name: str, tally: Tally, seconds: list[float]) -> dict[str, object]:
    summary = Summary.of(seconds)
    _print(name, summary, tally.fps, f"skipped {sum(tally.skipped.values())}")
    return asdict(summary) | {
        "fps": round(tally.fps, 1),
        "sent": tally.sent,
        "answered": tally.answered,
        "skipped": tally.skipped,
        "failed": tally.failed,
    }


def _time(call: Callable[[], object], runs: int) -> Summary:
    for _ in range(_WARM_UP):
        call()
    seconds = []
    for _ in range(runs):
        before_s = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - before_s)
    return Summary.of(seconds)


def _print(name: str, summary: Summary, fps: float, note: str = "") -> None:
    print(
        f"{name:<18} p50 {summary.p50_ms:7.2f}  p95 {summary.p95_ms:7.2f}  "
        f"p99 {summary.p99_ms:7.2f} ms  {fps:7.1f} frames/s  {note}"
    )


if __name__ == "__main__":
    sys.exit(main())
