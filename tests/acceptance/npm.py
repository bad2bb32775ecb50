"""Packages of npm for tests, by a lock file without addresses, once, into an ignored folder."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.conftest import REPOSITORY

INSTALL_S = 60.0  # a bound on a hang, far above what it takes
# How npm names a registry that cannot be reached; anything else is a broken lock file.
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")


def installed(source: Path) -> Path:
    """A folder with a source's files and the packages of its lock; skips where there is no npm."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    folder = REPOSITORY / ".cache" / source.name
    lock = (source / "package-lock.json").read_bytes()
    done = folder / "installed.json"
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        shutil.copy(path, folder)
    if not done.is_file() or done.read_bytes() != lock:
        _install(npm, folder)
        done.write_bytes(lock)
    return folder


def _install(npm: str, folder: Path) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
    try:
        ended = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm took its packages from no registry within {INSTALL_S:g} s")
    if ended.returncode and any(reason in ended.stderr for reason in UNREACHABLE):
        pytest.skip("npm reaches no registry")
    assert ended.returncode == 0, ended.stderr
