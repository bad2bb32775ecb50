"""Spoiled requests over HTTP: pictures, forms, tensors, routes, and the bytes of HTTP itself."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias
from urllib.parse import quote_from_bytes

import numpy as np
from numpy.random import Generator

from benchmarks.fuzz.target import PATIENCE_S, Fault, Target, Visitor
from benchmarks.mutations import DEEP, Tree, mutated, small_pictures, with_odd_value

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW")
_ROUTES = (
    *("/predict", "/models", "/metrics", "/", "/page/main.js", "/docs", "/openapi.json", "/stream"),
    *("/healthz", "/readyz", "/models/reload", "/v2", "/v2/health/live", "/v2/models/stats"),
)
_QUERIES = {
    "format": ("png16", "npy", "jpg", "json", "ply", "tiff", ""),
    "size": ("source", "network", "huge"),
    "colormap": ("turbo", "grey", "1"),
    "min": ("0.1", "-1", "nan", "1e400", "0"),
    "max": ("5", "0", "inf", "-inf"),
    "fx": ("300", "0", "-1", "nan", "1e308", "1e-308"),
    "hfov": ("60", "0", "180", "359", "x"),
    "labels": ("png8", "raw8"),
    "model": ("null", "none", "../../etc/passwd"),
    "unknown": ("1",),
}
_FORM = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n%s\r\n--b--\r\n'
_FORM_TYPE = "multipart/form-data; boundary=b"
# A body that is shorter than its header says is waited for; whoever sent it leaves.
_LEAVE_S = 1.0
# 501 is a wish that this server does not have, 503 and 504 an engine's or a deadline's.
_FAULTS = {"500", "502"}

# A whole request's method, target, further headers and body.
_Parts: TypeAlias = tuple[str, str, Sequence[str], bytes]


@asynccontextmanager
async def http_door(target: Target) -> AsyncIterator[Visitor]:
    """Visits `/predict` and every other route of our own."""
    pictures = small_pictures()

    def ask(rng: Generator) -> _Parts:
        picture = pictures[int(rng.integers(len(pictures)))]
        if rng.integers(4):
            picture = mutated(picture, rng)
        match rng.integers(4):
            case 0:
                return _some_route(_ROUTES, rng, picture)
            case 1:
                body = mutated(_FORM % picture, rng)
                return "POST", "/predict", (f"Content-Type: {_FORM_TYPE}",), body
            case _:
                return "POST", f"/predict?{_query(rng)}", (), picture

    yield _HttpVisitor(target.http, ask)


@asynccontextmanager
async def v2_http_door(target: Target) -> AsyncIterator[Visitor]:
    """Visits the Open Inference Protocol."""
    frames = "frames"
    shape = (1, *target.input_size, 3)
    pixels = bytes(int(np.prod(shape)))
    head: Tree = {
        "id": "a",
        "parameters": {"timeout": 10**6, "binary_data_output": True},
        "inputs": [
            {
                "name": frames,
                "datatype": "UINT8",
                "shape": list(shape),
                "parameters": {"binary_data_size": len(pixels)},
            }
        ],
        "outputs": [{"name": "depth_m", "parameters": {"binary_data": True}}],
    }
    small: Tree = {
        "inputs": [{"name": frames, "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 3]}]
    }
    model = f"/v2/models/{target.model}"
    words = ("versions/1", "ready", "config", "stats", "infer")
    routes = ["/v2", "/v2/repository/index", model, *(f"{model}/{word}" for word in words)]

    def ask(rng: Generator) -> _Parts:
        if not rng.integers(4):
            return _some_route(routes, rng, json.dumps(small).encode())
        tree = with_odd_value(head if rng.integers(2) else small, rng)
        said = json.dumps(tree).encode()
        if not rng.integers(4):
            said = mutated(said, rng) if rng.integers(4) else DEEP
        headers = [f"Inference-Header-Content-Length: {len(said)}"] if rng.integers(4) else []
        binary = pixels if rng.integers(4) else mutated(pixels[:99], rng)
        return "POST", f"{model}/infer", headers, said + binary

    yield _HttpVisitor(target.http, ask)


class _HttpVisitor:
    """Each visit is a connection: whatever state a bad request leaves is over with it."""

    def __init__(self, address: str, ask: Callable[[Generator], _Parts]) -> None:
        self._address = address
        self._ask = ask

    async def visit(self, rng: Generator, counts: Counter[str]) -> None:
        method, target, headers, body = self._ask(rng)
        lines = (f"{method} {target} HTTP/1.1", f"Host: {self._address}", "Connection: close")
        length = f"Content-Length: {len(body)}"
        head = "\r\n".join([*lines, *headers, length, "", ""]).encode()
        whole = bool(rng.integers(8))
        sent = (head if whole else mutated(head, rng)) + body
        status = await converse(self._address, sent, PATIENCE_S if whole else _LEAVE_S)
        if status == "hung" and not whole:
            status = "left"
        counts[status] += 1
        if status in _FAULTS or (whole and status == "hung"):
            raise Fault(status, sent)


async def converse(address: str, sent: bytes, patience_s: float) -> str:
    """The status of the answer; "closed" for none, "hung" for none in time, "" for no HTTP."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(patience_s):
            writer.write(sent)
            await writer.drain()
            line = await reader.readline()
            while await reader.read(2**16):
                pass
    except TimeoutError:
        return "hung"
    except (OSError, ValueError):  # reset, or a line that does not end
        return "closed"
    finally:
        writer.transport.abort()
    words = line.decode("latin-1").split()
    if not words:
        return "closed"
    return words[1] if len(words) > 1 and words[0].startswith("HTTP/") else ""


def _query(rng: Generator) -> str:
    """Some options, most of them with the first of their values, which is a good one."""
    names = rng.choice(list(_QUERIES), int(rng.integers(0, 4)), replace=False)
    odd = {name: int(rng.integers(len(_QUERIES[name]))) * (not rng.integers(3)) for name in names}
    return "&".join(f"{name}={_QUERIES[name][at]}" for name, at in odd.items())


def _some_route(routes: Sequence[str], rng: Generator, body: bytes) -> _Parts:
    route = str(rng.choice(routes)).encode()
    if rng.integers(2):
        route = b"/" + mutated(route[1:], rng)
    return str(rng.choice(_METHODS)), quote_from_bytes(route, safe="/?=&%"), (), body
