"""Flags, environment and file are one setting each, in that order; nothing unknown gets by."""

import os
from pathlib import Path

import pytest

from fathom.errors import Code, FathomError
from server.settings import Settings, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fathom.toml"


def refused(argv: list[str], environ: dict[str, str], file: Path) -> FathomError:
    with pytest.raises(FathomError) as caught:
        load(argv, environ, file)
    assert caught.value.code is Code.BAD_SETTING
    return caught.value


def test_without_anything_given_every_default_holds(file: Path) -> None:
    settings, origins = load([], {}, file)
    assert origins == {}
    assert settings.model_dump() == {n: f.default for n, f in Settings.model_fields.items()}
    assert (settings.host, settings.http_port, settings.grpc_port) == ("127.0.0.1", 8000, 8001)


def test_a_flag_goes_before_the_environment_and_that_before_the_file(file: Path) -> None:
    file.write_text('http_port = 1\ngrpc_port = 1\nlanes = 1\nhost = "::1"\n')
    environ = {"FATHOM_HTTP_PORT": "2", "FATHOM_GRPC_PORT": "2", "PATH": "elsewhere"}
    settings, origins = load(["--http-port", "3", "--max-streams=9"], environ, file)
    assert (settings.http_port, settings.grpc_port, settings.lanes) == (3, 2, 1)
    assert (settings.host, settings.max_streams) == ("::1", 9)
    assert origins == {
        "http_port": "flag",
        "max_streams": "flag",
        "grpc_port": "env",
        "lanes": "fathom.toml",
        "host": "fathom.toml",
    }


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_can_be_given_in_each_of_the_three_ways(name: str, file: Path) -> None:
    words = {
        "engine": "null",
        "precision": "f32",
        "log_level": "debug",
        "metrics_open": "True",
        "reload_by": "http",
    }
    value = words.get(name, "7")
    flag, variable = "--" + name.replace("_", "-"), "FATHOM_" + name.upper()
    quote = (
        '"' if value != "7" or isinstance(Settings.model_fields[name].default, str | Path) else ""
    )
    file.write_text(f"{name} = {quote}{value}{quote}\n")
    ways = [([flag, value], {}), ([], {variable: value}), ([], {})]
    nowhere = file.with_name("none.toml")
    given = [load(argv, environ, nowhere if argv or environ else file) for argv, environ in ways]
    assert given[0][0] == given[1][0] == given[2][0]
    assert str(getattr(given[0][0], name)) in {value, f"{value}.0"}
    assert [origins[name] for _, origins in given] == ["flag", "env", "fathom.toml"]


def test_an_unknown_setting_is_refused_by_naming_the_nearest(file: Path) -> None:
    assert "--http-port" in refused(["--htp-port", "1"], {}, file).repair
    assert "FATHOM_HTTP_PORT" in refused([], {"FATHOM_HTTP_PROT": "1"}, file).repair
    file.write_text("http_prt = 1\n")
    assert "http_port" in refused([], {}, file).repair


def test_a_setting_that_is_like_no_other_points_to_the_help(file: Path) -> None:
    assert "--help" in refused(["--zzz", "1"], {}, file).repair


@pytest.mark.parametrize(
    ("argv", "name", "got"),
    [
        (["--http-port", "x"], "http_port", "x"),
        (["--http-port", "70000"], "http_port", "70000"),
        (["--lanes=-1"], "lanes", "-1"),
        (["--engine", "abacus"], "engine", "abacus"),
        (["--predict-timeout-s", "0"], "predict_timeout_s", "0"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_value(
    argv: list[str], name: str, got: str, file: Path
) -> None:
    error = refused(argv, {}, file)
    assert name in error.expected and got in error.got and error.repair


def test_a_file_that_is_no_toml_is_refused(file: Path) -> None:
    file.write_text("http_port: 8000\n")
    assert "TOML" in refused([], {}, file).expected


def test_help_names_every_flag_and_ends_well(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        load(["--help"], {}, file)
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert [n for n in Settings.model_fields if f"--{n.replace('_', '-')}" not in text] == []


def test_limits_are_told_in_the_units_of_the_wire(file: Path) -> None:
    settings, _ = load(["--max-image-mib", "0.5", "--queue-frames", "3"], {}, file)
    assert settings.limits.image_bytes == 2**19
    assert settings.limits.waiting_frames == 3


@pytest.mark.parametrize(("workers", "cores"), [(1, 5), (2, 2), (5, 1), (9, 1)])
def test_workers_share_the_machine_s_cores_and_memory(
    file: Path, monkeypatch: pytest.MonkeyPatch, workers: int, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(5)))
    settings, _ = load([f"--workers={workers}", "--max-waiting-mib=90"], {}, file)
    assert settings.cores == cores
    assert settings.cpu_threads == (cores if workers > 1 else 0)  # alone, the engine knows best
    assert settings.bounds.waiting_bytes == 90 * 2**20 // workers


def test_threads_that_are_told_are_each_worker_s(file: Path) -> None:
    assert load(["--workers=2", "--threads=3"], {}, file)[0].cpu_threads == 3


def test_weights_are_told_by_stream_name(file: Path) -> None:
    settings, _ = load(["--stream-weights", "front=3,back door=0.5"], {}, file)
    assert settings.weights == {"front": 3, "back door": 0.5}
    assert load([], {}, file)[0].weights == {}


@pytest.mark.parametrize("text", ["front", "front=", "front=much", "front=0", "front=nan"])
def test_weights_that_are_none_are_refused(text: str, file: Path) -> None:
    settings, _ = load(["--stream-weights", text], {}, file)
    with pytest.raises(FathomError) as caught:
        _ = settings.weights
    assert caught.value.code is Code.BAD_SETTING and text in caught.value.got
