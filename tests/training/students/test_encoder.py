"""ImageNet weights: which files get into which encoder."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fathom.errors import Code, FathomError
from training.students.encoder import ENCODERS, Encoder, load_imagenet
from training.students.resnet import BasicBlock, ResNet
from training.students.spec import EncoderName, Taps

FILES: dict[EncoderName, str] = {
    "mobilenet-v2": "mobilenet_v2_imagenet_encoder.safetensors",
    "resnet18": "resnet18_imagenet_pq_fp16.safetensors",
}
# What the files have behind the last feature map, and one key of theirs that every encoder has.
CLASSIFIERS = {"mobilenet-v2": "features.18.0.weight", "resnet18": "fc.weight"}
INSIDE = {"mobilenet-v2": "features.3.conv.2.weight", "resnet18": "layer2.0.downsample.0.weight"}


def published(name: EncoderName, encoder: Encoder) -> dict[str, torch.Tensor]:
    """The weights as the files have them: without counts, with a layer we leave out."""
    weights = {k: v for k, v in encoder.state_dict().items() if "num_batches" not in k}
    return {**weights, CLASSIFIERS[name]: torch.zeros(3)}


@pytest.mark.parametrize("name", FILES)
def test_published_weights_load_without_counts_and_without_the_classifier(
    name: EncoderName, tmp_path: Path
) -> None:
    source, target = ENCODERS[name](Taps.ENDS), ENCODERS[name](Taps.ENDS)
    save_file(published(name, source), tmp_path / "w.safetensors")
    load_imagenet(target, tmp_path / "w.safetensors")
    assert all(torch.equal(v, target.state_dict()[k]) for k, v in source.state_dict().items())


def test_matrices_of_half_precision_become_float32(tmp_path: Path) -> None:
    source, target = (ResNet(BasicBlock, (2, 2, 2, 2)) for _ in range(2))
    halves = {k: v.half() if v.ndim > 1 else v for k, v in source.state_dict().items()}
    save_file(halves, tmp_path / "w.safetensors")
    load_imagenet(target, tmp_path / "w.safetensors")
    assert target.conv1.weight.dtype == torch.float32
    assert torch.allclose(target.conv1.weight, source.conv1.weight, atol=1e-3)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("spoil", ["missing", "foreign", "shape"])
def test_weights_of_another_network_are_refused(
    name: EncoderName, spoil: str, tmp_path: Path
) -> None:
    weights = published(name, ENCODERS[name](Taps.ENDS))
    if spoil == "missing":
        del weights[INSIDE[name]]
    elif spoil == "foreign":
        weights["stem.weight"] = torch.zeros(1)
    else:
        weights[INSIDE[name]] = torch.zeros(16, 3, 3, 3)
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(FathomError, match="--encoder-weights") as caught:
        load_imagenet(ENCODERS[name](Taps.ENDS), tmp_path / "w.safetensors")
    assert caught.value.code is Code.BAD_MODEL


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"PK")
    for path in (tmp_path / "w.safetensors", tmp_path / "nowhere"):
        with pytest.raises(FathomError, match="a readable safetensors file"):
            load_imagenet(ENCODERS["mobilenet-v2"](Taps.SHORT), path)


@pytest.mark.data
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("taps", Taps)
def test_the_real_imagenet_weights_load(name: EncoderName, taps: Taps, real_data: Path) -> None:
    weights = load_file(real_data / "weights" / FILES[name])
    encoder = ENCODERS[name](taps)
    load_imagenet(encoder, real_data / "weights" / FILES[name])
    own = {k: v for k, v in encoder.state_dict().items() if "num_batches" not in k}
    assert all(torch.equal(value, weights[key].float()) for key, value in own.items())
