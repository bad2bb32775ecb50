"""What is asked of a run, and what is refused before anything is opened."""

from pathlib import Path

import pytest

from client.__main__ import __doc__ as help_text
from client.settings import Settings, parse
from fathom.errors import Code, FathomError
from fathom.geometry import FieldOfView
from fathom.values import ColourMap, DepthEncoding, Output, Policy


def parsed(line: str) -> Settings:
    return parse(line.split(), help_text=help_text)


def test_defaults_leave_the_choice_to_the_source() -> None:
    settings = parsed("--source synthetic")
    assert settings == Settings(source="synthetic")
    assert (settings.policy, settings.window, settings.fps) == (None, None, None)
    assert settings.options.output is Output.NETWORK
    assert settings.options.depth_encoding is DepthEncoding.U16_MM


def test_every_flag_arrives() -> None:
    settings = parsed(
        "--source 0 --server far:9 --model m --policy every_n --every-n 3 --in-flight 5"
        " --no-reconnect"
        " --hfov 63.5 --smoothing 0.5 --quality 70 --fps 12 --max-frames 9 --save o.mp4"
        " --save-depth d --save-ply p --show --near 1 --far 4 --colormap magma --json s.json"
    )
    assert (settings.source, settings.server, settings.model) == ("0", "far:9", "m")
    assert (settings.policy, settings.every_n, settings.window) == (Policy.EVERY_N, 3, 5)
    assert (settings.quality, settings.fps, settings.max_frames) == (70, 12, 9)
    assert (settings.colours.near_m, settings.colours.far_m) == (1, 4)
    assert settings.colours.map is ColourMap.MAGMA
    assert (settings.save, settings.json) == (Path("o.mp4"), Path("s.json"))
    assert settings.show
    assert settings.reconnect is False
    assert settings.options.camera == FieldOfView(63.5)
    assert settings.options.smoothing == 0.5


def test_kept_depth_has_the_size_of_the_picture() -> None:
    assert parsed("--source 0 --save-depth d").options.output is Output.SOURCE
    assert parsed("--source 0 --save-ply p").options.output is Output.SOURCE


def test_raw_means_no_jpeg() -> None:
    assert parsed("--source 0 --raw").quality is None


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--every-n 3", "--policy every_n"),
        ("--every-n 3 --policy all", "--policy every_n"),
        ("--policy every_n --every-n 0", "--every-n"),
        ("--max-frames 0", "--max-frames"),
        ("--in-flight 0", "--in-flight"),
        ("--fps 0", "--fps"),
        ("--fps nan", "--fps"),
        ("--quality 101", "--quality"),
        ("--save out.avi", ".mp4"),
        ("--save nosuch/out.mp4", "--save"),
        ("--json nosuch/out.json", "--json"),
        ("--near 5 --far 2", "near < far"),
        ("--hfov 200", "field of view"),
        ("--smoothing 2", "smoothing"),
    ],
)
def test_values_without_sense_are_refused(flags: str, named: str) -> None:
    with pytest.raises(FathomError) as caught:
        parsed(f"--source 0 {flags}")
    assert caught.value.code is Code.BAD_OPTION
    assert named in caught.value.expected


@pytest.mark.parametrize(
    "line", ["", "--source 0 --policy newest", "--source 0 --sav x.mp4", "--source 0 --fps fast"]
)
def test_a_line_that_cannot_be_read_exits_with_two(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        parsed(line)
    assert left.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_help_is_the_module_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parsed("--help")
    assert left.value.code == 0
    assert str(help_text) in capsys.readouterr().out
