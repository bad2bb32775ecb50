"""Every form in which a student can be deployed, and how each is made from its program.

ONNX comes first and always: what is not made by PyTorch is made from it.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from torch.export import ExportedProgram

from export import networks
from export.networks import Network
from export.onnx import export_onnx, halve_weights
from export.openvino import save_int8, save_openvino
from export.pictures import Pictures
from export.plans import Recipe, build_plan, graph_hash, library_version
from export.program import export_program, output_names, save_program
from export.qdq import save_qdq
from export.source import Source
from export.tensorrt.capabilities import Capability, check_rtx
from fathom.card import MEASURED, NOT_RUN, ModelFile, sha256_of
from fathom.errors import Code, FathomError
from training.students.student import Student

# Target to the precisions it is made in. bf16 is the f32 file, as OpenVINO computes it by default;
# an ONNX file without f32 among its precisions, but with f16, stores its weights in that.
TARGETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "onnx": ("f32", "f16", "bf16", "int8"),
        "openvino": ("f32", "bf16", "int8"),
        "torch": ("f32",),
        "tensorrt-rtx": ("f32", "f16", "int8"),
        "torch-tensorrt-rtx": ("f32", "f16"),
        "tensorrt": ("f32", "f16", "int8"),
        "torch-tensorrt": ("f32", "f16"),
    }
)
PRECISIONS = ("f32", "f16", "bf16", "int8")


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """One form of the student.

    paths     its files, the one that is opened first
    runs      precision to the network that this machine can run; of a plan, its graph in f16 or
              int8, so that the numbers are judged although the plan is not run
    """

    target: str
    precision: str
    paths: tuple[Path, ...]
    runs: Mapping[str, Network] = field(default_factory=dict)
    made_for: str = ""

    @property
    def is_plan(self) -> bool:
        return self.paths[0].suffix == ".plan"

    def files(self, version: int) -> list[ModelFile]:
        """Its files as the card lists them, hashed where they lie."""
        return [
            ModelFile(
                path=f"{version}/{path.name}",
                target=self.target,
                precision=self.precision,
                bytes=path.stat().st_size,
                sha256=sha256_of(path),
                status=NOT_RUN if self.is_plan else MEASURED,
                made_for=self.made_for,
            )
            for path in self.paths
        ]


@dataclass(frozen=True, eq=False)
class Workshop:
    """Where one student is made into files.

    stage         the folder that will be the version
    scratch       a folder for what is needed on the way
    metadata      texts that travel inside the ONNX file
    calibration   the pictures for int8, read when they are first wanted
    tell          shows progress
    """

    source: Source
    stage: Path
    scratch: Path
    metadata: Mapping[str, str]
    calibration: Callable[[], Pictures]
    capabilities: tuple[Capability, ...]
    tell: Callable[[str], None]

    @property
    def student(self) -> Student:
        return self.source.student

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        return output_names(self.student)

    @cached_property
    def program(self) -> ExportedProgram:
        self.tell("torch: exporting the program")
        return export_program(self.student)

    @cached_property
    def onnx(self) -> Path:
        path = self.scratch / "model.onnx"
        program = self.program
        self.tell("onnx f32: exporting")
        export_onnx(program, path, self.outputs, self.metadata)
        return path

    @cached_property
    def quantised(self) -> Path:
        path = self.scratch / "model.int8.onnx"
        onnx, pictures = self.onnx, self.calibration()
        self.tell(f"onnx int8: calibrating on {len(pictures.frames)} pictures")
        save_qdq(onnx, path, pictures)
        return path

    def program_path(self, precision: str) -> Path:
        path = self.scratch / f"model.{precision}.pt2"
        if not path.is_file():
            self.tell(f"torch {precision}: exporting the program")
            save_program(export_program(self.student, precision), path)
        return path

    @cached_property
    def halves(self) -> Path:
        path = self.scratch / "model.f16.onnx"
        self.tell("onnx f16: exporting")
        export_onnx(export_program(self.student, "f16"), path, self.outputs, {})
        return path

    def onnx_in(self, precision: str) -> Path:
        """The graph as a builder of plans is given it."""
        return {
            "f32": lambda: self.onnx,
            "f16": lambda: self.halves,
            "int8": lambda: self.quantised,
        }[precision]()


def choose(targets: Sequence[str], precisions: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Targets with those of the precisions that each is made in, ONNX first.

    raises  BAD_OPTION for an unknown name, or a target that has none of the precisions
    """
    for given, known in ((targets, tuple(TARGETS)), (precisions, PRECISIONS)):
        for name in given:
            if name not in known:
                raise _bad(f"some of {', '.join(known)}", repr(name), "separate them by commas")
    chosen = {}
    for target in dict.fromkeys(("onnx", *targets)):
        able = TARGETS[target]
        fits = tuple(precision for precision in precisions if precision in able)
        if not fits and target != "onnx":
            raise _bad(
                f"for {target} one of {', '.join(able)}",
                ", ".join(precisions),
                "add it to --precisions",
            )
        chosen[target] = fits
    return list(chosen.items())


