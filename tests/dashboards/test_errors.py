"""A page that fails shows a reference and nothing of the inside; the log has the rest."""

from __future__ import annotations

import re

import pytest
from streamlit.testing.v1 import AppTest

from dashboards import errors


def _page() -> None:
    import streamlit as st

    from dashboards import errors

    st.session_state["suppressed"] = errors.show(ValueError("a <secret> path"))


def test_an_error_becomes_a_reference(caplog: pytest.LogCaptureFixture) -> None:
    app = AppTest.from_function(_page).run()
    assert not app.exception
    assert app.session_state["suppressed"] is True  # Streamlit adds nothing of its own
    shown = app.get("html")[0].proto.body
    assert "secret" not in shown
    assert "ValueError" not in shown
    (reference,) = re.findall(r"<code>([0-9a-f]{8})</code>", shown)
    (record,) = [row for row in caplog.records if row.name == "controlplane.dashboards"]
    assert reference in record.getMessage()
    assert "a <secret> path" in caplog.text
    assert errors.text("<b>").count("&lt;b&gt;") == 1
