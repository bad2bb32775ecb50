import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GENERATED = ("depth_pb2.py", "depth_pb2.pyi", "depth_pb2_grpc.py", "depth_pb2_grpc.pyi")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make proto` would write, without the virtual environment it would make first."""
    pytest.importorskip("grpc_tools", reason="the protobuf compiler comes with grpcio-tools")
    out = tmp_path_factory.mktemp("proto")
    beside_python = Path(sys.executable).parent
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "--proto_path=."),
            f"--plugin={beside_python / 'protoc-gen-mypy'}",
            f"--plugin={beside_python / 'protoc-gen-mypy_grpc'}",
            *(f"--python_out={out}", f"--mypy_out=quiet:{out}"),
            *(f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}"),
            "fathom/wire/depth.proto",
        ],
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    return out / "fathom" / "wire"


@pytest.mark.parametrize("name", GENERATED)
def test_the_committed_code_is_what_the_proto_file_makes(fresh: Path, name: str) -> None:
    assert (ROOT / "fathom" / "wire" / name).read_bytes() == (fresh / name).read_bytes()
