"""Opens a page as Streamlit's own test harness does, and reads what a person would read."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "dashboards" / "app.py"
FIRST = "review"
SECONDS = 120  # against waiting for ever on a busy machine; nothing that is measured


def open_page(
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    page: str = FIRST,
    *,
    control: tuple[str, str] | None = None,
    **query: str,
) -> AppTest:
    """The page ("live", ...) of a workspace, run once; `control`: URL and token of its control process; `query`: what the address says."""
    monkeypatch.setenv("CONTROLPLANE_HOME", str(home))
    for name, value in zip(("CONTROLPLANE_URL", "CONTROLPLANE_TOKEN"), control or ("", ""), strict=True):
        monkeypatch.setenv(name, value)
    app = AppTest.from_file(str(APP), default_timeout=SECONDS)
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page(f"app_pages/{page}_page.py")
    app.run()
    assert not app.exception, [error.value for error in app.exception]
    return app


def text(app: AppTest) -> str:
    """Everything a person can read on the page."""
    parts = [element.proto.body for element in app.get("html")]
    kinds = (app.markdown, app.caption, app.error, app.success, app.warning, app.info)
    parts += [element.value for kind in kinds for element in kind]
    return "\n".join(parts)


def charts(app: AppTest) -> int:
    """How many charts there are."""
    return len(app.get("vega_lite_chart"))
