"""The HTTP door: pictures in, depth in five forms out; health, metrics, documentation, the page.

Sockets at `WS /stream` are the WebSocket door's; both listen on one port.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import WebSocketRoute

from fathom import __version__
from fathom.errors import Code, FathomError
from fathom.geometry import Camera, FieldOfView, FocalLength
from fathom.values import (
    ColourMap,
    Colours,
    EncodedDepth,
    Frame,
    Image,
    LabelEncoding,
    OpenStream,
    Options,
    Output,
)
from server.doors.body import FIELD, read_image
from server.doors.formats import FORMS, Format
from server.doors.guard import Guard
from server.doors.problem import ProblemResponse, error_for_status
from server.doors.traced import TracedApp
from server.doors.v2 import V2
from server.doors.v2_http import v2_router
from server.doors.websocket import DESCRIPTION, WebSocketDoor, message_bytes
from server.security.address import client_of
from server.service import Service, client_left

T = TypeVar("T")

_log = logging.getLogger("fathom.server.http")

_PAGE = Path(__file__).parent.parent / "page"
_PAGE_HEADERS = {
    "Cache-Control": "no-cache",  # or an upgrade would mix old modules with new ones
}
_OWN_HEADERS = [
    *("Fathom-Model", "Fathom-Model-Version", "Fathom-Focal-Px", "Fathom-Focal-Source"),
    *("Server-Timing", "Retry-After"),
]
_COLOURS = Colours()


class PredictQuery(BaseModel):
    """What may stand behind `/predict?`."""

    model_config = ConfigDict(extra="forbid")

    format: Format = Field(Format.PNG16, description="form of the answer")
    model: str = Field("", description="a model's name; empty for the default")
    size: Output = Field(Output.SOURCE, description="the photo's size, or the network's")
    colormap: ColourMap = Field(ColourMap.TURBO, description="colours of format=jpg")
    min: float = Field(_COLOURS.near_m, description="nearest distance to tell by colour, metres")
    max: float = Field(_COLOURS.far_m, description="farthest distance to tell by colour, metres")
    fx: float | None = Field(None, description="focal length in pixels of the photo, upright")
    hfov: float | None = Field(None, description="horizontal field of view, degrees")
    labels: LabelEncoding | None = Field(None, description="classes too, with format=json")


def build_app(service: Service) -> FastAPI:
    """All routes over the given service."""
    app = FastAPIOffline(
        title="Fathom",
        version=__version__,
        summary="A real-time depth server: camera frames in, metric depth out.",
        description=DESCRIPTION,
    )
    app.state.message_bytes = message_bytes(service)
    _add_errors(app)

    @app.post(
        "/predict",
        summary="Depth of one photo",
        responses={200: {"content": {form.media_type: {} for form in FORMS.values()}}},
        response_class=Response,
        openapi_extra=_BODY_SCHEMA,
    )
    async def predict_photo(request: Request, query: Annotated[PredictQuery, Query()]) -> Response:
        options = _options(query)
        service.models.get(query.model)  # before a byte of the picture is read
        image = await read_image(request, service.limits.image_bytes)
        answer = await _while_connected(
            request,
            service.predict(
                Frame(seq=0, image=image),
                OpenStream(model=query.model, options=options),
                client=client_of(request.client.host if request.client else ""),
            ),
        )
        return await _respond(answer, image, query.format)

    @app.get("/models", summary="What this server offers")
    async def list_models() -> JSONResponse:
        return JSONResponse(
            {
                "models": [
                    asdict(model.info) | {"figures": [asdict(f) for f in model.card.figures]}
                    for model in service.models
                ],
                "engine": service.description.engine,
                "device": service.description.device,
                "precision": service.description.precision,
            }
        )

    @app.post("/models/reload", summary="Take up new versions from the model repository")
    async def reload_models() -> JSONResponse:
        if service.reload is None:
            raise FathomError(
                Code.NOT_AVAILABLE,
                expected="a server that lets versions be taken up over HTTP",
                got="one that does not",
                repair="send it SIGHUP, or start it with --reload-by http",
            )
        reloaded = await asyncio.to_thread(service.reload)
        return JSONResponse({"models": [asdict(model) for model in reloaded]})

    @app.get("/healthz", summary="The process lives", response_class=PlainTextResponse)
    async def healthz() -> str:
        return "ok\n"

    @app.get("/readyz", summary="It can answer", response_class=PlainTextResponse)
    async def readyz() -> str:
        if not service.ready():
            raise FathomError(
                Code.NOT_READY,
                expected="a server that is ready",
                got="one that starts, stops or has a failing engine",
                repair="try again in a moment",
            )
        return "ready\n"

    @app.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        service.tell_load()
        page = await asyncio.to_thread(service.telemetry.page)
        return Response(page, media_type="text/plain; version=0.0.4")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(_PAGE / "index.html", headers=_PAGE_HEADERS)

    app.include_router(v2_router(V2(service)))
    app.router.routes.append(WebSocketRoute("/stream", WebSocketDoor(service).serve))
    app.mount("/page", _PageFiles(directory=_PAGE))
    _add_entry(app, service)
    return app


def _add_entry(app: FastAPI, service: Service) -> None:
    """What stands before every route, these and those that others mount."""
    entry = service.entry
    if service.spans:
        app.add_middleware(TracedApp)
    app.add_middleware(Guard, gate=entry.gate, origins=entry.origins)
    if entry.origins:  # outside the guard: a browser asks for leave without credentials
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(entry.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=_OWN_HEADERS,
        )


class _PageFiles(StaticFiles):
    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers.update(_PAGE_HEADERS)
        return response


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What comes of the work; raises CONNECTION_LOST, and ends it, when the client leaves."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise client_left()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _options(query: PredictQuery) -> Options:
    camera: Camera | None = None
    if query.fx is not None and query.hfov is not None:
        raise FathomError(
            Code.BAD_OPTION,
            expected="fx or hfov",
            got="both",
            repair="leave one out: each says what the lens is",
        )
    if query.labels is not None and query.format is not Format.JSON:
        raise FathomError(
            Code.BAD_OPTION,
            expected="labels with format=json",
            got=f"format={query.format}",
            repair="add format=json, or leave labels out",
        )
    if query.fx is not None:
        camera = FocalLength(query.fx)
    elif query.hfov is not None:
        camera = FieldOfView(query.hfov)
    return Options(
        depth_encoding=FORMS[query.format].encoding,
        output=query.size,
        labels=query.labels,
        camera=camera,
        colours=Colours(query.colormap, query.min, query.max),
    )


async def _respond(answer: EncodedDepth, image: Image, format_: Format) -> Response:
    form = FORMS[format_]
    data = await asyncio.to_thread(form.write, answer, image)
    stages = asdict(answer.stages).items()
    headers = {
        "Fathom-Model": answer.model,
        "Fathom-Model-Version": str(answer.version),
        "Fathom-Focal-Px": f"{answer.camera.fx:.3f}",
        "Fathom-Focal-Source": "given" if answer.focal_given else "assumed",
        "Server-Timing": ", ".join(f"{k.removesuffix('_s')};dur={v * 1e3:.2f}" for k, v in stages),
    }
    return Response(data, media_type=form.media_type, headers=headers)


def _add_errors(app: FastAPI) -> None:
    """Every way out that is not an answer, as problem details from the one table."""

    @app.exception_handler(FathomError)
    async def known(_: Request, error: FathomError) -> Response:
        return ProblemResponse(error)

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        return ProblemResponse(
            error_for_status(error.status_code, request.url.path, request.method)
        )

    @app.exception_handler(RequestValidationError)
    async def validation(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = str(first["loc"][-1])
        return ProblemResponse(
            FathomError(
                Code.BAD_OPTION,
                expected=f"{name}: {first['msg']}",
                got=repr(first.get("input"))[:200],
                repair=f"see /docs for what {name} takes",
            )
        )

    @app.middleware("http")
    async def unexpected(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        try:
            return await call_next(request)
        except Exception:  # noqa: BLE001
            # The one catch-all of this door: a bug answers 500, without its insides.
            _log.exception("http.handler failed path=%s", request.url.path)
            return ProblemResponse(FathomError.internal())


_BODY_SCHEMA = {
    "requestBody": {
        "required": True,
        "description": f"The photo: JPEG, PNG or WebP, as the form field `{FIELD}` or as the body.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "string", "format": "binary"}},
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
