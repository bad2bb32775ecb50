"""Plans from the builders' own environments, and a cache of them: what was built is never rebuilt.

Knows no TensorRT: it starts `export.tensorrt` where that is installed, and shows its progress.
"""

import hashlib
import importlib.metadata
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from export.environments import REPOSITORY, RTX, CannotBuild
from export.tensorrt.capabilities import Capability, as_text
from fathom.errors import Code, FathomError

CACHE = REPOSITORY / ".cache" / "plans"
BATCHES = (1, 4, 8)
# Every plan of either library begins so.
_MAGIC = bytes.fromhex("76747274")
_BUILD_TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that decides what a plan becomes, so that equal recipes are one plan.

    builder  "tensorrt" or "tensorrt-rtx", "+torch" behind it for Torch-TensorRT
    version  of the library; a plan runs with this version only
    graph    the hash of what is computed, without the metadata around it
    """

    builder: str
    version: str
    graph: str
    precision: str
    capabilities: tuple[Capability, ...]
    outputs: tuple[str, ...]
    batches: tuple[int, int, int] = BATCHES

    @property
    def key(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()

    @property
    def made_for(self) -> str:
        """As a model's card says it."""
        smallest, _, largest = self.batches
        where = f"SM {as_text(self.capabilities)}; " if self.capabilities else ""
        library = self.builder.removesuffix("+torch")
        return f"{where}{library} {self.version}; batch {smallest} to {largest}"


def graph_hash(onnx_path: Path) -> str:
    """The hash of an ONNX file's graph; its metadata, which name a version, do not count."""
    graph = onnx.load(onnx_path).graph
    return hashlib.sha256(graph.SerializeToString(deterministic=True)).hexdigest()


def library_version(library: str) -> str:
    """Of the library where its plans will be built; raises NOT_AVAILABLE where there is none."""
    if library == "tensorrt-rtx":
        try:
            RTX.build()
        except CannotBuild as error:
            raise _not_available(
                library, str(error), "look at what pip says: make export-rtx"
            ) from error
        return RTX.version("tensorrt-rtx")
    if importlib.util.find_spec("tensorrt") is None:
        raise _not_available(
            library,
            "no package tensorrt in this environment",
            "pip install tensorrt here, or take --targets tensorrt-rtx, which builds without a GPU",
        )
    return importlib.metadata.version("tensorrt")


def build_plan(recipe: Recipe, source: Path, out: Path, cache: Path = CACHE) -> bool:
    """Put the recipe's plan at `out`, from the cache where it is there; True if it was.

    source  the ONNX file, or for Torch-TensorRT the `.pt2`
    raises  BAD_MODEL with the builder's own words
    """
    kept = cache / f"{recipe.key}.plan"
    if kept.is_file():
        out.write_bytes(kept.read_bytes())
        return True
    cache.mkdir(parents=True, exist_ok=True)
    library = recipe.builder.removesuffix("+torch")
    python = RTX.python if library == "tensorrt-rtx" else Path(sys.executable)
    timing = cache / f"{library}-{recipe.version}.timing"
    command = [
        *(str(python), "-m", "export.tensorrt", "--library", library),
        *("--source", str(source.resolve()), "--out", str(out.resolve())),
        *("--capabilities", as_text(recipe.capabilities)),
        *("--batches", ",".join(map(str, recipe.batches)), "--timing-cache", str(timing)),
        *("--outputs", ",".join(recipe.outputs)),
    ]
    _run(command, recipe.builder)
    plan = out.read_bytes()
    if not plan.startswith(_MAGIC):
        raise _broken(recipe.builder, f"a file that begins with {plan[:4].hex()}")
    beside = kept.with_suffix(".partial")
    beside.write_bytes(plan)
    beside.replace(kept)
    return False


def _run(command: Sequence[str], builder: str) -> None:
    """Run a builder in the foreground: its progress is the user's to see, its last line ours."""
    said: list[str] = []
    with subprocess.Popen(
        command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        assert process.stderr is not None  # noqa: S101 - it was asked for
        for line in process.stderr:
            said.append(line.rstrip())
            if line.startswith("  "):
                print(line, end="", file=sys.stderr)
        status = process.wait(_BUILD_TIMEOUT_S)
    if status:
        raise _broken(builder, (said or ["not a word"])[-1])


def _broken(builder: str, got: str) -> FathomError:
    return FathomError(
        Code.BAD_MODEL,
        expected=f"a plan by {builder}",
        got=got,
        repair="the ONNX file may hold what this version cannot: run the builder by hand to see",
    )


def _not_available(library: str, got: str, repair: str) -> FathomError:
    return FathomError(
        Code.NOT_AVAILABLE, expected=f"{library} to build with", got=got, repair=repair
    )
