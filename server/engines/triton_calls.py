"""One lane's calls to one Triton server: frames there, depth back, through memory if it is near.

Knows neither other servers nor when to give up.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import (
    InferenceServerClient,
    InferInput,
    InferRequestedOutput,
    InferResult,
)
from tritonclient.utils import InferenceServerException

from fathom.geometry import Size
from server.engines.engine import Outputs
from server.engines.shared_region import SharedRegion

_log = logging.getLogger("fathom.server.triton")

INPUT = "frames"
DATATYPES = {"depth_m": "FP32", "labels": "UINT8"}
_DTYPES = {"depth_m": np.float32, "labels": np.uint8}
_HERE = ("localhost", "127.0.0.1", "[::1]")
# Asking a server to map a region takes a fraction of a millisecond; one that hangs is no use.
_REGISTER_TIMEOUT_S = 1.0
_IN_USE = "StatusCode.INTERNAL"
# Triton lets go of a request's memory only a moment after its answer is out, and refuses to forget
# a region until then (reference counts of triton-inference-server/server#7567).
_TRIES, _REFUSED_PAUSE_S = 20, 0.01


class BadAnswer(Exception):  # noqa: N818 - it names what came
    """The server answered what the model's card does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What is asked of every server: one version of one model."""

    name: str
    version: int
    input_size: Size
    outputs: tuple[str, ...]
    max_batch: int


class Calls:
    """Calls of one lane to one server, one at a time.

    After a call that failed or was given up this is not used again: the server may still write its
    answer, and that must not meet a later one. A new one has memory of its own.

    address  host:port
    """

    def __init__(self, client: InferenceServerClient, address: str, served: Served) -> None:
        self._client = client
        self._served = served
        self._shared = _share(client, served) if is_here(address) else None

    @property
    def shared(self) -> bool:
        """Whether frames and depth go through shared memory."""
        return self._shared is not None

    def infer(self, frames: NDArray[np.uint8], timeout_s: float) -> Outputs:
        """Depth of a batch, in this lane's memory until its next call.

        raises  InferenceServerException, BadAnswer
        """
        request = InferInput(INPUT, list(frames.shape), "UINT8")
        if self._shared is None:
            request.set_data_from_numpy(frames)
            wanted = [InferRequestedOutput(name) for name in self._served.outputs]
        else:
            wanted = self._shared.lay_out(frames, request)
        result = self._client.infer(
            self._served.name,
            [request],
            model_version=str(self._served.version),
            outputs=wanted,
            client_timeout=timeout_s,
        )
        arrays = {
            name: self._read(result, name, frames.shape[:-1]) for name in self._served.outputs
        }
        return Outputs(arrays["depth_m"], arrays.get("labels"))

    def close(self, *, patient: bool = True) -> None:
        """Let the server forget the memory; with patience as soon as it no longer holds it."""
        if self._shared is not None:
            forget(self._client, self._shared.name, tries=_TRIES if patient else 1)

    def _read(self, result: InferResult, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        said = result.get_output(name)
        if said is None or tuple(said.shape) != shape or said.datatype != DATATYPES[name]:
            raise BadAnswer(f"{name} of {shape} {DATATYPES[name]} was expected, not {said}"[:300])
        if self._shared is not None:
            return self._shared.output(name, shape)
        array: NDArray[Any] = result.as_numpy(name)
        return array


def is_here(address: str) -> bool:
    """Whether a server is on this machine, so that memory can be shared with it."""
    return address.rpartition(":")[0] in _HERE


def forget(client: InferenceServerClient, region: str, *, tries: int = _TRIES) -> None:
    """Let a server unmap a region by name, as soon as none of its requests holds it."""
    for _ in range(tries):
        try:
            client.unregister_system_shared_memory(region, client_timeout=_REGISTER_TIMEOUT_S)
        except InferenceServerException as error:
            if error.status() != _IN_USE:
                break
            time.sleep(_REFUSED_PAUSE_S)
        else:
            return
    _log.info("triton.unforgotten region=%s", region)


class _Shared:
    """A region with the largest batch of frames, then each output of it."""

    def __init__(self, region: SharedRegion, served: Served) -> None:
        self.name = region.name
        self._region = region
        self._offsets = _offsets(served)
        self._frames = region.array((served.max_batch, *served.input_size, 3), np.uint8, 0)

    def lay_out(self, frames: NDArray[np.uint8], request: InferInput) -> list[InferRequestedOutput]:
        """Put a batch where the server reads it; where the outputs are to be written."""
        self._frames[: len(frames)] = frames
        request.set_shared_memory(self.name, frames.nbytes)
        wanted = []
        for name, offset_bytes in self._offsets.items():
            output = InferRequestedOutput(name)
            output_bytes = frames.nbytes // 3 * np.dtype(_DTYPES[name]).itemsize
            output.set_shared_memory(self.name, output_bytes, offset_bytes)
            wanted.append(output)
        return wanted

    def output(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        return self._region.array(shape, _DTYPES[name], self._offsets[name])


def _share(client: InferenceServerClient, served: Served) -> _Shared | None:
    """Memory that the server has mapped, or None: it may be in a container of its own."""
    try:
        with SharedRegion(_region_bytes(served)) as region:
            client.register_system_shared_memory(
                region.name, region.key, region.region_bytes, client_timeout=_REGISTER_TIMEOUT_S
            )
            return _Shared(region, served)
    except (OSError, InferenceServerException) as error:
        _log.info("triton.unshared %s", error)
        return None


def _offsets(served: Served) -> dict[str, int]:
    pixels = served.max_batch * served.input_size[0] * served.input_size[1]
    offsets, end = {}, 3 * pixels
    for name in served.outputs:
        offsets[name] = end = -(-end // 64) * 64
        end += pixels * np.dtype(_DTYPES[name]).itemsize
    return offsets


def _region_bytes(served: Served) -> int:
    pixels = served.max_batch * served.input_size[0] * served.input_size[1]
    last = served.outputs[-1]
    return _offsets(served)[last] + pixels * np.dtype(_DTYPES[last]).itemsize
