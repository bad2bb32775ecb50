"""An engine without a network: depth from a formula, at a cost that is set.

Shows what everything around an engine costs, and lets tests know every depth beforehand.
"""

import itertools
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fathom.card import Card
from fathom.geometry import F32, Size
from server.engines.engine import EngineFault, EngineSpec, Outputs

INPUT_SIZE: Size = (256, 320)
NEAR_M, FAR_M = 1.0, 5.0

CARD = Card(
    name="null",
    version=1,
    summary="no network: depth falls from 5 m at the top row to 1 m at the bottom row",
    recipe="a formula",
    data="none",
    data_licence="none",
    parameters=0,
    input_size=INPUT_SIZE,
    outputs=("depth_m",),
    classes=(),
    focal_px=260.0,
    range_m=(NEAR_M, FAR_M),
    figures=(),
    files=(),
)


def ramp(size: Size) -> F32:
    """The depth this engine answers: (H, W) float32, by row only."""
    height, width = size
    column = np.linspace(FAR_M, NEAR_M, height, dtype=np.float32)
    return np.repeat(column[:, None], width, axis=1)


class NullEngine:
    """Answers the same ramp for every frame after `cost_s` a batch plus `frame_cost_s` a frame.

    fault_every  each so-manieth batch fails, once it has cost its time; 0 for none. Take more than
                 the warm-up's runs, or the server will not start
    """

    def __init__(
        self,
        *,
        cost_s: float = 0.0,
        frame_cost_s: float = 0.0,
        max_batch: int = 1,
        lanes: int = 1,
        fault_every: int = 0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._cost_s = cost_s
        self._frame_cost_s = frame_cost_s
        self._fault_every = fault_every
        self._batches = itertools.count(1)  # its `next` is one step, whichever lane asks
        self._sleep = sleep
        self._depth_m = np.repeat(ramp(INPUT_SIZE)[None], max_batch, axis=0)
        self._spec = EngineSpec(
            name="null",
            device="none",
            precision="f32",
            input_size=INPUT_SIZE,
            max_batch=max_batch,
            outputs=("depth_m",),
            lanes=lanes,
            overlap=cost_s > 0 or frame_cost_s > 0,  # with no cost there is nothing to overlap
        )

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    def infer(
        self,
        frames: NDArray[np.uint8],
        lane: int,  # noqa: ARG002
        due_s: float | None = None,  # noqa: ARG002
    ) -> Outputs:
        """The ramp, once per frame, when the cost has passed; raises EngineFault if told to."""
        cost_s = self._cost_s + self._frame_cost_s * len(frames)
        if cost_s:
            self._sleep(cost_s)
        batch = next(self._batches)
        if self._fault_every and batch % self._fault_every == 0:
            raise EngineFault(f"batch {batch}, as null_fault_every asks")
        return Outputs(self._depth_m[: len(frames)])

    def close(self) -> None:
        """Nothing to release."""
