"""METER as a teacher. It reads its scale from the white frame that undistortion left round NYU's
pictures: without that frame, or with one of another width, its metres are 1.6 times off. So every
picture gets NYU's own frame painted on, in pixels of 640x480, before it is shrunk.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from fathom.geometry import F32, RGB, resize_map
from training.data.pictures import read_mask
from training.students.student import IMAGENET_MEAN, IMAGENET_STD
from training.teachers.meter_network import MeterXxs
from training.teachers.teacher import Unit, bad_weights, key_of, normalised

FRAMED = (480, 640)
NETWORK = (192, 256)
CM_PER_M = 100.0
# Below this no room is; the linear head can say it.
MIN_M = 0.1


class Meter:
    """METER-xxs trained on NYU; pictures are taken as 4:3, whatever they are.

    weights  meter_xxs_nyu.safetensors
    border   meter_border_mask.png: 640x480, not 0 where NYU's frame is white
    raises   BAD_MODEL, BAD_DATA
    """

    unit = Unit.METRIC

    def __init__(self, weights: Path, border: Path) -> None:
        self.network = MeterXxs()
        try:
            tensors = load_file(weights)
            own = self.network.state_dict()
            counts = {key: own[key] for key in own if key.endswith("num_batches_tracked")}
            self.network.load_state_dict({**counts, **tensors}, strict=True)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise bad_weights(weights, "the weights of METER-xxs", error) from error
        self.network.eval().requires_grad_(requires_grad=False)
        self.border = read_mask(border)
        if self.border.shape != FRAMED:
            shape = ValueError(f"shape {self.border.shape}")
            raise bad_weights(border, "a mask of 640x480", shape)
        self.key = key_of("meter 1", weights, border)

    def __call__(self, frames: RGB) -> F32:
        inputs = np.stack([self.prepare(frame) for frame in frames])
        with torch.inference_mode():
            depth_m = self.network(torch.from_numpy(inputs)).squeeze(1).numpy() / CM_PER_M
        size = (frames.shape[1], frames.shape[2])
        return np.stack([resize_map(np.maximum(each, MIN_M), size) for each in depth_m])

    def prepare(self, frame: RGB) -> F32:
        """The normalised network input (3, 192, 256) of a picture, frame painted."""
        framed = cv2.resize(frame, FRAMED[::-1], interpolation=cv2.INTER_LINEAR)
        framed[self.border] = 255
        small = cv2.resize(framed, NETWORK[::-1], interpolation=cv2.INTER_LINEAR)
        return normalised(np.asarray(small, np.uint8), IMAGENET_MEAN, IMAGENET_STD)
