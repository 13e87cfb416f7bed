"""The message about drift on its way: through the pipeline into an independent Slack emulator's review channel."""

from __future__ import annotations

from datetime import timedelta

import backlot

from alerts.deliver import Result, deliver_due
from alerts.model import Alert
from controlplane.analysis.drift import ColumnDrift, DriftResult
from controlplane.core.model import Verdict
from jobs.drift_alert import message

from .conftest import NOW, State, review_rules
from .test_slack_emulator import Channel

WINDOW = {"since": "2026-04-01T00:00:00Z", "until": "2026-04-29T00:00:00Z"}
SUMMARY = {
    "windows": {"current": WINDOW},
    "reference": {"name": "launch", "version": 2, "since": "2026-03-01T00:00:00Z", "until": "2026-03-29T00:00:00Z"},
    "columns": {"tokens_in": {"onset": "2026-04-09T00:00:00Z"}, "cost_usd": {"onset": None}},
}


def test_it_arrives_in_the_review_channel_and_says_what_moved_since_when(
    state: State, emulator: backlot.Server
) -> None:
    columns = (
        ColumnDrift("tokens_in", "numeric", "W", Verdict.FAIL, "Wasserstein / sd 0.4 of 0.1", 0.1, drifted=True),
        ColumnDrift("cost_usd", "numeric", "W", Verdict.ERROR, "every value is missing now", 0.1),
    )
    told = message("20260501T030000Z-ab", DriftResult(columns), (), SUMMARY, NOW)
    assert told is not None
    state.add(Alert.from_dict(told.payload), told.outbox_id)
    channel = Channel(emulator)
    receivers = {"slack-review": channel.receiver()}
    rules = review_rules()
    later = NOW + timedelta(seconds=10)  # its group has waited
    (sent,) = deliver_due(state, state, receivers, later, rules)
    assert (sent.result, sent.receiver) == (Result.SENT, "slack-review")
    history = channel.client.conversations_history(channel=channel.id, limit=50)["messages"]
    (posted,) = [entry for entry in history if "Drift: broken: cost_usd; drifted: tokens_in" in entry["text"]]
    assert "against launch@2" in posted["text"]
    assert "tokens_in: Wasserstein / sd 0.4 of 0.1, since about 2026-04-09T00:00:00Z." in posted["text"]
    assert deliver_due(state, state, receivers, later, rules) == []
