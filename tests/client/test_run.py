"""A whole run against a scripted server: every frame accounted for, whatever happens."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.__main__ import main
from client.run import run
from client.settings import Settings
from fathom.codecs.colour import encode_jpeg
from fathom.codecs.image import inspect
from fathom.errors import Code
from fathom.values import (
    Closing,
    Frame,
    ImageEncoding,
    Limits,
    Output,
    Policy,
    ServerAnswer,
)
from tests.client.scripted import (
    Script,
    ScriptedServer,
    ScriptedStream,
    failed,
    lost,
    plane,
    serving,
    skipped,
)

_FRAMES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six small JPEG, each of another grey."""
    path = tmp_path_factory.mktemp("pictures")
    for n in range(_FRAMES):
        picture = np.full((24, 32, 3), 20 + 30 * n, np.uint8)
        (path / f"{n}.jpg").write_bytes(encode_jpeg(picture))
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames at 25 per second."""
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for n in range(_FRAMES):
        writer.write(np.full((48, 64, 3), 20 + 30 * n, np.uint8))
    writer.release()
    return path


def frames_in(path: Path) -> list[float]:
    """Presentation times of a video's frames, decoded."""
    with av.open(str(path)) as container:
        return [frame.time or 0.0 for frame in container.decode(video=0)]


def test_every_frame_of_a_recording_is_answered_and_in_the_video(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serving()
    arguments = ["--source", str(video), "--save", str(tmp_path / "out.mp4")]
    arguments += ["--json", str(tmp_path / "summary.json")]
    assert main(arguments, connect=server) == 0
    assert frames_in(tmp_path / "out.mp4") == pytest.approx([n / 25 for n in range(_FRAMES)])
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["sent"], summary["answered"], summary["unanswered"]) == (_FRAMES, _FRAMES, 0)
    assert "answered    6" in capsys.readouterr().out
    assert server.opening is not None and server.opening.policy is Policy.ALL
    assert server.opening.options.output is Output.NETWORK


def test_frames_of_a_video_travel_as_jpeg_or_as_they_are(video: Path) -> None:
    for quality, encoding in ((85, ImageEncoding.JPEG), (None, ImageEncoding.RGB8)):
        server = serving()
        assert run(Settings(source=str(video), quality=quality), connect=server).good
        images = [frame.image for frame in server.scripted.frames]
        assert {image.encoding for image in images} == {encoding}
        assert {inspect(image, Limits()).size for image in images} == {(48, 64)}


def test_jpeg_files_travel_untouched(folder: Path) -> None:
    server = serving()
    assert run(Settings(source=str(folder)), connect=server).good
    sent = [frame.image.data for frame in server.scripted.frames]
    assert sent == [path.read_bytes() for path in sorted(folder.iterdir())]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([plane, skipped, failed]), min_size=_FRAMES, max_size=_FRAMES))
def test_answered_skipped_and_failed_sum_to_sent(folder: Path, script: list[Script]) -> None:
    server = serving(lambda frame: script[frame.seq - 1](frame))
    outcome = run(Settings(source=str(folder)), connect=server)
    summary = outcome.summary
    assert summary.sent == _FRAMES and summary.unanswered == 0
    assert summary.answered == script.count(plane)
    assert sum(summary.skipped.values()) == script.count(skipped)
    assert sum(summary.failed.values()) == script.count(failed)
    assert outcome.good == (plane in script and failed not in script)


