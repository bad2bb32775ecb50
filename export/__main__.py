"""From a training checkpoint to a model that the server and Triton serve.

    python -m export runs/baseline/best.safetensors --name indoor-mnv2 --figures eval-test.json
    python -m export CHECKPOINT --name NAME --targets onnx,openvino,tensorrt-rtx \\
        --precisions f32,bf16,f16,int8 --compute-capability 8.6,8.9 --calibration PHOTOS --data NYU
    python -m export model_repository/NAME/current/model.pt2 --name NAME-here --targets tensorrt-rtx
    python -m export list | verify | diff NAME@1 NAME@2 | rollback NAME

Exports, compares with PyTorch on real pictures, and publishes only what passed every gate.
Exit status: 0 good, 1 refused or failed, 2 misused.
"""

import argparse
import sys
from pathlib import Path

from export import catalogue
from export.cards import Origin
from export.pipeline import Order, export
from export.repository import roll_back
from export.targets import PRECISIONS, TARGETS
from export.tensorrt.capabilities import parse_capabilities
from fathom.errors import FathomError

_REPOSITORY = Path("model_repository")


def main(argv: list[str] | None = None) -> int:
    """Run one verb; an export needs none."""
    words = sys.argv[1:] if argv is None else argv
    verbs = {"list": _list, "verify": _verify, "diff": _diff, "rollback": _roll_back}
    try:
        if words and words[0] in verbs:
            return verbs[words[0]](words[1:])
        return _export(words)
    except FathomError as error:
        print(f"export: {error}", file=sys.stderr)
        return 1


def _export(words: list[str]) -> int:
    given = _parser().parse_args(words)
    origin = Origin(
        name=given.name,
        summary=given.summary,
        data=given.trained_on,
        data_licence=given.data_licence,
        images=given.images.name,
        part=f"{given.data.name}, {given.part}" if given.data else "",
        reports=given.figures,
    )
    order = Order(
        source=given.source,
        repository=given.repository,
        origin=origin,
        targets=given.targets.split(","),
        precisions=given.precisions.split(","),
        capabilities=parse_capabilities(given.compute_capability),
        images=given.images,
        calibration=given.calibration,
        data=given.data,
        part=given.part,
        report=given.report,
        allow_worse=given.allow_worse,
        depth_only=given.depth_only,
    )
    published = export(order)
    if published is None:
        print("export: refused, nothing was published", file=sys.stderr)
        return 1
    print(f"published {published}")
    return 0


def _list(words: list[str]) -> int:
    given = _verb("list", "every version of every model").parse_args(words)
    print(catalogue.list_versions(given.repository))
    return 0


def _verify(words: list[str]) -> int:
    given = _verb("verify", "check every byte of a repository").parse_args(words)
    wrong = 0
    for finding in catalogue.verify(given.repository):
        wrong += bool(finding.wrong)
        print(f"{'WRONG' if finding.wrong else 'ok':<6} {finding.what}", finding.wrong)
    return int(wrong > 0)


def _diff(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m export diff", description="what two versions differ in"
    )
    parser.add_argument("first", help="NAME or NAME@VERSION")
    parser.add_argument("second")
    parser.add_argument("--repository", type=Path, default=_REPOSITORY)
    given = parser.parse_args(words)
    print(catalogue.compare(given.repository, given.first, given.second))
    return 0


def _roll_back(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m export rollback", description="serve an older version"
    )
    parser.add_argument("name")
    parser.add_argument("--to", type=int, help="the version; without it the one before")
    parser.add_argument("--repository", type=Path, default=_REPOSITORY)
    given = parser.parse_args(words)
    print(f"{given.name} serves version {roll_back(given.repository, given.name, given.to)}")
    return 0


def _verb(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(f"python -m export {name}", description=description)
    parser.add_argument("repository", type=Path, nargs="?", default=_REPOSITORY)
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("source", type=Path, help="best.safetensors of a run, or model.pt2 of a published model")
    add("--name", required=True, help="the model's name in the repository")
    add("--repository", type=Path, default=_REPOSITORY)
    add(
        "--targets",
        default="onnx,openvino",
        help=f"some of {','.join(TARGETS)}; ONNX is always made",
    )
    add("--precisions", default="f32,bf16", help=f"some of {','.join(PRECISIONS)}")
    add("--compute-capability", default="8.6,8.9", help="GPUs that plans are built for")
    add("--images", type=Path, default=Path("samples"), help="photos to compare engines on")
    add("--calibration", type=Path, help="photos for int8, of scenes that it will see")
    add("--data", type=Path, help="labelled pictures to measure the loss of accuracy on")
    add("--part", default="val", help="the part of them")
    add("--report", type=Path, help="PNG that shows what each precision costs")
    add("--depth-only", action="store_true", help="leave a segmentation head out of the graph")
    add("--allow-worse", action="store_true", help="publish what fails a gate; the card says so")
    add("--summary", default="metric depth of indoor scenes")
    add("--trained-on", default="NYU Depth V2, 700 labelled images of 220 scenes")
    add("--data-licence", default="research use, as its authors ask")
    add(
        "--figures",
        type=Path,
        action="append",
        default=[],
        help="JSON of `python -m training eval`",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
