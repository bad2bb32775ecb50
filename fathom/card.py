"""The model card: what a model is, what it was measured to do, and the hash of every file of it.

A card is the promise a server checks before it serves: a file whose hash is not the card's is
refused. Knows no engine and no network.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fathom.errors import Code, FathomError
from fathom.geometry import Size

CARD_FILE = "card.json"
# How far a file was tried before it was published.
MEASURED, NOT_RUN = "measured", "built, not run"
_BLOCK_BYTES = 2**20
_COLOUR = re.compile("#[0-9a-f]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number and all that is needed to measure it again."""

    name: str
    value: float
    unit: str
    protocol: str
    machine: str
    date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of a version: its path beside the card, what it is for, and its hash.

    status    MEASURED, or NOT_RUN where the machine of the export could not run it
    made_for  what else must fit, such as the GPUs and the library of a plan
    """

    path: str
    target: str
    precision: str
    bytes: int
    sha256: str
    status: str = MEASURED
    made_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything worth knowing of one version of a model.

    input_size  (height, width) of the network input
    focal_px    the focal length its metres were learned with, in network pixels
    range_m     the nearest and farthest depth it can answer
    class_colours  "#rrggbb" of each class, to paint it with; empty where there are none
    waived      gates that the export failed and that somebody overrode
    """

    name: str
    version: int
    summary: str
    recipe: str
    data: str
    data_licence: str
    parameters: int
    input_size: Size
    outputs: tuple[str, ...]
    classes: tuple[str, ...]
    focal_px: float
    range_m: tuple[float, float]
    figures: tuple[Figure, ...]
    files: tuple[ModelFile, ...]
    waived: tuple[str, ...] = ()
    class_colours: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Read a card; raises BAD_MODEL if a field is missing, unknown or of the wrong type."""
        try:
            raw = json.loads(text)
            return cls(
                **_exact(cls, raw)
                | {
                    "input_size": _pair(raw["input_size"], int),
                    "range_m": _pair(raw["range_m"], float),
                    "outputs": _strings(raw["outputs"]),
                    "classes": _strings(raw["classes"]),
                    "waived": _strings(raw["waived"]),
                    "class_colours": _colours(raw["class_colours"], len(raw["classes"])),
                    "figures": tuple(Figure(**_exact(Figure, f)) for f in raw["figures"]),
                    "files": tuple(ModelFile(**_exact(ModelFile, f)) for f in raw["files"]),
                }
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise FathomError(
                Code.BAD_MODEL,
                expected=f"a card with the fields {', '.join(f.name for f in fields(cls))}",
                got=f"{type(error).__name__}: {error}",
                repair="write the card again with `python -m export`",
            ) from error

    def figure(self, name: str) -> Figure | None:
        """The first measured figure of that name."""
        return next((figure for figure in self.figures if figure.name == name), None)


def read_card(path: Path) -> Card:
    """Read `card.json`; raises BAD_MODEL if it is not there or not a card."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FathomError(
            Code.BAD_MODEL,
            expected=f"a model card at {path}",
            got=error.strerror or type(error).__name__,
            repair="export the model again, or take its folder out of the repository",
        ) from error
    return Card.from_json(text)


def verify_files(card: Card, folder: Path) -> Iterator[ModelFile]:
    """Hash each file of the card and yield it when it is the one that was measured.

    folder  where the card lies; paths on the card are relative to it
    raises  BAD_MODEL at the first file that is missing or differs
    """
    for file in card.files:
        path = folder / file.path
        if not path.resolve().is_relative_to(folder.resolve()):
            raise _mismatch(file, "a path that leads out of the model's folder")
        if not path.is_file():
            raise _mismatch(file, "no such file")
        size = path.stat().st_size
        if size < file.bytes:
            raise _mismatch(file, f"{size} bytes: it was cut short")
        digest = sha256_of(path)
        if digest != file.sha256:
            raise _mismatch(file, f"sha256 {digest[:12]}... over {size} bytes")
        yield file


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _mismatch(file: ModelFile, got: str) -> FathomError:
    return FathomError(
        Code.BAD_MODEL,
        expected=f"{file.path} with sha256 {file.sha256[:12]}... and {file.bytes} bytes",
        got=got,
        repair="restore the file from the repository, or export the model again",
    )


def _exact(kind: type, raw: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    if set(raw) != names:
        raise ValueError(f"fields that differ: {sorted(set(raw) ^ names)}")
    plain = {f.name: f.type for f in fields(kind) if f.type in (str, int, float)}
    return raw | {name: _typed(raw[name], wanted) for name, wanted in plain.items()}


def _typed(value: Any, wanted: Any) -> Any:
    """The value itself; JSON writes a float without a fraction like an int."""
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise TypeError(f"{value!r} is no {wanted.__name__}")
    return value


def _strings(raw: Any) -> tuple[str, ...]:
    return tuple(_typed(value, str) for value in _typed(raw, list))


def _colours(raw: Any, classes: int) -> tuple[str, ...]:
    colours = _strings(raw)
    if colours and (len(colours) != classes or not all(map(_COLOUR.fullmatch, colours))):
        raise ValueError(f"{classes} colours like #1f77b4 wanted, not {', '.join(colours)}")
    return colours


def _pair(raw: list[Any], kind: type) -> tuple[Any, Any]:
    first, second = raw
    return _typed(first, kind), _typed(second, kind)
