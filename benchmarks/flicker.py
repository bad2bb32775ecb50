"""What smoothing gains and costs: flicker, accuracy and time, at several strengths.

    python benchmarks/flicker.py --model-repository model_repository --clip samples/desk.mp4
    python benchmarks/flicker.py --frames-folder RGB --depth-folder DEPTH

flicker   mean |d_t - d_(t-1)| over static pixels, in mm and as a share of d_(t-1); a pixel is
          static if its 5x5 mean brightness changed by at most 3 of 255 levels
AbsRel    and delta1 of pictures with true depth, each brought to the true median first
lag       AbsRel of true depth that was smoothed: what smoothing would cost a perfect network

Where the camera turns, static pixels are bare surfaces whose depth does change: flicker has a floor
there that no honest smoother goes below. On the still photo it may go to nothing.

A clip, one photo with fresh sensor noise and JPEG in each frame, and, where given, a folder of
frames with depth as 16-bit PNG in millimetres of the same names, 0 for none.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

sys.path.insert(0, str(Path(__file__).parent.parent))

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from benchmarks.pictures import camera_picture
from benchmarks.results import FOLDER, Summary, write_result
from fathom.codecs.image import decode_into, inspect, sniff
from fathom.geometry import F32, RGB, Size
from fathom.values import Image, ImageEncoding, Limits
from server.core.smoothing import Smoother
from server.engines.engine import Engine
from server.models import open_models
from server.settings import load
from server.telemetry import Telemetry

# Pictures in order, each with its true depth where that is known.
Frames: TypeAlias = Iterator[tuple[Image, F32 | None]]

CLIP = Path(__file__).parent.parent / "samples" / "desk.mp4"
STRENGTHS = (0.0, 0.3, 0.5, 0.8)
_STATIC_LEVELS = 3.0
_NOISE_SIGMA = 3.0
_QUALITY = 93
_STILL_FRAMES = 60
_TIMED_FRAMES = 600


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A frame as the smoother sees it: the picture's part of the network's input and of its map.

    truth_m  (H, W) float32, metres, NaN where there is none; None for a frame without truth
    """

    image: RGB
    depth_m: F32
    truth_m: F32 | None = None


@dataclass(frozen=True, slots=True)
class Flicker:
    """How much the depth of static pixels moves from one frame to the next.

    static_share  of pixels that were compared, of all
    """

    mean_mm: float
    mean_percent: float
    static_share: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """AbsRel and delta1 against true depth, mean over pictures."""

    abs_rel: float
    delta1: float


def main(argv: list[str] | None = None) -> int:
    """Measure every source at every strength, print a table, write JSON."""
    arguments, server_arguments = _parser().parse_known_args(argv)
    load_before = os.getloadavg()
    cv2.setNumThreads(1)  # as the server does
    settings, _ = load(server_arguments)
    model = next(iter(open_models(settings, Telemetry())))
    figures: dict[str, object] = {
        "model": model.card.name,
        "version": model.card.version,
        "precision": model.engine.spec.precision,
    }
    print(f"{'source':<12}strength          flicker  static  AbsRel  delta1     lag")
    for name, frames in _sources(arguments).items():
        seen = [_see(model.engine, image, truth_m) for image, truth_m in frames]
        figures[name] = {f"strength_{s:g}": _report(name, seen, s) for s in STRENGTHS}
    figures["smooth"] = _time(model.engine.spec.input_size)
    model.engine.close()
    write_result(arguments.json, figures, load_before)
    print(f"written to {arguments.json}")
    return 0


def static_pixels(before: RGB, now: RGB) -> NDArray[np.bool_]:
    """(H, W): where the picture changed by no more than a sensor's noise."""
    greys = [
        cv2.boxFilter(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_32F, (5, 5))
        for image in (before, now)
    ]
    return np.asarray(cv2.absdiff(*greys) <= _STATIC_LEVELS, np.bool_)


def flicker(images: Sequence[RGB], depths_m: Sequence[F32]) -> Flicker:
    """The flicker of a sequence, pooled over all static pixels that have depth in both frames."""
    moved_m: list[F32] = []
    moved_relative: list[F32] = []
    pixels = 0
    for (image0, depth0), (image1, depth1) in pairwise(zip(images, depths_m, strict=True)):
        counted = static_pixels(image0, image1) & np.isfinite(depth0) & np.isfinite(depth1)
        difference_m = np.abs(depth1[counted] - depth0[counted])
        moved_m.append(difference_m)
        moved_relative.append(difference_m / depth0[counted])
        pixels += counted.size
    all_m, all_relative = np.concatenate(moved_m), np.concatenate(moved_relative)
    if not all_m.size:
        return Flicker(float("nan"), float("nan"), 0.0)
    return Flicker(
        mean_mm=float(all_m.mean(dtype=np.float64)) * 1e3,
        mean_percent=float(all_relative.mean(dtype=np.float64)) * 1e2,
        static_share=all_m.size / pixels,
    )


def accuracy(predictions_m: Iterable[F32], truths_m: Iterable[F32], *, align: bool) -> Accuracy:
    """Over the pixels of each picture that have a truth, then the mean over pictures.

    align  bring the median of each prediction to the true one first
    """
    rows = []
    for predicted_m, truth_m in zip(predictions_m, truths_m, strict=True):
        valid = np.isfinite(truth_m)
        p, g = predicted_m[valid].astype(np.float64), truth_m[valid].astype(np.float64)
        if align:
            p *= np.median(g) / np.median(p)
        rows.append((np.mean(np.abs(p - g) / g), np.mean(np.maximum(p / g, g / p) < 1.25)))
    abs_rel, delta1 = np.mean(rows, axis=0)
    return Accuracy(float(abs_rel), float(delta1))


