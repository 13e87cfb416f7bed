"""Gives the Slack receivers what only the control process knows: the evidence to draw for an incident, and whether a press reaches anybody.

The picture is the course of the streams that fired, from the ledger: the very numbers that were decided upon, nothing counted again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from alerts.chart import Frame, Picture, Stream, draw, drawable
from alerts.model import Alert
from alerts.receivers.slack import SlackReceiver
from alerts.wording import headline
from controlplane.store.state import StateReader
from controlplane.store.state_rows import IncidentRow, from_text
from jobs.deps import Deps

LEAST = timedelta(minutes=20)  # shown before the onset, however short the harm was
BLOCKS_MAX = 720  # of the newest shown: more than there are columns of dots is no use
Key = tuple[str, str]  # trigger, segment


def attach(deps: Deps) -> None:
    """Let every Slack receiver of `deps` draw charts, and draw buttons only where Socket Mode or signed HTTP brings the press back."""
    inward = deps.settings.slack_in
    for receiver in deps.receivers.values():
        if isinstance(receiver, SlackReceiver):
            receiver.listens = bool(inward.app_token or inward.signing_secret)
            receiver.show_charts(lambda incident_id, view: picture(deps.state, incident_id, view))


def picture(state: StateReader, incident_id: str, view: Alert) -> Picture | None:
    """The incident's evidence as an image; None where it has no stream with a course (a rollback by hand, stale data)."""
    row = state.incident(incident_id)
    found = None if row is None else frame(state, row, view)
    if found is None or not drawable(found):
        return None
    return Picture(draw(found), f"Evidence against what was needed: {headline(view)}")


def frame(state: StateReader, row: IncidentRow, view: Alert) -> Frame | None:
    """What is drawn of an incident: the fired streams from well before the likely onset to the detection, with its moments."""
    streams = _fired(row)
    if not streams:
        return None
    onset = row.onset_at or row.detected_at
    since = onset - max(LEAST, row.detected_at - onset)
    rows = state.ledger_rows(row.rollout_id, since)
    moments = (("likely onset", row.onset_at), ("detected", row.detected_at), ("cut", row.cut_at))
    marks = tuple((word, moment) for word, moment in moments if moment is not None and moment >= since)
    return Frame(view.title, tuple(_stream(rows, key, row) for key in streams), marks)


def _fired(row: IncidentRow) -> list[Key]:
    """Trigger and segment of the streams that fired, the incident's own first."""
    readings: Sequence[Mapping[str, Any]] = row.evidence.get("readings", ())
    keys = [(str(item["trigger"]), str(item["segment"])) for item in readings if item.get("fired")]
    own = (row.trigger, str(row.evidence.get("segment", "all")))
    return sorted(dict.fromkeys(keys), key=lambda key: (key != own, key[0] != row.trigger))


def _stream(rows: Sequence[Mapping[str, Any]], key: Key, row: IncidentRow) -> Stream:
    points, threshold = [], 0.0
    for entry in rows:
        end = from_text(entry["block_start"]) + timedelta(seconds=entry["span_seconds"])
        if end > row.detected_at:
            continue  # with the incident open, what came after it is not what it was opened for
        for reading in json.loads(entry["readings"]):
            if (reading["trigger"], reading["segment"]) == key:
                points.append((end, reading["log_e"]))
                threshold = float(reading["log_threshold"])
    name, segment = key
    where = "all traffic" if segment == "all" else f"segment {segment}"
    return Stream(f"{name.replace('_', ' ')}, {where}", tuple(points[-BLOCKS_MAX:]), threshold)
