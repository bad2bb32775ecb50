"""How long a server takes to refuse nobody, a wrong token and another wrong one, at every door.

    python -m benchmarks.refusals --rounds 500

Each round asks every door once with each, in an order of chance, so that whatever else the machine
does meets all of them alike. Requests are of the same length: who brings no token brings a header
that means nothing. Within noise is a difference of medians that is less than the range of the
middle half of one kind's own times.

Other options go to the server, for example --max-wrong-tokens 60: past them it answers 429.
"""

import argparse
import os
import random
import socket
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import grpc
import numpy as np
from tqdm import tqdm

from benchmarks.results import FOLDER, write_result
from benchmarks.serving import Serving, serving

TOKEN = "correct-horse-battery-staple"  # noqa: S105 - of this benchmark's own server
# A header each. The decoy's name is as long as the real one's.
KINDS = {
    "missing": ("x-authorities", "Bearer " + "x" * len(TOKEN)),
    "wrong at its end": ("authorization", f"Bearer {TOKEN[:-1]}x"),
    "wrong throughout": ("authorization", "Bearer " + "x" * len(TOKEN)),
}
_PATIENCE_S = 20.0
_SOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
# Asks with a header; raises SystemExit if that was let in.
Ask: TypeAlias = Callable[[str, str], None]


def main(argv: list[str] | None = None) -> int:
    """Ask, print the medians, write JSON; 1 if a door's times tell a token from none."""
    arguments, server_arguments = _parser().parse_known_args(argv)
    load_before = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        tokens = Path(folder) / "tokens"
        tokens.write_text(f"{TOKEN}\n", encoding="ascii")
        # So many that none is past the rate: a refusal that is told and logged is what is compared.
        told = (f"--token-file={tokens}", "--max-wrong-tokens=1000000000")
        with serving(["--engine=null", *told, *server_arguments]) as server:
            timings = _ask_all(server, arguments.rounds, random.Random(arguments.seed))  # noqa: S311
    found = {door: figures(seconds) for door, seconds in timings.items()}
    write_result(arguments.json, {"rounds": arguments.rounds, "doors": found}, load_before)
    for door, said in found.items():
        print(f"{door:10} {said}")
    print(f"written to {arguments.json}")
    return 0 if all(said["within_noise"] for said in found.values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.refusals",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--rounds", type=int, default=500, help="(%(default)s)")
    add("--seed", type=int, default=0, help="of the order (%(default)s)")
    add("--json", type=Path, default=FOLDER / "refusals.json", help="where results go")
    return parser


def figures(seconds: Mapping[str, Sequence[float]]) -> dict[str, object]:
    """Medians of one door's times by kind, how far they are apart, and how far one's own times."""
    medians_ms = {kind: float(np.median(times)) * 1e3 for kind, times in seconds.items()}
    ranges_ms = [float(np.subtract(*np.percentile(t, [75, 25]))) * 1e3 for t in seconds.values()]
    apart_ms = max(medians_ms.values()) - min(medians_ms.values())
    return {
        "median_ms": {kind: round(ms, 3) for kind, ms in medians_ms.items()},
        "apart_ms": round(apart_ms, 3),
        "middle_half_ms": round(min(ranges_ms), 3),
        "within_noise": apart_ms < min(ranges_ms),
    }


def _ask_all(
    server: Serving, rounds: int, chance: random.Random
) -> Mapping[str, Mapping[str, Sequence[float]]]:
    """Seconds by door and kind."""
    timings: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with grpc.insecure_channel(server.grpc) as channel:
        doors = {
            "http": _http(server.http, "/models", ""),
            "websocket": _http(server.http, "/stream", _SOCKET),
            "grpc": _grpc(channel),
        }
        turns = [(door, kind) for door in doors for kind in KINDS]
        for _ in tqdm(range(rounds), desc="refusals"):
            for door, kind in chance.sample(turns, len(turns)):
                before_s = time.perf_counter()
                doors[door](*KINDS[kind])
                timings[door][kind].append(time.perf_counter() - before_s)
    return timings


def _http(address: str, path: str, more: str) -> Ask:
    """A connection for each, as a guesser has: the server closes it with the refusal."""
    host, _, port = address.rpartition(":")

    def ask(name: str, value: str) -> None:
        head = f"GET {path} HTTP/1.1\r\nHost: {address}\r\n{more}{name}: {value}\r\n\r\n"
        with socket.create_connection((host, int(port)), _PATIENCE_S) as peer:
            peer.sendall(head.encode())
            answer = peer.recv(65536)
            while piece := peer.recv(65536):
                answer += piece
        if answer.split()[1:2] not in ([b"401"], [b"429"]):
            raise SystemExit(f"{path} was answered to a stranger: {answer[:80]!r}")

    return ask


def _grpc(channel: grpc.Channel) -> Ask:
    describe = channel.unary_unary("/fathom.v1.Depth/Describe", bytes, bytes)
    refusals = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED}

    def ask(name: str, value: str) -> None:
        try:
            describe(b"", metadata=((name, value),), timeout=_PATIENCE_S)
        except grpc.RpcError as error:
            if error.code() in refusals:
                return
        raise SystemExit("Describe was answered to a stranger")

    return ask


if __name__ == "__main__":
    sys.exit(main())