def _report(name: str, seen: Sequence[Seen], strength: float) -> dict[str, object]:
    smoother = Smoother(strength)
    smoothed_m = [smoother.smooth(frame.depth_m, frame.image) for frame in seen]
    steady = flicker([frame.image for frame in seen], smoothed_m)
    figures: dict[str, object] = asdict(steady)
    line = (
        f"{name:<12}{strength:8g}{steady.mean_mm:7.1f} mm{steady.mean_percent:6.2f} %"
        f"{steady.static_share:8.2f}"
    )
    truths_m = [frame.truth_m for frame in seen if frame.truth_m is not None]
    if truths_m:
        predicted_m = [
            depth_m
            for depth_m, frame in zip(smoothed_m, seen, strict=True)
            if frame.truth_m is not None
        ]
        scored = accuracy(predicted_m, truths_m, align=True)
        lag = _lag(seen, strength)
        figures |= asdict(scored) | {"lag_abs_rel": lag, "pictures_with_truth": len(truths_m)}
        line += f"{scored.abs_rel:8.4f}{scored.delta1:8.4f}{lag:8.4f}"
    print(line, flush=True)
    return figures


def _lag(seen: Sequence[Seen], strength: float) -> float:
    smoother = Smoother(strength)
    truths = [(frame.image, frame.truth_m) for frame in seen if frame.truth_m is not None]
    smoothed_m = [smoother.smooth(truth_m, image) for image, truth_m in truths]
    return accuracy(smoothed_m, [truth_m for _, truth_m in truths], align=False).abs_rel


def _time(size: Size) -> dict[str, object]:
    """What one call costs on a still scene, which is the longest way through it."""
    rng = np.random.default_rng(0)
    image, smoother = camera_picture(size), Smoother(0.5)
    depths_m = [rng.normal(2, 0.02, size).astype(np.float32) for _ in range(8)]
    seconds = []
    for i in range(_TIMED_FRAMES):
        before_s = time.perf_counter()
        smoother.smooth(depths_m[i % len(depths_m)], image)
        seconds.append(time.perf_counter() - before_s)
    summary = Summary.of(seconds[1:])  # the first frame is only copied
    least_ms = round(min(seconds[1:]) * 1e3, 3)
    print(
        f"smoothing at {size[0]}x{size[1]}: min {least_ms:.3f}  p50 {summary.p50_ms:.3f}  "
        f"p95 {summary.p95_ms:.3f} ms a frame, load average {os.getloadavg()[0]:.2f}"
    )
    return asdict(summary) | {"min_ms": least_ms, "height_px": size[0], "width_px": size[1]}


def _see(engine: Engine, image: Image, truth_m: F32 | None) -> Seen:
    pixels = np.empty((1, *engine.spec.input_size, 3), np.uint8)
    box = decode_into(image, inspect(image, Limits()), pixels[0])
    depth_m = engine.infer(pixels, 0).depth_m[0]
    if truth_m is not None:
        height, width = box.content_size
        # Nearest: between a thing and the wall behind it there is no depth.
        resized = cv2.resize(truth_m, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        truth_m = np.asarray(resized, np.float32)
    return Seen(pixels[0][box.content], box.extract(depth_m).copy(), truth_m)


def _sources(arguments: argparse.Namespace) -> dict[str, Frames]:
    sources: dict[str, Frames] = {
        arguments.clip.name: _clip(arguments.clip, arguments.frames),
        "still photo": _still_photo(min(_STILL_FRAMES, arguments.frames)),
    }
    if arguments.frames_folder is not None:
        sources["frames"] = _folder(
            arguments.frames_folder, arguments.depth_folder, arguments.frames
        )
    return sources


def _clip(path: Path, frames: int) -> Frames:
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    for _ in range(frames):
        good, bgr = video.read()
        if not good:
            break
        height, width = bgr.shape[:2]
        bgr8 = ImageEncoding.BGR8
        yield Image(encoding=bgr8, data=bgr.tobytes(), width_px=width, height_px=height), None
    video.release()


def _still_photo(frames: int) -> Frames:
    rng = np.random.default_rng(1)
    photo = camera_picture().astype(np.float32)
    for _ in range(frames):
        noisy = np.clip(photo + rng.normal(0, _NOISE_SIGMA, photo.shape), 0, 255).astype(np.uint8)
        jpeg = simplejpeg.encode_jpeg(noisy, _QUALITY, colorsubsampling="420")
        yield Image(encoding=ImageEncoding.JPEG, data=bytes(jpeg)), None


def _folder(pictures: Path, depths: Path | None, frames: int) -> Frames:
    paths = sorted(p for p in pictures.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    for path in paths[:frames]:
        data = path.read_bytes()
        depth_path = None if depths is None else depths / f"{path.stem}.png"
        known = depth_path is not None and depth_path.is_file()
        truth_m = _read_depth(depth_path) if depth_path is not None and known else None
        yield Image(encoding=sniff(data), data=data), truth_m


def _read_depth(path: Path) -> F32:
    depth_mm = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if depth_mm is None or depth_mm.dtype != np.uint16:
        raise SystemExit(f"{path} is not a 16-bit PNG of depth in millimetres")
    return np.where(depth_mm > 0, depth_mm / 1e3, np.nan).astype(np.float32)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python benchmarks/flicker.py",
        description=__doc__,
        epilog="other options go to the server's settings, for example --threads 1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--clip", type=Path, default=CLIP, help="a video (%(default)s)")
    parser.add_argument("--frames-folder", type=Path, help="pictures in order of their names")
    parser.add_argument("--depth-folder", type=Path, help="their true depth, where there is any")
    parser.add_argument("--frames", type=int, default=1000, help="most of a source (%(default)s)")
    parser.add_argument("--json", type=Path, default=FOLDER / "flicker.json", help="results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
