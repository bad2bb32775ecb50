"""Virtual environments for what must not meet Fathom's own packages: builders, and servers that are
only started to be compared with. Each is made on first use and kept until its recipe changes.

    python -m export.environments export-rtx
"""

import hashlib
import importlib.metadata
import shutil
import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
_BUILD_TIMEOUT_S = 900


class CannotBuild(Exception):  # noqa: N818 - it names what happened, as tables show it
    """An environment could not be made; what it was for is left out, the rest goes on."""


@dataclass(frozen=True, slots=True)
class Environment:
    """One virtual environment, ready when its stamp holds the hash of what it was made from.

    requirements  what is installed, at versions of its own or those of `constraints.txt`
    dependencies  False installs exactly what is listed
    """

    name: str
    requirements: Path
    dependencies: bool = True

    @property
    def folder(self) -> Path:
        return REPOSITORY / f".venv-{self.name}"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        relative = Path(site.getsitepackages()[0]).relative_to(sys.prefix)
        return self.folder / relative

    def version(self, package: str) -> str:
        """Of a package that is installed in it; the environment must have been built."""
        found = importlib.metadata.distributions(name=package, path=[str(self.packages)])
        return next(iter(found)).version

    def build(self) -> None:
        """Make it unless it is there and of this recipe; raises CannotBuild."""
        constraints = REPOSITORY / "constraints.txt"
        digest = hashlib.sha256("\n".join(self._recipe(constraints)).encode()).hexdigest()
        stamp = self.folder / "made-from"
        if stamp.is_file() and stamp.read_text(encoding="ascii") == digest:
            return
        print(f"making {self.folder.name}", file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(self.folder))
        options = () if self.dependencies else ("--no-deps",)
        files = ("--constraint", str(constraints), "--requirement", str(self.requirements))
        _run(str(self.python), *_PIP, *options, *files)
        stamp.write_text(digest, encoding="ascii")

    def _recipe(self, constraints: Path) -> list[str]:
        """All that decides what will be installed: no other pin makes it again."""
        wanted = self.requirements.read_text(encoding="utf-8").splitlines()
        pins = constraints.read_text(encoding="utf-8").splitlines()
        if not self.dependencies:
            named = {line.partition("=")[0].lower() for line in wanted}
            pins = [pin for pin in pins if pin.partition("=")[0].lower() in named]
        return [sys.version, *wanted, *pins]


_HERE = Path(__file__).parent
RTX = Environment("export-rtx", _HERE / "tensorrt" / "requirements.txt", dependencies=False)
TRITON = Environment("triton", _HERE / "triton" / "requirements.txt", dependencies=False)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuild(str(error)) from error
    if done.returncode:
        last = (done.stderr.strip() or "no word on its standard error").splitlines()[-1]
        raise CannotBuild(f"{Path(command[0]).name} {command[2]}: {last}")


def main() -> int:
    """Build the environments named on the command line; 1 if one cannot be built."""
    known = {environment.name: environment for environment in (RTX, TRITON)}
    try:
        for name in sys.argv[1:]:
            known[name].build()
    except CannotBuild as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    except KeyError as error:
        print(f"export: {error} is none of {', '.join(known)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
