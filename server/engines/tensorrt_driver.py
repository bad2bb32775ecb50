"""TensorRT or TensorRT-RTX with the CUDA runtime: what the engine needs of a GPU, and no more.

Not run so far: no GPU for which plans are built was at hand. The engine above it is tested with a
driver that is none.
"""

import ctypes
import importlib
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
from cuda.bindings import runtime as cuda
from numpy.typing import NDArray

from server.engines.tensorrt import INPUT
from server.engines.tensorrt_plans import Place

_MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}


class CudaDriver:
    """The first GPU and whichever of the two libraries is installed, TensorRT first.

    raises  ImportError if neither is, RuntimeError if there is no GPU
    """

    def __init__(self) -> None:
        name, self._library = _import_library()
        properties = _call(cuda.cudaGetDeviceProperties, 0)
        self.place = Place((properties.major, properties.minor), name, self._library.__version__)
        self.device = properties.name.decode().rstrip("\0")
        self._runtime = self._library.Runtime(self._library.Logger(self._library.Logger.WARNING))

    def load(self, plan: bytes) -> "CudaProgram":
        """Read a plan; raises RuntimeError with what can be said, which is little."""
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise RuntimeError("the library does not take it; its log says why")
        return CudaProgram(self._library, engine)


class CudaProgram:
    """A plan as the library has it."""

    def __init__(self, library: ModuleType, engine: Any) -> None:
        self._library = library
        self._engine = engine
        self.tensors: Mapping[str, tuple[str, tuple[int, ...]]] = MappingProxyType(
            {
                name: (
                    np.dtype(library.nptype(engine.get_tensor_dtype(name))).name,
                    tuple(engine.get_tensor_shape(name)),
                )
                for name in map(engine.get_tensor_name, range(engine.num_io_tensors))
            }
        )

    def lane(self, max_batch: int) -> "CudaLane":
        return CudaLane(self._engine, self.tensors, max_batch)


class CudaLane:
    """A stream; pinned and device memory of the largest batch; a graph for each size."""

    def __init__(
        self, engine: Any, tensors: Mapping[str, tuple[str, tuple[int, ...]]], max_batch: int
    ) -> None:
        self._engine = engine
        self._stream = _call(cuda.cudaStreamCreate)
        self._pinned: list[int] = []
        self._device: dict[str, int] = {}
        self._contexts: list[Any] = []
        self._graphs: dict[int, Any] = {}
        self._host: dict[str, NDArray[Any]] = {}
        for name, (dtype, shape) in tensors.items():
            array = self._allocate_pinned((max_batch, *shape[1:]), dtype)
            self._host[name] = array
            self._device[name] = _call(cuda.cudaMalloc, array.nbytes)

    @property
    def frames(self) -> NDArray[np.uint8]:
        return self._host[INPUT]

    @property
    def outputs(self) -> Mapping[str, NDArray[Any]]:
        return self._host

    def capture(self, size: int) -> None:
        """One context a graph, for a context that gets other shapes changes what was captured."""
        context = self._engine.create_execution_context()
        context.set_input_shape(INPUT, (size, *self.frames.shape[1:]))
        for name, address in self._device.items():
            context.set_tensor_address(name, address)
        self._enqueue(context, size)  # what is done once must be done before the capture
        _call(cuda.cudaStreamSynchronize, self._stream)
        mode = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        _call(cuda.cudaStreamBeginCapture, self._stream, mode)
        self._enqueue(context, size)
        graph = _call(cuda.cudaStreamEndCapture, self._stream)
        self._contexts.append(context)
        self._graphs[size] = _call(cuda.cudaGraphInstantiate, graph, 0)

    def run(self, size: int) -> None:
        _call(cuda.cudaGraphLaunch, self._graphs[size], self._stream)
        _call(cuda.cudaStreamSynchronize, self._stream)

    def close(self) -> None:
        for graph in self._graphs.values():
            _call(cuda.cudaGraphExecDestroy, graph)
        self._contexts.clear()
        self._host.clear()
        for address in self._device.values():
            _call(cuda.cudaFree, address)
        for address in self._pinned:
            _call(cuda.cudaFreeHost, address)
        _call(cuda.cudaStreamDestroy, self._stream)

    def _enqueue(self, context: Any, size: int) -> None:
        kinds = cuda.cudaMemcpyKind
        self._copy(INPUT, size, kinds.cudaMemcpyHostToDevice)
        if not context.execute_async_v3(int(self._stream)):
            raise RuntimeError("the library does not run it; its log says why")
        for name in self._device:
            if name != INPUT:
                self._copy(name, size, kinds.cudaMemcpyDeviceToHost)

    def _copy(self, name: str, size: int, kind: Any) -> None:
        host, device = self._host[name], self._device[name]
        to_device = kind == cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        target, source = (device, host.ctypes.data) if to_device else (host.ctypes.data, device)
        _call(cuda.cudaMemcpyAsync, target, source, host[:size].nbytes, kind, self._stream)

    def _allocate_pinned(self, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = _call(cuda.cudaMallocHost, size_bytes)
        self._pinned.append(address)
        memory = (ctypes.c_uint8 * size_bytes).from_address(address)
        return np.ndarray(shape, dtype, memoryview(memory))


def _import_library() -> tuple[str, ModuleType]:
    for name, module in _MODULES.items():
        try:
            return name, importlib.import_module(module)
        except ImportError:
            continue
    raise ImportError(f"none of {', '.join(_MODULES.values())} is installed")


def _call(function: Any, *arguments: Any) -> Any:
    """Call the CUDA runtime; its value, or RuntimeError with the name of what went wrong."""
    status, *values = function(*arguments)
    if status != cuda.cudaError_t.cudaSuccess:
        raise RuntimeError(f"{function.__name__}: {status.name}")
    return values[0] if values else None
