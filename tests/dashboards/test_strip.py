"""The live strip: what it says in every state, who is logged in, and where its links lead; read from the workspaces of the pages' tests."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.core.roles import Role
from controlplane.store.snapshot import SnapshotReader, VersionInfo, publish
from controlplane.store.state_incidents import SilenceRow
from dashboards import data, strip
from dashboards.person import NOBODY, Person
from dashboards.values import State
from tests.dashboards.conftest import World

NOW = datetime(2026, 1, 7, 12, tzinfo=UTC)


def state_of(home: Path) -> State:
    ref = SnapshotReader(home / "snapshots").current()
    return data.state(str(ref.path), ref.key)


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_mid_incident(incident_home: Path) -> None:
    shown = strip.html(state_of(incident_home), 2, None, strip.who_item(NOBODY, True, "/live"))
    said = words(shown)
    for part in ("Rolled back", "Share now 0 %", "2 silences", "Data age", "UTC", "Log in"):
        assert part in said, said
    assert re.search(r"Firing \w+", said)
    assert 'href="/live"' in shown
    assert 'href="/incidents"' in shown
    assert "open incident" in said
    assert "silent" not in said


def test_healthy_and_empty(healthy_home: Path, empty_home: Path) -> None:
    said = words(strip.html(state_of(healthy_home), 0, timedelta(minutes=31), strip.who_item(NOBODY, False, "/")))
    for part in (
        "Running",
        "Share now",
        "Release v1.4.0",
        "Firing nothing",
        "control process silent for 31 min",
        "Read-only",
    ):
        assert part in said, said
    assert "when last heard" in said  # nobody knows how old the data is by now
    assert "silence" not in said.replace("silent", "")
    said = words(strip.html(state_of(empty_home), 1, None, ""))
    for part in ("No rollout", "Firing nothing", "no data yet", "1 silence"):
        assert part in said, said
    assert not strip.behind(SnapshotReader(empty_home / "snapshots").current(), NOW - timedelta(days=900))


def test_many_triggers_are_counted() -> None:
    shown = words(strip._firing(["csat_drop", "timeouts", "api_errors", "escalation_increase"]))
    assert shown == "CSAT drop, Timeouts, 2 more"


@pytest.mark.parametrize(
    ("who", "may", "said", "link"),
    [
        (NOBODY, True, "Log in", "/session?next=/live%3Fwindow%3D24%2Bh"),
        (NOBODY, False, "Read-only", None),
        (Person("", Role.ADMIN), True, "admin", "/session?next="),
        (Person("<b>", Role.OPERATOR), True, "&lt;b&gt;, operator", "/session?next="),
        (Person("ana", Role.VIEWER, provider=True), True, "ana, viewer Log out", "/auth/logout"),
    ],
)
def test_who(who: Person, may: bool, said: str, link: str | None) -> None:
    shown = strip.who_item(who, may, strip.here("http://127.0.0.1:8322/live", {"window": "24 h"}))
    assert words(shown) == said
    assert (link is None and "href" not in shown) or (link is not None and link in shown)


def test_here_is_path_and_filters() -> None:
    assert strip.here(None, {}) == "/"
    assert strip.here("http://127.0.0.1:1/drift?old=1", {"report": "a&b", "x": '"'}) == "/drift?report=a%26b&x=%22"


def test_silences_in_force(tiny_world: World) -> None:
    world, now = tiny_world, tiny_world.now
    hour = timedelta(hours=1)
    spans = {"past": (-2, -1), "now": (-1, 1), "next": (1, 2), "ended": (-1, 1)}
    rows = [
        SilenceRow(name, {"metric": ("csat",)}, "ana", "known", now + a * hour, now + b * hour)
        for name, (a, b) in spans.items()
    ]
    for row in rows:
        world.state.add_silence(row, now)
    world.state.end_silence(rows[-1], "ana", "over", now)
    cursor = world.warehouse.cursor()
    info = VersionInfo(world.state.version(), "0.1.0", "demo", 60)
    path = publish(cursor, world.state.export(), world.home / "snapshots", now, info)
    cursor.close()
    assert strip.silences(str(path), "key-of-this-test", now) == 1
