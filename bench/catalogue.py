"""Load and look-up of the catalogue: CPU time, median of several runs.

Run: .venv/bin/python bench/catalogue.py
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date

from wehr.catalogue import load

DAY = date(2026, 11, 21)
ROUNDS = 9


def median(run: Callable[[], object], calls: int = 1) -> float:
    """CPU seconds per call."""
    taken = []
    for _ in range(ROUNDS):
        start = time.process_time()
        run()
        taken.append((time.process_time() - start) / calls)
    return statistics.median(taken)


def imported() -> float:
    """CPU seconds of a new interpreter for imports and the first load, less those of an empty one."""
    code = "import time; start = time.process_time(); {}; print(time.process_time() - start)"
    bodies = ("from wehr.catalogue import load; load()", "pass")
    taken = [
        statistics.median(
            float(
                subprocess.run(
                    [sys.executable, "-c", code.format(body)], capture_output=True, check=True
                ).stdout
            )
            for _ in range(ROUNDS)
        )
        for body in bodies
    ]
    return taken[0] - taken[1]


def main() -> None:
    """Print the table."""
    catalogue = load()
    assess = catalogue.assess
    warm_calls, cold_calls = 200_000, 4_000
    build = (15, 1, 2507, 61)

    def warm() -> None:
        for _ in range(warm_calls):
            assess(build, DAY)

    def cold() -> None:
        fresh = load().assess
        for tail in range(cold_calls):
            fresh((15, 1, 2507, tail), DAY)

    loading = median(load)
    rows = [
        ("load, ms of CPU (target 100)", loading * 1e3),
        ("import and load in a new process, ms of CPU", imported() * 1e3),
        ("assess, warm, us (target 2)", median(warm, warm_calls) * 1e6),
        ("assess, cold, us", (median(cold, cold_calls) - loading / cold_calls) * 1e6),
    ]
    for name, value in rows:
        print(f"{name:<45} {value:10.3f}")


if __name__ == "__main__":
    main()
