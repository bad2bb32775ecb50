"""A whole server with certificates and tokens: what gets a connection, and what renews it."""

import asyncio
import json
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx
import pytest
import trustme
from websockets.asyncio.client import connect

from fathom.errors import Code, FathomError
from fathom.session import aio
from fathom.session.credentials import Credentials
from fathom.session.sync import Client
from tests.acceptance.conftest import RunningServer, StartServer
from tests.acceptance.test_lifecycle import run
from tests.server.conftest import PICTURE

TOKENS = ("the-first-token-of-this-test", "the-other-token-of-this-test")


@dataclass(frozen=True, slots=True)
class Papers:
    """Files of a server and of a client, all signed by one authority."""

    folder: Path
    authority: trustme.CA

    def write(self) -> None:
        """New certificates for both, renamed into place."""
        for name, cert in (
            ("server", self.authority.issue_cert("127.0.0.1", "localhost")),
            ("client", self.authority.issue_cert("camera")),
        ):
            self._put(f"{name}.key", cert.private_key_pem.bytes())
            self._put(f"{name}.pem", b"".join(blob.bytes() for blob in cert.cert_chain_pems))
        self._put("ca.pem", self.authority.cert_pem.bytes())

    def tokens(self, *tokens: str) -> None:
        self._put("tokens", "\n".join(tokens).encode())

    def _put(self, name: str, data: bytes) -> None:
        new = self.folder / f"{name}.new"
        new.write_bytes(data)
        new.replace(self.folder / name)

    @property
    def server(self) -> tuple[str, ...]:
        """The server's own flags."""
        return (
            f"--tls-cert={self.folder / 'server.pem'}",
            f"--tls-key={self.folder / 'server.key'}",
        )

    @property
    def mutual(self) -> tuple[str, ...]:
        return (*self.server, f"--tls-client-ca={self.folder / 'ca.pem'}")

    def credentials(self, token: str = "", *, shown: bool = False) -> Credentials:
        """A client's; with its own certificate if it is shown."""
        return Credentials(
            token=token,
            ca=self.folder / "ca.pem",
            cert=self.folder / "client.pem" if shown else None,
            key=self.folder / "client.key" if shown else None,
        )

    def context(self, *, shown: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if shown:
            context.load_cert_chain(self.folder / "client.pem", self.folder / "client.key")
        return context


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    papers = Papers(tmp_path, trustme.CA())
    papers.write()
    papers.tokens(*TOKENS)
    return papers


def https(server: RunningServer) -> str:
    return server.http_url.replace("http", "https", 1)


def serial_at(target: str, papers: Papers, *, shown: bool = False) -> object:
    """The number of the certificate that a door shows."""
    host, _, port = target.rpartition(":")
    with (
        socket.create_connection((host, int(port))) as plain,
        papers.context(shown=shown).wrap_socket(plain, server_hostname=host) as secure,
    ):
        certificate = secure.getpeercert()
        assert certificate is not None
        return certificate["serialNumber"]


async def open_socket(url: str, context: ssl.SSLContext, token: str) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(
        url.replace("http", "ws", 1) + "/stream",
        ssl=context,
        additional_headers=headers,
        proxy=None,
    ) as opened:
        await opened.send('{"open": {}}')
        return str(next(iter(json.loads(await opened.recv()))))


async def ask_as_coroutine(target: str, credentials: Credentials) -> tuple[int, ...]:
    async with (
        aio.Client(target, credentials) as client,
        await client.stream() as stream,
    ):
        await stream.send(PICTURE)
        await stream.finish()
        assert [type(r.answer).__name__ async for r in stream.answers()] == ["EncodedDepth"]
        return (await client.predict(PICTURE)).depth_m.shape


def test_with_a_certificate_and_a_token_every_door_answers(
    start_server: StartServer, papers: Papers, tmp_path: Path
) -> None:
    arguments = ("--engine=null", *papers.server, f"--token-file={papers.folder / 'tokens'}")
    server = start_server(*arguments).wait_ready()
    with Client(server.grpc_target, papers.credentials(TOKENS[0])) as client:
        assert client.describe().models
        assert client.predict(PICTURE).depth_m.shape == (240, 320)
        with client.stream() as stream:
            stream.send(PICTURE)
            stream.finish()
            assert len(list(stream.answers())) == 1
    shape = asyncio.run(ask_as_coroutine(server.grpc_target, papers.credentials(TOKENS[1])))
    assert shape == (240, 320)
    headers = {"Authorization": f"Bearer {TOKENS[0]}"}
    with httpx.Client(base_url=https(server), verify=papers.context(), headers=headers) as web:
        assert web.post("/predict", content=PICTURE.data).status_code == 200
        assert web.get("/metrics").status_code == 200
    assert asyncio.run(open_socket(https(server), papers.context(), TOKENS[0])) == "opened"
    # The commands, as a person calls them.
    (tmp_path / "token").write_text(TOKENS[0] + "\n")
    (tmp_path / "photo.jpg").write_bytes(PICTURE.data)
    flags = ("--token-file", str(tmp_path / "token"), "--ca", str(tmp_path / "ca.pem"))
    asked = ("--server", server.grpc_target, *flags)
    photo = str(tmp_path / "photo.jpg")
    ended = run("fathom", "probe", photo, str(tmp_path / "depth.png"), *asked)
    assert ended.returncode == 0, ended.stderr
    ended = run("client", "--source", photo, *asked)
    assert ended.returncode == 0, ended.stderr
    # And without any of it, or with something else.
    for credentials in (papers.credentials(), papers.credentials("some-other-token-of-nobody")):
        with Client(server.grpc_target, credentials) as client, pytest.raises(FathomError) as no:
            client.predict(PICTURE)
        assert no.value.code is Code.UNAUTHENTICATED
    with Client(server.grpc_target) as client, pytest.raises(FathomError) as no:
        client.predict(PICTURE, timeout_s=5)
    assert no.value.code in {Code.CONNECTION_LOST, Code.DEADLINE_PASSED}
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{server.http_url}/healthz")
    assert server.stop() == 0
    said = "\n".join(server.log)
    assert not any(token in said for token in (*TOKENS, "some-other-token-of-nobody"))
    assert "Traceback" not in said


def test_with_mutual_tls_a_client_without_a_certificate_gets_no_connection(
    start_server: StartServer, papers: Papers
) -> None:
    server = start_server("--engine=null", *papers.mutual).wait_ready()
    with Client(server.grpc_target, papers.credentials(shown=True)) as client:
        client.predict(PICTURE)
    with httpx.Client(verify=papers.context(shown=True)) as web:
        assert web.get(f"{https(server)}/models").status_code == 200
    assert asyncio.run(open_socket(https(server), papers.context(shown=True), "")) == "opened"
    stranger = Papers(papers.folder / "stranger", trustme.CA())
    stranger.folder.mkdir()
    stranger.write()
    forged = papers.context()
    forged.load_cert_chain(stranger.folder / "client.pem", stranger.folder / "client.key")
    for context in (papers.context(), forged):
        with httpx.Client(verify=context) as web, pytest.raises(httpx.HTTPError):
            web.get(f"{https(server)}/healthz")
    for credentials in (
        papers.credentials(),
        Credentials(
            ca=papers.folder / "ca.pem",
            cert=stranger.folder / "client.pem",
            key=stranger.folder / "client.key",
        ),
    ):
        with Client(server.grpc_target, credentials) as client, pytest.raises(FathomError) as no:
            client.describe(timeout_s=1)
        assert no.value.code is Code.CONNECTION_LOST
    assert server.stop() == 0


def test_certificates_and_tokens_are_renewed_while_it_runs(
    start_server: StartServer, papers: Papers
) -> None:
    arguments = ("--engine=null", *papers.server, f"--token-file={papers.folder / 'tokens'}")
    server = start_server(*arguments).wait_ready()
    doors = [server.http_url.removeprefix("http://"), server.grpc_target]
    before = [serial_at(door, papers) for door in doors]
    with Client(server.grpc_target, papers.credentials(TOKENS[0])) as old, old.stream() as stream:
        answers = stream.answers()
        papers.write()
        papers.tokens("the-third-token-of-this-test")
        while any(serial_at(door, papers) in before for door in doors):
            pass  # asking takes its time; the test's own limit ends a server that never looks
        # A stream that was let in stays; the next question is asked for the new token.
        stream.send(PICTURE)
        assert type(next(answers).answer).__name__ == "EncodedDepth"
        with pytest.raises(FathomError) as no:
            deque((old.predict(PICTURE) for _ in count()), 0)
        assert no.value.code is Code.UNAUTHENTICATED
    with Client(server.grpc_target, papers.credentials("the-third-token-of-this-test")) as new:
        new.predict(PICTURE)
    # Half a renewal, as a copy that is cut off: what was good stays.
    (papers.folder / "server.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    while not any("files.kept_old" in line for line in server.log):
        serial_at(doors[0], papers)
    with Client(server.grpc_target, papers.credentials("the-third-token-of-this-test")) as new:
        new.predict(PICTURE)
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--tls-cert=server.pem",), "--tls-key"),
        (("--tls-cert=none.pem", "--tls-key=server.key"), "No such file"),
        (("--tls-cert=server.pem", "--tls-key=client.key"), "--tls-cert"),
        (("--token-file=none",), "No such file"),
        (("--token-file=server.key.txt",), "token"),
        (("--allowed-origins=https://a.example/path",), "https://app.example"),
    ],
)
def test_what_cannot_be_kept_safe_does_not_start(
    start_server: StartServer, papers: Papers, arguments: tuple[str, ...], says: str
) -> None:
    (papers.folder / "server.key.txt").write_text("# no token\n")
    server = start_server("--engine=null", *arguments, cwd=papers.folder)
    assert server.wait_exit() == 1
    assert says in server.log[-1] and "Traceback" not in "\n".join(server.log)
