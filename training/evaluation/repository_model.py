"""A model of the repository, run from the very file that is served, in OpenVINO on the CPU."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from fathom.card import CARD_FILE, Card, ModelFile, read_card, verify_files
from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB
from training.evaluation.scored import Labels, Letterboxed


def open_model(repository: Path, name: str, precision: str) -> Letterboxed:
    """The model of that name, checked against its card.

    precision  "bf16", which is what the server chooses where the processor has it, or "f32"
    raises     BAD_MODEL if the model, its file or OpenVINO is missing
    """
    card = read_card(repository / name / CARD_FILE)
    for _ in verify_files(card, repository / name):
        pass
    try:
        openvino: Any = importlib.import_module("openvino")
        core = openvino.Core()
        network = core.read_model(repository / name / chosen_file(card).path)
        network.reshape([1, *card.input_size, 3])
        wanted = {"INFERENCE_PRECISION_HINT": precision}
        compiled = core.compile_model(network, "CPU", wanted)
    except (ImportError, RuntimeError, ValueError) as error:
        raise FathomError(
            Code.BAD_MODEL,
            expected=f"an ONNX or OpenVINO file of {name} and openvino to run it",
            got=str(error).strip().splitlines()[-1],
            repair="pip install 'fathom-depth[export]', or export the model again",
        ) from error
    return _letterboxed(card, compiled)


def _letterboxed(card: Card, compiled: Any) -> Letterboxed:
    def network(frames: RGB) -> tuple[F32, Labels | None]:
        # A request's output is its own memory and the next call's too, so maps are copied.
        results = compiled(frames)
        depth_m = np.array(results["depth_m"], np.float32)
        labels = np.array(results["labels"], np.uint8) if "labels" in card.outputs else None
        return depth_m, labels

    return Letterboxed(network=network, network_size=card.input_size, focal_px=card.focal_px)


def chosen_file(card: Card) -> ModelFile:
    """The file that OpenVINO reads best."""
    for target in ("openvino", "onnx"):
        for file in card.files:
            if file.target == target and not file.path.endswith(".bin"):
                return file
    raise ValueError(f"files for {', '.join(file.target for file in card.files) or 'nothing'}")
