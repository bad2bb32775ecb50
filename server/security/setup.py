"""The terms of entry and the certificate that the settings ask for."""

import logging
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from fathom.errors import Code, FathomError
from server.core.rates import Rate
from server.security.entry import Entry
from server.security.gate import Gate, Refusal
from server.security.tls import Identity, TlsFiles, read_identity
from server.security.tokens import read_tokens
from server.security.watched import Watched
from server.settings import Settings

_log = logging.getLogger("fathom.server.security")

_MINUTE_S = 60.0


def open_entry(settings: Settings, refused: Callable[[Refusal], None]) -> Entry:
    """Who is let in and how much a client may send; raises BAD_SETTING.

    refused  told of each refusal
    """
    tokens = None
    if settings.token_file:
        file = Path(settings.token_file)
        tokens = Watched([file], lambda: read_tokens(file)).current
        if not settings.tls_cert and not _is_loopback(settings.host):
            _log.warning(
                "auth.in_the_clear host=%s: give --tls-cert, or end TLS before", settings.host
            )
    return Entry(
        gate=Gate(
            tokens,
            metrics_open=settings.metrics_open,
            failures=Rate(settings.max_wrong_tokens / _MINUTE_S, settings.max_wrong_tokens),
            refused=refused,
        ),
        frames=Rate(settings.max_frames_per_s_per_client),
        wire_bytes=Rate(settings.max_mib_per_s_per_client * 2**20),
        origins=frozenset(map(_origin, filter(None, settings.allowed_origins.split(",")))),
        idle_stream_s=settings.idle_stream_s,
    )


def open_identity(settings: Settings) -> Callable[[], Identity] | None:
    """The newest certificate; None where none is set, and doors are without TLS.

    raises  BAD_SETTING
    """
    if not settings.tls_cert and not settings.tls_key and not settings.tls_client_ca:
        return None
    if not settings.tls_cert or not settings.tls_key:
        raise FathomError(
            Code.BAD_SETTING,
            expected="--tls-cert and --tls-key, both",
            got=f"tls_cert={settings.tls_cert!r} and tls_key={settings.tls_key!r}",
            repair="give the certificate and its key, or leave TLS out",
        )
    client_ca = Path(settings.tls_client_ca) if settings.tls_client_ca else None
    files = TlsFiles(cert=Path(settings.tls_cert), key=Path(settings.tls_key), client_ca=client_ca)
    return Watched(files.all, lambda: read_identity(files)).current


def _origin(text: str) -> str:
    parts = urlsplit(text.strip())
    if parts.scheme not in {"http", "https"} or text.strip() != f"{parts.scheme}://{parts.netloc}":
        raise FathomError(
            Code.BAD_SETTING,
            expected="allowed_origins as scheme and host alone, by commas",
            got=repr(text),
            repair="for example https://app.example,http://localhost:5173",
        )
    return text.strip()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
