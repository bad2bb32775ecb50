"""The live camera's pure modules: what goes over the socket, what is measured, what comes back."""

import json
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fathom.codecs.depth import encode_depth
from fathom.errors import Code, FathomError
from fathom.geometry import Intrinsics
from fathom.values import DepthEncoding, EncodedDepth, Failed, ServerAnswer, Skipped, SkipReason
from server.doors.framing import read_frame, write_answer, write_failed
from tests.server.page.conftest import NODE, Run

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")

DEPTH_M = np.array([[0.5, 1.25, np.nan], [65.0, 2.0, 0.001]], np.float32)


def depth(seq: int) -> EncodedDepth:
    return EncodedDepth(
        seq=seq,
        encoding=DepthEncoding.U16_MM,
        width_px=3,
        height_px=2,
        data=bytes(encode_depth(DEPTH_M, DepthEncoding.U16_MM)),
        camera=Intrinsics.centred(1.0, (2, 3)),
        focal_given=False,
        model="ramp",
        version=3,
        labels=b"\1\2\3\4\5\6",
    )


def test_the_server_reads_the_pages_frames(run: Run) -> None:
    got = run("""
        import { writeFrame } from "./wire.js";
        const image = { encoding: "IMAGE_ENCODING_JPEG" };
        const out = [...writeFrame({ seq: 7, age_us: 1500, image }, Uint8Array.of(255, 216, 0))];
    """)
    frame = read_frame(bytes(got))
    assert frame is not None
    assert (frame.seq, frame.age_us, frame.image.data) == (7, 1500, b"\xff\xd8\x00")


@pytest.mark.parametrize("seq", [0, 7, 2**40])
def test_the_page_reads_the_servers_depth(run: Run, seq: int) -> None:
    script = """
        import { mapOf, readAnswer } from "./wire.js";
        const { seq, outcome, ...answer } = readAnswer(file("a"));
        const { values, width, height, labels } = mapOf(answer);
        const out = { seq, outcome, values: [...values], width, height, labels: [...labels] };
    """
    got = run(script, a=write_answer(depth(seq)))
    assert (got["seq"], got["outcome"], got["width"], got["height"]) == (seq, "depth", 3, 2)
    expected = [None if np.isnan(metres) else metres for metres in DEPTH_M.ravel().tolist()]
    assert got["values"] == pytest.approx(expected, abs=1e-6)
    assert got["labels"] == [1, 2, 3, 4, 5, 6]


def test_a_model_without_classes_has_none_on_the_page(run: Run) -> None:
    script = """
        import { mapOf, readAnswer } from "./wire.js";
        const out = [mapOf(readAnswer(file("a"))).labels === undefined];
    """
    assert run(script, a=write_answer(replace(depth(1), labels=b""))) == [True]


@pytest.mark.parametrize(
    ("answer", "outcome", "name"),
    [
        (Skipped(seq=4, reason=SkipReason.SUPERSEDED, superseded_by=5), "skipped", "reason"),
        (Failed(seq=4, code=Code.BAD_IMAGE, expected="e", got="g", repair="r"), "failed", "code"),
    ],
)
def test_the_page_reads_the_servers_other_answers(
    run: Run, answer: ServerAnswer, outcome: str, name: str
) -> None:
    script = 'import { readAnswer } from "./wire.js"; const out = readAnswer(file("a"));'
    got = run(script, a=write_answer(answer))
    assert (got["seq"], got["outcome"]) == (4, outcome)
    assert got["detail"][name] in {"SKIP_REASON_SUPERSEDED", "bad_image"}


def test_anything_else_is_a_problem_with_a_repair(run: Run) -> None:
    """Every cut of a good answer's header and some garbage; no other exception comes out."""
    good = write_answer(depth(7))
    header_end = 4 + struct.unpack_from("<I", good)[0]
    cuts = [good[:cut] for cut in range(0, header_end, 7)]
    wrong = [*cuts, good[:-20], b"\xff" * 40, struct.pack("<I", 4) + b"null"]
    script = """
        import { Problem } from "./problem.js";
        import { readAnswer } from "./wire.js";
        const whole = file("all");
        const out = JSON.parse(new TextDecoder().decode(file("sizes"))).map(([at, length]) => {
          try { readAnswer(whole.slice(at, at + length)); return "read"; } catch (error) {
            return error instanceof Problem && error.repair ? error.code : String(error);
          }
        });
    """
    starts = np.cumsum([0, *map(len, wrong)])[:-1].tolist()
    sizes = json.dumps(list(zip(starts, map(len, wrong), strict=True))).encode()
    assert set(run(script, all=b"".join(wrong), sizes=sizes)) == {"bad_answer"}


