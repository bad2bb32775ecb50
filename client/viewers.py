"""Picture and coloured depth side by side, with a caption; and a window to show it in."""

import re
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from fathom.codecs.colour import colourise
from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB, Letterbox, Size, resize_map
from fathom.values import Colours

# Two panels of this make 1920: what screens show and every H.264 decoder takes.
_PANEL_MAX = 960
_PANEL_WIDTH_MIN = 160
# At a panel's width of 320; grows with it.
_CAPTION_ROWS = 26
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.38
_INK_RGB = (235, 235, 235)
_PAPER_RGB = (24, 24, 24)
_ESCAPE, _QUIT = 27, ord("q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is written below the pictures.

    fps   0 before the second answer, and then not written
    note  instead of the figures, where a frame has no depth: why
    """

    age_s: float
    fps: float
    skipped: int
    note: str = ""

    def __str__(self) -> str:
        rate = f"{self.fps:.1f} fps  " if self.fps else ""
        return self.note or f"age {self.age_s * 1e3:.0f} ms  {rate}skipped {self.skipped}"


def panel_size(picture_size: Size) -> Size:
    """Size of one panel: the picture's, shrunk to half a screen or grown until text fits; even."""
    height, width = picture_size
    scale = min(max(1.0, _PANEL_WIDTH_MIN / width), _PANEL_MAX / width, _PANEL_MAX / height)
    return _even(height * scale), max(_PANEL_WIDTH_MIN, _even(width * scale))


def compose(
    picture: RGB, depth_m: F32 | None, *, status: Status, colours: Colours, panel: Size
) -> RGB:
    """The picture, its depth in colours at the same size, and a caption below.

    picture  (h, w, 3) uint8 RGB, any size; fitted into the panel
    depth_m  (H, W) float32 metres, any size with the picture's aspect; None leaves black
    panel    size of each of the two panels, even sides; the same for every frame of a video
    returns  (H + caption, 2 W, 3) uint8 RGB, even sides
    """
    height, width = panel
    caption = _caption_rows(width)
    canvas = np.empty((height + caption, 2 * width, 3), np.uint8)
    box = Letterbox((picture.shape[0], picture.shape[1]), panel)
    box.embed(picture, canvas[:height, :width])
    canvas[:height, width:] = 0
    if depth_m is not None:
        area = canvas[:height, width:][box.content]
        area[...] = colourise(resize_map(depth_m, box.content_size), colours)
    canvas[height:, :width] = _PAPER_RGB
    canvas[height:, width:] = legend((caption, width), colours)
    _write(canvas[height:, :width], str(status), left=6)
    return canvas


@cache
def legend(size: Size, colours: Colours) -> RGB:
    """A bar from the nearest to the farthest colour, with both distances in metres."""
    height, width = size
    strip = np.full((height, width, 3), _PAPER_RGB, np.uint8)
    near, far = f"{colours.near_m:g} m", f"{colours.far_m:g} m"
    near_width, far_width = _text_width(near, height), _text_width(far, height)
    left, right = near_width + 12, width - far_width - 12
    if right > left:
        ramp_m = np.linspace(colours.near_m, colours.far_m, right - left, dtype=np.float32)
        strip[height // 4 : height - height // 4, left:right] = colourise(ramp_m[None], colours)
    _write(strip, near, left=6)
    _write(strip, far, left=width - far_width - 6)
    return strip


class Window:
    """A window on the screen; closing it, Escape or q asks to end."""

    def __init__(self, title: str) -> None:
        if not has_gui(cv2.getBuildInformation()):
            raise FathomError(
                Code.BAD_OPTION,
                expected="an OpenCV with windows for --show",
                got="opencv-python-headless, which has none",
                repair="pip install opencv-python in its place, or write a video with --save",
            )
        self._title = title
        cv2.namedWindow(title, cv2.WINDOW_NORMAL)

    def show(self, canvas: RGB) -> bool:
        """Put a picture up; False once the viewer wants to end."""
        cv2.imshow(self._title, cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))
        pressed = cv2.waitKey(1) & 0xFF
        return pressed not in {_ESCAPE, _QUIT} and (
            cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        )

    def close(self) -> None:
        cv2.destroyWindow(self._title)


def has_gui(build_information: str) -> bool:
    """Whether a build of OpenCV, by its own description, can open windows."""
    told = re.search(r"^\s*GUI:\s*(\S+)", build_information, re.MULTILINE)
    return told is not None and told[1] != "NONE"


def _even(side: float) -> int:
    return max(2, round(side / 2) * 2)


def _caption_rows(width: int) -> int:
    return max(18, _even(_CAPTION_ROWS * width / 320))


def _scale(rows: int) -> float:
    return _FONT_SCALE * rows / _CAPTION_ROWS


def _text_width(text: str, rows: int) -> int:
    (width, _), _ = cv2.getTextSize(text, _FONT, _scale(rows), 1)
    return int(width)


def _write(strip: RGB, text: str, *, left: int) -> None:
    """Text on a strip, centred from top to bottom."""
    rows = strip.shape[0]
    (_, height), _ = cv2.getTextSize("0", _FONT, _scale(rows), 1)
    # OpenCV draws into contiguous memory only, and a part of the canvas is not.
    drawn = np.ascontiguousarray(strip)
    origin = (left, (rows + height) // 2)
    cv2.putText(drawn, text, origin, _FONT, _scale(rows), _INK_RGB, 1, cv2.LINE_AA)
    strip[...] = drawn
