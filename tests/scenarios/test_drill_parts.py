"""What the drills are made of, each with the real thing on its other side: the other process, the stand-in for Slack, what counts as lost."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.client import RemoteDisconnected
from pathlib import Path

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlalchemy.exc import OperationalError

from controlplane.simulation.incident_catalogue import incident
from controlplane.simulation.incidents import Incident, LogsLost, SlackDown, StateLocked
from controlplane.store.landing import LandingWriter
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow, NewMessage, to_text
from jobs import drill_contained
from jobs.drill_lock import hold
from jobs.drill_lost import account, landed_lines, silent_steps
from jobs.drill_slack import CHANNEL, RETRY_AFTER, TOKEN, SlackStandIn, slack_stand_in
from jobs.drill_stage import BEGIN, SOURCE, Stage, stage
from jobs.drill_statements import STATEMENTS, always, too_early

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)

# another process


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateWriter]:
    """A state database that is waited for only briefly."""
    writer = StateWriter(f"sqlite:///{tmp_path / 'state.sqlite'}?timeout=0.02")
    writer.migrate(NOW)
    yield writer
    writer.close()


NOTE = Commit(audit=(AuditEntry("ana", "note", "x", "y"),))


def test_a_write_lock_of_another_process_keeps_writers_out_and_readers_not(state: StateWriter, tmp_path: Path) -> None:
    let_go = hold(tmp_path / "state.sqlite", whole=False)
    try:
        with pytest.raises(OperationalError, match="database is locked"):
            state.commit(NOTE, NOW)
        assert state.audit_rows() == []
    finally:
        let_go()
    state.commit(NOTE, NOW)
    assert [row["event"] for row in state.audit_rows()] == ["note"]


def test_a_lock_on_the_whole_file_keeps_readers_out_too(state: StateWriter, tmp_path: Path) -> None:
    state.close()
    let_go = hold(tmp_path / "state.sqlite", whole=True)
    reader = StateReader(f"sqlite:///{tmp_path / 'state.sqlite'}?timeout=0.02")
    try:
        with pytest.raises(OperationalError, match="database is locked"):
            reader.version()
    finally:
        let_go()
    assert reader.version() >= 0
    reader.close()


def test_a_lock_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    """Else the drill would rehearse nothing and pass."""
    with pytest.raises(RuntimeError, match="could not lock"):
        hold(tmp_path / "no such folder" / "state.sqlite", whole=False)


def test_without_a_word_in_the_address_the_state_is_waited_for_ten_seconds(tmp_path: Path) -> None:
    for address, wait in (("", 10_000), ("?timeout=2.5", 2_500)):
        writer = StateWriter(f"sqlite:///{tmp_path / 'waits.sqlite'}{address}")
        with writer._write_engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == wait
        writer.close()


# the stand-in for Slack


@pytest.fixture
def slack() -> Iterator[SlackStandIn]:
    with slack_stand_in() as found:
        yield found


def client_of(slack: SlackStandIn) -> WebClient:
    client = WebClient(token=TOKEN, base_url=slack.url, timeout=5)
    client.retry_handlers = []
    return client


def test_the_stand_in_keeps_what_a_reader_would_see(slack: SlackStandIn) -> None:
    client = client_of(slack)
    metadata = {"event_type": "controlplane_alert", "event_payload": {"outbox_id": "i1:opened"}}
    parent = client.chat_postMessage(channel=CHANNEL, text="bad", metadata=metadata)["ts"]
    client.chat_postMessage(channel=CHANNEL, text="step", thread_ts=parent)
    client.chat_update(channel=CHANNEL, ts=parent, text="over", metadata=metadata)
    (found,) = client.conversations_history(channel=CHANNEL, include_all_metadata=True)["messages"]
    assert (found["text"], found["metadata"]["event_payload"]) == ("over", {"outbox_id": "i1:opened"})
    assert [one["text"] for one in client.conversations_replies(channel=CHANNEL, ts=parent)["messages"]] == [
        "over",
        "step",
    ]
    assert [(one.outbox_id, one.edits) for one in slack.parents] == [("i1:opened", 1)]
    for call, said in ((client.api_test, "unknown_method"), (update_of_nothing(client), "message_not_found")):
        with pytest.raises(SlackApiError, match=said):
            call()


def update_of_nothing(client: WebClient):
    return lambda: client.chat_update(channel=CHANNEL, ts="1.0", text="x")


def test_an_outage_has_three_faces_and_keeps_nothing(slack: SlackStandIn) -> None:
    client, slack.down, slack.witness = client_of(slack), True, lambda: "seen"
    with pytest.raises(RemoteDisconnected):
        client.chat_postMessage(channel=CHANNEL, text="x")
    with pytest.raises(SlackApiError) as failed:
        client.chat_postMessage(channel=CHANNEL, text="x")
    with pytest.raises(SlackApiError) as limited:
        client.chat_postMessage(channel=CHANNEL, text="x")
    assert failed.value.response.status_code == 500
    assert (limited.value.response.status_code, limited.value.response.headers["Retry-After"]) == (429, RETRY_AFTER)
    assert [(one.became, one.seen) for one in slack.knocks] == [("drop", "seen"), ("500", "seen"), ("429", "seen")]
    assert slack.posted == []


# what is lost, and what was done


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Two quiet minutes of a release, told in Slack."""
    calm = Incident(name="calm", injected="nothing", expected="nothing", slack=True)
    with stage(calm, tmp_path_factory.mktemp("drill") / "home") as found:
        found.live(1.0)
        found.live(2.0)
        yield found


