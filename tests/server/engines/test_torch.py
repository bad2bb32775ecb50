"""The exported program: refused where it is none, or would run code of its own when it is read."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fathom.errors import Code, FathomError
from server.engines.torch import TorchEngine
from tests.server.tiny_model import GREY, GREY_M, INPUT_SIZE

OUTPUTS = ("depth_m", "labels")


def refused(path: Path, outputs: tuple[str, ...] = OUTPUTS, **given: str) -> FathomError:
    with pytest.raises(FathomError) as caught:
        TorchEngine(path, input_size=INPUT_SIZE, outputs=outputs, **given)  # type: ignore[arg-type]
    assert caught.value.repair
    return caught.value


def rewritten(path: Path, folder: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The archive with some of its entries changed."""
    out = folder / "changed.pt2"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return out


class Touch:
    """What a pickle can do to whoever reads it: here it only makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_file_that_is_no_program_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"not a program")
    error = refused(path)
    assert error.code is Code.BAD_MODEL and "model.pt2" in error.got


def test_a_program_with_other_outputs_than_its_card_is_refused(pt2_path: Path) -> None:
    assert refused(pt2_path, outputs=("depth_m",)).code is Code.BAD_MODEL


def test_a_pickle_in_the_place_of_the_examples_is_never_read(
    pt2_path: Path, tmp_path: Path
) -> None:
    trap = tmp_path / "sprung"

    def change(name: str, data: bytes) -> bytes:
        return pickle.dumps(Touch(trap)) if "/sample_inputs/" in name else data

    assert refused(rewritten(pt2_path, tmp_path, change)).code is Code.BAD_MODEL
    assert not trap.exists()


def test_pickled_tensors_are_never_read(pt2_path: Path, tmp_path: Path) -> None:
    def change(name: str, data: bytes) -> bytes:
        listed = b'{"config": {"w": {"path_name": "weight_0", "use_pickle": true}}}'
        return listed if name.endswith("weights_config.json") else data

    error = refused(rewritten(pt2_path, tmp_path, change))
    assert error.code is Code.BAD_MODEL and "pickle" in error.got


@pytest.mark.parametrize("precision", ["f16", "int8"])
def test_a_precision_that_the_device_has_not_is_refused(pt2_path: Path, precision: str) -> None:
    error = refused(pt2_path, device="cpu", precision=precision)
    assert error.code is Code.BAD_SETTING and error.got == precision


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["f32", "f16", "bf16"])
def test_a_gpu_pads_a_batch_to_the_next_graph_and_answers_what_was_asked(
    pt2_path: Path, precision: str
) -> None:
    engine = TorchEngine(
        pt2_path,
        input_size=INPUT_SIZE,
        outputs=OUTPUTS,
        device="cuda",
        precision=precision,
        lanes=2,
        max_batch=6,
    )
    for count in (1, 3, 5, 6, 2):
        outputs = engine.infer(np.full((count, *INPUT_SIZE, 3), GREY, np.uint8), count % 2)
        assert outputs.depth_m.shape == (count, *INPUT_SIZE)
        np.testing.assert_allclose(outputs.depth_m, GREY_M, rtol=2**-7)
    engine.close()
