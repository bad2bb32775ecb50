"""TensorRT and TensorRT-RTX as one: the few things in which they differ, and no more.

Runs in the environment that has the library; imports nothing else of it.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from export.tensorrt.capabilities import Capability, check_here, check_rtx

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """One of the two, imported.

    name    "tensorrt" or "tensorrt-rtx"
    module  its Python module; both have the same names for all that is used here
    """

    name: str
    module: ModuleType

    @property
    def version(self) -> str:
        return str(self.module.__version__)

    @property
    def times_kernels(self) -> bool:
        """TensorRT tries kernels on the GPU while it builds; RTX leaves that to the first start."""
        return self.name == "tensorrt"

    def check(self, asked: Sequence[Capability], here: Capability | None) -> None:
        """Refuse GPUs that it cannot build for; raises NOT_AVAILABLE."""
        if self.name == "tensorrt-rtx":
            check_rtx(asked)
        else:
            check_here(asked, here)

    def aim(self, config: object, asked: Sequence[Capability]) -> None:
        """Tell a builder's configuration what to build for; TensorRT knows its own GPU only."""
        if self.name != "tensorrt-rtx":
            return
        config.num_compute_capabilities = len(asked)  # type: ignore[attr-defined]
        for place, (major, minor) in enumerate(asked):
            target = getattr(self.module.ComputeCapability, f"SM{major}{minor}")
            if not config.set_compute_capability(target, place):  # type: ignore[attr-defined]
                raise RuntimeError(f"{self.name} takes no compute capability {major}.{minor}")


def load_library(name: str) -> Library:
    """The library of that name; raises ImportError where it is not installed."""
    return Library(name, importlib.import_module(MODULES[name]))
