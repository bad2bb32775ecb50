"""What a serving installation consists of: a software bill of materials, and everybody's licences.

    python deploy/sbom.py            writes deploy/sbom.cdx.json and deploy/LICENCES.md
    python deploy/sbom.py --check    1 if they are not what is installed

Starts from what pyproject.toml asks for the server and the client, and follows what the installed
packages say of themselves. Without dates and serial numbers, so that the same packages give the
same files. The form is CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SBOM = ROOT / "deploy" / "sbom.cdx.json"
LICENCES = ROOT / "deploy" / "LICENCES.md"
EXTRAS = ("server", "client")

# What older packages write, as SPDX writes it.
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "MIT License": "MIT",
    "OSI Approved :: Apache Software License": "Apache-2.0",
}
# Said by their classifiers better than by their licence field.
_SAID_ELSEWHERE = {"uvloop": "MIT OR Apache-2.0"}
# "libx264-d6533a8d.so.165" is libx264; the rest is the wheel's builder's.
_LIBRARY = re.compile(r"^(lib[\w+]+?|[\w+]+?)(?:-[0-9a-f]{8})?(?:[-.\d]*)\.(?:so|dylib|dll)\b")
_COPYLEFT = {
    "libx264": "GPL-2.0-or-later",
    "libx265": "GPL-2.0-or-later",
}


class Unlicensed(Exception):  # noqa: N818 - a package's omission
    """A package does not say its licence in a form that is known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One package of the installation.

    licence  an SPDX expression
    needs    names of the packages that it asks for
    carries  native libraries inside its wheel, which have licences of their own
    """

    name: str
    version: str
    licence: str
    summary: str
    needs: Sequence[str]
    carries: Sequence[str]

    @property
    def reference(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def main(argv: list[str] | None = None) -> int:
    """Write both files, or with --check compare; 1 if they differ."""
    check = "--check" in (sys.argv[1:] if argv is None else argv)
    roots, parts = installation()
    wanted = {SBOM: bill(roots, parts), LICENCES: licences(parts)}
    for path, text in wanted.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            print(f"{path.relative_to(ROOT)} is not what is installed: run python deploy/sbom.py")
            return 1
    return 0


def installation() -> tuple[list[str], list[Part]]:
    """Names of what pyproject.toml asks for, and all that comes with them, by name.

    raises  Unlicensed, importlib.metadata.PackageNotFoundError
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = project["dependencies"] + [
        line for extra in EXTRAS for line in project["optional-dependencies"][extra]
    ]
    roots: list[str] = sorted({canonicalize_name(name) for name, _ in _needed(asked, {""})})
    found: dict[str, Part] = {}
    extras_of: dict[str, set[str]] = {}
    waiting = list(_needed(asked, {""}))
    while waiting:
        name, extras = waiting.pop()
        known = extras_of.setdefault(canonicalize_name(name), set())
        if canonicalize_name(name) in found and extras <= known:
            continue
        known |= extras | {""}
        package = distribution(name)
        more = list(_needed(package.requires or (), known))
        found[canonicalize_name(name)] = _part(package, [other for other, _ in more])
        waiting += more
    return roots, [found[name] for name in sorted(found)]


def _needed(lines: Iterable[str], extras: set[str]) -> Iterable[tuple[str, set[str]]]:
    """Names and extras of the requirements that hold on this machine."""
    for line in lines:
        needed = Requirement(line)
        marker = needed.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            yield needed.name, set(needed.extras)


def _part(package: Distribution, needs: Sequence[str]) -> Part:
    name = canonicalize_name(package.metadata["Name"])
    libraries = {
        found[1]
        for path in package.files or ()
        if ".libs/" in str(path) or "/.dylibs/" in str(path)
        if (found := _LIBRARY.match(path.name))
    }
    return Part(
        name=name,
        version=package.version,
        licence=_licence(name, package),
        summary=_told(package, "Summary"),
        needs=sorted({canonicalize_name(other) for other in needs}),
        carries=sorted(libraries),
    )


def _told(package: Distribution, field: str) -> str:
    """What a package says under this name; empty where it says nothing."""
    told = package.metadata
    return told[field] if field in told else ""  # noqa: SIM401 - its type has no `get`


def _licence(name: str, package: Distribution) -> str:
    said = (
        _SAID_ELSEWHERE.get(name)
        or _told(package, "License-Expression")
        or _told(package, "License")
    )
    expression = _SPDX.get(said, said)
    # An SPDX expression is short and has no prose in it; a whole licence text is neither.
    if not re.fullmatch(r"[\w.()+ -]{2,80}", expression):
        raise Unlicensed(f"{name} says its licence is {said[:60]!r}: look, and add it here")
    return expression


def bill(roots: Sequence[str], parts: Sequence[Part]) -> str:
    """The bill of materials, as CycloneDX JSON."""
    references = {part.name: part.reference for part in parts}
    components = [
        {
            "type": "library",
            "bom-ref": part.reference,
            "name": part.name,
            "version": part.version,
            "description": part.summary,
            "licenses": [{"expression": part.licence}],
            "purl": part.reference,
            "properties": [
                {"name": "fathom:carries", "value": library} for library in part.carries
            ],
        }
        for part in parts
    ]
    whole = {"type": "application", "bom-ref": "fathom", "name": "fathom-depth"}
    own = [{"ref": "fathom", "dependsOn": [references[name] for name in roots]}]
    theirs = [
        {"ref": part.reference, "dependsOn": [references[name] for name in part.needs]}
        for part in parts
    ]
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": whole | {"licenses": [{"expression": "Apache-2.0"}]}},
        "components": components,
        "dependencies": own + theirs,
    }
    return json.dumps(bom, indent=1) + "\n"


def licences(parts: Sequence[Part]) -> str:
    """The page for people."""
    lines = [
        "# Licences of what is installed to serve and to look",
        "",
        "Written by `deploy/sbom.py` from what the packages say of themselves, for the extras",
        f"{' and '.join(f'`{extra}`' for extra in EXTRAS)} on Linux. The same as data:",
        "[sbom.cdx.json](sbom.cdx.json).",
        "",
        "| package | version | licence | carries |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {part.name} | {part.version} | {part.licence} | {', '.join(part.carries)} |"
        for part in parts
    ]
    lines += ["", "## What to know before you pass it on", ""]
    for part in parts:
        for library in part.carries:
            if library in _COPYLEFT:
                lines.append(
                    f"- The wheel of `{part.name}` carries {library}: {_COPYLEFT[library]}."
                )
    lines += [
        "- `av` is of the extra `client` alone. An image with the extra `server` is without it.",
        "- A wheel's own libraries (`carries`) are updated with the wheel and only with it.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
