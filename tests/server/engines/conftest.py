"""The tiny network of `tiny_model` as each engine reads it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.server.engines.ray_cluster import RayCluster, ray_cluster
from tests.server.tiny_model import INPUT_SIZE, write_onnx


class Tiny(nn.Module):
    """`tiny_model.write_onnx` again, in PyTorch."""

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        pixels = frames.to(torch.float32)
        return 1 + pixels.mean(-1) / 51, frames.argmax(-1).to(torch.uint8)


@pytest.fixture(scope="session")
def onnx_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    write_onnx(path, labels=True)
    return path


@pytest.fixture(scope="session")
def pt2_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torch") / "model.pt2"
    frames = torch.zeros((2, *INPUT_SIZE, 3), dtype=torch.uint8)
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    torch.export.save(torch.export.export(Tiny(), (frames,), dynamic_shapes=(batch,)), path)
    return path


@pytest.fixture(scope="session")
def ray_nodes() -> Iterator[RayCluster]:
    """Two nodes for every test of Ray: starting them takes longer than using them."""
    with ray_cluster() as nodes:
        yield nodes
