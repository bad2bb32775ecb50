"""What the server counts and times, as Prometheus metrics in a registry of its own.

No label takes a value that a client chooses: models come from the repository, outcomes and reasons
from the error table and the skip reasons. What Prometheus' clients of every language say of their
process (`process_resident_memory_bytes` and its like) is there as well, read when it is asked for.
Where several workers serve, each counts here and shows the counts of all.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.registry import Collector

from fathom import __version__, metrics
from fathom.values import EncodedDepth, Failed, ServerAnswer, Skipped
from server.engines.engine import EngineSpec
from server.security.gate import Refusal

# prometheus-client appends "_total" to counters itself.
_TOTAL = "_total"


class Telemetry:
    """Every metric of one server process.

    shown  what its page shows instead of these, for a process that is one of several
    """

    def __init__(self, shown: Collector | None = None) -> None:
        self.registry = CollectorRegistry()
        self._shown = shown or self.registry
        ProcessCollector(registry=self.registry)
        buckets = metrics.SECONDS_BUCKETS
        self._age = self._histogram(metrics.FRAME_AGE, "capture to answer handed over", buckets)
        stages = Histogram(
            metrics.STAGE,
            "time of one frame in one stage",
            ["stage"],
            buckets=buckets,
            registry=self.registry,
        )
        self._stages = {f"{stage}_s": stages.labels(stage) for stage in metrics.STAGES}
        self._received = Counter(
            metrics.FRAMES_RECEIVED.removesuffix(_TOTAL),
            "frames received",
            ["model"],
            registry=self.registry,
        )
        self._frames = Counter(
            metrics.FRAMES.removesuffix(_TOTAL),
            "frames by outcome; the sum is the frames received",
            ["model", "outcome", "reason"],
            registry=self.registry,
        )
        self._batch = self._histogram(metrics.BATCH_SIZE, "frames in a batch", (1, 2, 4, 8, 16, 32))
        self._streams = self._gauge(metrics.STREAMS, "open streams, pictures in flight included")
        self._waiting = self._gauge(metrics.WAITING_FRAMES, "frames that wait for a lane")
        self._lanes_busy = self._gauge(metrics.LANES_BUSY, "lanes that compute")
        self._faults = Counter(
            metrics.ENGINE_FAULTS.removesuffix(_TOTAL),
            "batches an engine failed",
            registry=self.registry,
        )
        self._refusals = Counter(
            metrics.AUTH_REFUSALS.removesuffix(_TOTAL),
            "requests and calls that were not let in",
            ["reason"],
            registry=self.registry,
        )
        self._lag = self._histogram(metrics.LOOP_LAG, "delay of the event loop", buckets)
        self._build = Gauge(
            metrics.BUILD_INFO,
            "always 1; the labels say what runs",
            ["version", "engine", "device", "precision"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )

    def started(self, spec: EngineSpec) -> None:
        self._build.labels(__version__, spec.name, spec.device, spec.precision).set(1)

    def received(self, model: str) -> None:
        """A frame came in."""
        self._received.labels(model).inc()

    def settled(self, model: str, answer: ServerAnswer) -> None:
        """A frame's one answer was decided, whether or not anyone is left to take it."""
        match answer:
            case EncodedDepth():
                self._frames.labels(model, "answered", "").inc()
                for field, stage in self._stages.items():
                    stage.observe(getattr(answer.stages, field))
            case Skipped():
                self._frames.labels(model, "skipped", answer.reason.value).inc()
            case Failed():
                self._frames.labels(model, "failed", answer.code.value).inc()

    def handed_over(self, age_s: float) -> None:
        """Depth was handed to the transport at this age."""
        self._age.observe(age_s)

    def batch(self, frames: int) -> None:
        self._batch.observe(frames)

    def fault(self) -> None:
        self._faults.inc()

    def refused(self, reason: Refusal) -> None:
        """Somebody was not let in."""
        self._refusals.labels(reason.value).inc()

    def loop_lag(self, lag_s: float) -> None:
        self._lag.observe(lag_s)

    def lane_busy(self, change: int) -> None:
        self._lanes_busy.inc(change)

    def load(self, *, streams: int, waiting: int) -> None:
        """How much is open and waiting now, over all models."""
        self._streams.set(streams)
        self._waiting.set(waiting)

    def page(self) -> bytes:
        """The text of `/metrics`."""
        return generate_latest(self._shown)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry, multiprocess_mode="livesum")
