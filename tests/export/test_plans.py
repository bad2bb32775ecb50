"""Plans, built ahead of time without a GPU: what is asked, what is cached, what is really built."""

from dataclasses import replace
from pathlib import Path

import pytest

from export.environments import RTX, CannotBuild
from export.onnx import export_onnx
from export.pictures import read_pictures
from export.plans import Recipe, build_plan, graph_hash, library_version
from export.program import export_program, output_names, save_program
from export.qdq import save_qdq
from export.source import open_source
from export.targets import choose
from export.tensorrt.capabilities import as_text, check_here, check_rtx, parse_capabilities
from fathom.errors import Code, FathomError
from tests.export.conftest import REPOSITORY, write_photos
from training.students.student import Student

BUILD_S = 900
SHIPPED = sorted(
    path.parents[1].name for path in (REPOSITORY / "model_repository").glob("*/current/model.pt2")
)
MAGIC = bytes.fromhex("76747274")  # how every plan begins
RECIPE = Recipe(
    builder="tensorrt-rtx",
    version="1.7.1.116",
    graph="0" * 64,
    precision="f32",
    capabilities=((8, 6), (8, 9)),
    outputs=("depth_m",),
)


def test_capabilities_are_read_in_rising_order() -> None:
    assert parse_capabilities("12.0,8.6, 8.9") == ((8, 6), (8, 9), (12, 0))
    assert as_text(((8, 6), (12, 0))) == "8.6, 12.0"


@pytest.mark.parametrize("text", ["", "8", "8.6;8.9", "ada", "8.6.1"])
def test_what_is_no_capability_is_refused(text: str) -> None:
    with pytest.raises(FathomError) as caught:
        parse_capabilities(text)
    assert caught.value.code is Code.BAD_OPTION


def test_a_gpu_that_the_library_does_not_know_is_refused_with_what_to_use() -> None:
    check_rtx(((8, 6), (12, 0)))
    with pytest.raises(FathomError) as caught:
        check_rtx(((8, 6), (9, 0)))
    assert caught.value.got == "9.0"
    assert "--engine torch" in caught.value.repair


def test_tensorrt_itself_builds_for_the_gpu_it_runs_on_only() -> None:
    check_here(((9, 0),), (9, 0))
    check_here((), (9, 0))
    for asked, here in ((((8, 6),), (9, 0)), (((8, 6),), None), ((), None)):
        with pytest.raises(FathomError) as caught:
            check_here(asked, here)
        assert "tensorrt-rtx" in caught.value.repair


def test_equal_recipes_are_one_plan_and_any_difference_makes_another() -> None:
    others = [
        replace(RECIPE, version="1.6.1.120"),
        replace(RECIPE, graph="1" * 64),
        replace(RECIPE, precision="f16"),
        replace(RECIPE, capabilities=((8, 6),)),
        replace(RECIPE, builder="tensorrt-rtx+torch"),
        replace(RECIPE, outputs=("depth_m", "labels")),
        replace(RECIPE, batches=(1, 1, 1)),
    ]
    keys = {each.key for each in (RECIPE, replace(RECIPE), *others)}
    assert len(keys) == 1 + len(others)


def test_a_card_says_what_a_plan_was_made_for() -> None:
    assert RECIPE.made_for == "SM 8.6, 8.9; tensorrt-rtx 1.7.1.116; batch 1 to 8"


def test_a_plan_of_the_same_recipe_is_taken_from_the_cache(tmp_path: Path) -> None:
    (tmp_path / f"{RECIPE.key}.plan").write_bytes(b"kept")
    assert build_plan(RECIPE, tmp_path / "no such.onnx", tmp_path / "out", tmp_path)
    assert (tmp_path / "out").read_bytes() == b"kept"


