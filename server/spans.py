"""A span for each frame, by OpenTelemetry: from capture to the answer's leaving, with its stages.

Needs the extra `otel`. What a collector does not take in time is dropped, as the SDK bounds it.
"""

import time
from collections.abc import Callable
from typing import Self

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fathom import __version__
from fathom.metrics import STAGES
from fathom.session.core import outcome
from fathom.values import EncodedDepth, Failed, ServerAnswer
from server.tracing import PARENT

_NAME = "fathom.frame"
_PARENTS = TraceContextTextMapPropagator()


class OtlpSpans:
    """Makes the spans and gives them to a processor.

    clock_ns  since 1970, by which collectors lay processes side by side
    """

    def __init__(
        self, processor: SpanProcessor, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        resource = Resource.create({SERVICE_NAME: "fathom", SERVICE_VERSION: __version__})
        # A parent that is not recorded is no reason to record its frames: the SDK's own sampler.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("fathom.server", __version__)
        self._clock_ns = clock_ns

    @classmethod
    def to(cls, endpoint: str) -> Self:
        """To a collector's gRPC address; `OTEL_EXPORTER_OTLP_*` say more, such as headers."""
        return cls(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))

    def of_stream(self, model: str, stream: str) -> Callable[[ServerAnswer], None]:
        parent = _PARENTS.extract(PARENT.get())

        def tell(answer: ServerAnswer) -> None:
            end_ns = self._clock_ns()
            span = self._tracer.start_span(
                _NAME,
                parent,
                SpanKind.SERVER,
                {"fathom.model": model, "fathom.stream": stream, "fathom.seq": answer.seq},
                start_time=end_ns - round(answer.age_s * 1e9),
            )
            span.set_attribute("fathom.outcome", outcome(answer))
            match answer:
                case EncodedDepth():
                    span.set_attribute("fathom.batch_size", answer.batch_size)
                    for stage in STAGES:
                        seconds = getattr(answer.stages, f"{stage}_s")
                        span.set_attribute(f"fathom.stage.{stage}_s", seconds)
                case Failed():
                    span.set_status(Status(StatusCode.ERROR, str(answer.code)))
                case _:  # a skip is as it should be
                    pass
            span.end(end_ns)

        return tell

    def close(self) -> None:
        self._provider.shutdown()
