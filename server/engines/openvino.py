"""OpenVINO on the CPU: the default engine.

bf16 where the processor has it (1.6x over f32, measured on Zen 4), else f32. The batch is static
and one: on a CPU a batch of four takes four times as long, so batching would only add age.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import properties as props

from fathom.errors import Code, FathomError
from fathom.geometry import Size
from server.engines.engine import EngineFault, EngineSpec, Outputs

TARGETS = ("openvino", "onnx")

# A quantised file keeps f32 where it is not: bf16 there takes longer (4.2 ms against 3.7, Zen 4).
_PRECISIONS = {"bf16": ov.Type.bf16, "f32": ov.Type.f32, "int8": ov.Type.f32}


class OpenVinoEngine:
    """One infer request per lane.

    model_path  an ONNX or OpenVINO IR file
    precision   "auto", "bf16", "f32"; "int8" says that the file is quantised
    threads     processor threads over all lanes; 0 takes every core
    raises      BAD_MODEL if the file is not such a network, BAD_SETTING for an unknown precision
    """

    def __init__(  # noqa: PLR0913 - each is one setting of the same name
        self,
        model_path: Path,
        *,
        input_size: Size,
        outputs: tuple[str, ...],
        precision: str = "auto",
        lanes: int = 1,
        threads: int = 0,
        cache_folder: Path | None = None,
    ) -> None:
        core = _core()
        chosen = _choose_precision(core, precision)
        config = {
            props.hint.performance_mode(): props.hint.PerformanceMode.LATENCY,
            props.hint.inference_precision(): _PRECISIONS[chosen],
        }
        # A thread a lane can be the lane's own: without streams a request runs in its caller, but
        # requests of one network then wait for each other, so each lane has its own. Two streams of
        # one network leave 4 % of two cores idle, for the hand-over and for where they land.
        in_lane = lanes > 1 and (threads or os.cpu_count() or 1) <= lanes
        config[props.num_streams()] = 0 if in_lane else lanes
        if threads and not in_lane:
            config[props.inference_num_threads()] = threads
        if cache_folder is not None:
            config[props.cache_dir()] = str(cache_folder)
        try:
            network = core.read_model(model_path)
            network.reshape([1, *input_size, 3])
            compiled = [
                core.compile_model(network, "CPU", config) for _ in range(lanes if in_lane else 1)
            ]
            for name in outputs:
                compiled[0].output(name)
        except RuntimeError as error:
            raise FathomError(
                Code.BAD_MODEL,
                expected=f"a network from (1, {input_size[0]}, {input_size[1]}, 3) uint8"
                f" to {', '.join(outputs)}",
                got=f"{model_path.name}: {str(error).strip().splitlines()[-1]}",
                repair="export the model again with `python -m export`",
            ) from error
        self._requests = [compiled[i % len(compiled)].create_infer_request() for i in range(lanes)]
        self._spec = EngineSpec(
            name="openvino",
            device=str(core.get_property("CPU", props.device.full_name())),
            precision=chosen,
            input_size=input_size,
            max_batch=1,
            outputs=outputs,
            lanes=lanes,
        )

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    def infer(
        self,
        frames: NDArray[np.uint8],
        lane: int,
        due_s: float | None = None,  # noqa: ARG002
    ) -> Outputs:
        """Depth of one frame, in the lane's own request; nothing is copied on the way in or out."""
        request = self._requests[lane]
        try:
            request.set_input_tensor(ov.Tensor(frames, shared_memory=True))
            request.infer()
        except RuntimeError as error:
            raise EngineFault(str(error)) from error
        labels = request.get_tensor("labels").data if "labels" in self._spec.outputs else None
        return Outputs(request.get_tensor("depth_m").data, labels)

    def close(self) -> None:
        """Let go of the requests; the rest follows them."""
        self._requests.clear()


@cache
def _core() -> ov.Core:
    """One for the process. Each core gives the thread back the signal stack that it found when it
    goes: two that go in the order they came leave one that is gone, and the next signal kills."""
    return ov.Core()


def _choose_precision(core: ov.Core, precision: str) -> str:
    if precision == "auto":
        able = core.get_property("CPU", props.device.capabilities())
        return "bf16" if "BF16" in able else "f32"
    if precision not in _PRECISIONS:
        raise FathomError(
            Code.BAD_SETTING,
            expected=f"a precision: auto, {', '.join(_PRECISIONS)}",
            got=precision,
            repair="auto takes the fastest that the processor has",
        )
    return precision
