"""The one way from a checkpoint to a published version: make, judge, and only then publish."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from export import networks, signature
from export.cards import Origin, make_card, measure_costs, waive
from export.gates import Gate, NotRun, judge, judge_accuracy, table
from export.networks import Network
from export.openvino import CALIBRATION
from export.pictures import Pictures, read_pictures
from export.report import write_report
from export.repository import next_version, publish, staged
from export.source import open_source
from export.targets import Made, Workshop, choose, make, refuse_early
from export.tensorrt.capabilities import Capability
from export.triton.config import CONFIG_FILE, MODEL_SOURCE, make_configs
from export.triton.config import signature as told_to_triton
from fathom.card import Figure
from fathom.machine import busy_share
from training.data.forms import open_any
from training.data.nyu import NyuFolder, WithLabels
from training.data.reader import Reader
from training.evaluation import Report, Scoring, evaluate
from training.evaluation.scored import Letterboxed
from training.students.student import Student, without_classes

# Of the cores: what a machine at rest does beside.
_CALM_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for.

    source        a run's checkpoint, or a published program
    images        photos to compare engines on
    calibration   photos for int8; None takes `images`
    data, part    labelled pictures to measure the loss of accuracy on; None measures none
    report        where the comparison sheet goes
    allow_worse   publish although gates fail, and say so on the card
    depth_only    leave a segmentation head out
    """

    source: Path
    repository: Path
    origin: Origin
    targets: Sequence[str]
    precisions: Sequence[str]
    capabilities: tuple[Capability, ...]
    images: Path
    calibration: Path | None
    data: Path | None
    part: str
    report: Path | None
    allow_worse: bool
    depth_only: bool = False


class Progress:
    """Says on stderr what is going on, and for how long the whole has taken."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._started_s:6.1f} s  {text}", file=sys.stderr)


def export(order: Order) -> Path | None:
    """The version's folder, None if a gate refused it; every gate is printed either way."""
    tell = Progress()
    chosen = choose(order.targets, order.precisions)
    refuse_early(chosen, order.capabilities)
    source = open_source(order.source)
    source.student.spec.require_metres(order.source)
    if order.depth_only:
        source = replace(source, student=without_classes(source.student))
    student = source.student
    pictures = read_pictures(order.images, student.network_size)
    with (
        staged(order.repository, order.origin.name) as stage,
        tempfile.TemporaryDirectory() as scratch,
    ):
        version = next_version(order.repository / order.origin.name)
        workshop = Workshop(
            source=source,
            stage=stage,
            scratch=Path(scratch),
            metadata=_metadata(order.origin.name, version, student),
            calibration=lambda: _calibration(order, student),
            capabilities=order.capabilities,
            tell=tell,
        )
        made = [each for target, wanted in chosen for each in make(workshop, target, wanted)]
        shutil.copyfile(MODEL_SOURCE, stage / MODEL_SOURCE.name)
        tell("comparing with PyTorch")
        reference = networks.of_student(student)
        gates = judge_all(made, reference, pictures)
        if order.data is not None:
            tell(f"measuring accuracy on {order.data.name}, {order.part}")
            gates += _judge_accuracies(order, student, reference, made)
        costs = costs_if_calm(made, pictures, tell)
        card = make_card(order.origin, source, version, made, gates, costs)
        configs = make_configs(card)
        gates += judge_signatures(made, configs[CONFIG_FILE])
        print(table(gates))
        if order.report is not None:
            write_report(order.report, made, reference, pictures)
            tell(f"comparison in {order.report}")
        failed = [gate for gate in gates if isinstance(gate, Gate) and not gate.passed]
        if failed and not order.allow_worse:
            return None
        return publish(order.repository, waive(card, failed), configs, stage)


def costs_if_calm(
    made: Sequence[Made], pictures: Pictures, tell: Callable[[str], None]
) -> Sequence[Figure]:
    """For the card, if they mean anything: where others compute, a call's time is theirs too."""
    busy = busy_share()
    if busy > _CALM_SHARE:
        tell(f"no costs on the card: others keep {busy:.0%} of the cores busy")
        return ()
    tell("measuring what a call costs")
    return measure_costs(made, pictures)


def judge_all(made: Sequence[Made], reference: Network, pictures: Pictures) -> list[Gate | NotRun]:
    """Every network that runs here against PyTorch, and a row for every plan that does not."""
    gates: list[Gate | NotRun] = []
    for each in made:
        for precision, network in each.runs.items():
            gates += judge(subject(each, precision), precision, network, reference, pictures)
        if each.is_plan:
            gates.append(NotRun(f"{each.target} {each.precision} ({each.paths[0].name})"))
    return gates


def judge_signatures(made: Sequence[Made], config: str) -> list[Gate]:
    """What files take and give against what Triton is told."""
    read = {".onnx": signature.of_onnx, ".xml": signature.of_openvino}
    told = told_to_triton(config)
    return [
        signature.judge_signature(f"{each.target} {each.precision}", read[kind](path), told)
        for each in made
        for path in each.paths
        if (kind := path.suffix) in read
    ]


def subject(made: Made, precision: str) -> str:
    """How gates and figures call what ran; of a plan only its graph did."""
    return f"{made.target} {precision}" + (" graph" if made.is_plan else "")


def _judge_accuracies(
    order: Order, student: Student, reference: Network, made: Sequence[Made]
) -> list[Gate]:
    assert order.data is not None  # noqa: S101 - asked by the caller
    reader = _open_data(order.data)

    def score(network: Network) -> Report:
        scored = Letterboxed(
            network=network, network_size=student.network_size, focal_px=student.spec.focal_px
        )
        return evaluate(scored, reader, order.part, Scoring())

    wanted = score(reference)
    return [
        gate
        for each in made
        for precision, network in each.runs.items()
        for gate in judge_accuracy(subject(each, precision), score(network), wanted)
        if precision != "f32"  # where every map is the same, nothing can be lost
    ]


def _open_data(folder: Path) -> Reader:
    reader = open_any(folder)
    return WithLabels(reader) if isinstance(reader, NyuFolder) else reader


def _calibration(order: Order, student: Student) -> Pictures:
    folder = order.calibration or order.images
    return read_pictures(folder, student.network_size, CALIBRATION)


def _metadata(name: str, version: int, student: Student) -> dict[str, str]:
    return {
        "fathom.name": name,
        "fathom.version": str(version),
        "fathom.focal_px": str(student.spec.focal_px),
        "fathom.depth_m": "metres along the optical axis",
    }
