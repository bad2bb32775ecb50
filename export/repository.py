"""Publishing a version: whole or not at all.

    indoor-mnv2/1/...                   a version: files, card, configurations, SHA256SUMS
    indoor-mnv2/current                 -> 1, the version that is served
    indoor-mnv2/card.json               -> current/card.json, where the server looks
    indoor-mnv2/config.pbtxt, configs   -> current/..., where Triton looks

A version's folder is built beside its place, synced, and renamed into it. The one link `current` is
replaced last, in one rename: before it everybody sees the old version, after it the new one.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fathom.card import CARD_FILE, Card, read_card, sha256_of
from fathom.errors import Code, FathomError

CURRENT, SUMS = "current", "SHA256SUMS"
_STAGED = ".staged-"
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


def versions(folder: Path) -> list[int]:
    """The published versions of a model, rising."""
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit())


def next_version(folder: Path) -> int:
    """One more than the newest version there is; versions only grow."""
    return max(versions(folder), default=0) + 1


def current_version(folder: Path) -> int:
    """The version of a model that is served; raises UNKNOWN_MODEL."""
    link = folder / CURRENT
    if not link.is_symlink():
        raise FathomError(
            Code.UNKNOWN_MODEL,
            expected=f"a published model at {folder}",
            got=f"no link {CURRENT} in it" if folder.is_dir() else "no such folder",
            repair="see what there is with: python -m export list",
        )
    return int(str(link.readlink()))


@contextmanager
def staged(repository: Path, name: str) -> Iterator[Path]:
    """A folder beside the versions to build one in; gone again unless it was published.

    Whoever builds holds the model's lock, so what others left half done can be swept away.
    raises  BAD_OPTION for a bad name, NOT_AVAILABLE while another export holds the lock
    """
    check_name(name)
    folder = repository / name
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in folder.glob(f"{_STAGED}*"):
            shutil.rmtree(left)
        stage = Path(tempfile.mkdtemp(prefix=_STAGED, dir=folder))
        try:
            yield stage
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except BlockingIOError as error:
        raise FathomError(
            Code.NOT_AVAILABLE,
            expected=f"to be the only one who publishes {name}",
            got="another export of it is running",
            repair="wait for it to end",
        ) from error
    finally:
        os.close(lock)


def publish(repository: Path, card: Card, configs: Mapping[str, str], stage: Path) -> Path:
    """Move a staged folder to its version and serve it; the version's folder.

    configs  texts by their names relative to the model's folder
    """
    (stage / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    for name, text in configs.items():
        (stage / name).parent.mkdir(exist_ok=True)
        (stage / name).write_text(text, encoding="utf-8")
    (stage / SUMS).write_text(sums_of(stage), encoding="ascii")
    for path in (*stage.rglob("*"), stage):
        _sync(path)
    folder = repository / card.name
    version = folder / str(card.version)
    stage.chmod(0o755)
    stage.rename(version)
    _sync(folder)
    serve(folder, card.version)
    return version


def serve(folder: Path, version: int) -> None:
    """Let a published version be the one that is served. This rename is the whole change."""
    _link(folder / CURRENT, str(version))
    # On the first publication nobody has looked yet; later these are there and stay as they are.
    for name in {path.name for path in (folder / str(version)).iterdir()} - {SUMS}:
        if name in (CARD_FILE, "config.pbtxt", "configs"):
            _link(folder / name, f"{CURRENT}/{name}")


def roll_back(repository: Path, name: str, to: int | None = None) -> int:
    """Serve an older version again, after checking that it is whole; the version.

    to      None takes the newest one below what is served
    raises  UNKNOWN_MODEL if there is no such version, BAD_MODEL if it is not whole
    """
    check_name(name)
    folder = repository / name
    now, there = current_version(folder), versions(folder)
    older = [version for version in there if version < now]
    chosen = to if to is not None else max(older, default=0)
    if chosen not in there:
        raise FathomError(
            Code.UNKNOWN_MODEL,
            expected=f"a version of {name}: {', '.join(map(str, there))}",
            got=str(to) if to is not None else f"none before {now}, which is served",
            repair="see what there is with: python -m export list",
        )
    check_whole(folder / str(chosen))
    serve(folder, chosen)
    return chosen


def check_whole(version: Path) -> Card:
    """The card of a version whose every byte is as it was published; raises BAD_MODEL."""
    try:
        listed = (version / SUMS).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise _not_whole(version, f"no readable {SUMS}") from error
    found = sums_of(version)
    if found != listed:
        differing = set(listed.splitlines()) ^ set(found.splitlines())
        names = sorted({line.partition("  ")[2] for line in differing})
        raise _not_whole(version, f"other bytes in {', '.join(names) or SUMS}")
    return read_card(version / CARD_FILE)


def sums_of(version: Path) -> str:
    """Every file of a version with its hash, as `sha256sum` writes and checks them."""
    files = sorted(
        path.relative_to(version)
        for path in version.rglob("*")
        if path.is_file() and path.name != SUMS and "__pycache__" not in path.parts
    )
    return "".join(f"{sha256_of(version / file)}  {file.as_posix()}\n" for file in files)


def _not_whole(version: Path, got: str) -> FathomError:
    return FathomError(
        Code.BAD_MODEL,
        expected=f"version {version.name} of {version.parent.name} as it was published",
        got=got,
        repair="restore its folder, or serve another version: python -m export rollback",
    )


def _link(path: Path, target: str) -> None:
    if path.is_symlink() and str(path.readlink()) == target:
        return
    beside = path.with_name(f".{path.name}.partial")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
