import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from export.repository import (
    CURRENT,
    SUMS,
    check_name,
    check_whole,
    current_version,
    next_version,
    publish,
    roll_back,
    staged,
    versions,
)
from fathom.card import CARD_FILE, Card, ModelFile, read_card, sha256_of, verify_files
from fathom.errors import Code, FathomError
from tests.export.conftest import REPOSITORY

CARD = Card(
    name="tiny",
    version=1,
    summary="",
    recipe="none",
    data="none",
    data_licence="none",
    parameters=0,
    input_size=(64, 96),
    outputs=("depth_m",),
    classes=(),
    focal_px=80.0,
    range_m=(0.2, 12.0),
    figures=(),
    files=(),
)
CONFIGS = {"config.pbtxt": "config", "configs/python.pbtxt": "python"}


def publish_bytes(repository: Path, content: bytes) -> Card:
    with staged(repository, CARD.name) as stage:
        version = next_version(repository / CARD.name)
        path = stage / "model.onnx"
        path.write_bytes(content)
        file = ModelFile(
            path=f"{version}/model.onnx",
            target="onnx",
            precision="f32",
            bytes=len(content),
            sha256=sha256_of(path),
        )
        card = replace(CARD, version=version, files=(file,))
        publish(repository, card, CONFIGS, stage)
    return card


def test_a_published_card_leads_to_its_files(tmp_path: Path) -> None:
    card = publish_bytes(tmp_path, b"graph")
    folder = tmp_path / "tiny"
    assert read_card(folder / CARD_FILE) == card
    assert [file.path for file in verify_files(card, folder)] == ["1/model.onnx"]
    assert (folder / "1" / "model.onnx").read_bytes() == b"graph"
    assert (folder / "config.pbtxt").read_text() == "config"
    assert (folder / "configs" / "python.pbtxt").read_text() == "python"


def test_versions_only_grow_and_the_newest_is_served(tmp_path: Path) -> None:
    publish_bytes(tmp_path, b"old")
    publish_bytes(tmp_path, b"new")
    folder = tmp_path / "tiny"
    assert read_card(folder / CARD_FILE).version == current_version(folder) == 2
    assert (folder / "1" / "model.onnx").read_bytes() == b"old"
    assert next_version(folder) == 3


def test_a_version_that_was_not_published_leaves_nothing(tmp_path: Path) -> None:
    with staged(tmp_path, "tiny") as stage:
        (stage / "model.onnx").write_bytes(b"half")
    assert list((tmp_path / "tiny").iterdir()) == []


def test_two_exports_of_one_model_do_not_meet(tmp_path: Path) -> None:
    with staged(tmp_path, "tiny") as stage:
        with pytest.raises(FathomError) as caught, staged(tmp_path, "tiny"):
            pass
        assert caught.value.code is Code.NOT_AVAILABLE
        assert stage.is_dir()


def test_the_sums_are_what_sha256sum_checks(tmp_path: Path) -> None:
    publish_bytes(tmp_path, b"graph")
    folder = tmp_path / "tiny" / "1"
    done = subprocess.run(
        ["sha256sum", "--check", SUMS], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.count(": OK") == 4  # graph, card, two configurations


def test_a_rollback_serves_the_version_before(tmp_path: Path) -> None:
    for content in (b"one", b"two", b"three"):
        publish_bytes(tmp_path, content)
    folder = tmp_path / "tiny"
    assert roll_back(tmp_path, "tiny") == 2
    assert read_card(folder / CARD_FILE).version == 2
    assert roll_back(tmp_path, "tiny", to=3) == 3
    assert current_version(folder) == 3
    assert versions(folder) == [1, 2, 3]


def test_a_rollback_to_nowhere_names_what_there_is(tmp_path: Path) -> None:
    publish_bytes(tmp_path, b"one")
    for to in (None, 7):
        with pytest.raises(FathomError) as caught:
            roll_back(tmp_path, "tiny", to)
        assert caught.value.code is Code.UNKNOWN_MODEL
    assert current_version(tmp_path / "tiny") == 1


def test_a_rollback_to_a_version_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    publish_bytes(tmp_path, b"one")
    publish_bytes(tmp_path, b"two")
    (tmp_path / "tiny" / "1" / "model.onnx").write_bytes(b"0ne")
    with pytest.raises(FathomError, match=r"model\.onnx"):
        roll_back(tmp_path, "tiny")
    assert current_version(tmp_path / "tiny") == 2


def test_a_file_that_nobody_published_is_noticed(tmp_path: Path) -> None:
    publish_bytes(tmp_path, b"graph")
    (tmp_path / "tiny" / "1" / "extra.bin").write_bytes(b"")
    with pytest.raises(FathomError, match=r"extra\.bin"):
        check_whole(tmp_path / "tiny" / "1")


# Publishes over and over in children; the nth dies at its nth call into the file system.
_KILLER = """
import os, signal, sys
from pathlib import Path
from tests.export.test_repository import publish_bytes

EVENTS = {"open", "os.mkdir", "os.rename", "os.symlink", "os.chmod", "os.remove", "os.rmdir",
          "os.scandir", "os.listdir", "shutil.rmtree", "tempfile.mkdtemp"}
root, point = Path(sys.argv[1]), 0
while True:
    point += 1
    child = os.fork()
    if not child:
        left = [point]
        def count(event, arguments):
            if event in EVENTS:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(count)
        publish_bytes(root / str(point), b"new")
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    print(point, "died" if os.WIFSIGNALED(status) else "done", flush=True)
    if not os.WIFSIGNALED(status):
        sys.exit(os.WEXITSTATUS(status))
    publish_bytes(root / str(point + 1), b"old")
"""


def test_killed_at_any_point_publishing_leaves_the_old_or_the_new_version_whole(
    tmp_path: Path,
) -> None:
    publish_bytes(tmp_path / "1", b"old")
    done = subprocess.run(
        [sys.executable, "-c", _KILLER, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    points = [line.split() for line in done.stdout.splitlines()]
    assert len(points) > 20
    assert [word for _, word in points] == ["died"] * (len(points) - 1) + ["done"]
    served = []
    for point, _ in points:
        folder = tmp_path / point / "tiny"
        card = check_whole(folder / str(current_version(folder)))
        assert read_card(folder / CARD_FILE) == card
        assert (folder / "config.pbtxt").read_text() == "config"
        served.append((folder / card.files[0].path).read_bytes())
        # Whoever comes next finds no trace of it.
        assert publish_bytes(tmp_path / point, b"next").version == next_version(folder) - 1
        assert {path.name for path in folder.iterdir()} <= {
            *map(str, versions(folder)),
            *(CURRENT, CARD_FILE, "config.pbtxt", "configs"),
        }
    assert served[0] == b"old" and served[-1] == b"new"
    # One rename decides: before it all are old, after it all are new.
    assert served == sorted(served, key=[b"old", b"new"].index)


@pytest.mark.parametrize(
    "name", ["", "..", "../up", "a/b", "Upper", "-flag", "a" * 64, "a..b", "."]
)
def test_names_that_could_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(FathomError) as caught:
        check_name(name)
    assert caught.value.code is Code.BAD_OPTION


@pytest.mark.parametrize("name", ["a", "indoor-mnv2", "v1.2_x", "0"])
def test_plain_names_are_taken(name: str) -> None:
    check_name(name)