def refuse_early(
    chosen: Sequence[tuple[str, tuple[str, ...]]], capabilities: Sequence[Capability]
) -> None:
    """What cannot be built is refused before anything is: raises NOT_AVAILABLE."""
    if any(target.endswith("tensorrt-rtx") for target, _ in chosen):
        check_rtx(capabilities)
    for target, _ in chosen:
        if "tensorrt" in target:
            library_version(target.removeprefix("torch-"))


def make(workshop: Workshop, target: str, precisions: Sequence[str]) -> list[Made]:
    """A target's files in the workshop's stage."""
    if target == "onnx":
        return list(_make_onnx(workshop, precisions))
    if target == "openvino":
        return list(_make_openvino(workshop, precisions))
    if target == "torch":
        path = workshop.stage / "model.pt2"
        save_program(workshop.program, path, workshop.source.about)
        return [Made("torch", "f32", (path,), {"f32": networks.of_program(path)})]
    return [_make_plan(workshop, target, precision) for precision in precisions]


def _make_onnx(workshop: Workshop, precisions: Sequence[str]) -> list[Made]:
    stored = "f16" if "f16" in precisions and "f32" not in precisions else "f32"
    path = workshop.stage / "model.onnx"
    if stored == "f16":
        halve_weights(workshop.onnx, path)
    else:
        shutil.copyfile(workshop.onnx, path)
    runs = {stored: networks.of_onnx(path)}
    if "bf16" in precisions:
        runs["bf16"] = networks.of_openvino(path, "bf16")
    made = [Made("onnx", stored, (path,), runs)]
    if "int8" in precisions:
        path = workshop.stage / "model.int8.onnx"
        shutil.copyfile(workshop.quantised, path)
        made.append(Made("onnx", "int8", (path,), {"int8": networks.of_onnx(path)}))
    return made


def _make_openvino(workshop: Workshop, precisions: Sequence[str]) -> list[Made]:
    made, onnx = [], workshop.onnx
    plain = [precision for precision in precisions if precision != "int8"]
    if plain:
        path = workshop.stage / "model.xml"
        save_openvino(onnx, path)
        runs = {precision: networks.of_openvino(path, precision) for precision in plain}
        made.append(Made("openvino", "f32", (path, path.with_suffix(".bin")), runs))
    if "int8" in precisions:
        path, pictures = workshop.stage / "model.int8.xml", workshop.calibration()
        workshop.tell(f"openvino int8: calibrating on {len(pictures.frames)} pictures")
        save_int8(onnx, path, pictures)
        runs = {"int8": networks.of_openvino(path, "bf16")}
        made.append(Made("openvino", "int8", (path, path.with_suffix(".bin")), runs))
    return made


def _make_plan(workshop: Workshop, target: str, precision: str) -> Made:
    library = target.removeprefix("torch-")
    by_torch = target != library
    onnx = workshop.onnx_in(precision)
    recipe = Recipe(
        builder=library + ("+torch" if by_torch else ""),
        version=library_version(library),
        graph=graph_hash(onnx),
        precision=precision,
        capabilities=workshop.capabilities,
        outputs=workshop.outputs,
    )
    path = workshop.stage / _plan_name(target, precision, workshop.capabilities)
    source = workshop.program_path(precision) if by_torch else onnx
    workshop.tell(f"{target} {precision}: building for {recipe.made_for}")
    if build_plan(recipe, source, path):
        workshop.tell(f"{target} {precision}: was built before, taken from the cache")
    # The plan's graph, run here by another engine: the plan itself stays "built, not run".
    runs = {} if precision == "f32" else {precision: networks.of_onnx(onnx)}
    return Made(library, precision, (path,), runs, recipe.made_for)


def _plan_name(target: str, precision: str, capabilities: Sequence[Capability]) -> str:
    """As `export.triton.config` reads it: model.sm86.f16.plan is for 8.6 alone."""
    library = target.removeprefix("torch-")
    where = "rtx" if library == "tensorrt-rtx" else "sm{}{}".format(*capabilities[0])
    return f"model.{where}.{precision if target == library else f'torch-{precision}'}.plan"


def _bad(expected: str, got: str, repair: str) -> FathomError:
    return FathomError(Code.BAD_OPTION, expected=expected, got=got, repair=repair)
