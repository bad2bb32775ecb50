from dataclasses import replace
from typing import Any

from benchmarks.readme import BEGIN, END, main, render, with_figures
from fathom.card import Figure
from server.engines.null import CARD


def timing(fps: float) -> dict[str, float]:
    return {"p50_ms": 4.04, "p95_ms": 5.0, "p99_ms": 6.0, "fps": fps}


RESULT: dict[str, Any] = {
    "machine": "a machine",
    "date": "2026-11-21T00:00:00+00:00",
    "load_average_before": [0.5, 1.0, 1.0],
    "figures": {
        "engine": "openvino",
        "precision": "bf16",
        "picture_bytes": 75_000,
        "server_resident_mib": 200.4,
        "model": timing(250.0),
        "in_server": timing(200.0),
        "closed_loop_1": timing(120.0),
        "closed_loop_4": timing(199.6),
        "open_loop_30fps": timing(30.0),
        "open_loop_60fps": timing(60.0),
    },
}


OVERLOAD: dict[str, Any] = {
    "machine": "a machine",
    "date": "2026-11-21T00:00:00+00:00",
    "figures": {
        "runs": [
            {
                "cameras": 16,
                "offered_fps_each": 30.0,
                "seconds": 600.0,
                "load": 2.07,
                "served_share_of_capacity": 0.995,
                "max_over_min_served": 1.0,
                "age_ms": {"p50_ms": 23.9, "p99_ms": 40.3},
                "server_resident_mib": {"growth": 4.57},
            }
        ]
    },
}


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter"
    assert with_figures(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter"


def test_figures_come_with_machine_protocol_and_unit() -> None:
    rmse = Figure(
        name="rmse",
        value=0.5865,
        unit="m",
        protocol="nyu-eigen, test, 654 images",
        machine="a machine",
        date="2026-11-21",
    )
    text = render(replace(CARD, figures=(rmse,)), RESULT, OVERLOAD)
    assert "nyu-eigen, test, 654 images" in text
    assert "0.587 m" in text or "0.586 m" in text
    assert "a machine" in text and "75 KB" in text and "2026-11-21" in text
    assert "| 2.1x capacity | 99.5% of it | 1.000 | 24 | 40 | 4.6 MiB |" in text
    assert "| gRPC stream, 4 frames in flight | 4.0 | 5.0 | 6.0 | 200 |" in text


def test_the_page_quotes_the_committed_results() -> None:
    assert main(["--check"]) == 0
