"""A Triton server in this process that serves the tiny network and fails as it is told.

Speaks the real protocol over a real socket, from Triton's own generated code. `fates` are what its
next inferences do instead of answering.
"""

import mmap
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.service_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)

from tests.server.tiny_model import INPUT_SIZE

Fate: TypeAlias = Callable[["FakeTriton", Any], Any]
MAX_BATCH = 4


class FakeTriton(GRPCInferenceServiceServicer):  # type: ignore[misc]  # no stubs
    """One server; `with` starts it on a free port, `stop` and `start` are a crash and a restart.

    clings  how often it refuses to forget memory, as Triton does just after an answer
    """

    def __init__(self, *, instances: int = 1, maps_memory: bool = True, clings: int = 0) -> None:
        self.clings = clings
        self.fates: deque[Fate] = deque()
        self.asked = 0
        self.most_at_once = 0
        self.ready = True
        self.instances = instances
        self.maps_memory = maps_memory
        self.regions: dict[str, mmap.mmap] = {}
        self.shape = [-1, *INPUT_SIZE, 3]
        self.released = threading.Event()
        self.address = ""
        self._at_once = 0
        self._lock = threading.Lock()

    @contextmanager
    def serving(self) -> Iterator["FakeTriton"]:
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def start(self) -> None:
        """Listen, at the same address as before if there was one; nothing is remembered."""
        self.regions.clear()
        self.released.clear()
        self._server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        add_GRPCInferenceServiceServicer_to_server(self, self._server)
        port = self._server.add_insecure_port(self.address or "127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        self._server.start()

    def stop(self) -> None:
        """Break every connection at once."""
        self.released.set()
        self._server.stop(0).wait()

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return pb.ModelReadyResponse(ready=self.ready)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        if (request.name, request.version) != ("tiny", "1"):
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model: {request.name!r}")
        tensor = pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            name=request.name,
            versions=["1"],
            inputs=[tensor(name="frames", datatype="UINT8", shape=self.shape)],
            outputs=[
                tensor(name="depth_m", datatype="FP32", shape=self.shape[:-1]),
                tensor(name="labels", datatype="UINT8", shape=self.shape[:-1]),
            ],
        )

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        response = pb.ModelConfigResponse()
        response.config.max_batch_size = MAX_BATCH
        response.config.instance_group.add(count=self.instances)
        return response

    def SystemSharedMemoryRegister(self, request: Any, context: Any) -> Any:  # noqa: N802
        if not self.maps_memory:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Unable to open shared memory region")
        descriptor = os.open(Path("/dev/shm") / request.key[1:], os.O_RDWR)  # noqa: S108
        self.regions[request.name] = mmap.mmap(descriptor, request.byte_size)
        os.close(descriptor)
        return pb.SystemSharedMemoryRegisterResponse()

    def SystemSharedMemoryUnregister(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self.clings:
            self.clings -= 1
            said = (
                f"Cannot unregister shared memory region '{request.name}', it is currently in use"
            )
            context.abort(grpc.StatusCode.INTERNAL, said)
        self.regions.pop(request.name)
        return pb.SystemSharedMemoryUnregisterResponse()

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        with self._lock:
            self.asked += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            fate = self.fates.popleft() if self.fates else None
        try:
            if fate is not None:
                return fate(self, context)
            return self._answer(request)
        finally:
            with self._lock:
                self._at_once -= 1

    def _answer(self, request: Any) -> Any:
        frames = self._frames(request)
        outputs: dict[str, NDArray[Any]] = {
            "depth_m": np.asarray(1 + frames.mean(axis=-1) / 51, np.float32),
            "labels": np.asarray(frames.argmax(axis=-1), np.uint8),
        }
        response = pb.ModelInferResponse(model_name="tiny", model_version="1")
        for wanted in request.outputs:
            array = outputs[wanted.name]
            datatype = "FP32" if array.dtype == np.float32 else "UINT8"
            response.outputs.add(name=wanted.name, datatype=datatype, shape=array.shape)
            if "shared_memory_region" in wanted.parameters:
                self._write(wanted.parameters, array)
            else:
                response.raw_output_contents.append(array.tobytes())
        return response

    def _frames(self, request: Any) -> NDArray[np.uint8]:
        [sent] = request.inputs
        if "shared_memory_region" not in sent.parameters:
            return np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(sent.shape)
        region = self.regions[sent.parameters["shared_memory_region"].string_param]
        return np.ndarray(tuple(sent.shape), np.uint8, region).copy()

    def _write(self, parameters: Any, array: NDArray[Any]) -> None:
        region = self.regions[parameters["shared_memory_region"].string_param]
        offset = parameters["shared_memory_offset"].int64_param
        assert parameters["shared_memory_byte_size"].int64_param == array.nbytes
        region[offset : offset + array.nbytes] = array.tobytes()


def refuses(code: grpc.StatusCode) -> Fate:
    """Answer with a status."""

    def fate(_: FakeTriton, context: Any) -> Any:
        context.abort(code, "as it was told")

    return fate


def hangs(server: FakeTriton, context: Any) -> Any:
    """Answer when the test is over."""
    server.released.wait()
    context.abort(grpc.StatusCode.CANCELLED, "too late")


def answers(shape: tuple[int, ...], datatype: str = "FP32") -> Fate:
    """An answer of another shape or type than was asked for."""

    def fate(_: FakeTriton, context: Any) -> Any:  # noqa: ARG001
        response = pb.ModelInferResponse(model_name="tiny", model_version="1")
        for name in ("depth_m", "labels"):
            response.outputs.add(name=name, datatype=datatype, shape=shape)
            response.raw_output_contents.append(bytes(4 * int(np.prod(shape))))
        return response

    return fate
