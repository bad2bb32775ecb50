"""What a model repository holds: listed, compared, and checked to the last byte."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from export import signature
from export.repository import (
    CURRENT,
    check_whole,
    current_version,
    versions,
)
from export.signature import judge_signature
from export.triton.config import CONFIG_FILE, make_configs
from export.triton.config import signature as told_to_triton
from fathom.card import CARD_FILE, Card, read_card, verify_files
from fathom.errors import Code, FathomError


class Finding(NamedTuple):
    """One thing that was checked; `wrong` is empty where it is as it should be."""

    what: str
    wrong: str = ""


def models(repository: Path) -> list[Path]:
    """The folders of published models; raises UNKNOWN_MODEL if there are none."""
    found = sorted(path.parent for path in repository.glob(f"*/{CURRENT}"))
    if not found:
        raise FathomError(
            Code.UNKNOWN_MODEL,
            expected=f"published models in {repository}",
            got="none",
            repair="give the folder that `python -m export` publishes into",
        )
    return found


def list_versions(repository: Path) -> str:
    """Every version of every model, a line each; the one that is served has a star."""
    lines = [f"{'model':<24}{'version':>8}  {'date':<12}{'delta1':>8}{'MiB':>8}  forms"]
    for folder in models(repository):
        for version in versions(folder):
            card = read_card(folder / str(version) / CARD_FILE)
            star = "*" if version == current_version(folder) else " "
            lines.append(f"{card.name:<24}{version:>7}{star}  {_told(card)}")
    return "\n".join(lines)


def compare(repository: Path, first: str, second: str) -> str:
    """Two versions, `NAME` or `NAME@VERSION`, by what differs: facts, figures, files."""
    a, b = _card_of(repository, first), _card_of(repository, second)
    lines = [f"{'':<44}{first:>18}{second:>18}"]
    for name in ("recipe", "data", "parameters", "input_size", "outputs", "focal_px", "range_m"):
        left, right = str(getattr(a, name)), str(getattr(b, name))
        if left != right:
            lines.append(f"{name:<44}{left:>18}{right:>18}")
    for title in dict.fromkeys((*_titles(a), *_titles(b))):
        before, after = _value(a, title), _value(b, title)
        if before != after:
            lines.append(f"{', '.join(title)[:43]:<44}{before:>18.4g}{after:>18.4g}")
    files = {file.path.partition("/")[2] for card in (a, b) for file in card.files}
    for name in sorted(files):
        left, right = _short_hash(a, name), _short_hash(b, name)
        if left != right:
            lines.append(f"{name:<44}{left:>18}{right:>18}")
    return "\n".join(lines if len(lines) > 1 else [f"{first} and {second} are the same"])


def verify(repository: Path) -> Iterator[Finding]:
    """Check every version of every model: bytes, card, configurations, signatures, links."""
    for folder in models(repository):
        for version in versions(folder):
            yield from _verify_version(folder, version)
        yield _verify_links(folder)


def _verify_version(folder: Path, version: int) -> Iterator[Finding]:
    what = f"{folder.name} {version}"
    try:
        card = read_card(folder / str(version) / CARD_FILE)
        for file in verify_files(card, folder):
            yield Finding(f"{what} {file.path}: {file.target} {file.precision}, {file.status}")
        check_whole(folder / str(version))
        yield Finding(f"{what} every other byte")
    except FathomError as error:
        yield Finding(what, str(error))
        return
    yield Finding(f"{what} configurations", _stale(folder / str(version), card))
    told = told_to_triton((folder / str(version) / CONFIG_FILE).read_text(encoding="utf-8"))
    gate = judge_signature(what, signature.of_onnx(folder / card.files[0].path), told)
    yield Finding(f"{what} signature", gate.why)


def _stale(version: Path, card: Card) -> str:
    for name, text in make_configs(card).items():
        path = version / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            return f"{name} is stale: it is not what this card makes; export the model again"
    return ""


def _verify_links(folder: Path) -> Finding:
    """That both servers are led to the same version."""
    served = current_version(folder)
    for name in (CARD_FILE, CONFIG_FILE, "configs"):
        if (folder / name).resolve() != (folder / str(served) / name).resolve():
            wrong = (
                f"{name} does not lead to version {served}; python -m export rollback repairs it"
            )
            return Finding(f"{folder.name} links", wrong)
    return Finding(f"{folder.name} serves {served}")


def _card_of(repository: Path, named: str) -> Card:
    name, _, version = named.partition("@")
    folder = repository / name
    return read_card(folder / (version or str(current_version(folder))) / CARD_FILE)


def _told(card: Card) -> str:
    delta1 = card.figure("delta1")
    forms = dict.fromkeys(f"{file.target} {file.precision}" for file in card.files)
    waived = f"; waived: {', '.join(card.waived)}" if card.waived else ""
    date = max((figure.date for figure in card.figures), default="")
    return (
        f"{date:<12}{delta1.value if delta1 else float('nan'):>8.3f}"
        f"{sum(file.bytes for file in card.files) / 2**20:>8.1f}  {', '.join(forms)}{waived}"
    )


def _titles(card: Card) -> Sequence[tuple[str, str]]:
    return [(figure.name, figure.protocol) for figure in card.figures]


def _value(card: Card, title: tuple[str, str]) -> float:
    found = (f.value for f in card.figures if (f.name, f.protocol) == title)
    return next(found, float("nan"))


def _short_hash(card: Card, name: str) -> str:
    found = (f.sha256[:12] for f in card.files if f.path.partition("/")[2] == name)
    return next(found, "-")
