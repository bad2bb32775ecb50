"""A real Triton on a model repository, without a container: the binary of a wheel.

    python -m export.triton.server --model-repository model_repository --http-port 9000

The wheel has the Python backend only, so models are served by their configuration of that name.
What follows is handed to tritonserver; `--help` lists it.
"""

import os
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from export.environments import REPOSITORY, TRITON, CannotBuild

_DEFAULTS = {
    "--model-repository": str(REPOSITORY / "model_repository"),
    "--model-config-name": "python",
    "--http-address": "127.0.0.1",
    "--grpc-address": "127.0.0.1",
    "--metrics-address": "127.0.0.1",
}


def prepare() -> None:
    """Install Triton, and put the Python backend and the stub of this Python side by side.

    raises  CannotBuild
    """
    TRITON.build()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = _files() / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        raise CannotBuild(f"the wheel has no Python backend for Python {version}")
    backend = _backends() / "python"
    if not (backend / stub.name).is_file():
        shutil.copytree(_files() / "backends" / "python", backend, dirs_exist_ok=True)
        shutil.copy2(stub, backend)


def command(arguments: Sequence[str]) -> list[str]:
    """How tritonserver is started; arguments win over what is usual here."""
    named = {argument.partition("=")[0] for argument in arguments}
    usual = [f"{name}={value}" for name, value in _DEFAULTS.items() if name not in named]
    return [
        str(_files() / "bin" / "tritonserver"),
        f"--backend-directory={_backends()}",
        *usual,
        *arguments,
    ]


def environment() -> dict[str, str]:
    """What tritonserver needs of the environment: the Python backend takes the site-packages of
    the first python3 on PATH."""
    libraries = (TRITON.packages / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR"))
    return {
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        "PATH": f"{TRITON.python.parent}:/usr/bin:/bin",
    }


def _files() -> Path:
    return TRITON.packages / "pytriton" / "tritonserver"


def _backends() -> Path:
    return TRITON.folder / "backends"


def main() -> NoReturn:
    """Become tritonserver; exit 1 if there is none to become."""
    try:
        prepare()
    except CannotBuild as error:
        print(f"export: no Triton: {error}", file=sys.stderr)
        sys.exit(1)
    started = command(sys.argv[1:])
    os.execve(started[0], started, {**os.environ, **environment()})  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    main()
