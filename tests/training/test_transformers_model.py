"""Networks of `transformers`, tiny and random, saved and loaded as the published ones are."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fathom.errors import Code, FathomError
from tests.training.fake_teacher import pictures
from training.teachers.choice import open_teacher
from training.teachers.teacher import Unit
from training.teachers.transformers_model import MIN_M, TransformersModel, unit_of

hf = pytest.importorskip("transformers", reason="these teachers need the extra `teachers`")

NECK = {"neck_hidden_sizes": [4, 4, 8, 8], "fusion_hidden_size": 8}
BACKBONE = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
FOUR = {"num_hidden_layers": 4, "out_indices": [1, 2, 3, 4], "reshape_hidden_states": False}


def depth_anything(kind: str) -> tuple[Any, Any]:
    """As Depth-Anything-V2: DINOv2, sides in multiples of its patches of 14, bicubic."""
    backbone = hf.Dinov2Config(**BACKBONE, **FOUR, image_size=56, patch_size=14)
    config = hf.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        head_hidden_size=4,
        depth_estimation_type=kind,
        max_depth=20,
        **NECK,
    )
    processor = hf.DPTImageProcessorPil(
        size={"height": 56, "width": 56},
        keep_aspect_ratio=True,
        ensure_multiple_of=14,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    return hf.DepthAnythingForDepthEstimation(config), processor


def dpt() -> tuple[Any, Any]:
    config = hf.DPTConfig(
        **BACKBONE,
        **NECK,
        num_hidden_layers=4,
        backbone_out_indices=[0, 1, 2, 3],
        image_size=64,
        patch_size=16,
    )
    processor = hf.DPTImageProcessorPil(size={"height": 64, "width": 64})
    return hf.DPTForDepthEstimation(config), processor


def zoedepth() -> tuple[Any, Any]:
    backbone = hf.BeitConfig(
        **BACKBONE, **FOUR, image_size=64, patch_size=16, use_relative_position_bias=True
    )
    config = hf.ZoeDepthConfig(
        backbone_config=backbone,
        **NECK,
        bottleneck_features=8,
        num_relative_features=4,
        num_attractors=[4, 2, 1, 1],
        bin_embedding_dim=8,
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}],
    )
    processor = hf.ZoeDepthImageProcessorPil(
        size={"height": 64, "width": 64}, keep_aspect_ratio=False, ensure_multiple_of=32
    )
    return hf.ZoeDepthForDepthEstimation(config), processor


KINDS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "relative": lambda: depth_anything("relative"),
    "metric": lambda: depth_anything("metric"),
    "dpt": dpt,
    "zoedepth": zoedepth,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each kind, to read only."""
    made = {}
    for kind, make in KINDS.items():
        torch.manual_seed(0)
        network, processor = make()
        with torch.no_grad():
            for (
                weights
            ) in network.parameters():  # as made, they are so small that nothing changes an answer
                weights.uniform_(-0.1, 0.15)
        made[kind] = tmp_path_factory.mktemp(kind)
        network.save_pretrained(made[kind])
        processor.save_pretrained(made[kind])
    return made


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        ("relative", Unit.AFFINE),
        ("metric", Unit.METRIC),
        ("dpt", Unit.AFFINE),
        ("zoedepth", Unit.METRIC),
    ],
)
def test_a_saved_network_answers_each_picture_alone(
    folders: dict[str, Path], kind: str, unit: Unit
) -> None:
    teacher = open_teacher("transformers", folders[kind])
    frames = pictures(2, 48, 60)
    both = teacher(frames)
    assert teacher.unit is unit
    assert both.shape == (2, 48, 60) and both.dtype == np.float32 and np.isfinite(both).all()
    assert both[1] == pytest.approx(teacher(frames[1:])[0], rel=1e-4, abs=1e-6)
    assert np.ptp(both) > 0
    if unit is Unit.METRIC:
        assert both.min() >= MIN_M and both.max() < 20


