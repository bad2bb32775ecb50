"""The server's life: settings, engines, warm-up, doors, ready, serving, and a clean end.

settings -> models open, hashes checked, warm -> lanes start -> doors open -> ready
SIGHUP: new versions of the models are taken up
SIGTERM or Ctrl-C: not ready -> what waits is skipped, what runs is finished -> doors close -> 0

A worker, one of several such servers, has a link to who started it: it says there that it is ready,
and stops when that process is gone.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable

import uvloop

from fathom import __version__
from fathom.allocator import keep_freed_memory
from fathom.errors import Code, FathomError
from fathom.values import DepthEncoding, Description, ImageEncoding
from server.doors.grpc import GrpcDoor
from server.doors.http import build_app
from server.doors.listen import HttpDoor
from server.doors.protocol import Connections
from server.keeper import Keeper, Reloaded
from server.link import Link, Word
from server.models import Models, open_models
from server.process import bound_opencv, log_ready
from server.security.entry import Entry
from server.security.setup import open_entry, open_identity
from server.security.tls import Identity
from server.service import Service
from server.settings import Settings
from server.telemetry import Telemetry
from server.tracing import Spans

_log = logging.getLogger("fathom.server")

_LAG_PERIOD_S = 0.25
# Of the 5 s a stop may take: most for answers that are on their way out.
_GRACE_S = 3


def serve(settings: Settings, telemetry: Telemetry, link: Link | None = None) -> None:
    """Run until a signal; raises FathomError if the server cannot start.

    link  a worker's, who shares its ports
    """
    started_s = time.monotonic()
    keep_freed_memory()
    bound_opencv()
    entry, identity = open_entry(settings, telemetry.refused), open_identity(settings)
    models = open_models(settings, telemetry)
    for model in models:
        spec = model.engine.spec
        _log.info(
            "model.open name=%s version=%d engine=%s precision=%s lanes=%d device=%r",
            *(model.card.name, model.card.version, spec.name, spec.precision, spec.lanes),
            spec.device,
        )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        server = Server(settings, models, telemetry, entry=entry, identity=identity, link=link)
        runner.run(server.run(started_s))


class Server:
    """The doors over the models, in one event loop."""

    def __init__(
        self,
        settings: Settings,
        models: Models,
        telemetry: Telemetry,
        *,
        entry: Entry,
        identity: Callable[[], Identity] | None,
        link: Link | None = None,
    ) -> None:
        self._settings = settings
        self._models = models
        self._telemetry = telemetry
        self._entry = entry
        self._identity = identity
        self._link = link
        self._serving = False
        self._stop = asyncio.Event()

    @property
    def ready(self) -> bool:
        return self._serving and self._models.healthy

    async def run(self, started_s: float) -> None:
        """Open the doors, serve until told to stop, close them."""
        settings = self._settings
        keeper = Keeper(self._models, settings, self._telemetry)
        service = Service(
            models=self._models,
            offers=describe(settings, self._models),
            telemetry=self._telemetry,
            ready=lambda: self.ready,
            predict_timeout_s=settings.predict_timeout_s,
            slow_reader_s=settings.slow_reader_s,
            entry=self._entry,
            spans=open_spans(settings.otlp_endpoint),
            reload=self._reload(keeper) if settings.reload_by == "http" else None,
        )
        grpc_door, http_door = self._build_doors(service)
        self._catch_signals(keeper)
        for model in self._models:
            model.lanes.start()
        await grpc_door.start()
        try:
            await http_door.start()
        except FathomError:
            await grpc_door.stop(0)
            raise
        keeper.start()
        watcher = asyncio.create_task(self._watch(service, grpc_door))
        self._serving = True
        await grpc_door.set_ready(self.ready)
        if self._link is None:
            after_s = time.monotonic() - started_s
            log_ready(settings, http_port=http_door.port, grpc_port=grpc_door.port, after_s=after_s)
        else:
            self._link.say(Word.READY)
        await self._stop.wait()
        await asyncio.to_thread(keeper.stop)
        await self._shut_down(service, grpc_door, http_door)
        if service.spans is not None:
            await asyncio.to_thread(service.spans.close)
        watcher.cancel()

    def _build_doors(self, service: Service) -> tuple[GrpcDoor, HttpDoor]:
        settings = self._settings
        grpc_door = GrpcDoor(
            service,
            address=f"{settings.host}:{settings.grpc_port}",
            identity=self._identity,
            shared=self._link is not None,
        )
        connections = Connections(
            per_client=settings.max_connections_per_client,
            slow_sender_s=settings.slow_sender_s,
            slow_reader_s=settings.slow_reader_s,
        )
        http_door = HttpDoor(
            build_app(service),
            host=settings.host,
            port=settings.http_port,
            connections=connections,
            identity=self._identity,
            shared=self._link is not None,
        )
        return grpc_door, http_door

    async def _shut_down(self, service: Service, grpc_door: GrpcDoor, http_door: HttpDoor) -> None:
        _log.info("server.stopping streams=%d", len(service.streams))
        self._serving = False
        await grpc_door.set_ready(ready=False)
        for model in self._models:
            model.dispatch.stop()
        service.end_streams(_stopping())
        await asyncio.gather(grpc_door.stop(_GRACE_S), http_door.stop(_GRACE_S))
        for model in self._models:
            if await asyncio.to_thread(model.lanes.join, 1.0):
                model.engine.close()
            else:  # whatever closes an engine that hangs would hang as well
                _log.error("lanes.stuck model=%s", model.card.name)
        _log.info("server.stopped")

    def _catch_signals(self, keeper: Keeper) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, loop.run_in_executor, None, keeper.reload)
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, self._stop.set)
        if self._link is not None:
            loop.add_reader(self._link, self._orphaned, self._link)

    def _orphaned(self, link: Link) -> None:
        asyncio.get_running_loop().remove_reader(link)  # or it would be called without end
        _log.error("supervisor.gone")
        self._stop.set()

    def _reload(self, keeper: Keeper) -> Callable[[], list[Reloaded]]:
        link = self._link
        if link is None:
            return keeper.reload

        def everywhere() -> list[Reloaded]:
            reloaded = keeper.reload()
            link.say(Word.RELOAD)
            return reloaded

        return everywhere

    async def _watch(self, service: Service, grpc_door: GrpcDoor) -> None:
        """Measure the loop's lag, and keep health and what other workers show of this one true."""
        said: bool | None = None
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(_LAG_PERIOD_S)
            self._telemetry.loop_lag(max(0.0, time.monotonic() - before_s - _LAG_PERIOD_S))
            service.tell_load()
            if self.ready is not said:
                said = self.ready
                await grpc_door.set_ready(said)


def describe(settings: Settings, models: Models) -> Description:
    """What `Describe` answers."""
    spec = next(iter(models)).engine.spec
    return Description(
        server_version=__version__,
        models=tuple(model.info for model in models),
        depth_encodings=tuple(DepthEncoding),
        image_encodings=tuple(ImageEncoding),
        limits=settings.limits,
        engine=spec.name,
        device=spec.device,
        precision=spec.precision,
    )


def open_spans(endpoint: str) -> Spans | None:
    """Spans to an OpenTelemetry collector; None for an empty address; raises BAD_SETTING."""
    if not endpoint:
        return None
    try:
        from server.spans import OtlpSpans
    except ImportError as error:
        raise FathomError(
            Code.BAD_SETTING,
            expected="the extra otel, for --otlp-endpoint",
            got=str(error),
            repair="install it: pip install --constraint constraints.txt '.[otel]'",
        ) from error
    return OtlpSpans.to(endpoint)


def _stopping() -> FathomError:
    return FathomError(
        Code.SHUTTING_DOWN,
        expected="a server that stays",
        got="one that is being stopped",
        repair="open the stream again; another instance answers soon",
    )