def test_what_landed_is_accounted_for(on: Stage) -> None:
    lost = account(on)
    assert lost.nothing
    assert lost.handed_over == lost.landed == lost.stored > 0
    assert (lost.records, lost.untold, lost.audit) == (0, 0, 0)


def test_a_row_that_is_missing_from_the_facts_is_lost(on: Stage) -> None:
    with on.deps.warehouse.cursor() as cursor:
        cursor.execute("BEGIN TRANSACTION")
        cursor.execute("CREATE TEMP TABLE kept AS SELECT * FROM feedback LIMIT 2")
        cursor.execute("DELETE FROM feedback WHERE feedback_id IN (SELECT feedback_id FROM kept)")
        cursor.execute("COMMIT")
        try:
            lost = account(on)
            assert lost.records == 2
            assert "records: " in lost.problems[0]
        finally:
            cursor.execute("INSERT INTO feedback SELECT * FROM kept")
    assert account(on).nothing


def test_a_record_that_a_producer_handed_over_and_that_did_not_land_is_lost(on: Stage) -> None:
    on.handed_over += 3
    try:
        assert account(on).records == 3
    finally:
        on.handed_over -= 3


def test_a_record_that_the_landing_folder_drops_without_a_word_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = LandingWriter.write
    monkeypatch.setattr(LandingWriter, "write", lambda self, records: whole(self, list(records)[:-1]))
    with stage(Incident(name="calm", injected="nothing", expected="nothing"), tmp_path / "home") as found:
        found.live(0.1)
        assert account(found).records == 1


def test_a_message_that_nobody_was_told_of_is_lost(on: Stage) -> None:
    on.deps.state.commit(Commit(messages=(NewMessage("m1", "alert", {}),)), on.now)
    try:
        lost = account(on)
        assert lost.untold == 1
        assert "the message m1 was neither sent nor withheld for a reason" in lost.problems
    finally:
        on.deps.state.record_suppressed({"m1": "a test"}, on.now)
    assert account(on).nothing


