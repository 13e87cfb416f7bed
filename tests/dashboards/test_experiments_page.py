"""The Experiments page on real workspaces: the answer, the pictures, filters in the address, what is asked of the control process."""

import re
from datetime import UTC

import duckdb
import pytest

from controlplane.store.snapshot import SnapshotReader
from dashboards.experiments import data as data_experiments
from dashboards.experiments import effects
from dashboards.export import script
from dashboards.ui import Drawn
from tests.dashboards.conftest import TOKEN
from tests.dashboards.pages import charts, finished, open_page, text


@pytest.fixture(autouse=True)
def _valid_charts(monkeypatch):
    monkeypatch.setattr(Drawn, "CHECKED", True)


def test_without_a_rollout_the_page_says_how_one_begins(monkeypatch, empty_home):
    shown = text(open_page(monkeypatch, empty_home, "experiments"))
    assert "Nothing has been tried yet." in shown
    assert "<code>controlplane release start</code>" in shown
    assert "experiment analyze FILE" in shown


def test_the_page_answers_first_and_shows_every_measure_with_its_interval(monkeypatch, healthy_home, incident_home):
    app = open_page(monkeypatch, healthy_home, "experiments")
    shown = text(app)
    assert "v1.4.0 is better on" in shown
    assert "Split of the traffic" in shown
    assert "As configured" in shown
    assert "Looking often is safe here" in shown
    for title in (
        "CSAT",
        "Escalation rate",
        "Contact rate",
        "Resolution time",
        "Safety misrouting rate",
        "Mean latency",
    ):
        assert f"<b>{title}</b>" in shown
    assert re.search(r"Contact rate</b>.*?provisional", shown, re.S)  # final after three days
    assert "corrected over 2 segments" in shown
    assert charts(app) == 2
    assert "It was rolled back; what is compared here" in text(open_page(monkeypatch, incident_home, "experiments"))
    assert "Log in as an operator" in shown  # without a control process


def test_it_opens_on_the_newest_release_of_which_something_is_known(monkeypatch, full_home):
    app = open_page(monkeypatch, full_home, "experiments")
    shown = text(app)
    assert "What does v1.0 change?" in shown or "v1.0 is " in shown
    assert "v1.1, the newest release, has no final outcome yet." in shown
    assert charts(app) == 2
    assert "release" not in app.query_params  # the address stays as it was
    young = open_page(monkeypatch, full_home, "experiments", release="v1.1")
    assert "What does v1.1 change? Unknown yet." in text(young)
    assert "the newest release" not in text(young)


def test_the_choice_stands_in_the_address_and_changes_the_numbers(monkeypatch, healthy_home):
    whole = text(open_page(monkeypatch, healthy_home, "experiments"))
    app = open_page(
        monkeypatch, healthy_home, "experiments", segment="business", stage="r1/1", metric="csat", onelook="on"
    )
    shown = text(app)
    counts = [int(re.search(r"CSAT</b>.*?>([\d,]+) / ", page, re.S)[1].replace(",", "")) for page in (whole, shown)]
    assert counts[1] < counts[0] / 3
    assert "CSAT: how sure, at each moment" in shown
    assert "The dotted interval does not have this property." in shown
    assert app.query_params["segment"] in ("business", ["business"])
    odd = text(
        open_page(monkeypatch, healthy_home, "experiments", segment="<script>", stage="nope", metric="x", release="?")
    )
    assert "Escalation rate: how sure" in odd
    assert "<script>" not in odd


def test_the_sums_are_those_of_the_rollups_and_the_offered_sql_gives_them(healthy_home):
    """Recounted without the page's loaders: all mature rows of a stage, by its own times."""
    ref = SnapshotReader(healthy_home / "snapshots").current()
    from dashboards import data

    state = data.state(str(ref.path), ref.key)
    (first, *_) = effects.stages(state)
    mature = state.meta.watermark
    params = data_experiments.sums_params((first.span,), (("escalation_rate", mature),))
    with duckdb.connect(str(ref.path), read_only=True) as connection:
        statements = script(data_experiments.SUMS, params)
        found = connection.execute(statements).fetchall()
        since, until = (moment.astimezone(UTC).replace(tzinfo=None) for moment in first.span)
        wanted = connection.execute(
            "SELECT segment, arm, sum(n), sum(x) FROM rollup WHERE metric = 'escalation_rate' AND eligible "
            "AND start >= ? AND start + to_seconds(span_seconds) <= ? GROUP BY ALL ORDER BY ALL",
            [since, min(until, mature.replace(tzinfo=None))],
        ).fetchall()
    assert [(row[2], row[3], row[4], row[5]) for row in found] == [(s, a, int(n), int(x)) for s, a, n, x in wanted]


def test_the_conversations_are_analysed_by_the_control_process(monkeypatch, full_control):
    home, url = full_control.deps.home, full_control.server.url
    app = open_page(monkeypatch, home, "experiments", control=(url, TOKEN))
    app.selectbox(key="pick_release").select_index(1).run()  # the release before
    next(button for button in app.button if button.label == "Analyse the conversations").click().run()
    rollout = app.selectbox(key="pick_release").value
    finished(app, full_control, f"experiment_{rollout}_")
    shown = text(app)
    assert not app.error, [one.value for one in app.error]
    assert not app.exception
    assert "Expected of a conversation: what the baseline did" in shown
    assert "conversations, as known at" in shown
    viewer = open_page(monkeypatch, home, "experiments", control=(url, TOKEN), role="viewer")
    assert "Log in as an operator" in text(viewer)