def test_metadata_do_not_make_another_graph(model_path: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(model_path)
    onnx.helper.set_model_props(model, {"fathom.version": "7"})
    onnx.save(model, tmp_path / "model.onnx")
    assert graph_hash(tmp_path / "model.onnx") == graph_hash(model_path)


def test_targets_are_made_in_what_they_can_be_onnx_first() -> None:
    assert choose(["tensorrt-rtx", "openvino"], ["f32", "f16", "bf16"]) == [
        ("onnx", ("f32", "f16", "bf16")),
        ("tensorrt-rtx", ("f32", "f16")),
        ("openvino", ("f32", "bf16")),
    ]


@pytest.fixture(scope="module")
def version() -> str:
    try:
        RTX.build()
    except CannotBuild as error:
        pytest.skip(f"no TensorRT-RTX from the package index: {error}")
    return library_version("tensorrt-rtx")


def build(version: str, source: Path, folder: Path, **changed: object) -> bytes:
    """A plan, really built by the environment of `make export-rtx`."""
    graph = source.name
    recipe = replace(RECIPE, version=version, graph=graph, **changed)  # type: ignore[arg-type]
    out = folder / "model.plan"
    assert not build_plan(recipe, source, out, folder / "cache")
    assert build_plan(recipe, source, out, folder / "cache"), "the second time it is there"
    return out.read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(BUILD_S)
def test_an_onnx_file_becomes_a_plan_for_two_gpus_without_either(
    version: str, model_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = build(version, model_path, tmp_path)
    assert plan.startswith(MAGIC)
    assert len(plan) > 0.9 * model_path.stat().st_size  # a plan is mostly weights
    assert "Error" not in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(BUILD_S)
@pytest.mark.parametrize("precision", ["f32", "f16"])
def test_a_program_becomes_a_plan_by_torch_tensorrt(
    version: str, student: Student, tmp_path: Path, precision: str
) -> None:
    path = tmp_path / "model.pt2"
    save_program(export_program(student, precision), path)
    plan = build(version, path, tmp_path, builder="tensorrt-rtx+torch", precision=precision)
    assert plan.startswith(MAGIC)
    assert b"depth_m" in plan  # outputs have the names of the contract


@pytest.mark.slow
@pytest.mark.timeout(BUILD_S)
def test_halves_make_a_plan_of_half_the_size_and_int8_is_parsed(
    version: str, student: Student, model_path: Path, tmp_path: Path
) -> None:
    halves = tmp_path / "halves.onnx"
    export_onnx(export_program(student, "f16"), halves, ["depth_m"], {})
    plan = build(version, halves, tmp_path, precision="f16")
    assert plan.startswith(MAGIC) and len(plan) < 0.7 * model_path.stat().st_size
    quantised = tmp_path / "int8.onnx"
    (tmp_path / "photos").mkdir()
    photos = write_photos(tmp_path / "photos", 20)
    save_qdq(model_path, quantised, read_pictures(photos, student.network_size))
    assert build(version, quantised, tmp_path, precision="int8").startswith(MAGIC)


@pytest.mark.slow
@pytest.mark.timeout(BUILD_S)
def test_a_builder_says_in_words_what_it_cannot_parse(version: str, tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    source.write_bytes(b"no graph")
    with pytest.raises(FathomError) as caught:
        build_plan(replace(RECIPE, version=version), source, tmp_path / "out", tmp_path)
    assert caught.value.code is Code.BAD_MODEL
    assert "does not parse" in caught.value.got


@pytest.mark.slow
@pytest.mark.timeout(BUILD_S)
@pytest.mark.parametrize("precision", ["f32", "f16"])
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_student_becomes_a_plan_both_ways(
    version: str, name: str, precision: str, tmp_path: Path
) -> None:
    program = REPOSITORY / "model_repository" / name / "current" / "model.pt2"
    student = open_source(program).student
    exported = export_program(student, precision)
    outputs = output_names(student)
    onnx_path, program_path = tmp_path / "model.onnx", tmp_path / "model.pt2"
    export_onnx(exported, onnx_path, outputs, {})
    save_program(exported, program_path)
    made = build(version, onnx_path, tmp_path, precision=precision, outputs=outputs)
    by_torch = build(
        version,
        program_path,
        tmp_path,
        builder="tensorrt-rtx+torch",
        precision=precision,
        outputs=outputs,
    )
    bytes_each = 4 if precision == "f32" else 2
    weights_bytes = bytes_each * sum(each.numel() for each in student.parameters())
    for plan in (made, by_torch):  # a plan is mostly weights
        assert 0.9 * weights_bytes < len(plan) < 2 * weights_bytes
        assert all(output.encode() in plan for output in outputs)
