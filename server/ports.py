"""The ports that doors listen on: of one process alone, or held for several that share them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from fathom.errors import Code, FathomError


def taken(door: str, address: str, got: str) -> FathomError:
    """Why a door cannot open.

    door  HTTP or gRPC
    """
    return FathomError(
        Code.BAD_SETTING,
        expected=f"a free address for {door} at {address}",
        got=got,
        repair=f"stop what listens there, or give --{door.lower()}-port",
    )


@contextmanager
def held(door: str, host: str, port: int) -> Iterator[int]:
    """The port, a free one for 0, that workers may share and nobody else may take meanwhile.

    It is bound and never listened on, so that no connection is given to whoever holds it.

    raises  BAD_SETTING if it is taken
    """
    try:
        # Those that share a port cannot tell a stranger who does: one that does not share can.
        with socket.create_server((host, port)) as probe:
            port = probe.getsockname()[1]
        holding = socket.socket()
        try:
            holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holding.bind((host, port))
        except OSError:
            holding.close()
            raise
    except OSError as error:
        got = error.strerror or type(error).__name__
        raise taken(door, f"{host}:{port}", got) from error
    with holding:
        yield port
