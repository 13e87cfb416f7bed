"""`controlplane replay`: real customer messages through the assistant and the menu, logged like live traffic.

With a rollout, exposure is what its flags say. Without one there is nothing to be exposed to, so the messages are split
half and half under the phase `replay`, without a rollout: they are facts to look at and enter no comparison.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controlplane.assistant import ReleaseConfig, SqliteBank, build_assistant, build_menu
from controlplane.core.assignment import Exposure, Reason, Unit, bucket
from controlplane.core.model import Arm
from controlplane.core.policy import Policy
from controlplane.settings import Settings
from controlplane.simulation.messages import MessagesError
from controlplane.simulation.service_desk import Expose
from controlplane.store.facts import ingest_landing
from controlplane.store.flags import FlagReader
from controlplane.store.landing import LandingWriter
from controlplane.store.rollups import refresh
from controlplane.store.state import StateReader
from controlplane.store.warehouse import Warehouse
from jobs import replay
from jobs.compose import open_state, policy_in_force, workspace_settings
from jobs.console import BAD_INPUT, clock, fail
from jobs.process import control_url

SOURCE = "replay"
RELEASE = "embedded"


def replay_command(
    home: str | None, file: Path, text_column: str | None, limit: int | None, seed: int, now: datetime
) -> dict[str, Any]:
    """Counts of messages, conversations per arm, escalations and mandatory routes. Bad input ends with exit code 2."""
    settings = workspace_settings(home)
    with open_state(settings, now) as state, LandingWriter(settings.workspace.landing, SOURCE) as landing:
        policy = policy_in_force(settings, state)
        reader = StateReader(settings.state_url)
        expose = FlagReader(reader).evaluate if state.rollout() is not None else preview(policy)
        parts = replay.ReplayParts(
            assistant=build_assistant(ReleaseConfig(RELEASE), settings.workspace.models, SqliteBank()),
            menu=build_menu(SqliteBank()),
            expose=expose,
            low_risk_intents=frozenset(policy.assignment.low_risk_intents),
            write=landing.write,
            clock=clock,
        )
        try:
            counts = replay.run(file, parts, text_column=text_column, limit=limit, seed=seed)
        except MessagesError as error:
            fail(str(error), BAD_INPUT)
        finally:
            reader.close()
            landing.sign_off(clock())
    _store(settings)
    return counts.as_dict()


def preview(policy: Policy) -> Expose:
    """Half and half by the stable hash, outside any rollout."""

    def expose(unit: Unit, _now: datetime) -> Exposure:
        why_not = "mandatory_person" if unit.mandatory_person else None
        treated = why_not is None and bucket(policy.assignment.salt, unit.user_id) < 0.5
        arm = Arm.ASSISTANT if treated else Arm.BASELINE
        return Exposure(arm, False, why_not or "no_rollout", Reason.SPLIT, 0, "", RELEASE, "replay", 0.5, True)

    return expose


def _store(settings: Settings) -> None:
    """Ingest what was written, unless a control process is there to do it."""
    if control_url(settings) is not None:
        return
    now = datetime.now(UTC)
    with Warehouse.open(settings.workspace.facts) as warehouse:
        ingest_landing(warehouse, settings.workspace.landing, now=now, key=settings.hmac_key)
        refresh(warehouse, now)
