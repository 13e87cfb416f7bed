"""The Drift page: what moved, one column in full, two analyses, a run from the page, and Evidently's report in its own frame."""

import pytest

from dashboards.ui import Drawn
from tests.dashboards.conftest import TOKEN
from tests.dashboards.pages import charts, finished, open_page, text


@pytest.fixture(autouse=True)
def _valid_charts(monkeypatch):
    monkeypatch.setattr(Drawn, "CHECKED", True)


def test_an_empty_workspace_says_how_to_begin(monkeypatch, empty_home):
    shown = text(open_page(monkeypatch, empty_home, "drift"))
    assert "Nobody has looked yet." in shown
    assert "<code>controlplane drift run --hours 24</code>" in shown


def test_what_moved_and_what_broke_comes_first(monkeypatch, healthy_home):
    app = open_page(monkeypatch, healthy_home, "drift")
    shown = text(app)
    assert "Has the traffic changed? Yes, in 2 of 5 columns." in shown
    assert "Workflow is broken: values are missing or cannot be read; Latency and Predicted intent moved." in shown
    assert "crypto_wallet" in shown
    assert "Jensen-Shannon 0.131 of" not in shown  # the score has a column of its own
    assert "7 Jan 10:00 to 14:00" in shown
    assert charts(app) == 1  # this analysis kept no course and no distributions
    assert "No distribution was kept." in shown


def test_one_column_by_the_address(monkeypatch, healthy_home):
    app = open_page(monkeypatch, healthy_home, "drift", column="intent_pred", report="<script>")
    assert next(box for box in app.selectbox if box.label == "Column").value == "intent_pred"
    assert charts(app) == 2  # what moved most of a category is known without a distribution
    assert "<script>" not in text(app)


def test_the_report_is_shown_when_asked_for_and_missed_when_gone(monkeypatch, healthy_home):
    assert not open_page(monkeypatch, healthy_home, "drift").get("iframe")
    app = open_page(monkeypatch, healthy_home, "drift", evidently="on")
    assert app.get("iframe")[0].proto.src == "/reports/drift/20260107T140000Z-ab12cd34/report.html"
    report = next(healthy_home.glob("reports/drift/*/report.html"))
    kept = report.read_bytes()
    report.unlink()
    try:
        assert "is gone from the workspace" in text(open_page(monkeypatch, healthy_home, "drift"))
    finally:
        report.write_bytes(kept)


def test_the_demo_s_analysis_shows_its_course_distributions_and_what_came_with_it(monkeypatch, full_home):
    app = open_page(monkeypatch, full_home, "drift", column="latency_ms")
    shown = text(app)
    assert "When it moved" in shown
    assert charts(app) == 4  # scores, course of all, distribution and course of one
    assert "The 12 strongest of" in shown
    assert "Mean latency" in shown
    words = text(open_page(monkeypatch, full_home, "drift", column="model"))
    assert "careless-1" in words


def test_a_run_from_the_page_is_shown_before_a_snapshot_has_it(monkeypatch, full_control):
    home, url = full_control.deps.home, full_control.server.url
    app = open_page(monkeypatch, home, "drift", control=(url, TOKEN))
    assert next(box for box in app.selectbox if box.label == "Length").value == "30 minutes"
    next(box for box in app.toggle if box.label.startswith("Draw Evidently")).set_value(False)
    next(button for button in app.button if button.label == "Run the analysis").click().run()
    finished(app, full_control, "drift")
    assert not app.error, [one.value for one in app.error]
    shown = text(app)
    chosen = next(box for box in app.selectbox if box.label == "Analysis")
    assert f"Done: analysis {chosen.value} is kept" in shown
    assert (home / "reports" / "drift" / chosen.value / "summary.json").is_file()
    assert "it was not asked for" in shown
    beside = next(box for box in app.selectbox if box.label == "Set beside it")
    others = [row.artefact_id for row in full_control.deps.state.artefacts("drift") if row.artefact_id != chosen.value]
    beside.set_value(others[0])
    app.run()
    assert not app.exception
    assert "Beside the other analysis" in text(app)


def test_a_viewer_reads_but_may_not_run(monkeypatch, full_control):
    app = open_page(
        monkeypatch, full_control.deps.home, "drift", control=(full_control.server.url, TOKEN), role="viewer"
    )
    assert next(button for button in app.button if button.label == "Run the analysis").disabled
    assert "Where the workspace is, the same is `controlplane drift run --hours 0.5`." in text(app)


def test_two_releases_are_compared_only_where_there_are_two(monkeypatch, full_home, healthy_home):
    for home, count in ((full_home, 2), (healthy_home, 1)):
        app = open_page(monkeypatch, home, "drift")
        app.segmented_control(key="drift_what").set_value("Two releases").run()
        assert ("Only one release has been served so far" in text(app)) == (count == 1)
        assert ("Run the analysis" in [button.label for button in app.button]) == (count == 2)
