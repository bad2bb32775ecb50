"""Depth networks of `transformers` as teachers, from a folder or by its name in its hub's cache.

Nothing is fetched here, and no pickle is read.

Its own processor prepares pictures (each network has its own mean, size and rounding; MiDaS' DPT
fed with ImageNet's means is a known mistake). Afterwards the map is brought back to the picture.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB, resize_map
from training.teachers.teacher import Unit, bad_weights, key_of

# What `predicted_depth` means, by the `model_type` of the configuration.
UNITS = {
    "depth_anything": Unit.AFFINE,  # unless its configuration says metric
    "dpt": Unit.AFFINE,
    "glpn": Unit.METRIC,
    "zoedepth": Unit.METRIC,
}
# A sigmoid times a largest depth can be 0, where neither logs nor ratios are.
MIN_M = 1e-3


class TransformersModel:
    """A depth network with its processor, frozen.

    weights  a folder with config.json, or a name such as owner/model that the cache has
    unit     of the answers; None: what the configuration says
    raises   BAD_MODEL for a folder that is not one, or one that leaves weights out; BAD_SETTING
             without the extra `teachers`, or for a network whose unit must be given
    """

    def __init__(self, weights: Path, unit: Unit | None = None) -> None:
        library = _library()
        folder = weights if weights.is_dir() else _cached(weights)
        try:
            self.processor = library.AutoImageProcessor.from_pretrained(
                folder, local_files_only=True
            )
            self.network, found = library.AutoModelForDepthEstimation.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise bad_weights(folder, "a depth network saved by transformers", error) from error
        if found["missing_keys"]:  # the library would go on with random weights
            lacking = KeyError(f"no {min(found['missing_keys'])}")
            raise bad_weights(folder, "all weights of the network", lacking)
        self.network.eval().requires_grad_(requires_grad=False)
        self.unit = unit or unit_of(self.network.config)
        files = sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")])
        self.key = key_of("transformers 1", self.unit, type(self.processor).__name__, *files)

    def __call__(self, frames: RGB) -> F32:
        pictures = self.processor(
            images=list(frames), return_tensors="pt", input_data_format="channels_last"
        )
        with torch.inference_mode():
            maps = self.network(pixel_values=pictures["pixel_values"]).predicted_depth
        size = (frames.shape[1], frames.shape[2])
        answers = np.stack([self.back(each, size) for each in maps.float().numpy()])
        return np.maximum(answers, MIN_M) if self.unit is Unit.METRIC else answers

    def back(self, answer: F32, size: tuple[int, int]) -> F32:
        """A map over what the network saw, at the picture's size."""
        if not (self.network.config.model_type == "zoedepth" and self.processor.do_pad):
            return resize_map(answer, size)
        # ZoeDepth mirrors the picture's rim outwards, against artefacts there.
        rows, cols = (int(np.sqrt(side / 2) * 3) for side in size)
        padded = resize_map(answer, (size[0] + 2 * rows, size[1] + 2 * cols))
        return np.ascontiguousarray(padded[rows : rows + size[0], cols : cols + size[1]])


def unit_of(config: Any) -> Unit:
    """What a network's answers mean.

    raises  BAD_SETTING where the configuration does not tell
    """
    if getattr(config, "depth_estimation_type", None) == "metric":
        return Unit.METRIC
    if config.model_type not in UNITS:
        raise FathomError(
            Code.BAD_SETTING,
            expected=f"a network of {', '.join(UNITS)}, whose unit is known",
            got=config.model_type,
            repair="say the unit: --teacher transformers-metric, -relative or -affine",
        )
    return UNITS[config.model_type]


def _library() -> Any:
    try:
        importlib.import_module("PIL")
        return importlib.import_module("transformers")
    except ImportError as error:
        raise FathomError(
            Code.BAD_SETTING,
            expected="transformers and pillow, to use this teacher",
            got=f"an environment without them: {error}",
            repair="pip install 'fathom-depth[teachers]'",
        ) from error


def _cached(name: Path) -> Path:
    """The folder in the hub's cache, wherever its variables put that."""
    hub: Any = importlib.import_module("huggingface_hub")
    try:
        return Path(hub.snapshot_download(name.as_posix(), local_files_only=True))
    except (OSError, ValueError) as error:
        raise FathomError(
            Code.BAD_MODEL,
            expected=f"a folder {name}, or a network of that name in the hub's cache",
            got="neither",
            repair=f"fetch it before, with: hf download {name.as_posix()}",
        ) from error
