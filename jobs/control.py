"""The control process's inside, the same for `up` and the demo: open stores, flag reader, landing writer, control API.

Entered as a context; leaving it closes everything in the reverse order. What people ask through the API goes through the same
actions as the command line.
"""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TextIO

import httpx

from controlplane.core.assignment import Unit
from controlplane.core.policy import Policy
from controlplane.core.rollout import Event
from controlplane.server.app import create_app
from controlplane.server.serve import ControlServer
from controlplane.server.services import (
    ActionRefused,
    ActionRequest,
    ControlAction,
    Landing,
    QueryRefused,
    Role,
    Services,
    SqlResult,
    Vitals,
)
from controlplane.settings import Settings, SettingsError
from controlplane.store.flags import FlagReader
from controlplane.store.landing import LandingError, LandingWriter
from controlplane.store.rollups import watermark
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.warehouse import Warehouse
from jobs import actions, alerting, asking, slack_listen
from jobs.compose import follow_policy
from jobs.deps import Deps, FlagProbe
from jobs.slack_work import Desk
from jobs.sql_command import QueryFailed, select

API_SOURCE = "api"
PROBE_SECONDS = 5.0

_EVENTS = {
    ControlAction.HOLD: Event.HOLD,
    ControlAction.RESUME: Event.RESUME,
    ControlAction.ROLLBACK: Event.ROLLBACK,
    ControlAction.DISABLE_EXECUTION: Event.DISABLE_EXECUTION,
    ControlAction.ENABLE_EXECUTION: Event.ENABLE_EXECUTION,
}


@dataclass(frozen=True, slots=True)
class Control:
    """What runs inside one control process."""

    deps: Deps
    server: ControlServer
    flags: FlagReader
    landing: LandingWriter
    desk: Desk | None = None  # takes what people press in Slack; `slack_listen.listening` works it off


@contextmanager
def control_process(
    settings: Settings,
    policy: Policy,
    clock: Callable[[], datetime],
    port: int,
    stream: TextIO | None = None,
    before_facts: Callable[[StateWriter], None] = lambda _state: None,
) -> Iterator[Control]:
    """Open everything and serve the control API. `before_facts` runs on the state before the facts are opened (the lease).

    Raises ServerError when the port is in use, SettingsError for a token that is too short, and the warehouse's error when
    another process has the facts.
    """
    with ExitStack() as stack:
        state = StateWriter(settings.state_url)
        stack.callback(state.close)
        state.migrate(clock())
        before_facts(state)
        warehouse = stack.enter_context(Warehouse.open(settings.workspace.facts))
        landing = stack.enter_context(LandingWriter(settings.workspace.landing, API_SOURCE))
        reader = StateReader(settings.state_url)
        stack.callback(reader.close)
        flags = FlagReader(reader)
        deps = Deps(settings, warehouse, state, policy)
        alerting.connect(deps, stream)
        desk = slack_listen.desk_of(deps, clock)
        questions = asking.Desk(deps, clock)
        stack.callback(questions.close)
        door = slack_listen.door_of(settings, desk)
        services = replace(_services(deps, flags, landing, clock), slack=door, asking=questions)
        try:
            app = create_app(services)
        except ValueError as error:
            raise SettingsError(f"CONTROLPLANE_TOKEN cannot be used: {error}") from None
        server = stack.enter_context(ControlServer(app, port))
        deps.flag_urls, deps.probe, deps.reread_flags = (server.url,), prober(settings.token), flags.refresh
        yield Control(deps, server, flags, landing, desk)


@contextmanager
def flags_for_a_moment(deps: Deps, clock: Callable[[], datetime]) -> Iterator[None]:
    """Serve flags on any free loopback port inside the block and probe that server; it reads the row anew for every question.

    For a heartbeat without a lasting control process. What it serves is what any flag server of this state serves; it takes no records.
    """
    reader = StateReader(deps.settings.state_url)
    try:
        flags = FlagReader(reader, reread=timedelta(0))
        with ControlServer(create_app(_services(deps, flags, _NoLanding(), clock)), 0) as server:
            deps.flag_urls, deps.probe = (server.url,), prober(deps.settings.token)
            yield
    finally:
        deps.flag_urls, deps.probe = (), None
        reader.close()


class _NoLanding:
    """Refuses records: the sender must keep them and send them again to a process that stays."""

    def write(self, records: Iterable[Mapping[str, Any]]) -> int:
        raise LandingError("this control process lives for one heartbeat and takes no records")


@cache
def _trust() -> ssl.SSLContext:
    """The certificates that servers are checked by, read once: to read them takes ten times as long as to ask."""
    return httpx.create_ssl_context()


def prober(token: str) -> FlagProbe:
    """Asks a flag server over HTTP what a synthetic customer is served, as any client would."""

    def probe(url: str, unit: Unit) -> dict[str, Any]:
        context = {
            "targetingKey": unit.user_id,
            "employee": unit.employee,
            "segment": unit.segment,
            "intent": unit.intent,
            "mandatory_person": unit.mandatory_person,
            "low_risk": unit.low_risk,
        }
        answer = httpx.post(
            f"{url}/ofrep/v1/evaluate/flags",
            json={"context": context},
            headers={"Authorization": f"Bearer {token}"},
            timeout=PROBE_SECONDS,
            verify=_trust(),
        )
        answer.raise_for_status()
        told = answer.json()
        flags = {flag["key"]: flag["value"] for flag in told["flags"]}
        return {
            "arm": flags["arm"],
            "execution_enabled": flags["execution_enabled"],
            "version": told["metadata"]["flag_version"],
            "ineligible_reason": told["metadata"].get("ineligible_reason"),
        }

    return probe


def _services(deps: Deps, flags: FlagReader, landing: Landing, clock: Callable[[], datetime]) -> Services:
    return Services(
        flags=flags,
        landing=landing,
        vitals=lambda: _vitals(deps),
        status=lambda: actions.status(deps.state, deps.policy, clock()),
        act=lambda wish: _act(deps, wish, clock()),
        sql=lambda query, limit: _sql(deps, query, limit),
        clock=clock,
        new_id=lambda: uuid.uuid4().hex,
        tokens={deps.settings.token: Role.ADMIN},
    )


def _vitals(deps: Deps) -> Vitals:
    messages = deps.state.outbox_counts()
    return Vitals(
        rollout=deps.state.rollout(),
        state_version=deps.state.version(),
        watermark=watermark(deps.warehouse, 0),
        outbox_depth=messages.get("pending", 0) + messages.get("sending", 0),
        outbox_dead=messages.get("dead", 0),
        last_beat=deps.last_beat,
        failing=deps.failing,
    )


def _act(deps: Deps, wish: ActionRequest, now: datetime) -> Mapping[str, Any]:
    follow_policy(deps)
    try:
        if wish.action is ControlAction.PROMOTE:
            actions.promote(deps, wish.actor, wish.reason, now, wish.expected_version)
        else:
            actions.act(
                deps.state, deps.policy, _EVENTS[wish.action], wish.actor, wish.reason, now, wish.expected_version
            )
    except actions.Refused as refused:
        raise ActionRefused(str(refused)) from None
    return actions.status(deps.state, deps.policy, now)


def _sql(deps: Deps, query: str, limit: int) -> SqlResult:
    cursor = deps.warehouse.cursor()
    try:
        columns, rows = select(cursor, query)
    except QueryFailed as error:
        raise QueryRefused(str(error)) from None
    finally:
        cursor.close()
    return SqlResult(columns, rows[:limit], truncated=len(rows) > limit)
