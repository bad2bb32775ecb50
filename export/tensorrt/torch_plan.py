"""A `.pt2` to a plan by Torch-TensorRT: the whole student in one engine, no operator left behind.

Torch-TensorRT wants a GPU at four places although only the finished plan needs one. Without a GPU,
in its RTX edition on PyTorch for the CPU, those four are stood in for; with one nothing is touched.
"""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from export.tensorrt.capabilities import Capability
from export.tensorrt.library import Library
from export.tensorrt.plan import Batches

_INPUT = "frames"


def build_plan_by_torch(
    library: Library,
    program_path: Path,
    capabilities: Sequence[Capability],
    batches: Batches,
    outputs: Sequence[str],
) -> bytes:
    """The serialized engine, its outputs named as those of every other target."""
    without_gpu = not torch.cuda.is_available()
    if without_gpu:
        _set_compiled_parts_aside()
        _stand_in_for_cuda(capabilities[0])
    import torch_tensorrt
    from torch_tensorrt.dynamo.conversion import _TRTInterpreter as interpreter

    if without_gpu:
        interpreter.trt = _WithoutRuntime(library.module)
    _aim_interpreter(interpreter.TRTInterpreter, library, capabilities, outputs)
    _convert_casts_to_bytes(library)
    program = torch.export.load(program_path)
    _, height, width, channels = _input_shape(program)
    shapes = [(batch, height, width, channels) for batch in batches]
    taken = torch_tensorrt.Input(
        min_shape=shapes[0],
        opt_shape=shapes[1],
        max_shape=shapes[2],
        dtype=torch.uint8,
        name=_INPUT,
    )
    convert: Callable[..., bytes] = (
        torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine
    )
    return bytes(
        convert(
            program,
            inputs=[taken],
            device=torch_tensorrt.Device("cuda:0"),
            offload_module_to_cpu=True,
            min_block_size=1,
            require_full_compilation=True,
            truncate_double=True,
            immutable_weights=True,
        )
    )


def _input_shape(program: torch.export.ExportedProgram) -> tuple[Any, ...]:
    for node in program.graph.nodes:
        if node.name in program.graph_signature.user_inputs:
            return tuple(node.meta["val"].shape)
    raise AssertionError("a program of `export.program` has an input")


def _set_compiled_parts_aside() -> None:
    """Without them the package converts and cannot run; with them it asks for libtorch_cuda."""
    found = importlib.util.find_spec("torch_tensorrt")
    if found is None or found.origin is None:
        raise ImportError("torch_tensorrt")
    folder = Path(found.origin).parent
    for part in (*folder.glob("lib/libtorchtrt*.so"), *folder.glob("_C*.so")):
        part.rename(part.with_name(part.name + ".aside"))


def _stand_in_for_cuda(capability: Capability) -> None:
    major, minor = capability
    properties = SimpleNamespace(
        major=major, minor=minor, name="none", total_memory=8 << 30, multi_processor_count=1
    )
    cuda: Any = torch.cuda
    cuda.get_device_capability = lambda *_, **__: capability
    cuda.get_device_properties = lambda *_, **__: properties
    cuda.current_device = lambda: 0
    cuda.empty_cache = lambda: None
    core: Any = torch._C
    if not hasattr(core, "_CudaDeviceProperties"):
        core._CudaDeviceProperties = type("CudaDeviceProperties", (), {})


class _WithoutRuntime:
    """The library, but a plan that is read back is only kept: reading it takes a GPU."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return _Runtime if name == "Runtime" else getattr(self._module, name)


class _Runtime:
    def __init__(self, log: object) -> None:
        del log

    def deserialize_cuda_engine(self, plan: bytes) -> SimpleNamespace:
        return SimpleNamespace(serialize=lambda: plan)


def _convert_casts_to_bytes(library: Library) -> None:
    """Classes end in a cast to uint8. TensorRT has one for an output; Torch-TensorRT 2.11 does not
    use it and would leave the operator to PyTorch, which a serialized engine has not."""
    from torch_tensorrt.dynamo.conversion import _ConverterRegistry as registry

    def asks_for_bytes(node: torch.fx.Node, _: object) -> bool:
        return node.kwargs.get("dtype") is torch.uint8

    def cast(ctx: Any, _: object, args: Sequence[Any], __: object, name: str) -> Any:
        layer = ctx.net.add_cast(args[0], library.module.uint8)
        layer.name = name
        return layer.get_output(0)

    registry.dynamo_tensorrt_converter(
        torch.ops.aten._to_copy.default,
        capability_validator=asks_for_bytes,
        priority=registry.ConverterPriority.HIGH,
        supports_dynamic_shapes=True,
    )(cast)


def _aim_interpreter(
    interpreter: Any, library: Library, capabilities: Sequence[Capability], outputs: Sequence[str]
) -> None:
    """Torch-TensorRT has no option for the GPUs to build for nor for the names of outputs, so both
    are set where it asks for the builder's configuration: the network is complete by then."""
    configure = interpreter._populate_trt_builder_config

    def configure_and_aim(self: Any, *args: object, **options: object) -> object:
        config = configure(self, *args, **options)
        for place, name in enumerate(outputs):
            self.ctx.net.get_output(place).name = name
        library.aim(config, capabilities)
        return config

    interpreter._populate_trt_builder_config = configure_and_aim