@pytest.mark.parametrize(
    ("kind", "size", "mean", "std"),
    [
        # The side that changes less becomes 56, the other 44.8: three patches of 14.
        ("relative", (42, 56), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("dpt", (64, 64), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("zoedepth", (64, 64), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ],
)
def test_each_network_gets_its_own_size_and_means(
    folders: dict[str, Path],
    kind: str,
    size: tuple[int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> None:
    """A picture of one colour stays one, whatever is resized or padded."""
    teacher = TransformersModel(folders[kind])
    seen: list[torch.Tensor] = []
    teacher.network.register_forward_pre_hook(
        lambda _, __, given: seen.append(given["pixel_values"]), with_kwargs=True
    )
    colour = np.array([200, 100, 50], np.uint8)
    teacher(np.broadcast_to(colour, (1, 48, 60, 3)).copy())
    assert seen[0].shape == (1, 3, *size)
    expected = (colour / 255 - np.array(mean)) / np.array(std)
    assert seen[0][0].flatten(1).mean(1).numpy() == pytest.approx(expected, rel=1e-3)
    assert seen[0][0].flatten(1).std(1).max() < 1e-3


def test_the_rim_that_zoedepth_adds_is_cut_off(folders: dict[str, Path]) -> None:
    """A map that says the padded picture's column, at half its size, says the picture's own."""
    teacher = TransformersModel(folders["zoedepth"])
    rows, cols = 14, 16  # int(sqrt(48 / 2) * 3) and int(sqrt(60 / 2) * 3)
    columns = 2 * np.arange((60 + 2 * cols) // 2, dtype=np.float32) + 0.5
    told = np.broadcast_to(columns, ((48 + 2 * rows) // 2, columns.size)).copy()
    found = teacher.back(told, (48, 60))
    assert found.shape == (48, 60)
    assert found[20] == pytest.approx(np.arange(60) + cols, abs=1e-3)


def test_a_key_hangs_on_weights_unit_and_preparation(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    one = TransformersModel(folders["dpt"]).key
    assert one == TransformersModel(folders["dpt"]).key
    assert one != open_teacher("transformers-metric", folders["dpt"]).key
    other = shutil.copytree(folders["dpt"], tmp_path / "dpt")
    prepared = next(other.glob("*processor_config.json"))
    prepared.write_text(prepared.read_text().replace("64", "32"))
    assert one != TransformersModel(other).key


def test_a_name_is_looked_up_in_the_cache(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FathomError, match="hf download owner/tiny") as caught:
        open_teacher("transformers", Path("owner/tiny"))
    assert caught.value.code is Code.BAD_MODEL
    stored = tmp_path / "models--owner--tiny"
    (stored / "refs").mkdir(parents=True)
    (stored / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folders["dpt"], stored / "snapshots" / ("0" * 40))
    assert open_teacher("transformers", Path("owner/tiny")).unit is Unit.AFFINE


def test_weights_that_are_left_out_are_not_made_up(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders["dpt"], tmp_path / "dpt")
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if name.startswith("head."))
    del weights[lost]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(FathomError, match=f"all weights of the network; .*no {lost}"):
        TransformersModel(folder)


def test_a_pickle_is_not_read(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["dpt"], tmp_path / "dpt")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(FathomError, match="a depth network saved by transformers"):
        TransformersModel(folder)


@pytest.mark.parametrize("spoil", ["empty", "classifier"])
def test_a_folder_of_something_else(folders: dict[str, Path], tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    if spoil == "classifier":
        shutil.copytree(folders["dpt"], folder, dirs_exist_ok=True)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "resnet"}))
    with pytest.raises(FathomError, match="a depth network saved by transformers"):
        TransformersModel(folder)


def test_a_network_whose_unit_is_not_known() -> None:
    with pytest.raises(FathomError, match="transformers-metric, -relative or -affine") as caught:
        unit_of(hf.DepthProConfig())
    assert caught.value.code is Code.BAD_SETTING
