"""TensorRT and TensorRT-RTX on an NVIDIA GPU, through a narrow driver.

Each lane has pinned host memory that frames are written to and depth is read from, device memory, a
stream, and one captured graph for each batch size: copy in, compute, copy out in one launch. Two
lanes, so that one copies while the other computes. All that needs no GPU is here; what does is the
driver's, in `tensorrt_driver`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fathom.card import Card
from fathom.errors import Code, FathomError
from fathom.geometry import Size
from server.engines.batches import graph_sizes
from server.engines.engine import EngineFault, EngineSpec, Outputs
from server.engines.tensorrt_plans import Place, check_header, choose_plan

INPUT = "frames"
_DTYPES = {INPUT: "uint8", "depth_m": "float32", "labels": "uint8"}
_LANES = 2


class DeviceLane(Protocol):
    """One lane's memory, stream and graphs.

    frames   pinned host memory (max_batch, H, W, 3) uint8
    outputs  pinned host memory by name, (max_batch, H, W)
    """

    @property
    def frames(self) -> NDArray[np.uint8]: ...

    @property
    def outputs(self) -> Mapping[str, NDArray[Any]]: ...

    def capture(self, size: int) -> None:
        """Make the graph of this batch size; raises RuntimeError."""
        ...

    def run(self, size: int) -> None:
        """Copy in, compute, copy out, and wait for it; raises RuntimeError."""
        ...

    def close(self) -> None: ...


class Program(Protocol):
    """A plan that the library has read.

    tensors  name to (dtype, shape), the batch as -1
    """

    @property
    def tensors(self) -> Mapping[str, tuple[str, tuple[int, ...]]]: ...

    def lane(self, max_batch: int) -> DeviceLane: ...


class Driver(Protocol):
    """The library and the GPU."""

    @property
    def place(self) -> Place: ...

    @property
    def device(self) -> str: ...

    def load(self, plan: bytes) -> Program:
        """Read a plan; raises RuntimeError."""
        ...


class TensorRtEngine:
    """The card's plan for this GPU and library.

    folder  the model's, where its card lies
    raises  BAD_MODEL if no plan is for this place, or one is not what the card says
    """

    def __init__(
        self,
        driver: Driver,
        card: Card,
        folder: Path,
        *,
        precision: str = "auto",
        lanes: int = 0,
        max_batch: int = 0,
    ) -> None:
        plan = choose_plan(card, driver.place, precision)
        data = (folder / plan.file.path).read_bytes()
        check_header(data, plan.file.path)
        self._lanes: list[DeviceLane] = []
        self._spec = EngineSpec(
            name="tensorrt",
            device=driver.device,
            precision=plan.file.precision,
            input_size=card.input_size,
            max_batch=min(max_batch or plan.max_batch, plan.max_batch),
            outputs=card.outputs,
            lanes=lanes or _LANES,
            overlap=True,
        )
        try:
            program = driver.load(data)
            _check_signature(program, card.input_size, card.outputs)
            for _ in range(self._spec.lanes):
                self._lanes.append(program.lane(self._spec.max_batch))
                for size in graph_sizes(self._spec.max_batch):
                    self._lanes[-1].capture(size)
        except (RuntimeError, ValueError) as error:
            self.close()
            raise FathomError(
                Code.BAD_MODEL,
                expected=f"a plan that runs on {driver.place}",
                got=f"{plan.file.path}: {error}",
                repair="export it again for this GPU and library, or take --engine torch",
            ) from error

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    def infer(
        self,
        frames: NDArray[np.uint8],
        lane: int,
        due_s: float | None = None,  # noqa: ARG002
    ) -> Outputs:
        """Depth of a batch; one between two graphs is padded to the larger."""
        count, memory = len(frames), self._lanes[lane]
        if frames.shape[1:] != memory.frames.shape[1:] or count > self._spec.max_batch:
            raise EngineFault(f"frames of {frames.shape} where {memory.frames.shape} fit")
        memory.frames[:count] = frames
        try:
            memory.run(next(s for s in graph_sizes(self._spec.max_batch) if s >= count))
        except RuntimeError as error:
            raise EngineFault(str(error)) from error
        labels = memory.outputs.get("labels")
        return Outputs(
            memory.outputs["depth_m"][:count], None if labels is None else labels[:count]
        )

    def close(self) -> None:
        """Give streams, graphs and memory back."""
        while self._lanes:
            self._lanes.pop().close()


def _check_signature(program: Program, input_size: Size, outputs: tuple[str, ...]) -> None:
    expected: dict[str, tuple[str, tuple[int, ...]]]
    expected = {INPUT: (_DTYPES[INPUT], (-1, *input_size, 3))}
    expected |= {name: (_DTYPES[name], (-1, *input_size)) for name in outputs}
    for name, signature in expected.items():
        if program.tensors.get(name) != signature:
            raise ValueError(f"{name} is {program.tensors.get(name)}, not {signature}")
