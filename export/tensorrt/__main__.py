"""Builds one plan, in the environment that has the library: started by `export.plans`.

    python -m export.tensorrt --library tensorrt-rtx --source model.onnx --capabilities 8.6,8.9 \\
        --batches 1,4,8 --outputs depth_m --timing-cache timing.cache --out model.plan

A source `.onnx` goes through the parser, a `.pt2` through Torch-TensorRT.
"""

import argparse
import sys
from pathlib import Path

from export.tensorrt.capabilities import parse_capabilities
from export.tensorrt.library import MODULES, load_library
from export.tensorrt.plan import build_plan
from fathom.errors import FathomError


def main(argv: list[str] | None = None) -> int:
    """Write the plan; 1 with the reason on stderr if there is none."""
    parser = argparse.ArgumentParser("python -m export.tensorrt")
    parser.add_argument("--library", choices=list(MODULES), required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--capabilities", default="")
    parser.add_argument("--batches", required=True)
    parser.add_argument("--outputs", required=True)
    parser.add_argument("--timing-cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(argv)
    capabilities = parse_capabilities(given.capabilities) if given.capabilities else ()
    smallest, usual, largest = map(int, given.batches.split(","))
    batches = (smallest, usual, largest)
    try:
        library = load_library(given.library)
        library.check(capabilities, _gpu_here())
        if given.source.suffix == ".onnx":
            plan = build_plan(library, given.source, capabilities, batches, given.timing_cache)
        else:
            from export.tensorrt.torch_plan import build_plan_by_torch

            plan = build_plan_by_torch(
                library, given.source, capabilities, batches, given.outputs.split(",")
            )
    except (ImportError, RuntimeError, FathomError) as error:
        print(error, file=sys.stderr)
        return 1
    given.out.write_bytes(plan)
    return 0


def _gpu_here() -> tuple[int, int] | None:
    try:
        import torch
    except ImportError:
        return None
    return torch.cuda.get_device_capability() if torch.cuda.is_available() else None


if __name__ == "__main__":
    sys.exit(main())
