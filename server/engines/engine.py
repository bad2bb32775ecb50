"""What the server needs of an engine, and nothing of any one engine."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fathom.geometry import F32, Size


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """What an engine is.

    input_size  (height, width) of a frame
    lanes       how many `infer` calls may overlap, each with its own lane number
    overlap     True where the processor is free while the device computes: then the next batch is
                decoded meanwhile. On a CPU engine decoding would take cores from computing
    """

    name: str
    device: str
    precision: str
    input_size: Size
    max_batch: int
    outputs: tuple[str, ...]
    lanes: int
    overlap: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What came out of one call; valid until the same lane's next call.

    depth_m  (N, H, W) float32, metres
    labels   (N, H, W) uint8 class ids, or None
    """

    depth_m: F32
    labels: NDArray[np.uint8] | None = None


class EngineFault(Exception):  # noqa: N818 - a fault of the device, not a caller's error
    """The batch failed; the engine may still serve the next one."""


class TooLate(Exception):  # noqa: N818 - as EngineFault
    """The batch was given up because every frame of it is due; nothing is wrong with the engine."""


class Engine(Protocol):
    """A network on a device. `infer` blocks and is called by one thread per lane."""

    @property
    def spec(self) -> EngineSpec: ...

    def infer(self, frames: NDArray[np.uint8], lane: int, due_s: float | None = None) -> Outputs:
        """Depth of (N, H, W, 3) uint8 RGB frames, N up to `max_batch`.

        due_s   when the last of these frames is worthless, on the monotonic clock: an engine that
                waits for others gives up then
        raises  EngineFault, TooLate
        """
        ...

    def close(self) -> None: ...
