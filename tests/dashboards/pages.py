"""Opens a page as Streamlit's own test harness does, and reads what a person would read."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from controlplane.core.roles import Role
from controlplane.store.snapshot import SnapshotReader
from dashboards import control as ask
from dashboards import export
from dashboards.config import Config
from jobs.control import Control

APP = Path(__file__).parents[2] / "dashboards" / "app.py"
FIRST = "review"
SECONDS = 120  # against waiting for ever on a busy machine; nothing that is measured


def open_page(
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    page: str = FIRST,
    *,
    control: tuple[str, str] | None = None,
    role: str = "admin",
    **query: str,
) -> AppTest:
    """The page ("live", ...) of a workspace, run once.

    `control`: URL and token of its control process; `role`: of who looks; `query`: what the address says.
    """
    monkeypatch.setenv("CONTROLPLANE_HOME", str(home))
    monkeypatch.setenv("CONTROLPLANE_DASHBOARD_ROLE", role)
    for name, value in zip(("CONTROLPLANE_URL", "CONTROLPLANE_TOKEN"), control or ("", ""), strict=True):
        monkeypatch.setenv(name, value)
    app = AppTest.from_file(str(APP), default_timeout=SECONDS)
    for name, value in query.items():
        app.query_params[name] = value
    app._page_hash = calc_hash(
        page
    )  # as st.Page does with its url_path; before its first run `switch_page` knows the file's name alone
    app.run()
    assert not app.exception, [error.value for error in app.exception]
    return app


def text(app: AppTest) -> str:
    """Everything a person can read on the page."""
    parts = [element.proto.body for element in app.get("html")]
    kinds = (app.markdown, app.caption, app.error, app.success, app.warning, app.info)
    parts += [element.value for kind in kinds for element in kind]
    return "\n".join(parts)


def checked_exports(monkeypatch: pytest.MonkeyPatch, home: Path) -> list[str]:
    """From now on everything that a page offers is checked while it is drawn: its SQL, run by itself on the snapshot, gives the same rows.

    A difference is an error of the page, which `open_page` raises. Returns the names of what was offered so far.
    """
    offered: list[str] = []
    real = export.offer

    def offer(name: str, frame: pl.DataFrame, query: str, params: Mapping[str, Any], note: str = "") -> None:
        path = SnapshotReader(home / "snapshots").current().path
        with duckdb.connect(str(path), read_only=True) as connection:
            found = pl.DataFrame(connection.sql(export.script(query, params)).to_arrow_table())
        assert_frame_equal(
            frame.with_columns(pl.col(pl.Datetime).dt.replace_time_zone(None)), found, check_dtypes=False, rel_tol=1e-9
        )
        assert export.flat(frame).write_csv()
        offered.append(name)
        real(name, frame, query, params, note)

    monkeypatch.setattr(export, "offer", offer)
    return offered


def charts(app: AppTest) -> int:
    """How many charts there are."""
    return len(app.get("vega_lite_chart"))


def finished(app: AppTest, control: Control, key: str) -> None:
    """Wait for the long work that a button of `dashboards.tasks` asked for, without running the page all the time; then show what came of it."""
    config = Config(control.deps.home, control.server.url, os.environ["CONTROLPLANE_TOKEN"])
    task_id = app.session_state[f"task_id_{key}"]
    deadline = time.monotonic() + SECONDS
    while task_id and not ask.task(config, Role.ADMIN, task_id).over:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    app.run()
