"""One picture through a running server.

    python -m fathom probe samples/desk.jpg depth.png --server localhost:8001

OUT decides the form: .png 16-bit millimetres, .npy float32 metres, .jpg a colour picture, .ply a
point cloud. Prints where the time went.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from fathom.codecs.files import as_npy, as_ply, as_sent
from fathom.errors import Code, FathomError
from fathom.geometry import FieldOfView
from fathom.session import credentials
from fathom.session.pictures import as_image
from fathom.session.sync import Client
from fathom.values import DepthEncoding, EncodedDepth, Image, Options, Output


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 good, 1 failed, 2 misuse."""
    arguments = _parser().parse_args(argv)
    try:
        return _probe(arguments)
    except FathomError as error:
        print(f"fathom probe: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m fathom",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    probe = commands.add_parser("probe", help="send one picture, write its depth, print the times")
    probe.add_argument("image", type=Path, metavar="IMAGE", help="a JPEG, PNG or WebP file")
    probe.add_argument("out", type=Path, metavar="OUT", help="a .png, .npy, .jpg or .ply file")
    probe.add_argument("--server", default="localhost:8001", help="HOST:PORT (%(default)s)")
    probe.add_argument("--model", default="", help="a model's name (the server's first)")
    probe.add_argument("--hfov", type=float, help="the camera's horizontal field of view, degrees")
    credentials.add_options(probe)
    return parser


def _probe(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    write = _WRITERS.get(out.suffix.lower())
    if write is None:
        raise FathomError(
            Code.BAD_OPTION,
            expected=f"an output file that ends in {', '.join(_WRITERS)}",
            got=out.name,
            repair="choose by what you will open it with",
        )
    try:
        image = as_image(arguments.image.read_bytes())
    except OSError as error:
        raise FathomError(
            Code.BAD_IMAGE,
            expected="a picture that can be read",
            got=f"{arguments.image}: {error.strerror}",
            repair="check the path",
        ) from error
    encoding = _ENCODINGS.get(out.suffix.lower(), DepthEncoding.F32_M)
    camera = None if arguments.hfov is None else FieldOfView(arguments.hfov)
    options = Options(depth_encoding=encoding, output=Output.SOURCE, camera=camera)
    with Client(arguments.server, credentials.from_options(arguments)) as client:
        before_s = time.perf_counter()
        answer = client.predict_encoded(image, options, model=arguments.model)
        round_trip_s = time.perf_counter() - before_s
    try:
        out.write_bytes(write(answer, image))
    except OSError as error:
        raise FathomError(
            Code.BAD_OPTION,
            expected="an output file that can be written",
            got=f"{out}: {error.strerror}",
            repair="check the path",
        ) from error
    _report(answer, round_trip_s, out)
    return 0


def _report(answer: EncodedDepth, round_trip_s: float, out: Path) -> None:
    print(f"{out}: {answer.width_px}x{answer.height_px} by {answer.model} {answer.version}")
    origin = "given" if answer.focal_given else "assumed"
    print(f"focal length {answer.camera.fx:.1f} px ({origin})")
    for stage, seconds in asdict(answer.stages).items():
        print(f"{stage.removesuffix('_s'):>10} {seconds * 1e3:8.2f} ms")
    print(f"{'round trip':>10} {round_trip_s * 1e3:8.2f} ms")


_WRITERS: Mapping[str, Callable[[EncodedDepth, Image], bytes]] = {
    ".png": as_sent,
    ".jpg": as_sent,
    ".npy": as_npy,
    ".ply": as_ply,
}
_ENCODINGS = {".png": DepthEncoding.PNG16_MM, ".jpg": DepthEncoding.JPEG_COLOUR}


if __name__ == "__main__":
    sys.exit(main())
