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


AGAINST: dict[str, Any] = {
    "date": "2026-11-21T00:00:00+00:00",
    "figures": {
        "fps": {
            "server": 86.4,
            "lean": 83.0,
            "session": 80.0,
            "bare": 90.0,
            "two_lanes": 100.4,
        },
        "best_in_process": "two_lanes",
        "ratio": 0.861,
        "ratio_lean": 0.827,
        "ratio_bare": 0.896,
    },
}


OVERHEAD: dict[str, Any] = {
    "date": "2026-11-21T00:00:00+00:00",
    "figures": {
        "p50_ms": {
            "stream_lean": 0.616,
            "stream_echo": 0.334,
            "stream_echo_in_place": 0.3,
            "unary_lean": 0.92,
            "unary_echo": 0.8,
            "unary_echo_in_place": 0.7,
        }
    },
}


def rival(server: str, style: str, cameras: int, fps: float, p99_ms: float) -> dict[str, Any]:
    scene = {"cameras": cameras, "fps": 15.0}
    cell = {"server": server, "style": style, "scene": scene}
    return {"cell": cell, "figures": {"fps": fps, "age_p99_ms": p99_ms}}


RIVALS: dict[str, Any] = {
    "machine": "a machine",
    "date": "2026-11-21T00:00:00+00:00",
    "figures": {
        "model": "a-model",
        "rounds": 2,
        "seconds": 15.0,
        "rows": [
            rival("fathom", "stream", 1, 200.4, 20.0),
            rival("other", "every frame", 1, 100.0, 5000.0),
            rival("fathom", "stream", 16, 210.0, 70.0),
            rival("other", "every frame", 16, 90.0, 6000.0),
        ],
    },
}

CHANGES = {
    f"strength_{strength}": {"mean_percent": percent, "abs_rel": 0.22956}
    for strength, percent in (("0", 6.62), ("0.5", 3.81), ("0.8", 2.79))
}
FLICKER: dict[str, Any] = {
    "date": "2026-11-21T00:00:00+00:00",
    "figures": {"desk.mp4": CHANGES, "still photo": CHANGES, "frames": CHANGES},
}


def figure(mean: float, spread: float) -> dict[str, float]:
    return {"mean": mean, "spread": spread}


ABLATION: dict[str, Any] = {
    "seeds": {"plain": [0, 1], "taught": [0]},
    "over_seeds": {
        name: {
            "delta1": figure(delta1, 0.01),
            "abs_rel": figure(0.23, 0.002),
            "rmse": figure(0.8, 0),
        }
        for name, delta1 in (("plain", 0.607), ("taught", 0.646))
    },
    "runs": [{"epochs": 6}, {"epochs": 6}, {"epochs": 6}],
}

DECODERS: dict[str, Any] = {
    "machine": "a machine",
    "date": "2026-11-21T00:00:00+00:00",
    "load_average_before": [0.1, 1.0, 1.0],
    "figures": {
        "precision": "bf16",
        "students": {"one": {"parameters": 1_950_000}, "other": {"parameters": 17_000_000}},
        "ms": {"one": 2.5, "other": 13.75},
        "fps": {"one": 400.0, "other": 72.7},
        "times_as_fast": {"one over other": 5.5},
    },
}

NEIGHBOURS: dict[str, Any] = {
    "machine": "a machine",
    "date": "2026-11-21T00:00:00+00:00",
    "figures": {
        "fps": 30.0,
        "phases": {
            phase: {"age": {"p50_ms": p99_ms - 5, "p95_ms": p99_ms - 1, "p99_ms": p99_ms}}
            for phase, p99_ms in (("alone", 16.0), ("flooding client", 27.04))
        },
    },
}

RESULTS = {
    "ablation": ABLATION,
    "engine_against_reference_002": DECODERS,
    "fps": RESULT,
    "fps_against_in_process": AGAINST,
    "fps_against_in_process_f32": AGAINST,
    "fps_overhead": OVERHEAD,
    "rivals": RIVALS,
    "overload": OVERLOAD,
    "neighbours": NEIGHBOURS,
    "flicker": FLICKER,
}


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter"
    assert with_figures(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter"


def test_figures_come_with_machine_protocol_and_unit() -> None:
    rmse = Figure(
        name="rmse",
        value=0.5881,
        unit="m",
        protocol="nyu-eigen, test, 654 images",
        machine="a machine",
        date="2026-11-21",
    )
    miou = replace(rmse, name="miou", value=0.4249, unit="share")
    cards = [
        replace(CARD, name="small", parameters=1_960_000, figures=(rmse,)),
        replace(CARD, name="naming", parameters=2_210_000, figures=(rmse, miou)),
    ]
    text = render(cards, RESULTS)
    assert "nyu-eigen, test, 654 images" in text
    assert "| `small` | 1.96 M |  |  | 0.588 m |  |  |" in text
    assert "| `naming` | 2.21 M |  |  | 0.588 m |  | 0.425 |" in text
    assert "a machine" in text and "75 KB" in text and "2026-11-21" in text
    assert "| 2.1x capacity | 99.5% of it | 1.000 | 24 | 40 | 4.6 MiB |" in text
    assert "| other, every frame | 100 | 5000 | 90 | 6000 |" in text
    assert "86 of the 100 frames/s" in text and "86%" in text and "83%" in text and "90%" in text
    assert "In f32, as on a processor without bf16, it is 86 of 100 (86%)" in text
    assert "p50 0.62 ms over a kept stream (echo 0.33 ms" in text and "0.92 ms a call" in text
    assert "| nobody | 11.0 | 15.0 | 16.0 |" in text
    assert "| a flooding client | 22.0 | 26.0 | 27.0 |" in text
    assert "| 0.5 | 3.8 % | 3.8 % | 3.8 % | 0.2296 |" in text
    assert "| plain | 2 | 0.607 ± 0.005 | 0.230 ± 0.001 | 0.800 ± 0.000 m | +0.0 |" in text
    assert "| taught | 1 | 0.646 | 0.230 | 0.800 m | +3.9 |" in text
    assert "| other | 17.00 M | 13.75 | 73 |" in text and "one over other: 5.5." in text
    assert "| gRPC stream, 4 frames in flight | 4.0 | 5.0 | 6.0 | 200 |" in text


def test_the_page_quotes_the_committed_results() -> None:
    assert main(["--check"]) == 0