def test_a_version_that_the_audit_log_does_not_tell_of_and_a_broken_chain_are_found(on: Stage) -> None:
    """The rows are put back as they were: the log is append-only for everybody else, too."""
    with sqlite3.connect(on.settings.workspace.state) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        texts = [
            connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0] for name in names
        ]
        for name in names:
            connection.execute(f"DROP TRIGGER {name}")
        (before,) = connection.execute("SELECT payload FROM audit WHERE event = 'start'").fetchone()
        connection.execute("UPDATE audit SET payload = '{}' WHERE event = 'start'")
    lost = account(on)
    assert lost.audit == 2
    assert "version 1 of the rollout is not in the audit log" in lost.problems
    assert "the chain of the audit is broken" in lost.problems
    with sqlite3.connect(on.settings.workspace.state) as connection:
        connection.execute("UPDATE audit SET payload = ? WHERE event = 'start'", (before,))
        for text in texts:
            connection.execute(text)
    connection.close()
    assert account(on).nothing


def test_what_is_called_a_duplicate_must_stand_there_twice(on: Stage) -> None:
    """The ledger of files is the control plane's own word: a row that it drops and calls a repeat is lost all the same."""
    with on.deps.warehouse.cursor() as cursor:
        cursor.execute("BEGIN TRANSACTION")
        cursor.execute("CREATE OR REPLACE TEMP TABLE kept AS SELECT * FROM feedback LIMIT 1")
        cursor.execute("DELETE FROM feedback WHERE feedback_id IN (SELECT feedback_id FROM kept)")
        cursor.execute("UPDATE batches SET duplicates = duplicates + 1 WHERE batch_id = 1")
        cursor.execute("COMMIT")
        try:
            lost = account(on)
            assert lost.records == 1
            assert "1 duplicates (0 stand there again)" in lost.problems[0]
        finally:
            cursor.execute("INSERT INTO feedback SELECT * FROM kept")
            cursor.execute("UPDATE batches SET duplicates = duplicates - 1 WHERE batch_id = 1")
    assert account(on).nothing


def test_lines_are_records_but_for_heartbeats_and_a_line_that_is_still_being_written(tmp_path: Path) -> None:
    folder = tmp_path / SOURCE
    folder.mkdir()
    text = '{"record":"heartbeat","ts":"t"}\n{"record":"feedback"}\n\n{"record":"feedb'
    (folder / "00000001.jsonl").write_text(text)
    assert len(landed_lines(tmp_path)) == 1, "its writer may still finish the last line"
    (folder / "00000002.jsonl").write_text('{"record":"feedback"}\n')
    assert len(landed_lines(tmp_path)) == 3, "its writer is gone and another one began"


def opened(on: Stage, event: str, minute: float) -> IncidentRow:
    """An incident of that action at that minute."""
    rollout = on.deps.state.rollout()
    assert rollout is not None
    at = BEGIN + timedelta(minutes=minute)
    payload = {"version": 99}
    on.deps.state.commit(Commit(audit=(AuditEntry("controlplane", event, rollout.rollout_id, "test", payload),)), at)
    return IncidentRow(f"{rollout.rollout_id}-v99", rollout.rollout_id, "v1", "open", "error", "t", "timeouts", at)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("rollback", "conversations reached the assistant behind the cut"),
        ("disable_execution", "conversations might still execute workflows"),
        ("contain", "conversations might still execute workflows"),
    ],
)
def test_what_customers_do_not_see_is_not_contained(on: Stage, event: str, said: str) -> None:
    """Here nothing was done but to write that it was: the customers of the second minute were served as before."""
    row = opened(on, event, 1.0)
    found = drill_contained.containments(on, [row])[-1]
    assert (found.action, found.contained, found.done) == (event, False, 1.0)
    assert said in found.why
    assert found.verified is None, "the control plane has not said that it verified it"


def test_a_hold_is_seen_by_the_first_customer_at_no_higher_share(on: Stage) -> None:
    row = opened(on, "hold", 1.0)
    found = drill_contained.containments(on, [row])[-1]
    assert (found.contained, found.by) == (True, "customers")
    assert found.verified is not None
    assert found.verified > 1.08, "behind the clients' poll limit"
    higher = [replace(one, share=0.9) if one.at > row.detected_at else one for one in on.lines.treated]
    before, on.lines.treated = on.lines.treated, higher
    try:
        assert "higher share" in drill_contained.containments(on, [row])[-1].why
    finally:
        on.lines.treated = before


