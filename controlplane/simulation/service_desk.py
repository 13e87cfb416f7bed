"""One conversation through the same door, for simulated and replayed customers alike.

The first message is screened by the same code in both arms, then the arm is asked for, then that arm answers every turn. What
lands is the exposure and, for each turn, what the assistant's recorder makes of the reply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from controlplane.assistant.model import ConversationState, Message, ReleaseArtefacts, Reply
from controlplane.assistant.pipeline import Screening
from controlplane.assistant.protocols import Responder
from controlplane.assistant.record import GroundednessEvaluator, Record, RecordContext, landing_records
from controlplane.assistant.release import reference_knowledge
from controlplane.core.assignment import CONTAINED, Exposure, Unit
from controlplane.core.model import Arm
from controlplane.simulation.records import exposure_record

Expose = Callable[[Unit, datetime], Exposure]
MENU_VERSION = "menu-1"


class Screener(Responder, Protocol):
    """An assistant: it answers, and it screens first messages for both arms."""

    def screen(self, text: str) -> Screening:
        """What a first message is about, and whether it needs a person."""
        ...

    @property
    def artefacts(self) -> ReleaseArtefacts:
        """What the release is made of."""
        ...


@dataclass(slots=True)
class Served:
    """A conversation that was admitted: its exposure, and what its arm remembers of it."""

    exposure: Exposure
    state: ConversationState


class ServiceDesk:
    """The two arms and the question which of them serves; `assistant` may be exchanged while conversations run."""

    def __init__(
        self,
        assistant: Screener,
        menu: Responder,
        expose: Expose,
        low_risk_intents: frozenset[str],
        answer_rate: float,
        agent_version: str | None = None,
    ) -> None:
        """`answer_rate` of the answers, in (0, 1], are judged for groundedness; `agent_version` as in `deploy`."""
        self._menu = menu
        self._expose = expose
        self._low_risk = low_risk_intents
        self._evaluator = GroundednessEvaluator(reference_knowledge(), answer_rate)
        self.deploy(assistant, agent_version)

    def deploy(self, assistant: Screener, agent_version: str | None = None) -> None:
        """From now on this assistant answers, in running conversations too; the log calls it by its own version if not given."""
        self._assistant = assistant
        self._agent_version = agent_version or assistant.artefacts.version

    def admit(self, first: Message, employee: bool) -> tuple[Served, Record]:
        """Screens the first message and asks for the exposure, once for each conversation."""
        seen = self._assistant.screen(first.text)
        unit = Unit(
            user_id=first.user_id,
            employee=employee,
            segment=first.segment,
            intent=seen.intent,
            mandatory_person=seen.route is not None,
            low_risk=seen.intent in self._low_risk,
        )
        exposure = self._expose(unit, first.ts)
        person = exposure.ineligible_reason == CONTAINED
        return Served(exposure, ConversationState(mandatory=seen.route, handed_over=person)), exposure_record(
            first, exposure, seen.intent
        )

    def answer(self, served: Served, message: Message) -> tuple[Reply, list[Record]]:
        """One turn in the conversation's arm, and its records."""
        exposure = served.exposure
        exposed = exposure.arm is Arm.ASSISTANT
        responder: Responder = self._assistant if exposed else self._menu
        served.state, reply = responder.respond(served.state, message)
        context = RecordContext(
            arm=str(exposure.arm),
            phase=exposure.phase or None,
            release=exposure.release or None,
            agent_version=self._agent_version if exposed else MENU_VERSION,
        )
        return reply, landing_records(message, reply, context, self._evaluator)
