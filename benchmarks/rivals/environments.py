"""Virtual environments of the rivals, made on first use: their wheels never meet Fathom's own."""

import hashlib
import shutil
import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parent.parent.parent
_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
_BUILD_TIMEOUT_S = 900


class CannotBuild(Exception):  # noqa: N818 - it names what happened, as the table shows it
    """An environment could not be made; the rival has no figures, the others do."""


@dataclass(frozen=True, slots=True)
class Environment:
    """One virtual environment; ready when its stamp holds the hash of what it was made from."""

    name: str
    dependencies: bool = True

    @property
    def folder(self) -> Path:
        return _ROOT / f".venv-rivals-{self.name}"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        relative = Path(site.getsitepackages()[0]).relative_to(sys.prefix)
        return self.folder / relative

    def build(self) -> None:
        """Make it unless it is there and of these requirements; raises CannotBuild."""
        requirements = Path(__file__).parent / f"requirements-{self.name}.txt"
        constraints = _ROOT / "constraints.txt"
        recipe = requirements.read_bytes() + constraints.read_bytes() + sys.version.encode()
        digest = hashlib.sha256(recipe).hexdigest()
        stamp = self.folder / "made-from"
        if stamp.is_file() and stamp.read_text(encoding="ascii") == digest:
            return
        print(f"making {self.folder.name}", file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(self.folder))
        options = () if self.dependencies else ("--no-deps",)
        files = ("--constraint", str(constraints), "--requirement", str(requirements))
        _run(str(self.python), *_PIP, *options, *files)
        stamp.write_text(digest, encoding="ascii")


LITSERVE = Environment("litserve")
TRITON = Environment("triton", dependencies=False)


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
