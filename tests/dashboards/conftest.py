"""Workspaces for the pages: real DuckDB rollups, a real state database, real evidence, published by the real publisher.

`empty` has facts and state, but nothing ever happened. `healthy` ramps through its phases and waits for a certificate.
`incident` is the same traffic until a bad knowledge base goes in; the evidence fires, the traffic is cut and verified.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from alerts.model import Alert, Severity, Times
from controlplane.core.blocks import Block, Lane, lanes
from controlplane.core.model import BlockCounts, Rollout
from controlplane.core.policy import Policy, parse
from controlplane.core.rollout import ActorKind, Change, Event, apply, start
from controlplane.core.triggers import step_lane
from controlplane.settings import load
from controlplane.store.snapshot import SnapshotReader, VersionInfo, publish
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow, LaneState, LedgerEntry, NewMessage, to_text
from controlplane.store.warehouse import Warehouse
from jobs.control import Control, control_process
from jobs.decisions import counts_json, reading_json
from tests.dashboards import world_quality, world_services
from tests.dashboards.world_policy import POLICY
from tests.scenarios.shared_demo import shared

TOKEN = "a-token-for-this-test"
START = datetime(2026, 1, 5, 9, tzinfo=UTC)
STEP = timedelta(minutes=15)
SEGMENTS = ("retail", "business")
G = 1.01 / 0.99

# Probability of each event per conversation (or per judged answer, request, call): (menu, assistant, assistant after the bad change)
RATES = {
    "escalation_rate": (0.34, 0.27, 0.41),
    "contact_rate": (0.22, 0.17, 0.27),
    "csat_response_rate": (0.31, 0.33, 0.35),
    "resolution_rate": (0.58, 0.69, 0.52),
    "misclassification_rate": (0.21, 0.09, 0.13),
    "misrouting_rate": (0.004, 0.003, 0.004),
    "hallucination_rate": (None, 0.021, 0.24),
    "timeout_rate": (0.003, 0.006, 0.011),
    "request_error_rate": (0.004, 0.006, 0.009),
    "api_error_rate": (None, 0.006, 0.01),
    "dependency_failure_rate": (0.006, 0.006, 0.007),
    "slow_share": (0.001, 0.018, 0.04),
}
RATINGS = {  # shares of ratings 1..5
    "menu": (0.13, 0.15, 0.24, 0.27, 0.21),
    "assistant": (0.12, 0.15, 0.23, 0.28, 0.22),
    "bad": (0.24, 0.19, 0.22, 0.20, 0.15),
}


@dataclass
class World:
    """A workspace under construction: steps of a quarter of an hour of traffic, evidence on each of them."""

    home: Path
    warehouse: Warehouse
    state: StateWriter
    policy: Policy
    rng: np.random.Generator
    now: datetime = START
    bad: bool = False
    rollups: list[dict[str, Any]] = field(default_factory=list)
    latencies: list[dict[str, Any]] = field(default_factory=list)
    usage: list[dict[str, Any]] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    units: dict[str, int] = field(default_factory=dict)
    lane_states: dict[str, dict[str, Any]] = field(default_factory=dict)
    ledger: list[LedgerEntry] = field(default_factory=list)
    fresh_stage: bool = True
    stage_version: int = 1

    @property
    def rollout(self) -> Rollout | None:
        return self.state.rollout()

    def person(self, event: Event, reason: str, actor: str = "ana.lopez") -> None:
        """A person's event, as the commands write it."""
        before = self.rollout
        change = Change(event, ActorKind.PERSON, reason, self.now, "r1", "v1.4.0", "sha256:aa")
        after = start(change, self.policy) if before is None else apply(before, change, self.policy)
        audit = AuditEntry(actor, str(event), after.rollout_id, reason, {"share": after.share})
        expected = 0 if before is None else before.version
        self.state.commit(
            Commit(rollout=after, expected_version=expected, stage_event=str(event), audit=(audit,)), self.now
        )
        self.fresh_stage = event in (Event.START, Event.PROMOTE)
        self.stage_version = after.version if self.fresh_stage else self.stage_version

    def run(self, until: datetime, stop: Callable[[list[Any]], bool] = lambda fired: False) -> list[Any]:
        """Traffic and evidence until a time, or until `stop` says so about the fired readings of a block."""
        while self.now < until:
            counts = self._traffic()
            fired = self._evidence(counts)
            self.now += STEP
            if fired and stop(fired):
                return fired
        return []

    def _traffic(self) -> dict[tuple[str, str], BlockCounts]:
        rollout = self.rollout
        share = rollout.share if rollout else 0.0
        hour = self.now.hour + self.now.minute / 60
        volume = 72 + 330 * np.exp(-(((hour - 13.5) / 4.2) ** 2))
        totals: dict[tuple[str, str], dict[str, Any]] = {}
        for segment, part in zip(SEGMENTS, (0.8, 0.2), strict=True):
            size = int(self.rng.poisson(volume * part))
            treated = int(self.rng.binomial(size, share))
            for arm, n in (("assistant", treated), ("baseline", size - treated)):
                totals[arm, segment] = self._arm(arm, segment, n, rollout)
            self._row(
                "traffic_volume", "baseline", segment, rollout, int(self.rng.poisson(size * 0.12)), eligible=False
            )
        return {
            (stream.name, segment): _counts(stream.metric, segment, totals, self.now)
            for stream in (*self.policy.triggers, *self.policy.certificates)
            for segment in ("all", *self.policy.watch.segments)
        }

    def _arm(self, arm: str, segment: str, n: int, rollout: Rollout | None) -> dict[str, Any]:
        column = 0 if arm == "baseline" else 2 if self.bad else 1
        found: dict[str, Any] = {"n": n}
        for metric, rates in RATES.items():
            rate = rates[column]
            judged = metric in ("hallucination_rate", "misclassification_rate", "misrouting_rate")
            units = int(self.rng.binomial(n, 0.4)) if judged else n
            found[metric] = (units, int(self.rng.binomial(units, rate))) if rate is not None else (0, 0)
            if metric != "slow_share" and rate is not None:
                self._row(metric, arm, segment, rollout, units, found[metric][1])
        rated = found["csat_response_rate"][1]
        shares = RATINGS["menu" if arm == "baseline" else "bad" if self.bad else "assistant"]
        found["k"] = self.rng.multinomial(rated, shares)
        levels = np.arange(1, 6)
        self._row("csat", arm, segment, rollout, rated, 0, found["k"] @ levels, found["k"] @ levels**2)
        self._row("traffic_volume", arm, segment, rollout, n)
        resolved = found["resolution_rate"][1]
        seconds = self.rng.lognormal(5.2 if arm == "assistant" else 5.9, 0.6, resolved)
        self._row("resolution_time", arm, segment, rollout, resolved, 0, seconds.sum(), (seconds**2).sum())
        self._requests(arm, segment, rollout, n, resolved)
        return found

    def _requests(self, arm: str, segment: str, rollout: Rollout | None, n: int, resolved: int) -> None:
        slow = 0.55 if self.bad and arm == "assistant" else 0.0
        requests = int(n * 2.3)
        latency = self.rng.lognormal((6.75 if arm == "assistant" else 4.9) + slow, 0.45, requests)
        self._row("request_volume", arm, segment, rollout, requests)
        self._row("latency_mean", arm, segment, rollout, requests, 0, latency.sum(), (latency**2).sum())
        hour = self.now.replace(minute=0, tzinfo=None)
        release = "menu-7" if arm == "baseline" else "v1.4.0"
        key = {"arm": arm, "release": release, "segment": segment, "eligible": True}
        for bucket, found in zip(*np.unique(np.ceil(np.log(latency) / np.log(G)), return_counts=True), strict=True):
            self.latencies.append({"hour": hour, **key, "bucket": int(bucket), "n": int(found)})
        self.services += world_services.slots(self.now, arm, latency, np.random.default_rng(len(self.services)))
        if arm == "assistant" and requests:
            tokens = self.rng.normal(620, 140, requests).clip(80)
            self._row("tokens_per_request", arm, segment, rollout, requests, 0, tokens.sum(), (tokens**2).sum())
            cost = tokens.sum() / 1000 * 0.0011
            self._row("cost_per_1k_tokens", arm, segment, rollout, int(tokens.sum()), 0, cost)
            self._row("cost_per_resolved", arm, segment, rollout, resolved, 0, cost)
            self._usage(requests, tokens, cost)

    def _usage(self, requests: int, tokens: Any, cost: float) -> None:
        for model, part in (("small-llm-8b", 0.83), ("large-llm-70b", 0.17)):
            row = {"minute": self.now.replace(tzinfo=None), "model": model, "arm": "assistant", "release": "v1.4.0"}
            count = int(requests * part)
            row |= {"requests": count, "calls": count, "errors": 0, "unpriced": 0, "tokens_cached": 0}
            row |= {"tokens_in": int(tokens.sum() * part * 0.8), "tokens_out": int(tokens.sum() * part * 0.2)}
            self.usage.append({**row, "cost_usd": cost * part})

    def _row(
        self,
        metric: str,
        arm: str,
        segment: str,
        rollout: Rollout | None,
        n: int,
        x: int = 0,
        total: float = 0.0,
        total_sq: float = 0.0,
        eligible: bool = True,
    ) -> None:
        if not n:
            return
        release = "menu-7" if arm == "baseline" else "v1.4.0"
        row = {"minute": self.now.replace(tzinfo=None), "arm": arm, "release": release, "segment": segment}
        row |= {"phase": rollout.phase if rollout else "none", "eligible": eligible, "family": "conversation"}
        self.rollups.append(
            {**row, "metric": metric, "n": n, "x": x, "total": float(total), "total_sq": float(total_sq)}
        )

    def _evidence(self, counts: dict[tuple[str, str], BlockCounts]) -> list[Any]:
        rollout = self.rollout
        if rollout is None or rollout.share == 0:
            return []
        key = f"{rollout.rollout_id}/{self.stage_version}"
        self.units[key] = self.units.get(key, 0) + counts["escalation_increase", "all"].n_t
        fired: list[Any] = []
        for lane in lanes(self.policy):
            fired += self._lane(lane, rollout, counts)
        self.fresh_stage = False
        return fired

    def _lane(self, lane: Lane, rollout: Rollout, counts: dict[tuple[str, str], BlockCounts]) -> list[Any]:
        block = Block(self.now, self.now + STEP, self.stage_version, self.fresh_stage, 0)
        step = step_lane(self.policy, lane, self.lane_states.get(lane.key, {}), block, counts)
        standings = {item.name: {n: getattr(item, n) for n in item.__dataclass_fields__} for item in step.standings}
        self.lane_states[lane.key] = {**step.state, "standings": standings}
        names = {item.name for item in (*lane.triggers, *lane.certificates)}
        rows = [counts_json(name, found) | {"segment": seg} for (name, seg), found in counts.items() if name in names]
        readings = [reading_json(reading) for reading in step.readings]
        entry = LedgerEntry("r1", self.policy.hash, lane.key, self.now, 900, 1, rows, readings)
        self.ledger.append(entry)
        return [reading for reading in step.readings if reading.fired]

    def save(self) -> Path:
        """Write rollups and ledger, publish a snapshot; its path."""
        states = [LaneState(key, self.now, value) for key, value in self.lane_states.items()]
        if self.ledger:
            self.state.commit(Commit(ledger=self.ledger, lanes=states), self.now)
            self.ledger = []
        naive = self.now.replace(tzinfo=None)
        cursor = self.warehouse.cursor()
        told = bool(self.rollups)
        world_quality.add(cursor, self.rollups)
        for table, rows in (
            ("rollup_minute", self.rollups),
            ("rollup_model", self.usage),
            ("rollup_latency", self.latencies),
        ):
            if rows:
                cursor.register("incoming", pl.DataFrame(rows, infer_schema_length=None).to_arrow())
                cursor.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
                cursor.unregister("incoming")
                rows.clear()
        if self.services:
            cursor.register("incoming", pl.DataFrame(self.services).to_arrow())
            cursor.execute(world_services.SQL)
            cursor.unregister("incoming")
            self.services.clear()
        for key, count in self.units.items():
            cursor.execute(
                "INSERT INTO units SELECT $key || i, 'u' || i, 'assistant', 'r1', 'v1.4.0', $key, $now, $now, $now, 'retail' FROM range($n) AS t(i)",
                {"key": key, "now": naive, "n": count},
            )
        self.units = {}
        if told:
            cursor.execute("DELETE FROM sources; DELETE FROM batches")
            self._told(cursor, naive)
        info = VersionInfo(self.state.version(), "0.1.0", "demo", self.policy.watch.lateness_seconds)
        path = publish(cursor, self.state.export(), self.home / "snapshots", self.now, info)
        cursor.close()
        return path

    def _told(self, cursor: Any, naive: datetime) -> None:
        """One source that is seven seconds behind, and what ingest counted."""
        cursor.execute(
            "INSERT INTO sources VALUES ('support-desk', TRUE, $now, $now)", {"now": naive - timedelta(seconds=7)}
        )
        cursor.execute(
            "INSERT INTO batches VALUES (1, 'support-desk', 'a.jsonl', 'k', 0, 10, 182340, 182011, 214, 115, $now, $now, $now)",
            {"now": naive},
        )