def test_a_connection_lost_at_any_frame_ends_with_a_summary_and_a_whole_video(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for nth in range(1, _FRAMES + 1):
        server = ScriptedServer(ScriptedStream(plane, breaks_before=nth))
        out = tmp_path / f"{nth}.mp4"
        assert main(["--source", str(folder), "--save", str(out)], connect=server) == 1
        printed = capsys.readouterr()
        assert f"answered    {nth - 1}\n" in printed.out
        assert "connection_lost" in printed.out and "Traceback" not in printed.err
        assert printed.err.count("client: connection_lost: expected") == 1
        # Frames that were lost are shown as well, without depth.
        sent = len(server.scripted.frames)
        assert len(frames_in(out)) == sent
        assert f"sent        {sent}\n" in printed.out


def test_a_server_that_goes_down_in_order_is_an_error_with_its_reason(folder: Path) -> None:
    last = Closing(code=Code.SHUTTING_DOWN, reason="restarting", counts={})
    server = ScriptedServer(ScriptedStream(plane, closing=last))
    outcome = run(Settings(source=str(folder)), connect=server)
    assert not outcome.good
    assert outcome.error is not None and outcome.error.code is Code.SHUTTING_DOWN
    assert "restarting" in outcome.error.got


def test_ctrl_c_ends_an_endless_source_with_every_frame_answered(tmp_path: Path) -> None:
    def interrupted(frame: Frame) -> ServerAnswer:
        if frame.seq == 3:
            signal.raise_signal(signal.SIGINT)
        return plane(frame)

    before = signal.getsignal(signal.SIGINT)
    server = serving(interrupted)
    out = tmp_path / "out.mp4"
    outcome = run(Settings(source="synthetic", fps=500, save=out), connect=server)
    summary = outcome.summary
    assert outcome.good
    assert summary.sent == summary.answered == len(frames_in(out)) >= 3
    assert signal.getsignal(signal.SIGINT) is before


def test_a_live_source_keeps_few_frames_under_way_and_asks_for_the_latest() -> None:
    server = serving()
    outcome = run(Settings(source="synthetic", fps=500, max_frames=20), connect=server)
    assert outcome.summary.sent == 20
    assert server.scripted.most_in_flight <= 3
    assert server.opening is not None and server.opening.policy is Policy.LATEST


def test_a_recording_fills_a_bounded_window(folder: Path) -> None:
    server = serving()
    run(Settings(source=str(folder), window=2), connect=server)
    assert server.scripted.most_in_flight <= 2


def test_max_frames_bounds_a_recording(video: Path) -> None:
    outcome = run(Settings(source=str(video), max_frames=4), connect=serving())
    assert outcome.summary.sent == outcome.summary.answered == 4


def test_a_recording_with_another_policy_is_played(folder: Path) -> None:
    server = serving()
    wanted = Settings(source=str(folder), policy=Policy.EVERY_N, every_n=2, fps=200)
    summary = run(wanted, connect=server).summary
    assert server.opening is not None
    assert (server.opening.policy, server.opening.every_n) == (Policy.EVERY_N, 2)
    assert summary.sent + summary.passed_over == _FRAMES


def test_depth_and_clouds_are_kept_at_the_size_of_the_picture(folder: Path, tmp_path: Path) -> None:
    server = serving(lambda frame: plane(frame, (24, 32)) if frame.seq != 2 else failed(frame))
    wanted = Settings(
        source=str(folder), save_depth=tmp_path / "depth", save_ply=tmp_path / "clouds"
    )
    run(wanted, connect=server)
    assert server.opening is not None and server.opening.options.output is Output.SOURCE
    names = ["000001", "000003", "000004", "000005", "000006"]
    assert sorted(path.stem for path in (tmp_path / "depth").iterdir()) == names
    assert sorted(path.stem for path in (tmp_path / "clouds").iterdir()) == names
    pixels = cv2.imread(str(tmp_path / "depth" / "000001.png"), cv2.IMREAD_UNCHANGED)
    assert pixels is not None and pixels.shape == (24, 32) and set(pixels.flat) == {1250}


def test_a_picture_that_cannot_be_read_is_shown_black_with_its_failure(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "1.jpg").write_bytes(encode_jpeg(np.zeros((24, 32, 3), np.uint8)))
    (pictures / "2.jpg").write_bytes(b"\xff\xd8\xff and no more")
    server = serving(lambda frame: plane(frame) if frame.seq == 1 else failed(frame))
    out = tmp_path / "out.mp4"
    outcome = run(Settings(source=str(pictures), save=out), connect=server)
    assert outcome.summary.failed == {"engine_fault": 1}
    assert len(frames_in(out)) == 2


def test_a_server_that_does_not_answer_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = ScriptedServer(ScriptedStream(plane), refusal=lost())
    assert main(["--source", str(folder), "--server", "far:9"], connect=server) == 1
    assert capsys.readouterr().err == f"client: {lost()}\n"


def test_a_server_that_was_found_again_is_counted_and_the_video_goes_on(tmp_path: Path) -> None:
    server = ScriptedServer(ScriptedStream(plane, gap_before=3))
    out = tmp_path / "out.mp4"
    outcome = run(
        Settings(source="synthetic", fps=500, max_frames=_FRAMES, save=out), connect=server
    )
    summary = outcome.summary
    assert outcome.error is None
    assert (summary.reconnects, summary.away_s) == (1, 3.5)
    assert (summary.answered, summary.failed) == (_FRAMES - 1, {"connection_lost": 1})
    assert len(frames_in(out)) == _FRAMES


@pytest.mark.parametrize(
    ("live", "asked", "wanted"),
    [(True, None, True), (False, None, False), (True, False, False), (False, True, True)],
)
def test_only_a_live_source_waits_for_a_lost_server_unless_asked(
    folder: Path, live: bool, asked: bool | None, wanted: bool
) -> None:
    server = serving()
    source = "synthetic" if live else str(folder)
    run(Settings(source=source, fps=500, max_frames=2, reconnect=asked), connect=server)
    assert (server.reconnect is not None) == wanted


def test_misuse_exits_with_two_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--source", "nosuch.mp4"], connect=serving()) == 2
    err = capsys.readouterr().err
    assert err.startswith("client: bad_option: expected a file, a folder, a webcam's index")
    assert err.count("\n") == 1


def test_an_output_that_fails_half_way_is_reported_and_leaves_a_whole_video(
    tmp_path: Path, folder: Path
) -> None:
    """The depth of frame 4 has another size than its picture: no cloud can be made of it."""

    def script(frame: Frame) -> ServerAnswer:
        answer = plane(frame, (24, 32))
        return replace(answer, width_px=31) if frame.seq == 4 else answer

    out = tmp_path / "out.mp4"
    outcome = run(
        Settings(source=str(folder), save=out, save_ply=tmp_path / "clouds"),
        connect=serving(script),
    )
    assert outcome.error is not None and outcome.error.code is Code.BAD_REQUEST
    assert not outcome.good
    assert len(frames_in(out)) == 3


def test_a_full_disk_ends_with_a_summary(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.mp4").symlink_to("/dev/full")
    arguments = ["--source", str(folder), "--save", str(tmp_path / "out.mp4")]
    assert main(arguments, connect=serving()) == 1
    printed = capsys.readouterr()
    assert "answered" in printed.out
    assert printed.err.count("expected room and permission") == 1
