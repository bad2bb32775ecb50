"""What machine a figure was measured on, in a line: a number without it means nothing."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path


def describe_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Processor, cores this process may use, and system, for example "AMD EPYC, 2 cores, Linux"."""
    processor = platform.processor() or platform.machine()
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return f"{processor}, {usable_cores()} cores, {platform.system()}"


def usable_cores() -> int:
    """Cores this process may use, which in a container are fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def busy_share(
    over_s: float = 1.0,
    *,
    stat: Path = Path("/proc/stat"),
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """How much of the machine's cores others take while this process rests, 0 to 1.

    Unlike the load average it does not count what this process did a moment ago. Where no system
    says it, the load average a core.
    """
    if not stat.is_file():
        return min(1.0, os.getloadavg()[0] / usable_cores())
    before = _idle_and_all(stat)
    sleep(over_s)
    idle, whole = (now - then for now, then in zip(_idle_and_all(stat), before, strict=True))
    return 1.0 - idle / whole if whole else 0.0


def _idle_and_all(stat: Path) -> tuple[int, int]:
    """Ticks since the start, over all cores: user nice system idle iowait irq softirq steal."""
    ticks = [int(word) for word in stat.read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
