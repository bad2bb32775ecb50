"""What every rival does with a frame: Fathom's own decoder, engine and encoder, and no more.

The rivals differ from Fathom in how they serve, so that this is all that the table can show. Runs
in each rival's own environment: imports nothing that is not in all of `requirements-*.txt`.
"""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from fathom.card import CARD_FILE, read_card
from fathom.codecs.depth import encode_depth
from fathom.codecs.image import decode_into, inspect
from fathom.values import DepthEncoding, Image, ImageEncoding, Limits
from server.engines.files import choose_file
from server.engines.openvino import TARGETS, OpenVinoEngine

# Environment and not flags: Triton starts its model with no command line of ours.
_FOLDER, _PRECISION, _THREADS = "RIVAL_MODEL_FOLDER", "RIVAL_PRECISION", "RIVAL_THREADS"
_WARM_UP_RUNS = 5


class Student:
    """One engine with one infer request; `answer` may be called from any number of threads."""

    def __init__(self, folder: Path, *, precision: str, threads: int) -> None:
        # As Fathom's server does: for pictures this small more threads only fight the engine.
        cv2.setNumThreads(1)
        card = read_card(folder / CARD_FILE)
        self._size = card.input_size
        self._engine = OpenVinoEngine(
            folder / choose_file(card, TARGETS).path,
            input_size=card.input_size,
            outputs=card.outputs,
            precision=precision,
            threads=threads,
        )
        self._lock = threading.Lock()
        for _ in range(_WARM_UP_RUNS):
            self._engine.infer(np.zeros((1, *self._size, 3), np.uint8), 0)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """The student that `environment` described to this process."""
        folder, threads = Path(environ[_FOLDER]), int(environ[_THREADS])
        return cls(folder, precision=environ[_PRECISION], threads=threads)

    def answer(self, jpeg: bytes) -> bytes:
        """A camera's JPEG to little-endian millimetres; raises BAD_IMAGE."""
        image = Image(encoding=ImageEncoding.JPEG, data=jpeg)
        header = inspect(image, Limits())
        frames = np.empty((1, *self._size, 3), np.uint8)
        box = decode_into(image, header, frames[0])
        with self._lock:  # the output is the request's own memory until the next `infer`
            depth_m = box.extract(self._engine.infer(frames, 0).depth_m[0])
            return encode_depth(np.ascontiguousarray(depth_m), DepthEncoding.U16_MM)


def environment(folder: Path, *, precision: str, threads: int) -> dict[str, str]:
    """Variables from which a rival's process opens this student."""
    return {_FOLDER: str(folder.resolve()), _PRECISION: precision, _THREADS: str(threads)}
