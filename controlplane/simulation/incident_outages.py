"""Incidents of what the control plane leans on: the messenger, the state database, the logs. Each comes together with harm, as in life."""

from __future__ import annotations

from controlplane.core.model import RolloutState
from controlplane.simulation.incidents import Change, Expect, Incident, LogsLost, OnCall, SlackDown, StateLocked
from controlplane.simulation.lines import Crowd

_FAILING = {"api_error": 0.9}

OUTAGES = (
    Incident(
        name="slack_outage",
        injected="Slack drops connections, fails and asks to wait for an hour; one minute into that the assistant's model calls fail",
        expected="the cut is made and verified at once, the console tells people meanwhile; afterwards Slack has one parent with everything",
        covers=("slack_outage",),
        crowd=Crowd(per_minute=48.0),
        acts=(
            SlackDown(at=2.0, until=62.0),
            Change(at=3.0, to=_FAILING),
            OnCall(at=17.0, what="acknowledge"),
            OnCall(at=63.0, what="resolve"),
        ),
        onset=3.0,
        minutes=64.0,
        beat=900.0,
        looks=(4.0, 4.3, 4.5, 5.0),
        slack=True,
        whole=True,
        expect=Expect(
            state=RolloutState.ROLLED_BACK,
            decisions=(("rollback", "api_collapse"),),
            execution=False,
            detected_within=2.0,
            ledger=("one parent per incident", "the cut did not wait", "told by another way meanwhile"),
        ),
    ),
    Incident(
        name="database_locked",
        injected="another process takes the whole state file while the control process restarts, then a write lock while model calls fail",
        expected="nobody reads the flag: the baseline; nobody can write: nothing is decided by half; then one rollback, and nothing is lost",
        covers=("database_locked",),
        acts=(
            StateLocked(at=3.0, until=4.5, whole=True),
            StateLocked(at=4.5, until=8.0),
            Change(at=4.5, to=_FAILING),
        ),
        onset=4.5,
        expect=Expect(
            state=RolloutState.ROLLED_BACK,
            decisions=(("rollback", "api_collapse"),),
            execution=False,
            detected_within=4.0,
            ledger=("the baseline while nobody reads",),
        ),
    ),
    Incident(
        name="logging_loss",
        injected="the log agent dies in the middle of a line; what happens in seven minutes is never logged, and model calls fail meanwhile",
        expected="held while nobody knows, and no verdict on the gap; logged again, workflows are switched off, then rollback; each is told",
        covers=("logging_loss",),
        acts=(LogsLost(at=3.0, until=10.0), Change(at=5.0, to={"api_error": 0.5})),
        onset=5.0,
        minutes=14.0,
        beat=120.0,
        expect=Expect(
            state=RolloutState.ROLLED_BACK,
            decisions=(("hold", "freshness"), ("disable_execution", "api_errors"), ("rollback", "api_collapse")),
            execution=False,
            detected_within=8.0,
            quarantined=frozenset({"torn_line"}),
            ledger=("the gap has no verdict",),
        ),
    ),
)
