"""Every setting of the server: one typed class, read once from flags, environment and file.

A flag `--http-port`, the environment variable `FATHOM_HTTP_PORT` and the line `http_port = 8000` in
`fathom.toml` are the same setting; the first of these that is given wins.
"""

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, StringConstraints, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from fathom.errors import Code, FathomError
from fathom.machine import usable_cores
from fathom.values import Limits
from server.core.scheduler import Bounds

EngineName: TypeAlias = Literal[
    "auto", "openvino", "onnxruntime", "torch", "tensorrt", "ray", "null"
]
TritonServers: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^triton://[^\s,/]+:\d+(,[^\s,/]+:\d+)*$")
]

ENV_PREFIX = "FATHOM_"
FILE = "fathom.toml"


class Settings(BaseSettings):
    """Fathom: camera frames in, metric depth out, over HTTP and gRPC."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_prog_name="python -m server",
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    http_port: int = Field(8000, ge=0, le=65535, description="HTTP port; 0 takes a free one")
    grpc_port: int = Field(8001, ge=0, le=65535, description="gRPC port; 0 takes a free one")
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="processes behind these ports, each with streams and an engine of its own; they"
        " share cores and max_waiting_mib, and what a client may take is counted by each alone",
    )
    engine: EngineName | TritonServers = Field(
        "auto",
        description="what computes: auto, openvino, onnxruntime, torch, tensorrt, or Triton servers"
        " as triton://a:8001,b:8001, or ray, the cluster that this machine is a node of; null"
        " answers a formula, for tests and overhead",
    )
    model_repository: Path = Field(
        Path("model_repository"), description="folder with one folder per model"
    )
    models: str = Field(
        "", description="names of the models to serve, by commas, first is default; empty: all"
    )
    precision: Literal["auto", "bf16", "f16", "f32", "int8"] = Field(
        "auto", description="auto takes the fastest that loses nothing: bf16 or f16, else f32"
    )
    max_batch: int = Field(
        0, ge=0, le=256, description="frames computed at once; 0 takes what suits the device"
    )
    lanes: int = Field(
        0,
        ge=0,
        le=64,
        description="batches computed at once by a worker, sharing its cores; 0 takes two",
    )
    threads: int = Field(
        0, ge=0, description="processor threads of a worker's engine; 0 takes all its cores"
    )
    engine_timeout_s: float = Field(
        10, gt=0, description="an engine that takes longer for one batch hangs, and is opened again"
    )
    reload_by: Literal["signal", "http"] = Field(
        "signal", description="who may have new versions taken up: SIGHUP, or POST too"
    )
    cache_folder: Path = Field(
        Path(".cache/engine"), description="where compiled models are kept; nothing else is written"
    )
    null_cost_ms: float = Field(0, ge=0, description="what a batch costs the null engine, in ms")
    null_frame_cost_ms: float = Field(0, ge=0, description="and each frame of it, in ms")
    null_batch: int = Field(1, ge=1, le=256, description="largest batch of the null engine")
    null_fault_every: int = Field(
        0, ge=0, description="each so-manieth batch of the null engine fails; 0 for none"
    )
    predict_timeout_s: float = Field(10, gt=0, description="longest wait for one picture's answer")
    max_image_mib: float = Field(16, gt=0, description="largest picture as sent")
    max_pixels: int = Field(50_000_000, gt=0, description="largest picture, told by its header")
    max_streams: int = Field(64, gt=0, description="streams and pending pictures at once, a model")
    max_streams_per_client: int = Field(64, gt=0, description="the same, of one address")
    queue_frames: int = Field(8, gt=0, description="waiting frames of a stream with policy all")
    max_waiting_mib: float = Field(512, gt=0, description="pictures that wait, in all")
    max_waiting_mib_per_client: float = Field(256, gt=0, description="the same, of one address")
    window_mib: float = Field(4, gt=0, description="depth a slow reader may leave lying, a stream")
    slow_reader_s: float = Field(10, gt=0, description="a reader that takes nothing so long is cut")
    slow_sender_s: float = Field(
        10, gt=0, description="a request's headers take no longer, nor any gap within its body"
    )
    idle_stream_s: float = Field(60, gt=0, description="a stream that sends nothing so long ends")
    max_frames_per_s_per_client: float = Field(0, ge=0, description="of one address; 0: no bound")
    max_mib_per_s_per_client: float = Field(0, ge=0, description="the same, in pictures as sent")
    max_connections_per_client: int = Field(256, gt=0, description="open ones to HTTP, an address")
    tls_cert: str = Field("", description="PEM file of the certificate, for TLS on every door")
    tls_key: str = Field("", description="PEM file of its key")
    tls_client_ca: str = Field(
        "", description="PEM file; only clients with a certificate that it signed get a connection"
    )
    token_file: str = Field(
        "", description="file of bearer tokens, one a line; empty asks for none"
    )
    metrics_open: bool = Field(
        default=False, description="whether /metrics answers without a token"
    )
    max_wrong_tokens: int = Field(60, gt=0, description="a minute, of one address; then 429")
    allowed_origins: str = Field(
        "", description="other sites whose pages may ask, by commas, such as https://a.example"
    )
    stream_weights: str = Field(
        "", description="shares of the engine by stream name, such as front=3,yard=1; others have 1"
    )
    otlp_endpoint: str = Field(
        "",
        description="OpenTelemetry collector that gets a span of every frame over gRPC, such as"
        " http://localhost:4317 (extra otel)",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="how much to log"
    )

    @property
    def cores(self) -> int:
        """Processor cores that are one worker's; the system deals them out."""
        return max(1, usable_cores() // self.workers)

    @property
    def cpu_threads(self) -> int:
        """Threads of a worker's engine on the processor; 0 leaves it every core."""
        return self.threads or (self.cores if self.workers > 1 else 0)

    @property
    def limits(self) -> Limits:
        """The bounds that clients are told."""
        return Limits(
            image_bytes=int(self.max_image_mib * 2**20),
            image_pixels=self.max_pixels,
            waiting_frames=self.queue_frames,
            streams=self.max_streams,
        )

    @property
    def bounds(self) -> Bounds:
        """The bounds that the scheduler holds."""
        return Bounds(
            streams=self.max_streams,
            streams_per_client=self.max_streams_per_client,
            queue_frames=self.queue_frames,
            waiting_bytes=int(self.max_waiting_mib * 2**20) // self.workers,
            waiting_bytes_per_client=int(self.max_waiting_mib_per_client * 2**20),
            window_bytes=int(self.window_mib * 2**20),
        )

    @property
    def weights(self) -> dict[str, float]:
        """`stream_weights` as a table; raises BAD_SETTING."""
        try:
            pairs = [entry.rsplit("=", 1) for entry in self.stream_weights.split(",") if entry]
            weights = {name: float(weight) for name, weight in pairs}
            if not all(0.01 <= weight <= 100 for weight in weights.values()):
                raise ValueError  # noqa: TRY301 - one answer for every misfit
        except ValueError as error:
            raise FathomError(
                Code.BAD_SETTING,
                expected="stream_weights as name=weight,name=weight with weights from 0.01 to 100",
                got=repr(self.stream_weights),
                repair="for example front=3,yard=1",
            ) from error
        return weights

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands over: to tell origins it reads environment and file itself."""
        return (init_settings,)


def load(
    argv: Sequence[str], environ: Mapping[str, str] = os.environ, file: Path = Path(FILE)
) -> tuple[Settings, dict[str, str]]:
    """Read the settings and where each that is not a default came from.

    raises  BAD_SETTING for an unknown name (naming the nearest known one) or a bad value;
            SystemExit for --help
    """
    flags = {name.split("=")[0][2:].replace("-", "_") for name in argv if name.startswith("--")}
    in_environment = {
        name.removeprefix(ENV_PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(ENV_PREFIX)
    }
    in_file = _read_toml(file)
    _refuse_unknown(flags - {"help"}, "flag", lambda name: "--" + name.replace("_", "-"))
    _refuse_unknown(in_environment, "variable", lambda name: ENV_PREFIX + name.upper())
    _refuse_unknown(in_file, "line", lambda name: f"{name} in {file}")
    given: dict[str, Any] = in_file | in_environment
    cli = CliSettingsSource[Settings](Settings, cli_parse_args=list(argv), cli_exit_on_error=True)
    try:
        settings = Settings(_cli_settings_source=cli, **given)  # type: ignore[call-arg]  # pydantic's own keyword
    except ValidationError as error:
        raise _bad_value(error) from error
    origins = {}
    for name in Settings.model_fields:
        for where, names in (("flag", flags), ("env", in_environment), (file.name, in_file)):
            if name in names:
                origins[name] = where
                break
    return settings, origins


def _read_toml(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise FathomError(
            Code.BAD_SETTING,
            expected=f"TOML in {file}",
            got=str(error),
            repair="write lines such as http_port = 8000",
        ) from error


def _refuse_unknown(names: Iterable[str], kind: str, spell: Callable[[str], str]) -> None:
    known = list(Settings.model_fields)
    for name in sorted(set(names) - set(known)):
        near = difflib.get_close_matches(name, known, 1, 0.5)
        raise FathomError(
            Code.BAD_SETTING,
            expected="a known setting",
            got=f"the {kind} {spell(name)}",
            repair=f"did you mean {spell(near[0])}?" if near else "see `python -m server --help`",
        )


def _bad_value(error: ValidationError) -> FathomError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    return FathomError(
        Code.BAD_SETTING,
        expected=f"{name}: {first['msg'][0].lower()}{first['msg'][1:]}",
        got=repr(first.get("input")),
        repair="see `python -m server --help`",
    )