def test_a_step_without_its_audit_row_and_its_message_is_lost(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are written in one commit with the step; here an incident says that it was verified, and nothing else does."""
    rollout = on.deps.state.rollout()
    assert rollout is not None
    at = to_text(on.now + timedelta(seconds=1))
    steps = ({"at": at, "event": "onset"}, {"at": at, "event": "contain", "text": "x"})
    row = replace(opened(on, "hold", 1.0), incident_id="i-silent", timeline=steps)
    monkeypatch.setattr(on.deps.state, "incidents", lambda: [row])
    assert silent_steps(on) == (["the step 'contain' of i-silent"], ["the step 'contain' of i-silent"])
    lost = account(on)
    assert (lost.untold, lost.audit) == (1, 1)
    assert "no message was written of the step 'contain' of i-silent" in lost.problems


def test_a_verification_before_the_clients_poll_limit_is_none(on: Stage) -> None:
    row = opened(on, "disable_execution", 1.0)
    done = to_text(row.detected_at)
    for after, seen in ((5.0, None), (5.5, 1.09)):
        verified = to_text(row.detected_at + timedelta(seconds=after))
        entry = {"action": "disable_execution", "done_at": done, "verified_at": verified, "how": "x"}
        found = drill_contained.containments(on, [replace(row, containments=(entry,))])[-1]
        assert found.verified == seen


# statements about the record that must be able to fail


def test_a_trigger_that_fires_before_harm_began_is_no_detection(on: Stage) -> None:
    assert always(on) == {}
    (entry, *_) = on.deps.state.ledger_rows()
    readings = [{**one, "fired": True} for one in json.loads(entry["readings"])[:1]]
    ledger = [{**entry, "readings": json.dumps(readings)}]
    assert "before harm began" in next(iter(too_early(ledger, 1.0).values()))
    assert too_early(ledger, 0.5) == {}, "the block reaches into it"
    assert too_early(ledger, None) == {}, "there is no harm in the drill"


def test_one_thread_per_incident_is_counted_in_slack(on: Stage) -> None:
    check, slack = STATEMENTS["one parent per incident"], on.slack
    assert slack is not None
    assert check(on) == "Slack was told nothing"
    client = client_of(slack)
    for _ in range(2):
        metadata = {"event_type": "controlplane_alert", "event_payload": {"outbox_id": "m1"}}
        client.chat_postMessage(channel=CHANNEL, text="twice", metadata=metadata)
    assert check(on) == "m1 stands there 2 times"


def told_otherwise(on: Stage, name: str, *acts: object) -> str:
    """What the statement says of the quiet minutes when the story is another."""
    before, on.incident = on.incident, replace(on.incident, acts=acts)
    try:
        return STATEMENTS[name](on)
    finally:
        on.incident = before


def test_statements_about_outages_fail_where_there_was_none(on: Stage) -> None:
    assert "in 0 tries only" in STATEMENTS["the cut did not wait"](on)
    locked = StateLocked(at=0.0, until=2.0, whole=True)
    assert "while nobody could read the flag" in told_otherwise(on, "the baseline while nobody reads", locked)
    assert "of which nothing was logged" in told_otherwise(on, "the gap has no verdict", LogsLost(at=0.0, until=2.0))
    assert "no block lies" in told_otherwise(on, "the gap has no verdict", LogsLost(at=8.0, until=9.0))
    assert told_otherwise(on, "told by another way meanwhile", SlackDown(at=0.0, until=2.0)) == ""


def test_an_outage_of_slack_needs_people_who_are_told_there(tmp_path: Path) -> None:
    quiet = replace(incident("api_outage"), acts=())
    with stage(quiet, tmp_path / "home") as found, pytest.raises(ValueError, match="say slack = True"):
        found.slack_down(3.0)
    assert STATEMENTS["one parent per incident"](found) == "nobody is told in Slack in this drill"
