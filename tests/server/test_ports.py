"""Ports that workers share are theirs alone."""

import socket

import pytest

from fathom.errors import Code, FathomError
from server.ports import held

HOST = "127.0.0.1"


def listens(port: int) -> socket.socket:
    return socket.create_server((HOST, port), reuse_port=True)


def test_a_free_port_is_found_and_each_worker_may_listen_on_it() -> None:
    with held("HTTP", HOST, 0) as port, listens(port) as one, listens(port) as other:
        assert one.getsockname() == other.getsockname() == (HOST, port)


def test_whoever_holds_a_port_is_given_no_connection() -> None:
    """With a single listener every connection is its: none is dealt to who only holds the port."""
    with held("HTTP", HOST, 0) as port, listens(port) as worker:
        for _ in range(16):
            with socket.create_connection((HOST, port)):
                worker.accept()[0].close()


def test_a_port_is_nobody_else_s_while_it_is_held() -> None:
    with (
        held("HTTP", HOST, 0) as port,
        listens(port),
        pytest.raises(OSError, match="in use"),
    ):
        socket.create_server((HOST, port))


@pytest.mark.parametrize("shared", [False, True], ids=["by one alone", "by other workers"])
def test_a_port_that_is_taken_is_refused_with_the_way_out(shared: bool) -> None:
    with socket.create_server((HOST, 0), reuse_port=shared) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(FathomError) as caught, held("gRPC", HOST, port):
            pass
    error = caught.value
    assert error.code is Code.BAD_SETTING
    assert f"{HOST}:{port}" in error.expected and "--grpc-port" in error.repair


def test_a_port_is_free_again_afterwards() -> None:
    with held("HTTP", HOST, 0) as port:
        pass
    socket.create_server((HOST, port)).close()
