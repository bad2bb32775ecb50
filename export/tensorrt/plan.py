"""An ONNX file to a plan: parse, aim, build. The same for TensorRT and TensorRT-RTX.

Networks are strongly typed: a layer is f16 because the ONNX file says so, never because the builder
found it faster, so a plan computes what was compared with PyTorch.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.tensorrt.capabilities import Capability
from export.tensorrt.library import Library

# Smallest, usual and largest batch of the optimisation profile.
Batches = tuple[int, int, int]
_TOLD_EVERY_S = 1.0


def build_plan(
    library: Library,
    onnx_path: Path,
    capabilities: Sequence[Capability],
    batches: Batches,
    timing_cache: Path,
) -> bytes:
    """The serialized engine; raises RuntimeError with the parser's or the builder's own words."""
    trt: Any = library.module
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(onnx_path)):
        said = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        raise RuntimeError(f"{library.name} does not parse {onnx_path.name}: {'; '.join(said)}")
    config = builder.create_builder_config()
    library.aim(config, capabilities)
    config.add_optimization_profile(_profile(builder, network, batches))
    config.progress_monitor = _monitor(trt)
    if library.times_kernels:
        kept = timing_cache.read_bytes() if timing_cache.is_file() else b""
        config.set_timing_cache(config.create_timing_cache(kept), ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError(f"{library.name} builds no plan of {onnx_path.name}; its log says why")
    if library.times_kernels:
        timing_cache.write_bytes(bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _profile(builder: Any, network: Any, batches: Batches) -> Any:
    profile = builder.create_optimization_profile()
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        frame = tuple(tensor.shape)[1:]
        profile.set_shape(tensor.name, *((batch, *frame) for batch in batches))
    return profile


def _monitor(trt: Any) -> Any:
    """Tells on stderr which phase the build is in and for how long it has run."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # the base is the library's
        def __init__(self) -> None:
            super().__init__()
            self._started_s = self._told_s = time.monotonic()
            self._steps: dict[str, int] = {}

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            del parent
            self._steps[name] = steps

        def step_complete(self, name: str, step: int) -> bool:
            if time.monotonic() - self._told_s >= _TOLD_EVERY_S:
                self._told_s = time.monotonic()
                self._tell(f"{name} {step + 1}/{self._steps[name]}")
            return True

        def phase_finish(self, name: str) -> None:
            del self._steps[name]

        def _tell(self, text: str) -> None:
            print(f"  {time.monotonic() - self._started_s:5.1f} s  {text}", file=sys.stderr)

    return Monitor()
