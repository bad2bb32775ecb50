"""From what was written after --source to the source itself."""

import re
from pathlib import Path

import cv2

from client.sources.camera import Camera, open_network, open_webcam, redact, silence_opencv
from client.sources.files import Pictures, VideoFile, is_picture
from client.sources.newest import Newest, Paced
from client.sources.source import Capture, Recording, Source, SourceInfo
from client.sources.synthetic import Scene
from fathom.errors import Code, FathomError

_CAMERA_FPS = 30.0
# Photos have no rate of their own; slow enough to look at each.
_FOLDER_FPS = 10.0
_SCHEMES = ("rtsp", "rtsps", "http", "https")


def open_source(text: str, *, fps: float | None = None, played: bool = False) -> Source:
    """Open what `text` names.

    text    a file, a folder, a webcam's index or device file, an address, or `synthetic`
    fps     rate instead of the source's own
    played  give a recording at its own rate and only its newest picture, as a camera would
    raises  BAD_OPTION if it names nothing, BAD_DATA if it holds no picture, CONNECTION_LOST if a
            camera does not answer
    """
    scheme, separator, _ = text.partition("://")
    if text == "synthetic":
        rate = fps or _CAMERA_FPS
        return _live(Paced(Scene(rate), rate), text, rate)
    if text.isdecimal() or re.fullmatch(r"/dev/video\d+", text):
        return _webcam(int(text) if text.isdecimal() else text, fps)
    if separator and scheme in _SCHEMES:
        return _network_camera(text, fps)
    path = Path(text)
    if separator or not path.exists():
        raise _unknown(text)
    return _recording(path, fps=fps, played=played)


def _recording(path: Path, *, fps: float | None, played: bool) -> Source:
    capture, frames, own_fps = _open_path(path)
    rate = fps or own_fps
    info = SourceInfo(name=str(path), live=played, fps=rate, frames=frames)
    return Newest(Paced(capture, rate), info) if played else Recording(capture, info)


def _open_path(path: Path) -> tuple[Capture, int | None, float]:
    if path.is_dir():
        pictures = Pictures.of_folder(path)
        return pictures, pictures.frames, _FOLDER_FPS
    if is_picture(path):
        return Pictures([path]), 1, _FOLDER_FPS
    silence_opencv()
    video = VideoFile(path)
    return video, video.frames, video.fps


def _webcam(device: int | str, fps: float | None) -> Source:
    capture = open_webcam(device)
    if capture is None:
        raise FathomError(
            Code.CONNECTION_LOST,
            expected=f"a webcam at {device}",
            got="no picture from there",
            repair="see that no other program holds it; `ls /dev/video*` lists what there is",
        )
    if fps is not None:
        capture.set(cv2.CAP_PROP_FPS, fps)
    return _live(Camera(str(device), capture), str(device), fps or _rate(capture))


def _network_camera(address: str, fps: float | None) -> Source:
    name = redact(address)
    capture = open_network(address)
    if capture is None:
        raise FathomError(
            Code.CONNECTION_LOST,
            expected=f"a camera at {name}",
            got="no stream from there",
            repair="check address, user and password with a player such as VLC or ffplay",
        )
    camera = Camera(name, capture, lambda: open_network(address))
    return _live(camera, name, fps or _rate(capture))


def _live(capture: Capture, name: str, fps: float) -> Source:
    return Newest(capture, SourceInfo(name=name, live=True, fps=fps))


def _rate(capture: cv2.VideoCapture) -> float:
    # Some drivers say 0, some network cameras 90000, their clock's ticks.
    told = capture.get(cv2.CAP_PROP_FPS)
    return told if 0 < told <= 240 else _CAMERA_FPS


def _unknown(text: str) -> FathomError:
    return FathomError(
        Code.BAD_OPTION,
        expected="a file, a folder, a webcam's index, an rtsp:// or http:// address, or synthetic",
        got=redact(text),
        repair="check the path; a webcam is 0, or /dev/video0",
    )
