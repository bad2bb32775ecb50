"""Spoiled messages over `WS /stream`, and the bytes of a handshake."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from numpy.random import Generator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from benchmarks.fuzz.over_http import converse
from benchmarks.fuzz.target import PATIENCE_S, Fault, Target, Visitor
from benchmarks.mutations import DEEP, Tree, mutated, small_pictures, with_odd_value

_FINISH = '{"finish": {}}'
_BUG = 1011  # RFC 6455, section 7.4.1
_MOST_FRAMES = 4
# A handshake that breaks off is waited for; whoever sent it leaves.
_LEAVE_S = 0.3


@asynccontextmanager
async def websocket_door(target: Target) -> AsyncIterator[Visitor]:
    """Visits `WS /stream`."""
    yield _SocketVisitor(target)


class _SocketVisitor:
    """Each visit is a socket: opened, given frames of which some are spoiled, and finished."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._pictures = small_pictures()
        self._opening: Tree = {
            "open": {
                "model": target.model,
                "stream_name": "a",
                "policy": "POLICY_ALL",
                "deadline_us": "1000000",
                "options": {
                    "intrinsics": {"fx": 300.0},
                    "depth_encoding": "DEPTH_ENCODING_PNG16_MM",
                },
            }
        }
        self._header: Tree = {"seq": 1, "age_us": "0", "image": {"encoding": "IMAGE_ENCODING_JPEG"}}

    async def visit(self, rng: Generator, counts: Counter[str]) -> None:
        if not rng.integers(8):
            heard = await converse(self._target.http, self._handshake(rng), _LEAVE_S)
            counts[f"handshake_{'left' if heard == 'hung' else heard}"] += 1
            if heard == "500":
                raise Fault(heard, b"")
            return
        sent = self._messages(rng)
        url = f"ws://{self._target.http}/stream"
        try:
            async with connect(url, proxy=None, max_size=None, close_timeout=1) as socket:
                code = await self._say(socket, sent, counts)
        except InvalidHandshake as error:
            raise Fault(f"handshake: {error}", b"") from error
        counts[f"close_{code}"] += 1
        if code in (_BUG, None):
            said = (m if isinstance(m, bytes) else m.encode(errors="replace") for m in sent)
            raise Fault("hung" if code is None else f"close {code}", b"".join(said))

    async def _say(
        self, socket: ClientConnection, sent: list[str | bytes], counts: Counter[str]
    ) -> int | None:
        """With which code the server closes, 1006 for none; None if it hangs."""
        with suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                for message in sent:
                    await socket.send(message)
                while True:
                    heard = await socket.recv()
                    counts[
                        "answered" if isinstance(heard, bytes) else next(iter(json.loads(heard)))
                    ] += 1
        return socket.close_code

    def _messages(self, rng: Generator) -> list[str | bytes]:
        """An opening, whole three times of four, frames, and a finish or what was one."""
        tree = self._opening if rng.integers(4) else with_odd_value(self._opening, rng)
        messages: list[str | bytes] = [json.dumps(tree) if rng.integers(16) else DEEP.decode()]
        for seq in range(1, int(rng.integers(1, _MOST_FRAMES + 1))):
            header = {**self._header, "seq": seq} if isinstance(self._header, dict) else {}
            said = json.dumps(header if rng.integers(3) else with_odd_value(header, rng)).encode()
            picture = mutated(self._pictures[int(rng.integers(len(self._pictures)))], rng)
            frame = len(said).to_bytes(4, "little") + said + picture
            messages.append(frame if rng.integers(3) else mutated(frame, rng))
        if not rng.integers(4):
            messages.append(mutated(_FINISH.encode(), rng).decode(errors="replace"))
        return [*messages, _FINISH]

    def _handshake(self, rng: Generator) -> bytes:
        lines = (
            *("GET /stream HTTP/1.1", f"Host: {self._target.http}", "Upgrade: websocket"),
            *("Connection: Upgrade", "Sec-WebSocket-Version: 13"),
            *("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""),
        )
        return mutated("\r\n".join(lines).encode(), rng) + rng.bytes(20)