def test_ages_and_rate_are_of_the_last_two_seconds(run: Run) -> None:
    got = run("""
        import { Meter } from "./meter.js";
        const meter = new Meter();
        const none = meter.now(0);
        meter.paint(0, 9000);
        for (let i = 1; i <= 20; i += 1) meter.paint(3000 + i * 50, i);
        meter.count("answered"); meter.count("answered"); meter.count("skipped, superseded");
        const now = meter.now(4000), later = meter.now(9000);
        const out = { none, now, later, counts: [...meter.counts] };
    """)
    assert got["none"] == got["later"] == {"p50Ms": None, "p95Ms": None, "fps": 0}  # None: NaN
    assert got["now"] == {"p50Ms": 10, "p95Ms": 19, "fps": 20}
    assert got["counts"] == [["answered", 2], ["skipped, superseded", 1]]


SESSION = """
    import { Session } from "./session.js";
    const sockets = [], waits = [], said = [];
    class Socket {
      constructor() { this.sent = []; sockets.push(this); }
      send(message) { this.sent.push(message); }
      close() { this.left = true; }
    }
    const session = new Session({
      connect: () => new Socket(),
      opening: { model: "ramp" },
      later: (callback, ms) => { waits.push({ callback, ms }); return () => said.push("no wait"); },
      on: {
        state: (state, { why }) => said.push(why ? `${state}: ${why}` : state),
        answer: (answer, kept) => said.push(`${answer.outcome} of ${kept}`),
        lost: (kept) => said.push(`lost ${kept}`),
        problem: ({ code, repair }) => said.push(`problem ${code}, ${repair}`),
      },
    });
    const last = () => sockets.at(-1);
    const opened = () => {
      last().onopen({}); last().onmessage({ data: '{"opened": {"model": "ramp"}}' });
    };
    const closes = (code, reason = "") => last().onclose({ code, reason });
    const jpeg = Uint8Array.of(1);
    session.start();
"""


def play(run: Run, script: str, **files: bytes) -> Any:  # whatever JSON holds
    return run(SESSION + script, **files)


def test_a_session_opens_sends_two_and_matches_answers(run: Run) -> None:
    script = """
        const early = session.room;
        opened();
        session.send(jpeg, 12.3456, "one"); session.send(jpeg, 0, "two");
        const full = session.room;
        last().onmessage({ data: file("a") });
        const out = { said, early, full, room: session.room, open: last().sent[0] };
    """
    got = play(run, script, a=write_answer(depth(1)))
    assert got["said"] == ["connecting", "open", "depth of one"]
    assert (got["early"], got["full"], got["room"]) == (False, False, True)
    assert json.loads(got["open"]) == {"open": {"model": "ramp"}}


def test_a_lost_session_comes_back_ever_more_slowly_and_goes_on_numbering(run: Run) -> None:
    script = """
        opened();
        session.send(jpeg, 0, "one");
        for (let i = 0; i < 7; i += 1) { closes(1006); waits.at(-1).callback(); }
        opened();
        session.send(jpeg, 0, "two");
        last().onmessage({ data: file("a") });
        closes(1006);
        const out = { said: said.slice(2, 6), ms: waits.map(({ ms }) => ms) };
    """
    got = play(run, script, a=write_answer(depth(2)))
    lost = "waiting: the connection was lost"
    assert got["said"] == ["lost one", lost, "connecting", lost]
    # After 30 s it works, so the next loss starts at 1 s again.
    assert got["ms"] == [1000, 2000, 4000, 8000, 16000, 30000, 30000, 1000]


def test_the_servers_reason_is_told(run: Run) -> None:
    stopping = json.dumps({"closing": {"code": "shutting_down", "reason": "it is stopped"}})
    script = f"""
        opened();
        last().onmessage({{ data: {stopping!r} }});
        closes(1000);
        const out = said;
    """
    assert play(run, script)[-1] == "waiting: it is stopped"


def test_what_a_repeat_cannot_help_is_a_problem_and_no_repeat(run: Run) -> None:
    refused = FathomError(Code.UNKNOWN_MODEL, expected="e", got="g", repair="name another")
    script = """
        last().onopen({});
        last().onmessage({ data: new TextDecoder().decode(file("a")) });
        closes(1008, "unknown_model");
        const out = { said, waits: waits.length };
    """
    got = play(run, script, a=write_failed(refused).encode())
    assert got["said"] == ["connecting", "closed", "problem unknown_model, name another"]
    assert got["waits"] == 0


def test_a_stop_is_the_end_whatever_still_comes(run: Run) -> None:
    script = """
        opened();
        session.send(jpeg, 0, "one");
        session.stop();
        opened(); closes(1006);
        session.start(); closes(1006); session.stop();
        const out = { said, left: sockets[0].left, waits: waits.length };
    """
    got = play(run, script)
    assert got["said"][:4] == ["connecting", "open", "lost one", "closed"]
    assert got["said"][4:] == [
        "connecting",
        "waiting: the connection was lost",
        "no wait",
        "closed",
    ]
    assert got["left"] and got["waits"] == 1