def _counts(metric: str, segment: str, totals: dict[tuple[str, str], dict[str, Any]], at: datetime) -> BlockCounts:
    def add(arm: str, index: int) -> int:
        chosen = SEGMENTS if segment == "all" else (segment,)
        return sum(totals[arm, one][metric][index] for one in chosen)

    if metric == "csat":
        chosen = SEGMENTS if segment == "all" else (segment,)
        rated = {arm: sum(totals[arm, one]["k"] for one in chosen) for arm in ("assistant", "baseline")}
        k_t, k_c = (tuple(int(v) for v in rated[arm]) for arm in ("assistant", "baseline"))
        return BlockCounts("csat", segment, at, 900, k_t=k_t, k_c=k_c)
    n_c, x_c = add("baseline", 0), add("baseline", 1)
    return BlockCounts(metric, segment, at, 900, add("assistant", 0), add("assistant", 1), n_c, x_c)


def make_world(home: Path, seed: int = 5) -> World:
    """An empty workspace with open stores."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "workspace.toml").write_text('kind = "demo"\n')
    state = StateWriter(f"sqlite:///{home / 'state.sqlite'}")
    state.migrate(START)
    policy = parse(POLICY, "test policy")
    return World(home, Warehouse.open(home / "facts.duckdb"), state, policy, np.random.default_rng(seed))


def begin(world: World) -> None:
    """Canary, then the ramp at 20 %."""
    artefacts = {"model": "sha256:11", "knowledge": "sha256:22"}
    world.run(START + timedelta(hours=2))
    world.state.register_policy(world.policy.hash, world.policy.name, world.policy.text, START)
    world.state.register_release("v1.4.0", "sha256:aa", artefacts, "ben.okafor", START)
    world.person(Event.START, "release v1.4.0 accepted by the offline evaluation")
    world.run(START + timedelta(hours=25))
    rollout = world.rollout
    assert rollout is not None
    world.state.approve(rollout, "ana.lopez", "canary reviewed with support leads", world.now)
    world.person(Event.PROMOTE, "gate passed: escalation certified, 1 approval")


def build_healthy(home: Path) -> World:
    """The ramp waits for one certificate and an approval."""
    world = make_world(home)
    begin(world)
    world.run(START + timedelta(hours=54))
    world.save()
    return world


def build_incident(home: Path) -> World:
    """A bad knowledge base at 13:45 on the third day; the evidence cuts the traffic, the cut is verified."""
    world = make_world(home)
    begin(world)
    world.run(START + timedelta(hours=52, minutes=45))
    world.bad = True
    world.person(Event.DEPLOY, "knowledge base 2026-01-07 published")
    onset = world.now
    fired = world.run(
        START + timedelta(hours=60), stop=lambda readings: any(str(r.action) == "rollback" for r in readings)
    )
    assert fired, "the bad change must be found"
    roll_back(world, fired, onset)
    world.bad = False
    world.run(world.now + timedelta(minutes=30))
    world.save()
    return world


def roll_back(world: World, fired: list[Any], onset: datetime) -> None:
    """What the automatic actor writes: rollout, audit, incident, message, then the verification."""
    before = world.rollout
    assert before is not None
    lead = next(reading for reading in fired if str(reading.action) == "rollback")
    detected = world.now + timedelta(seconds=31)
    reason = f"trigger {lead.trigger}: {lead.reason}"
    after = apply(before, Change(Event.ROLLBACK, ActorKind.AUTOMATIC, reason, detected), world.policy)
    times = Times(lead.onset, detected, detected, detected + timedelta(seconds=9), detected + timedelta(seconds=2))
    timeline = tuple(
        {"at": to_text(at), "actor": "controlplane", "text": text}
        for at, text in (
            (onset, "likely onset (selected by looking back)"),
            (detected, f"rollback: {reason}"),
            (
                detected + timedelta(seconds=9),
                "cut verified: read-back, 20 probes, no assistant exposure since the cut",
            ),
        )
    )
    incident = IncidentRow(
        incident_id="r1-v5",
        rollout_id="r1",
        release="v1.4.0",
        state="contained",
        severity="critical",
        title=f"v1.4.0 rolled back: {lead.trigger.replace('_', ' ')}",
        trigger=lead.trigger,
        detected_at=detected,
        onset_at=lead.onset,
        cut_at=detected,
        verified_at=times.verified,
        alerted_at=times.alerted,
        customers_exposed=214,
        evidence={"readings": [reading_json(reading) for reading in fired]},
        timeline=timeline,
    )
    alert = Alert(
        alert_id="r1-v5:opened",
        labels={"alertname": "rollback", "release": "v1.4.0", "trigger": lead.trigger},
        annotations={"title": incident.title, "summary": reason},
        severity=Severity.CRITICAL,
        starts_at=detected,
        incident_id=incident.incident_id,
        times=times,
        customers_exposed=214,
    )
    audit = AuditEntry("controlplane", "rollback", "r1", reason, {"evidence": {"log_e": lead.log_e}})
    message = NewMessage(alert.alert_id, "alert", alert.to_dict(), incident.incident_id)
    commit = Commit(
        rollout=after,
        expected_version=before.version,
        stage_event="rollback",
        audit=(audit,),
        incident=incident,
        messages=(message,),
    )
    world.state.commit(commit, detected)
    verified = AuditEntry("controlplane", "cut_verified", "r1", timeline[2]["text"])
    world.state.record_cut_verified(
        "r1", Commit(audit=(verified,), incident=replace(incident)), detected + timedelta(seconds=9)
    )
    world.state.record_sent("r1-v5:opened", {"channel": "console"}, detected + timedelta(seconds=2))


def add_drift(world: World) -> None:
    """A finished drift analysis, as the job leaves it."""
    folder = world.home / "reports" / "drift" / "20260107T140000Z-ab12cd34"
    folder.mkdir(parents=True)
    column = {"kind": "numeric", "method": "Wasserstein / sd", "threshold": 0.1, "corrected_p": 0.4, "problem": None}
    column |= {"reference_rows": 41_200, "current_rows": 12_800, "reference_missing": 0.0, "current_missing": 0.0}
    column |= {"reference_mean": 100.0, "current_mean": 100.0, "new_categories": [], "p": 0.4, "drifted": False}
    columns = {
        "latency_ms": column
        | {
            "score": 0.46,
            "drifted": True,
            "verdict": "FAIL",
            "corrected_p": 1e-9,
            "reason": "Wasserstein / sd 0.46 of 0.1",
            "reference_mean": 812.0,
            "current_mean": 1390.0,
        },
        "intent_pred": column
        | {
            "kind": "categorical",
            "method": "Jensen-Shannon",
            "score": 0.131,
            "drifted": True,
            "verdict": "FAIL",
            "corrected_p": 1e-5,
            "problem": "new category",
            "new_categories": [["crypto_wallet", 0.041]],
            "reason": 'Jensen-Shannon 0.131 of 0.1; new: "crypto_wallet" (4.1%)',
            "reference_mean": None,
            "current_mean": None,
        },
        "tokens_in": column | {"score": 0.034, "verdict": "PASS", "reason": "Wasserstein / sd 0.034 of 0.1"},
        "intent_conf": column | {"score": 0.081, "verdict": "PASS", "reason": "Wasserstein / sd 0.081 of 0.1"},
        "cost_usd": column | {"score": 0.012, "verdict": "PASS", "reason": "Wasserstein / sd 0.012 of 0.1"},
        "workflow": column
        | {
            "kind": "categorical",
            "method": "Jensen-Shannon",
            "score": None,
            "verdict": "ERROR",
            "problem": "all NULL in current",
            "reason": "every value is missing now; the reference had values",
            "current_missing": 1.0,
        },
    }
    windows = {
        "reference": {
            "label": "last accepted week",
            "since": "2026-01-05T09:00:00Z",
            "until": "2026-01-07T10:00:00Z",
            "arm": None,
        },
        "current": {
            "label": "last four hours",
            "since": "2026-01-07T10:00:00Z",
            "until": "2026-01-07T14:00:00Z",
            "arm": None,
        },
    }
    summary = {"artefact_id": folder.name, "created_at": "2026-01-07T14:00:00Z", "windows": windows, "columns": columns}
    summary |= {
        "drifted": ["latency_ms", "intent_pred"],
        "broken": ["workflow"],
        "report": "report.html",
        "report_error": None,
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    script = "document.getElementById('t').textContent = 'Drawn by its own script'"
    page = f"<!DOCTYPE html><html><head></head><body><h1 id='t'>waiting</h1><script>{script}</script></body></html>"
    (folder / "report.html").write_text(page)
    world.state.record_artefact(folder.name, "drift", f"reports/drift/{folder.name}", summary, world.now)
    world.save()


def _finished(world: World) -> Path:
    """The workspace with its databases closed."""
    world.warehouse.close()
    world.state.close()
    return world.home


@pytest.fixture(scope="session")
def healthy_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ramp that waits for a certificate and an approval."""
    world = build_healthy(tmp_path_factory.mktemp("healthy"))
    add_drift(world)
    return _finished(world)


