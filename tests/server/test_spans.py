"""A span for every frame, in the trace that its request says: nothing where none is wanted."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from fathom.errors import Code, FathomError
from fathom.values import Failed, ServerAnswer, Skipped, SkipReason, StageTimes
from server.lifecycle import open_spans
from server.spans import OtlpSpans
from server.tracing import PARENT
from tests.server.conftest import depth

NOW_NS = 10**18
TRACE, PARENT_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ANSWERED = replace(
    depth(7),
    age_s=0.025,
    batch_size=3,
    stages=StageTimes(wait_s=0.001, decode_s=0.002, infer_s=0.016, finish_s=0.003, encode_s=0.004),
)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def told(exporter: InMemorySpanExporter) -> Callable[..., ReadableSpan]:
    """The span that comes of an answer to a request with this `traceparent`."""
    spans = OtlpSpans(SimpleSpanProcessor(exporter), clock_ns=lambda: NOW_NS)

    def tell(answer: ServerAnswer, **headers: str) -> ReadableSpan:
        before = PARENT.set(headers)
        spans.of_stream("ramp", "yard")(answer)
        PARENT.reset(before)
        [span] = exporter.get_finished_spans()
        exporter.clear()
        return span

    return tell


def test_a_span_lasts_from_capture_to_hand_over_and_has_the_stages(
    told: Callable[..., ReadableSpan],
) -> None:
    span = told(ANSWERED)
    assert span.name == "fathom.frame"
    assert (span.start_time, span.end_time) == (NOW_NS - 25_000_000, NOW_NS)
    assert dict(span.attributes or {}) == {
        "fathom.model": "ramp",
        "fathom.stream": "yard",
        "fathom.seq": 7,
        "fathom.outcome": "answered",
        "fathom.batch_size": 3,
        "fathom.stage.wait_s": 0.001,
        "fathom.stage.decode_s": 0.002,
        "fathom.stage.infer_s": 0.016,
        "fathom.stage.finish_s": 0.003,
        "fathom.stage.encode_s": 0.004,
    }
    assert span.resource.attributes["service.name"] == "fathom"


def test_skips_and_failures_are_spans_and_only_a_failure_is_an_error(
    told: Callable[..., ReadableSpan],
) -> None:
    skipped = told(Skipped(seq=1, reason=SkipReason.SUPERSEDED, superseded_by=2))
    assert (skipped.attributes or {})["fathom.outcome"] == "skipped_superseded"
    assert skipped.status.status_code is StatusCode.UNSET
    failed = told(Failed(seq=2, code=Code.BAD_IMAGE, expected="a", got="b", repair="c"))
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == Code.BAD_IMAGE


def test_a_frame_is_part_of_the_trace_that_its_request_names(
    told: Callable[..., ReadableSpan],
) -> None:
    span = told(ANSWERED, traceparent=f"00-{TRACE}-{PARENT_SPAN}-01")
    assert span.context is not None and span.parent is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT_SPAN


@pytest.mark.parametrize("header", ["", "nonsense", f"00-{'0' * 32}-{PARENT_SPAN}-01", "00-" * 99])
def test_a_header_that_names_no_trace_begins_one(
    told: Callable[..., ReadableSpan], header: str
) -> None:
    assert told(ANSWERED, traceparent=header).parent is None


def test_a_trace_that_is_not_recorded_gets_no_spans(exporter: InMemorySpanExporter) -> None:
    before = PARENT.set({"traceparent": f"00-{TRACE}-{PARENT_SPAN}-00"})
    OtlpSpans(SimpleSpanProcessor(exporter)).of_stream("ramp", "")(ANSWERED)
    PARENT.reset(before)
    assert exporter.get_finished_spans() == ()


def test_no_address_is_no_spans_and_nothing_is_imported() -> None:
    assert open_spans("") is None
    program = (
        "import sys; from server.lifecycle import open_spans; open_spans('');"
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0


def test_a_collector_gets_the_spans_at_the_latest_when_they_are_closed() -> None:
    received: list[bytes] = []

    def export(request: bytes, _: grpc.ServicerContext) -> bytes:
        received.append(request)
        return b""

    methods = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    collector = grpc.server(ThreadPoolExecutor(1))
    collector.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    port = collector.add_insecure_port("127.0.0.1:0")
    collector.start()
    spans = open_spans(f"http://127.0.0.1:{port}")
    assert spans is not None
    spans.of_stream("ramp", "yard")(ANSWERED)
    spans.close()
    assert b"fathom.frame" in b"".join(received) and b"yard" in b"".join(received)
    collector.stop(None)


def test_without_the_extra_an_address_is_a_bad_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "server.spans", None)  # as if it could not be imported
    with pytest.raises(FathomError, match="otel") as caught:
        open_spans("http://localhost:4317")
    assert caught.value.code is Code.BAD_SETTING


def test_what_a_task_says_is_not_what_another_says() -> None:
    """Requests are tasks, and come at once."""

    async def ask(name: str, seen: dict[str, Any]) -> None:
        PARENT.set({"traceparent": name})
        await asyncio.sleep(0)
        seen[name] = PARENT.get()["traceparent"]

    async def main() -> dict[str, Any]:
        seen: dict[str, Any] = {}
        await asyncio.gather(*(ask(name, seen) for name in "abc"))
        return seen

    assert asyncio.run(main()) == {"a": "a", "b": "b", "c": "c"}
