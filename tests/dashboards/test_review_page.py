"""Review on every kind of workspace: the answer with its outlook, measures with their maturity, the pinned review, its files and its sign-off."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controlplane.core.metrics import METRICS
from controlplane.core.roles import Role
from controlplane.store.state_rows import AuditEntry, Commit
from dashboards import control, measures
from dashboards.config import Config
from jobs.control import Control
from tests.dashboards.conftest import TOKEN, World
from tests.dashboards.pages import charts, open_page, text


def test_it_opens_with_the_answer_its_reasons_and_every_measure(
    monkeypatch: pytest.MonkeyPatch, healthy_home: Path
) -> None:
    app = open_page(monkeypatch, healthy_home)
    shown = text(app)
    assert "May it grow to 50 %? Not yet." in shown
    assert re.search(r"CSAT is not certified: it needs about [\d,]+ more customers, likely [\w ]+ to [\w ]+\.", shown)
    assert "CSAT certified not worse by 0.05 points" in shown
    assert "10 of 12 met" in shown
    for name in (*measures.PROGRAMME, *measures.WATCHED):
        assert METRICS[name].title in shown
    assert "Provisional" in shown  # nobody's 72 hours are over
    assert "0 % final (needs 3 d)" in shown
    assert "Improved" in shown
    assert "No week has been pinned yet." in shown
    assert "controlplane topics" in shown
    assert "controlplane tradeoff --record" in shown
    assert "Forecast of January" in shown
    assert "not yet: 1 whole day of cost known, a forecast needs 7" in shown
    assert charts(app) == 3


def test_after_a_rollback_it_says_no_and_shows_the_containment(
    monkeypatch: pytest.MonkeyPatch, incident_home: Path
) -> None:
    shown = text(open_page(monkeypatch, incident_home))
    assert "May it grow? No: it was rolled back." in shown
    for words in ("Likely onset", "Detected", "Traffic cut", "9 s after the cut", "First alert", "Contained"):
        assert words in shown
    assert "the incident decides, not these" in shown
    assert "v1.4.0: a known change went in" in shown
    assert "knowledge base 2026-01-07 published" in shown


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"window": "This stage"}, "This stage: 2026-01-0"),
        ({"window": "<script>"}, "Last 7 days: 2025-12-31"),
        ({"week": "2026-W02", "window": "This stage"}, "Week 2026-W02: 2026-01-05 00:00 to 2026-01-07"),
        ({"week": "2025-W40"}, "Last 7 days: 2025-12-31"),
    ],
)
def test_the_period_comes_from_the_address(
    monkeypatch: pytest.MonkeyPatch, healthy_home: Path, query: dict[str, str], said: str
) -> None:
    app = open_page(monkeypatch, healthy_home, **query)
    assert said in text(app)
    periods = [one for one in app.get("button_group") if one.proto.label == "Period"]
    if "2026-W02" in query.values():
        assert app.query_params["week"] in ("2026-W02", ["2026-W02"])
        assert "Week 2026-W02 is shown, Monday to Monday in UTC." in text(app)
        assert not periods  # only one of the two is chosen
    else:
        assert "week" not in app.query_params
        assert periods


def test_pinned_reviews_are_vouched_for_newest_first_and_text(
    monkeypatch: pytest.MonkeyPatch, tiny_world: World
) -> None:
    for week in ("2026-W01", "2026-W02", "2026-W03"):
        summary = {"week": week, "version": 1, "words": {"headline": f"Week {week}: <b>1 improved</b>."}}
        tiny_world.state.record_artefact(
            f"{week}-v1", "review", f"reports/review/{week}-v1.json", summary, tiny_world.now
        )
        if week != "2026-W03":  # begun and never vouched for: it is not pinned
            row = AuditEntry("ana", "review_pinned", f"{week}-v1", "review", {"document_hash": "ab" * 32})
            tiny_world.state.commit(Commit(audit=[row]), tiny_world.now)
    signed = AuditEntry("jon", "review_signed", "2026-W02-v1", "CSAT <i>", {"verdict": "object", "document_hash": "cd"})
    tiny_world.state.commit(Commit(audit=[signed]), tiny_world.now)
    tiny_world.save()
    app = open_page(monkeypatch, tiny_world.home)
    shown = text(app)
    assert shown.index("Weekly review 2026-W02") < shown.index("2026-W01-v1")
    assert "Week 2026-W02: &lt;b&gt;1 improved&lt;/b&gt;." in shown
    assert "2026-W03" not in shown
    assert "Objection" in shown
    assert "CSAT &lt;i&gt; (signed other content)" in shown
    labels = [button.proto.label for button in app.get("download_button")]
    assert labels.count("Download PDF") == labels.count("Download HTML") == 2


def test_the_full_page_tells_the_whole_story_and_takes_a_signature(
    monkeypatch: pytest.MonkeyPatch, full_home: Path, full_control: Control
) -> None:
    app = open_page(monkeypatch, full_home, control=(full_control.server.url, TOKEN))
    shown = text(app)
    for words in (
        "Not signed",
        "customers exposed, reviewed",
        "What it could not answer",
        "open questions in",
        "recorded 2026-",
    ):
        assert words in shown
    assert charts(app) == 3
    review_id = next(row.artefact_id for row in full_control.deps.state.artefacts("review"))
    app.button(key=f"ask_sign_agree_{review_id}").click().run()
    assert "as it was pinned" in text(app)
    settings = Config(full_home, full_control.server.url, TOKEN)
    asked = {"review_id": review_id, "verdict": "agree", "reason": "read with operations"}
    assert control.ask(settings, Role.ADMIN, "review_sign", asked, "mira").done
    again = control.ask(settings, Role.ADMIN, "review_sign", asked, "mira")
    assert "has signed" in again.text
    assert not control.ask(settings, Role.OPERATOR, "review_sign", asked, "jon").done
    assert [one["verdict"] for one in full_control.deps.state.vouched("review_signed", review_id)] == ["agree"]
    assert "mira" in (full_control.deps.reports / "review" / f"{review_id}.html").read_text(encoding="utf-8")


def test_without_a_log_in_nobody_signs(monkeypatch: pytest.MonkeyPatch, full_home: Path) -> None:
    app = open_page(monkeypatch, full_home)
    disabled = {button.label: button.disabled for button in app.button}
    assert disabled["Sign: I agree"]
    assert disabled["Object"]
