"""How old depth is when a person sees it: the live page in a real Chromium, with its fake camera.

    python -m benchmarks.page
    python -m benchmarks.page --seconds 60 --engine null

The page's own figures, as they stand on the screen: the age from the camera's frame to its painted
depth, 50 % and 95 % of the last two seconds within. Browser, camera and server share the cores.
Other options go to the server.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.chromium import ALLOWED, CHROMIUM, Browser
from benchmarks.results import FOLDER, write_result
from benchmarks.serving import serving

# The page's own window, so that no frame is told of twice.
_WINDOW_S = 2.0
_WARM_UP_FRAMES = 30


def main(argv: list[str] | None = None) -> int:
    """Look at the page for as long as asked; print a line a window, write JSON."""
    arguments, server_arguments = _parser().parse_known_args(argv)
    if CHROMIUM is None:
        print("no Chromium is installed", file=sys.stderr)
        return 2
    load_before = os.getloadavg()
    with serving(server_arguments) as server, tempfile.TemporaryDirectory() as profile:
        browser = Browser(Path(profile), ALLOWED)
        try:
            windows = _watch(browser, server.http, arguments.seconds)
        finally:
            browser.close()
    figures = {
        "server_arguments": server_arguments,
        "seconds": arguments.seconds,
        "age_p95_ms_worst_window": max(window["age_p95_ms"] for window in windows),
        "windows": windows,
    }
    write_result(arguments.json, figures, load_before)
    print(
        f"age p95 at most {figures['age_p95_ms_worst_window']:.0f} ms; written to {arguments.json}"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--seconds", type=float, default=30, help="(%(default)s)")
    parser.add_argument("--json", type=Path, default=FOLDER / "page.json", help="(%(default)s)")
    return parser


def _watch(browser: Browser, http: str, seconds: float) -> list[dict[str, float]]:
    """The page's figures at the end of each of its windows."""
    browser.open(f"http://{http}/")
    browser.click("#drop [data-live]")
    browser.wait(f"{_number('live-answered')} >= {_WARM_UP_FRAMES}")
    windows = []
    for _ in range(max(1, round(seconds / _WINDOW_S))):
        time.sleep(_WINDOW_S)
        window = {
            "age_p50_ms": browser.ask(_number("live-p50")),
            "age_p95_ms": browser.ask(_number("live-p95")),
            "fps": browser.ask(_number("live-fps")),
            "answered": browser.ask(_number("live-answered")),
        }
        windows.append(window)
        print("  ".join(f"{name} {value:g}" for name, value in window.items()), flush=True)
    return windows


def _number(element: str) -> str:
    return f"Number(document.getElementById('{element}').textContent)"


if __name__ == "__main__":
    sys.exit(main())
