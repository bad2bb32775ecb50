"""What is kept of the answers: an H.264 video, 16-bit depth pictures, point clouds."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from fathom.codecs.depth import encode_png, to_mm
from fathom.codecs.ply import encode_ply
from fathom.errors import Code, FathomError
from fathom.geometry import RGB
from fathom.values import DepthMap

# The tick of MPEG clocks: whole for 24, 25, 30 and 30000/1001 frames per second.
_TICKS_PER_S = 90_000
# Visually clean for coloured depth, whose edges show every artefact; 23 is the usual.
_CRF = "20"
# The server may share this machine; x264 would take every core by itself.
_ENCODER_THREADS = 2


class Mp4Writer:
    """An H.264 video in yuv420p, which every browser and phone plays, index first.

    The file is whole once `close` ran, however few frames came; close it in a `finally`.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._fps = fps
        self._size: tuple[int, int] | None = None
        self._ticks = -1

    def write(self, picture: RGB, time_s: float) -> None:
        """Append a picture, to be shown from `time_s`, which may not run backwards.

        picture  (H, W, 3) uint8 RGB, every time the same size
        raises   BAD_DATA for a picture of another size
        """
        size = (picture.shape[0], picture.shape[1])
        if self._size is None:
            self._open(size)
        elif size != self._size:
            raise FathomError(
                Code.BAD_DATA,
                expected=f"every picture {self._size[1]}x{self._size[0]}, as the first one",
                got=f"{size[1]}x{size[0]}",
                repair="bring them to one size: a video has only one",
            )
        frame = av.VideoFrame.from_ndarray(_even(picture), format="rgb24")
        # Two frames in one tick would be refused by the container.
        self._ticks = max(self._ticks + 1, round(time_s * _TICKS_PER_S))
        frame.pts = self._ticks
        frame.time_base = Fraction(1, _TICKS_PER_S)
        # Without it the last frame lasts no time at all, and a photo is a video of 0 s.
        frame.duration = round(_TICKS_PER_S / self._fps)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds, then the index."""
        if self._size is not None:
            self._container.mux(self._stream.encode())
            self._container.close()

    def _open(self, size: tuple[int, int]) -> None:
        self._container = av.open(str(self._path), "w", options={"movflags": "+faststart"})
        rate = Fraction(self._fps).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate)
        height, width = size
        self._stream.height, self._stream.width = height + height % 2, width + width % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": _CRF, "preset": "veryfast"}
        self._stream.codec_context.time_base = Fraction(1, _TICKS_PER_S)
        self._stream.codec_context.thread_count = _ENCODER_THREADS
        self._size = size


class DepthPngWriter:
    """A folder of 16-bit PNG, one per frame: millimetres, 0 where there is no answer."""

    def __init__(self, folder: Path) -> None:
        self._folder = _made(folder)

    def write(self, depth: DepthMap) -> None:
        (self._folder / f"{depth.seq:06d}.png").write_bytes(encode_png(to_mm(depth.depth_m)))


class PlyWriter:
    """A folder of point clouds, one per frame, in metres, coloured by the picture."""

    def __init__(self, folder: Path) -> None:
        self._folder = _made(folder)

    def write(self, depth: DepthMap, picture: RGB) -> None:
        """picture  (H, W, 3) uint8 RGB, the pixels of the depth"""
        cloud = encode_ply(depth.depth_m, picture, depth.camera)
        (self._folder / f"{depth.seq:06d}.ply").write_bytes(cloud)


def _even(picture: RGB) -> RGB:
    """The picture with even sides, which 4:2:0 colour needs: the last row and column doubled."""
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FathomError(
            Code.BAD_OPTION,
            expected="a folder that can be made and written",
            got=f"{folder}: {error.strerror}",
            repair="give another place",
        ) from error
    return folder
