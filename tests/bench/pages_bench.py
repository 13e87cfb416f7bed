"""What the pages cost: server time to the first content and to the whole page at 10 million interactions, against the same page at 100 thousand.

Both workspaces are served beside each other; each opening follows a new snapshot, as it does while the control process publishes,
so that nothing is cached. Then somebody changes a filter on a page that is open, and twenty visitors come at once.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import threading
from pathlib import Path
from typing import Any

from tests.bench.page_client import Run, Session
from tests.bench.pages_world import build
from tests.dashboards.browser import served

PAGES = (
    *("review", "live", "rollout", "experiments", "drift"),
    *("quality", "conversation", "cost", "incidents", "governance"),
)
SMALL, LARGE = 100_000, 10_000_000
OPENINGS, VISITORS = 5, 20


def run(small: int = SMALL, large: int = LARGE) -> dict[str, Any]:
    """Milliseconds (medians) and their ratios, by page; and what went wrong, which is nothing."""
    with tempfile.TemporaryDirectory() as folder:
        return measure([build(Path(folder) / "small", small), build(Path(folder) / "large", large)])


def measure(homes: list[Path]) -> dict[str, Any]:
    """The same of two workspaces that are there, the small one first."""
    found: dict[str, Any] = {}
    found["snapshot MB, small and large"] = " ".join(f"{_snapshot(home).stat().st_size / 2**20:.1f}" for home in homes)
    with served(homes[0]) as first, served(homes[1]) as second:
        _warm_up((first, second))
        slower = []
        for page in PAGES:
            pairs = [(_fresh(homes[0], first, page), _fresh(homes[1], second, page)) for _ in range(OPENINGS)]
            firsts, fulls = (_medians(pairs, name) for name in ("first", "full"))
            slower += [fulls[1] / fulls[0], firsts[1] / firsts[0]]
            found[page] = (
                f"first {firsts[0]:.0f} -> {firsts[1]:.0f} ms ({firsts[1] / firsts[0]:.2f}), "
                f"full {fulls[0]:.0f} -> {fulls[1]:.0f} ms ({fulls[1] / fulls[0]:.2f})"
            )
        found["worst ratio"] = max(slower)
        changes = _filter_changes(second)
        found["filters changed"] = len(changes)
        found["filter change, median ms"] = statistics.median(time for time, _ in changes)
        found["filter change, slowest"] = ", ".join(f"{what} {time:.0f} ms" for time, what in sorted(changes)[-3:])
        found |= _crowd(second)
    return found


def _snapshot(home: Path) -> Path:
    current = json.loads((home / "snapshots" / "CURRENT").read_text())
    return home / "snapshots" / str(current["file"])


def _publish_again(home: Path) -> None:
    """The same content under a new number, as if the control process had published: no cache knows it."""
    path = home / "snapshots" / "CURRENT"
    current = json.loads(path.read_text())
    version = int(current["version"]) + 1
    shutil.copy(path.parent / str(current["file"]), path.parent / f"snap-{version}.duckdb")
    aside = path.with_suffix(".next")
    aside.write_text(json.dumps({**current, "file": f"snap-{version}.duckdb", "version": version}))
    aside.replace(path)
    (path.parent / str(current["file"])).unlink()


def _warm_up(urls: tuple[str, str]) -> None:
    """Imports and compiled pages are paid once a process, not once a visitor."""
    for url in urls:
        with Session(url) as session:
            for page in PAGES:
                _good(page, session.open(page))


def _fresh(home: Path, url: str, page: str) -> Run:
    _publish_again(home)
    with Session(url) as session:
        return _good(page, session.open(page))


def _good(page: str, run: Run) -> Run:
    if run.errors or run.first is None:
        raise AssertionError(f"{page}: {run.errors or 'it has no first content'}")
    return run


def _medians(pairs: list[tuple[Run, Run]], name: str) -> tuple[float, float]:
    small, large = (statistics.median(1000 * getattr(pair[side], name) for pair in pairs) for side in (0, 1))
    return small, large


def _filter_changes(url: str) -> list[tuple[float, str]]:
    """Milliseconds, and what was changed, of every option of every choice on every page, each in a session that has the page open."""
    changes: list[tuple[float, str]] = []
    for page in PAGES:
        with Session(url) as session:
            opened = _good(page, session.open(page))
            for label, (widget, options) in opened.choices.items():
                for option in options[:6]:
                    changed = _good(page, session.choose(page, widget, option, label.partition(":")[0]))
                    changes.append((1000 * changed.full, f"{page}, {label.partition(':')[2]}: {option}"))
    return changes


def _crowd(url: str) -> dict[str, Any]:
    """Twenty visitors at once, each looking at three pages."""
    errors: list[str] = []
    times: list[float] = []

    def visit(number: int) -> None:
        try:
            with Session(url) as session:
                for step in range(3):
                    page = PAGES[(number + 3 * step) % len(PAGES)]
                    run = session.open(page)
                    times.append(1000 * run.full)
                    errors.extend(run.errors)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(VISITORS)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    return {
        f"{VISITORS} visitors at once: pages": len(times),
        "errors": "; ".join(errors[:3]) or 0,
        "median ms among them": statistics.median(times) if times else None,
    }
