"""Drift of a workspace, end to end on real stores: planted changes are found with their moment and what came with them, quiet months are quiet."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

import pytest

from controlplane import settings as settings_module
from controlplane.analysis.drift import ColumnDrift, DriftResult
from controlplane.core.audit import canonical, sha256_text
from controlplane.core.model import Verdict
from controlplane.core.policy import parse
from controlplane.settings import SettingsError
from controlplane.store.state import StateWriter
from controlplane.store.warehouse import Warehouse
from jobs import drift_timeline, drift_work, notify
from jobs.deps import Deps
from jobs.drift_alert import message
from jobs.drift_rows import Relation, Rows, export_features
from jobs.drift_windows import Window
from jobs.refused import Refused
from tests.jobs.conftest import POLICY
from tests.jobs.drift_world import DAY, NOW, YEAR, Day, DriftWorld, planted
from tests.store.facts_world import ingest, write_lines

ASKED = {"reference": "previous", "report": False}


def ready(home: Path, told: TextIO | None = None) -> Deps:
    settings = settings_module.load(home, env={})
    settings.workspace.create("live")
    state = StateWriter(settings.state_url)
    state.migrate(NOW)
    deps = Deps(settings, Warehouse.open(settings.workspace.facts), state, parse(POLICY))
    deps.receivers, deps.rules = notify.receivers(settings, told)
    return deps


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deps]:
    folder = tmp_path_factory.mktemp("drift")
    with (folder / "told.txt").open("w") as told:
        deps = ready(folder / "home", told)
        planted(DriftWorld(deps.warehouse))
        yield deps
        deps.warehouse.close()
        deps.state.close()


@pytest.fixture(scope="module")
def month(world: Deps) -> dict[str, Any]:
    """The planted month against the one before."""
    return dict(drift_work.run_windows(world, NOW, until=NOW.isoformat(), **ASKED))


@pytest.fixture(scope="module")
def quiet(world: Deps) -> dict[str, Any]:
    """The month before the planted one, against the one before that."""
    return dict(drift_work.run_windows(world, NOW, until=(NOW - 28 * DAY).isoformat(), **ASKED))


def test_a_new_topic_is_drift_of_the_inputs_and_its_labels(month: dict[str, Any]) -> None:
    assert {"intent_pred", "unknown_words", "question_distance", "csat"} <= set(month["drifted"])
    assert month["columns"]["intent_pred"]["new_categories"][0][0] == "crypto"
    quiet = {"tokens_in", "tokens_out", "region", "intent_conf", "answer_length", "answer_kind", "language"}
    assert not quiet & set(month["drifted"])


def test_when_the_topic_began_is_found_to_the_day(month: dict[str, Any]) -> None:
    began = (NOW - 14 * DAY).strftime("%Y-%m-%dT00:00:00Z")
    for name in ("intent_pred", "unknown_words", "question_distance"):
        column = month["columns"][name]
        assert column["onset_detail"]["shape"] == "step", name
        assert column["onset"] == began, (name, column["onset_detail"])
        assert column["onset_detail"]["earliest"] <= column["onset"] <= column["onset_detail"]["latest"]
    assert month["columns"]["region"]["onset"] is None


def test_what_came_with_the_topic_is_told_with_intervals_as_an_association(month: dict[str, Any]) -> None:
    (effect,) = [entry for entry in month["effects"] if entry["split"] == "new categories"]
    found = {one["metric"]: one for one in effect["metrics"]}
    assert effect["categories"] == ["crypto"]
    assert found["escalated"]["low"] > 0.2
    assert found["csat"]["high"] < -1.5
    assert found["misclassified"]["low"] > 0.5
    assert found["latency_ms"]["low"] < 0 < found["latency_ms"]["high"]
    assert "not a cause" in effect["reading"]
    split = next(entry for entry in month["effects"] if "intent_pred" in entry["columns"] and entry["split"] == "onset")
    rates = {one["metric"]: one for one in split["metrics"]}
    assert rates["escalated"]["low"] > 0
    assert rates["escalated"]["n_before"] > rates["escalated"]["n_after"] > 300


def test_a_column_that_stops_is_broken_and_one_that_fades_has_its_day(month: dict[str, Any]) -> None:
    assert set(month["broken"]) == {"cost_usd", "latency_ms"}
    assert month["columns"]["cost_usd"]["problem"] == "all NULL in current"
    assert month["columns"]["cost_usd"]["onset"] == (NOW - 28 * DAY).strftime("%Y-%m-%dT00:00:00Z")
    faded = month["columns"]["latency_ms"]
    assert (faded["verdict"], faded["problem"]) == ("FAIL", "missing values")
    assert faded["onset"] == (NOW - 8 * DAY).strftime("%Y-%m-%dT00:00:00Z")


def test_the_timeline_of_every_column_is_along_the_same_days(month: dict[str, Any]) -> None:
    at = month["timeline"]["at"]
    assert (month["timeline"]["bucket"], len(at)) == ("day", 57)  # the windows end at three in the morning
    for name in ("intent_pred", "csat", "misclassified", "tokens_in"):
        line = month["columns"][name]["timeline"]
        assert {len(line[key]) for key in ("score", "missing", "rows")} == {57}, name
    topic = month["columns"]["intent_pred"]["timeline"]["score"]
    assert max(topic[:42]) < min(topic[43:])


def test_a_quiet_month_has_no_drift(quiet: dict[str, Any]) -> None:
    assert (quiet["drifted"], quiet["broken"]) == ([], [])
    assert quiet["effects"] == []
    assert {column["onset"] for column in quiet["columns"].values()} == {None}


def test_last_year_had_other_prompts(world: Deps, quiet: dict[str, Any]) -> None:
    year = drift_work.run_windows(world, NOW, until=NOW.isoformat(), reference="year", report=False)
    assert "tokens_in" not in quiet["drifted"]
    tokens = year["columns"]["tokens_in"]
    assert tokens["drifted"]
    assert tokens["current_mean"] > 1.3 * tokens["reference_mean"]
    assert year["reference"]["since"] == (NOW - YEAR - 28 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert tokens["onset"] is None
    assert tokens["onset_detail"]["shape"] == "from the start"


def test_the_record_is_vouched_for_and_told_once(world: Deps, month: dict[str, Any]) -> None:
    (row,) = [row for row in world.state.artefacts("drift") if row.artefact_id == month["artefact"]]
    (said,) = world.state.vouched("drift_recorded", month["artefact"])
    assert said["summary_hash"] == sha256_text(canonical(row.summary))
    assert sorted(path.name for path in (world.home / row.path).iterdir()) == ["summary.json"]
    assert json.loads((world.home / row.path / "summary.json").read_text()) == row.summary
    (told,) = [item for item in world.state.outbox() if item.outbox_id == f"drift:{month['artefact']}"]
    assert told.payload["severity"] == "error"
    assert "broken: latency_ms, cost_usd" in told.payload["annotations"]["title"]
    assert "intent_pred" in told.payload["annotations"]["title"]


def test_no_question_no_answer_and_no_customer_are_in_the_record(month: dict[str, Any]) -> None:
    text = json.dumps(month)
    assert not [word for word in ("staking", "declined", "word word", "c17", "i17") if f'"{word}' in text]


def test_the_console_gets_the_message(world: Deps, month: dict[str, Any]) -> None:
    notify.run(world, NOW + timedelta(seconds=11))  # it waits ten seconds for others of its group
    (item,) = [item for item in world.state.outbox() if item.outbox_id == f"drift:{month['artefact']}"]
    assert (item.status, item.receiver) == ("sent", "console")
    text = (world.home.parent / "told.txt").read_text()
    assert "Drift: broken: latency_ms, cost_usd; drifted: " in text
    assert "drift is told, it decides nothing" in text


def test_a_quiet_month_tells_nobody(world: Deps, quiet: dict[str, Any]) -> None:
    assert not world.state.has_message(f"drift:{quiet['artefact']}")
    (said,) = world.state.vouched("drift_recorded", quiet["artefact"])
    assert said["message"] is None


def test_columns_that_nobody_asked_for_tell_nobody(month: dict[str, Any]) -> None:
    columns = (
        ColumnDrift("intent_pred", "categorical", "JS", Verdict.FAIL, "moved", 0.1, drifted=True),
        ColumnDrift("cost_usd", "numeric", "W", Verdict.ERROR, "gone", 0.1),
        ColumnDrift("region", "categorical", "JS", Verdict.INCONCLUSIVE, "unclear", 0.1),
    )
    result = DriftResult(columns)
    assert message("a", result, ("region", "csat"), month, NOW) is None
    assert message("a", DriftResult(columns[2:]), (), month, NOW) is None
    for names, severity, told in (
        (("intent_pred",), "warning", "drifted: intent_pred"),
        ((), "error", "broken: cost_usd"),
    ):
        found = message("a", result, names, month, NOW, "http://127.0.0.1:1")
        assert found is not None
        assert (found.outbox_id, found.payload["severity"]) == ("drift:a", severity)
        assert told in found.payload["annotations"]["title"]
        assert found.payload["links"] == [{"title": "Drift", "url": "http://127.0.0.1:1/drift?report=a"}]


def test_labels_that_are_not_mature_are_counted_as_such(world: Deps) -> None:
    """The last hours of a log: what has not been rated yet is not unrated."""
    found = drift_work.run_windows(world, NOW, hours=6.0, until=NOW.isoformat(), **ASKED)
    label = found["labels"]["csat"]
    assert label["current"] == {"rows": 10, "mature": 0, "immature": 10, "labelled": 0}
    assert found["columns"]["csat"]["verdict"] == "NO_DATA"
    assert "10 of 10 rows are not mature yet: the label is final 24 h after" in found["columns"]["csat"]["reason"]
    assert found["labels"]["escalated"]["current"]["mature"] == 6
    assert found["timeline"]["bucket"] == "hour"


def test_two_arms_and_two_releases(world: Deps, tmp_path: Path) -> None:
    deps = ready(tmp_path / "home")
    facts = DriftWorld(deps.warehouse)
    facts.days(NOW - 11 * DAY, 11, Day(release="v1"))
    facts.days(NOW, 11, Day(release="v2", tokens=600.0))
    facts.days(NOW, 11, Day(rows=20, release="v2", arm="baseline", lost=("intent_pred",)))
    releases = drift_work.run_windows(deps, NOW, release="v2", against="v1", arm="assistant", report=False)
    assert releases["drifted"] == ["tokens_in"]
    assert releases["columns"]["tokens_in"]["onset"] == (NOW - 11 * DAY).strftime("%Y-%m-%dT00:00:00Z")
    arms = drift_work.run_windows(deps, NOW, arm="baseline", against_arm="assistant", release="v2", report=False)
    assert arms["broken"] == ["intent_pred", "out_of_scope"]
    assert "tokens_in" in arms["drifted"]
    assert "arm" not in arms["columns"]
    assert arms["columns"]["tokens_in"]["onset"] is None
    deps.warehouse.close()
    deps.state.close()


def test_text_in_numbers_is_a_broken_column_though_its_rows_never_became_facts(tmp_path: Path) -> None:
    """Half of the current records have a word for their latency: ingest refuses them, and what is left looks healthy."""
    deps = ready(tmp_path / "home")
    lines = []
    for i in range(240):
        ts = NOW - 12 * DAY + i * DAY / 20
        latency = "slow" if i >= 120 and i % 2 else 100.0 + i % 7
        more = {"latency_ms": latency, "tokens_in": 40 + i % 9, "arm": "assistant"}
        lines.append({"interaction_id": f"i{i}", "conversation_id": f"c{i}", "turn": 1, "ts": ts.isoformat(), **more})
    counts = ingest(deps.warehouse, write_lines(tmp_path / "log.jsonl", lines), now=NOW)
    assert counts.quarantined == 60
    found = drift_work.run_windows(deps, NOW, days=6.0, until=NOW.isoformat(), **ASKED)
    assert found["broken"] == ["latency_ms"]
    column = found["columns"]["latency_ms"]
    assert (column["verdict"], column["problem"]) == ("ERROR", "text where numbers were")
    assert "50% of the records were refused for this field (wrong_type), 0% in the reference" in column["reason"]
    assert found["refused"]["current"] == [{"field": "latency_ms", "reason": "wrong_type", "rows": 60, "share": 0.5}]
    assert found["columns"]["tokens_in"]["verdict"] == "PASS"
    deps.warehouse.close()
    deps.state.close()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"since": "soon"}, "--since 'soon' is no time"),
        ({"since": "2026-05-04", "until": "2026-05-01"}, "ends at 2026-05-01T00:00:00Z, not after its begin"),
        ({"release": "v1", "against": "v9"}, "no interactions of release 'v9'"),
        ({"release": "v1", "against": "v1"}, "name two releases"),
        ({"against": "v1"}, "--against names what --release is compared with"),
        ({"arm": "assistant", "against_arm": "assistant"}, "name two arms"),
        ({"reference": "year", "release": "v1", "against": "v2"}, "each name a reference: give one"),
        ({"hours": 3.0, "days": 2.0}, "give one"),
        ({"reference": "launch"}, "no reference window is called 'launch': there are accepted, previous, year"),
    ],
)
def test_what_cannot_be_compared_is_a_message(world: Deps, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        drift_work.run_windows(world, NOW, report=False, **asked)


@pytest.mark.parametrize("asked", [{"until": "2020-01-01"}, {"release": "v9"}, {"arm": "nobody"}])
def test_no_data_is_refused(world: Deps, asked: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"there (is no data|are no interactions)"):
        drift_work.run_windows(world, NOW, report=False, **asked)


def test_a_timeline_of_exported_rows_is_that_of_the_facts(world: Deps, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the windows have exported is not read a second time; it must say the same."""
    asked = {"days": 7.0, "until": (NOW - 30 * DAY).isoformat(), **ASKED}
    quick = drift_work.run_windows(world, NOW, **asked)

    def from_the_facts(rows: Rows, reference: Window, _current: Window, part: Window) -> Relation:
        export_features(rows, "all", part, reference)
        return rows.read("all", "features")

    monkeypatch.setattr(drift_timeline, "_rows_of", from_the_facts)
    shutil.rmtree(world.home / "reports" / "drift" / "days")
    slow = drift_work.run_windows(world, NOW, **asked)
    assert slow["timeline"] == quick["timeline"]
    assert slow["columns"] == quick["columns"]
