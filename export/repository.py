"""Publishing a version: whole or not at all.

A version's folder is written beside its place, synced, and renamed into it. `card.json` names the
version that is served and is replaced last, in one rename: until then a server sees the old one.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fathom.card import CARD_FILE, Card, ModelFile, sha256_of
from fathom.errors import Code, FathomError

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


def check_name(name: str) -> None:
    """Model names become folder names; raises BAD_OPTION for any that could lead elsewhere."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise FathomError(
            Code.BAD_OPTION,
            expected="a name of a-z, 0-9, _ . and -, at most 63 long, a letter or digit first",
            got=repr(name[:80]),
            repair="for example indoor-mnv2",
        )


def next_version(repository: Path, name: str) -> int:
    """One more than the newest version there is; versions only grow."""
    folder = repository / name
    numbers = [int(path.name) for path in folder.glob("*") if path.name.isdigit()]
    return max(numbers, default=0) + 1


@contextmanager
def staged(repository: Path, name: str) -> Iterator[Path]:
    """A folder beside the versions to build one in; gone again unless it was published."""
    check_name(name)
    folder = repository / name
    folder.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=".staged-", dir=folder))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def publish(repository: Path, card: Card, config: str, stage: Path) -> Path:
    """Move a staged folder to its version and let the card point to it; the version's folder."""
    folder = repository / card.name
    version = folder / str(card.version)
    for path in stage.iterdir():
        _sync(path)
    _sync(stage)
    stage.chmod(0o755)
    stage.rename(version)
    _sync(folder)
    _replace(folder / "config.pbtxt", config)
    _replace(folder / CARD_FILE, card.to_json())
    return version


def describe_file(path: Path, version: int, *, target: str, precision: str) -> ModelFile:
    """A file as the card lists it, hashed where it lies."""
    return ModelFile(
        path=f"{version}/{path.name}",
        target=target,
        precision=precision,
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
    )


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.partial")
    beside.write_text(text, encoding="utf-8")
    _sync(beside)
    beside.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
