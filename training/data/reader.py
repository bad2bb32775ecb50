"""What every data set is to the rest of training: names of pictures, and a sample for each name.

Knows no format; each format is a file beside this one. A reader keeps nothing decoded.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from fathom.errors import Code, FathomError
from training.data.pictures import PICTURES
from training.data.sample import Sample

ALL = "all"


class Reader(Protocol):
    """A data set in one published form.

    ids   names of the pictures of a part; `ALL` where a form has no parts of its own
    read  the sample of a name; pixels without a measured depth are not valid
    both raise BAD_DATA
    """

    def ids(self, part: str) -> Sequence[str]: ...

    def read(self, id_: str) -> Sample: ...


def choose(part: str, parts: Mapping[str, Sequence[str]], root: Path) -> Sequence[str]:
    """The names of a part, which must exist and have some."""
    if not parts.get(part):
        known = ", ".join(sorted(name for name, ids in parts.items() if ids))
        raise FathomError(
            Code.BAD_DATA,
            expected=f"pictures in part {part} of {root}",
            got=f"parts {known}" if known else "no pictures at all",
            repair="choose a part that exists or complete the folder",
        )
    return parts[part]


def demand(path: Path, form: str) -> Path:
    """A file or folder without which this is not the form it is said to be."""
    if not path.exists():
        raise FathomError(
            Code.BAD_DATA,
            expected=f"{path.name} in a data set of form {form}",
            got=f"{path.parent} without it" if path.parent.is_dir() else f"no folder {path.parent}",
            repair="point at the folder that holds it, or give another --form",
        )
    return path


def pictures_below(folder: Path) -> dict[str, Path]:
    """Every picture of a folder by its path without suffix, in order of name."""
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES)
    return {str(path.relative_to(folder).with_suffix("")): path for path in found}
