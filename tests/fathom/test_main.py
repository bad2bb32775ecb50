from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from plyfile import PlyData

from fathom.__main__ import main
from fathom.errors import Code, FathomError
from fathom.geometry import FieldOfView
from fathom.values import ServerAnswer
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import options_from_wire

if TYPE_CHECKING:
    from tests.fathom.conftest import ScriptedServer


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A 6x4 PNG, the size of the scripted server's planes."""
    path = tmp_path / "picture.png"
    path.write_bytes(cv2.imencode(".png", np.full((4, 6, 3), 200, np.uint8))[1].tobytes())
    return path


def probe(server: "ScriptedServer", picture: Path, out: Path, *options: str) -> int:
    return main(["probe", str(picture), str(out), "--server", server.address, *options])


def test_a_png_holds_millimetres(server: "ScriptedServer", picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "depth.png"
    assert probe(server, picture, out) == 0
    pixels = np.asarray(cv2.imread(str(out), cv2.IMREAD_UNCHANGED))
    assert pixels.dtype == np.uint16
    assert (pixels == 2000).all()


def test_an_npy_holds_metres(server: "ScriptedServer", picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "depth.npy"
    assert probe(server, picture, out) == 0
    assert np.array_equal(np.load(out), np.full((4, 6), 2.0, np.float32))


def test_a_jpg_is_a_picture(server: "ScriptedServer", picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "depth.JPG"
    assert probe(server, picture, out) == 0
    assert np.asarray(cv2.imread(str(out))).shape == (4, 6, 3)


def test_a_ply_is_a_cloud_in_the_picture_s_colours(
    server: "ScriptedServer", picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cloud.ply"
    assert probe(server, picture, out) == 0
    vertices = PlyData.read(str(out))["vertex"]
    assert len(vertices["z"]) == 24
    assert (vertices["z"] == 2.0).all()
    assert (vertices["red"] == 200).all()


def test_the_times_are_printed(
    server: "ScriptedServer", picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probe(server, picture, tmp_path / "depth.png")
    printed = capsys.readouterr()
    assert "6x4 by plane 4" in printed.out
    assert "focal length 8.0 px (assumed)" in printed.out
    assert all(s in printed.out for s in ("wait", "decode", "infer", "finish", "encode", "round"))
    assert not printed.err


def test_model_and_field_of_view_reach_the_server(
    server: "ScriptedServer", picture: Path, tmp_path: Path
) -> None:
    probe(server, picture, tmp_path / "depth.png", "--model", "plane", "--hfov", "65")
    (request,) = server.predictions
    assert request.model == "plane"
    assert options_from_wire(request.options).camera == FieldOfView(65.0)


def test_the_server_s_error_is_shown_and_nothing_written(
    server: "ScriptedServer", picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: pb.PredictRequest) -> ServerAnswer:
        raise FathomError(Code.UNKNOWN_MODEL, expected="plane", got="plain", repair="spell it")

    server.predict = refuse
    assert probe(server, picture, tmp_path / "depth.png") == 1
    assert "expected plane; got plain; spell it" in capsys.readouterr().err
    assert not (tmp_path / "depth.png").exists()


@pytest.mark.parametrize("out", ["depth.tiff", "depth", ".png.bak"])
def test_an_ending_without_a_form_is_refused_before_asking(
    server: "ScriptedServer",
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    out: str,
) -> None:
    assert probe(server, picture, tmp_path / out) == 1
    assert ".png, .jpg, .npy, .ply" in capsys.readouterr().err
    assert not server.predictions


def test_a_picture_that_is_not_there_is_named(
    server: "ScriptedServer", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe(server, tmp_path / "nowhere.jpg", tmp_path / "depth.png") == 1
    assert "nowhere.jpg" in capsys.readouterr().err


def test_a_file_that_is_no_picture_is_refused(
    server: "ScriptedServer", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "poem.jpg").write_text("roses are red")
    assert probe(server, tmp_path / "poem.jpg", tmp_path / "depth.png") == 1
    assert "bad_image" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(
    server: "ScriptedServer", picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe(server, picture, tmp_path / "nowhere" / "depth.png") == 1
    assert "nowhere" in capsys.readouterr().err


def test_no_server_is_told_in_a_line(
    server: "ScriptedServer", picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.stop()
    assert probe(server, picture, tmp_path / "depth.png") == 1
    assert "connection_lost" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["probe"], ["prob", "a", "b"], ["probe", "a", "b", "c"]])
def test_misuse_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
