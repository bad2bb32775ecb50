"""How many nodes for my cameras: fleets in simulated time, with costs that were measured.

    python -m benchmarks.fleet --cameras 10000 --fps 15 --nodes 100 --lose 5
    python -m benchmarks.fleet --cameras 10000 --placement random,two-choices,least-loaded,affinity
    python -m benchmarks.fleet --find --cameras 1000 --age-p99-ms 100 --served 0.99
    python -m benchmarks.fleet --cameras 300 --nodes 4 --ramp-s 240 --seconds 300 --autoscale
    python -m benchmarks.fleet --compare
    python -m benchmarks.fleet --measure benchmarks/results/fleet_costs.json --engine openvino

Every node runs the server's own scheduler, turns, batcher and reorder, every camera the client's
own back-off; time, the balancer, the autoscaler and the wire are simulated. What a node's work
takes comes from a result of benchmarks/fps.py or of --measure, with its spread.

--find     the fewest nodes with which the age's p99 and the share of frames that are answered hold
           their bounds, whatever else the scene says
--compare  instead: a real server here beside the simulation with the costs of the same run
--measure  instead: what a server's work takes, for --costs

Nothing is simulated of processor cores that are short: that shows in measured costs alone.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fleet.autoscaler import TARGETS, Terms
from benchmarks.fleet.compare import Cells, Load, compare, figures, table
from benchmarks.fleet.costs import Costs, read_costs, to_json
from benchmarks.fleet.fleet import Scene
from benchmarks.fleet.measure import engine_costs, measure
from benchmarks.fleet.placement import PLACEMENTS
from benchmarks.fleet.scenes import Answer, find, play
from benchmarks.plot import grid, write_png
from benchmarks.results import FOLDER, write_result
from benchmarks.serving import serving

_TARGETS = ", ".join(f"{target:g} for {metric}" for metric, target in TARGETS.items())


def main(argv: list[str] | None = None) -> int:
    """Play scenes, print a table, write JSON and a picture; 1 if a sum or the bar does not hold."""
    arguments, server_arguments = _parser().parse_known_args(argv)
    if arguments.measure is not None:
        return _measure(arguments, server_arguments)
    if arguments.compare:
        return _compare(arguments, server_arguments)
    if server_arguments:
        _parser().error(f"only --compare and --measure start a server: {server_arguments[0]}")
    names = arguments.placement.split(",")
    if not set(names) <= set(PLACEMENTS):
        _parser().error(f"--placement: one or more of {', '.join(PLACEMENTS)}, by commas")
    if arguments.move and "affinity" in names:
        _parser().error("--move: a camera with affinity would come back to where it was")
    costs = read_costs(arguments.costs)
    print(f"{costs.source}: {costs.capacity_fps:.0f} frames/s a node")
    load_before = os.getloadavg()
    scenes = [_scene(arguments, name) for name in names]
    if arguments.find:
        answer = find(scenes[0], costs, arguments.age_p99_ms, arguments.served)
    else:
        answer = play(scenes, costs)
    _write(arguments, answer, costs, load_before)
    return 0 if answer.sums_agree else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--cameras", type=int, default=1000, help="(%(default)s)")
    add("--fps", type=float, default=15, help="of each camera (%(default)s)")
    add("--nodes", type=int, default=100, help="at the start (%(default)s)")
    add("--seconds", type=float, default=10, help="of simulated time (%(default)s)")
    add("--ramp-s", type=float, default=0, help="cameras come over so long (%(default)s)")
    add("--placement", default="two-choices", help=f"by commas: {', '.join(PLACEMENTS)}")
    add("--max-streams", type=int, default=256, help="that a node takes (%(default)s)")
    add("--zones", type=int, default=3, help="nodes are dealt to them in turn (%(default)s)")
    add("--lose", type=int, default=0, help="nodes that die (%(default)s)")
    add("--lose-zone", action="store_true", help="a whole zone dies")
    add("--lose-at-s", type=float, help="when; a third of the time if not given")
    add("--notice-s", type=float, default=1, help="until cameras notice a loss (%(default)s)")
    add("--report-s", type=float, default=1, help="between reports of load (%(default)s)")
    add("--autoscale", choices=TARGETS, nargs="?", const="busy", help="what nodes come and go by")
    add("--target", type=float, help=f"that autoscaling aims at: {_TARGETS} if not given")
    add("--move", action="store_true", help="somebody moves open streams to new nodes")
    add("--start-s", type=float, default=30, help="that a new node takes to start (%(default)s)")
    add("--find", action="store_true", help="see above")
    add("--age-p99-ms", type=float, default=100, help="bound of --find (%(default)s)")
    add("--served", type=float, default=0.99, help="bound of --find (%(default)s)")
    add("--costs", type=Path, default=FOLDER / "fps.json", help="(%(default)s)")
    add("--seed", type=int, default=0, help="of everything that is drawn (%(default)s)")
    add("--compare", action="store_true", help="see above; more options go to the server")
    add("--compare-cameras", default="1,4,16", help="by commas (%(default)s)")
    add(
        "--compare-load",
        default="0.5,0.95:1.05,1.9:2.1",
        help="times capacity, by commas; A:B grows from A to B (%(default)s)",
    )
    add("--compare-seconds", type=float, default=30, help="of each cell (%(default)s)")
    add("--measure-seconds", type=float, default=30, help="of both its runs (%(default)s)")
    add("--measure", type=Path, metavar="JSON", help="see above; more options go to the server")
    add("--json", type=Path, help=f"where results go, else in {FOLDER.name}/")
    add("--picture", type=Path, help="where the picture goes, else beside them")
    return parser


def _scene(arguments: argparse.Namespace, placement: str) -> Scene:
    lose_at_s = arguments.lose_at_s
    return Scene(
        cameras=arguments.cameras,
        fps=arguments.fps,
        nodes=arguments.nodes,
        seconds=arguments.seconds,
        ramp_s=arguments.ramp_s,
        placement=placement,
        zones=arguments.zones,
        lose=arguments.lose,
        lose_zone=arguments.lose_zone,
        lose_at_s=arguments.seconds / 3 if lose_at_s is None else lose_at_s,
        notice_s=arguments.notice_s,
        report_s=arguments.report_s,
        streams=arguments.max_streams,
        autoscale=_terms(arguments) if arguments.autoscale else None,
        move=arguments.move,
        seed=arguments.seed,
    )


def _terms(arguments: argparse.Namespace) -> Terms:
    target = TARGETS[arguments.autoscale] if arguments.target is None else arguments.target
    return Terms(
        metric=arguments.autoscale,
        target=target,
        start_s=arguments.start_s,
        least=arguments.nodes,
    )


def _write(
    arguments: argparse.Namespace, answer: Answer, costs: Costs, load_before: Sequence[float]
) -> None:
    path = arguments.json or FOLDER / f"{answer.name}.json"
    picture = arguments.picture or path.with_suffix(".png")
    write_png(picture, grid(answer.charts))
    write_result(path, {"costs": to_json(costs), **answer.figures}, load_before)
    print(f"written to {path} and {picture}")


def _compare(arguments: argparse.Namespace, server_arguments: list[str]) -> int:
    load_before = os.getloadavg()
    cells = Cells(
        cameras=[int(count) for count in arguments.compare_cameras.split(",")],
        loads=[Load.of(text) for text in arguments.compare_load.split(",")],
        seconds=arguments.compare_seconds,
    )
    costs, done = compare(cells, server_arguments, arguments.measure_seconds)
    print(f"{costs.source}: {costs.capacity_fps:.1f} frames/s\n{table(done)}")
    path = arguments.json or FOLDER / "fleet_compare.json"
    kept = {"costs": to_json(costs), "cells": [figures(cell) for cell in done]}
    write_result(path, {"server_arguments": server_arguments, **kept}, load_before)
    print(f"written to {path}")
    return 0 if all(cell.agrees for cell in done) else 1


def _measure(arguments: argparse.Namespace, server_arguments: list[str]) -> int:
    load_before = os.getloadavg()
    spec, curve = engine_costs(server_arguments)
    with serving(server_arguments) as server:
        costs = measure(server, spec, curve, arguments.measure_seconds)
    print(f"{costs.source}: {costs.capacity_fps:.1f} frames/s")
    write_result(arguments.measure, to_json(costs), load_before)
    print(f"written to {arguments.measure}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
