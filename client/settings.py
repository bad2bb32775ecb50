"""What a run was asked to do, checked: one frozen value, made from the command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from client.rerun_log import VIEWER, check_place, is_file
from fathom.errors import Code, FathomError
from fathom.geometry import FieldOfView
from fathom.session import credentials
from fathom.session.credentials import Credentials
from fathom.values import ColourMap, Colours, Options, Output, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run of the client.

    policy     None leaves it to the source: `latest` for a live one, `all` for a recording
    reconnect  None leaves it to the source: a live one waits for a lost server, a recording ends
    window     frames under way at once; None leaves it to the source
    fps        rate instead of the source's own
    rerun      where Rerun is told of every answer, see `client.rerun_log`; None tells it nothing
    quality    of the JPEG a camera's or video's frame is sent as; None sends the pixels themselves
    """

    source: str
    server: str = "localhost:8001"
    model: str = ""
    policy: Policy | None = None
    every_n: int = 1
    reconnect: bool | None = None
    window: int | None = None
    hfov_deg: float | None = None
    smoothing: float = 0.0
    quality: int | None = 85
    fps: float | None = None
    max_frames: int | None = None
    save: Path | None = None
    save_depth: Path | None = None
    save_ply: Path | None = None
    rerun: str | None = None
    show: bool = False
    colours: Colours = field(default_factory=Colours)
    json: Path | None = None
    credentials: Credentials = field(default_factory=Credentials)

    def __post_init__(self) -> None:
        self._check_policy()
        for name, count in (("--max-frames", self.max_frames), ("--in-flight", self.window)):
            if count is not None and count < 1:
                raise _bad(f"{name} of at least 1", f"{count}", "leave it out for no bound")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise _bad("--fps above 0, at most 1000", f"{self.fps:g}", "give frames per second")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise _bad("--quality from 1 to 100", f"{self.quality}", "85 loses little")
        self._check_paths()
        _ = self.options  # checks what is for the server to do

    @property
    def options(self) -> Options:
        """What to ask of the server. The picture's own size only where depth is kept with it."""
        kept = any(place is not None for place in (self.save_depth, self.save_ply, self.rerun))
        return Options(
            output=Output.SOURCE if kept else Output.NETWORK,
            smoothing=self.smoothing,
            camera=None if self.hfov_deg is None else FieldOfView(self.hfov_deg),
        )

    @property
    def _rrd(self) -> Path | None:
        """The file that Rerun's recording goes to, where it goes to one."""
        return Path(self.rerun) if self.rerun is not None and is_file(self.rerun) else None

    def _check_policy(self) -> None:
        if self.every_n < 1:
            raise _bad("--every-n of at least 1", f"{self.every_n}", "2 takes every other frame")
        if self.every_n > 1 and self.policy is not Policy.EVERY_N:
            raise _bad(
                "--policy every_n beside --every-n",
                f"--policy {self.policy}" if self.policy else "no --policy",
                "write --policy every_n",
            )

    def _check_paths(self) -> None:
        if self.save is not None and self.save.suffix.lower() != ".mp4":
            raise _bad(
                "--save with a name that ends in .mp4",
                str(self.save),
                "give a video's name; --save-depth and --save-ply take folders",
            )
        if self.rerun is not None:
            check_place(self.rerun)
        for name, path in (("--save", self.save), ("--json", self.json), ("--rerun", self._rrd)):
            if path is not None and not path.absolute().parent.is_dir():
                raise _bad(f"{name} in a folder that exists", str(path), "make the folder first")


def parse(argv: Sequence[str] | None, *, help_text: str | None) -> Settings:
    """Settings from the command line; exits with 2 on what argparse refuses.

    raises  BAD_OPTION for values that make no sense
    """
    given = _parser(help_text).parse_args(argv)
    return Settings(
        source=given.source,
        server=given.server,
        model=given.model,
        policy=given.policy,
        every_n=given.every_n,
        reconnect=given.reconnect,
        window=given.in_flight,
        hfov_deg=given.hfov,
        smoothing=given.smoothing,
        quality=None if given.raw else given.quality,
        fps=given.fps,
        max_frames=given.max_frames,
        save=given.save,
        save_depth=given.save_depth,
        save_ply=given.save_ply,
        rerun=given.rerun,
        show=given.show,
        colours=Colours(given.colormap, given.near, given.far),
        json=given.json,
        credentials=credentials.from_options(given),
    )


def _parser(help_text: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m client",
        description=help_text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_conversation(parser)
    _add_output(parser)
    credentials.add_options(parser)
    return parser


def _add_conversation(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what to send, and where").add_argument
    defaults = Settings(source="")
    add("--source", required=True, metavar="WHAT", help="see above")
    add("--server", default=defaults.server, metavar="HOST:PORT", help="gRPC door (%(default)s)")
    add("--model", default="", metavar="NAME", help="the server's first if left out")
    add("--policy", type=Policy, choices=list(Policy), metavar="{latest,all,every_n}",
        help="when frames come faster than answers (latest if live, else all)")  # fmt: skip
    add("--every-n", type=int, default=1, metavar="N", help="with --policy every_n")
    add("--reconnect", action=argparse.BooleanOptionalAction,
        help="look for a server that was lost (if live)")  # fmt: skip
    add("--in-flight", type=int, metavar="N", help="frames under way at once (3 live, else 8)")
    add("--hfov", type=float, metavar="DEG", help="the camera's horizontal field of view")
    add("--smoothing", type=float, default=0.0, metavar="0..1", help="over time (off)")
    add("--quality", type=int, default=defaults.quality, help="JPEG, 1 to 100 (%(default)s)")
    add("--raw", action="store_true", help="send pixels, not JPEG")
    add("--fps", type=float, metavar="F", help="rate instead of the source's own")
    add("--max-frames", type=int, metavar="N", help="end after sending so many")


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what to keep and show").add_argument
    colours = Colours()
    add("--save", type=Path, metavar="OUT.mp4", help="picture and depth side by side")
    add("--save-depth", type=Path, metavar="DIR", help="16-bit PNG per frame, millimetres")
    add("--save-ply", type=Path, metavar="DIR", help="point cloud per frame, metres")
    add("--rerun", nargs="?", const=VIEWER, metavar="OUT.rrd",
        help="tell Rerun: a viewer here, this file, or rerun+http://...")  # fmt: skip
    add("--show", action="store_true", help="in a window; q or Escape ends")
    add("--near", type=float, default=colours.near_m, metavar="M", help="metres (%(default)s)")
    add("--far", type=float, default=colours.far_m, metavar="M", help="metres (%(default)s)")
    add("--colormap", type=ColourMap, choices=list(ColourMap), default=colours.map,
        metavar="NAME", help="turbo, magma, viridis or grey")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write the summary there as well")


def _bad(expected: str, got: str, repair: str) -> FathomError:
    return FathomError(Code.BAD_OPTION, expected=expected, got=got, repair=repair)