@pytest.fixture(scope="session")
def incident_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half an hour after a rollback."""
    world = build_incident(tmp_path_factory.mktemp("incident"))
    add_drift(world)
    return _finished(world)


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything is there, nothing has happened."""
    world = make_world(tmp_path_factory.mktemp("empty"))
    world.save()
    return _finished(world)


@pytest.fixture(scope="session")
def full_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's own workspace, by the whole product: facts, rollups, evaluations, an incident with its causes and report, a pinned review.

    A copy for this worker; what changes it copies it again.
    """
    run = shared(tmp_path_factory)
    assert run.code == 0, run.err
    home = tmp_path_factory.mktemp("full") / "home"
    shutil.copytree(run.home, home)
    return home


@contextmanager
def standing(source: Path, home: Path) -> Iterator[Control]:
    """A control process on a copy of a workspace, whose clock stands still at the snapshot's time: what pages ask is really answered."""
    shutil.copytree(source, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTROLPLANE_TOKEN", TOKEN)
        settings = load(home)
        with closing(StateReader(settings.state_url)) as reader:
            rollout = reader.rollout()
            assert rollout is not None
            policy = parse(str(reader.policy_text(rollout.policy_hash)))
        with SnapshotReader(home / "snapshots").open() as connection:
            ((published,),) = connection.execute("SELECT published_at FROM meta").fetchall()
        moment = published.replace(tzinfo=UTC)
        with control_process(settings, policy, lambda: moment, 0) as control:
            yield control


@pytest.fixture
def full_control(full_home: Path, tmp_path: Path) -> Iterator[Control]:
    """A control process on a copy of the demo's workspace, for a test that changes it."""
    with standing(full_home, tmp_path / "home") as control:
        yield control


@pytest.fixture(scope="module")
def read_only_control(full_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    """The same for tests that only ask, once a module."""
    with standing(full_home, tmp_path_factory.mktemp("standing") / "home") as control:
        yield control


@pytest.fixture
def tiny_world(tmp_path: Path) -> Iterator[World]:
    """A workspace with open stores and an hour of traffic, for tests that change it."""
    world = make_world(tmp_path / "tiny")
    world.run(START + timedelta(hours=1))
    yield world
    world.warehouse.close()
    world.state.close()
