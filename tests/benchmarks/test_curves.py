"""Learning curves from a report: a line for each run, seeds under one name."""

import json
from pathlib import Path

import cv2

from benchmarks.curves import chart, main


def run(name: str, seed: int, curve: list[float], fit_part: str = "train_fit") -> dict[str, object]:
    return {"name": name, "seed": seed, "curve": curve, "settings": {"fit_part": fit_part}}


RUNS = [
    run("supervised", 0, [0.4, 0.5]),
    run("supervised", 1, [0.3, 0.6]),
    run("shipped", 0, [0.7, 0.75, 0.8], "train"),
]


def test_seeds_share_a_name_and_a_colour_and_fitted_pictures_are_told() -> None:
    first, second, shipped = chart(RUNS).lines
    assert [first.name, second.name, shipped.name] == ["supervised", "", "shipped*"]
    assert first.colour == second.colour != shipped.colour
    assert shipped.x.tolist() == [1, 2, 3] and shipped.y.tolist() == [0.7, 0.75, 0.8]


def test_a_report_becomes_a_picture_beside_it(tmp_path: Path) -> None:
    report = tmp_path / "students.json"
    report.write_text(json.dumps({"runs": RUNS}))
    assert main([str(report)]) == 0
    picture = cv2.imread(str(tmp_path / "students.png"))
    assert picture is not None and picture.shape == (460, 1100, 3)
