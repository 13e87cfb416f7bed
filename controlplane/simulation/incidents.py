"""What an incident of the drills is made of: who comes, what is done when, and what the control plane is expected to do about it.

An incident is data. `jobs.drill` carries it out with real stores, a real control server and the story's clock, and compares what it sees
with `Expect`. Times are minutes of the story since the release went in; acts happen in their order, each at a heartbeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from controlplane.core.model import Arm, RolloutState
from controlplane.simulation.catalogue import SCENARIOS
from controlplane.simulation.lines import Crowd

AUTHOR, APPROVER, ON_CALL = "Sam (simulated author)", "Noor (simulated approver)", "Kim (simulated on-call)"
BOTH = (Arm.ASSISTANT, Arm.BASELINE)
TREATED = (Arm.ASSISTANT,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that happens at minute `at`."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Act):
    """Arms behave otherwise from here on; `to` has fields of `controlplane.simulation.lines.Behaviour`."""

    arms: tuple[Arm, ...] = TREATED
    to: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote(Act):
    """A person asks for the next stage. `refused`: a part of the refusal that must come; empty: it must be granted."""

    actor: str = APPROVER
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy(Act):
    """A known change of the running release is recorded."""

    what: str = "prompt of the running release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence(Act):
    """The producer says nothing until minute `until`; what it held back lands then."""

    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(Act):
    """From here on the control process dies behind every step of a heartbeat and another one goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondProcess(Act):
    """A second control process judges the same workspace at the same time as the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFails(Act):
    """Until minute `until` the state database fails half-way through the transaction of a decision; at least one heartbeat must meet that."""

    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StateLocked(Act):
    """Until minute `until` another process holds the state database for writing, longer than anybody waits for it.

    `whole`: it holds the whole file, while there is no control process; one that is started behind it cannot open it, and nobody reads a flag.
    """

    until: float
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackDown(Act):
    """Until minute `until` Slack drops connections, fails, or asks to come back later, in turn."""

    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsLost(Act):
    """The producer's log agent dies in the middle of a line; nothing that happens until minute `until` is ever logged."""

    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCall(Act):
    """The person on call does something about every incident that is still open: `acknowledge` or `resolve`."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreFacts(Act):
    """The facts are put back to what they were at minute `since`; the state stays."""

    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWith(Act):
    """Somebody wants to release under the drill's policy with `old` replaced by `new`; `refused` is a part of the refusal."""

    old: str
    new: str
    refused: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyPolicy(Act):
    """The policy in force gets `new` for `old` while the release runs."""

    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside(Act):
    """A person overrides a trigger for some minutes."""

    trigger: str
    minutes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapArms(Act):
    """From here on every log line names the other arm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmMisrouting(Act):
    """A person confirms that the newest conversation of the assistant should have gone to people; `severity` from 0 to 1."""

    severity: float


class Naive(StrEnum):
    """What a common rule would have looked at: everything so far, or the ratings that came in since the last look."""

    ESCALATIONS_SO_FAR = "escalations so far"
    RATINGS_COMING_IN = "ratings coming in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What must be seen at the end.

    `decisions`: what the automatic actor did, in order, as (event, trigger). `verdicts`: the newest verdict of a trigger's stream on all traffic.
    `detected_within`: minutes from the onset to the last decision. `quarantined`: reasons for which rows must lie in quarantine; no others may.
    `naive_fires`: whether the naive rule must have passed 3 standard errors at some heartbeat: shows that the trap is one.
    `ledger`: statements about the record that the drill knows how to check (see `jobs.drill_checks`).
    """

    state: RolloutState = RolloutState.RUNNING
    decisions: tuple[tuple[str, str], ...] = ()
    execution: bool = True
    verdicts: Mapping[str, str] = field(default_factory=dict)
    detected_within: float | None = None
    quarantined: frozenset[str] = frozenset()
    naive_fires: bool | None = None
    ledger: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One named situation.

    `injected` and `expected` are for people; `covers` names traps (keys of `TRAPS`), `fault` a release fault of the catalogue whose harm is
    injected here as rates. `policy` ships; `amended`: what is replaced in its text. `onset`: minute at which harm begins (None: there is none).
    The story has `minutes`, with a heartbeat at every act that is more than a change of the customers' fate, every `beat` seconds from the first
    act on, and at the minutes of `looks`; a verified cut ends it sooner, unless `whole` says that what comes behind it belongs to it.
    `slack`: people are told in Slack (a stand-in on loopback) before the console.
    """

    name: str
    expected: str
    injected: str = ""
    fault: str = ""
    covers: tuple[str, ...] = ()
    policy: str = "drill"
    amended: tuple[tuple[str, str], ...] = ()
    crowd: Crowd = field(default_factory=Crowd)
    acts: tuple[Act, ...] = ()
    onset: float | None = None
    minutes: float = 12.0
    beat: float = 60.0
    looks: tuple[float, ...] = ()
    expect: Expect = field(default_factory=Expect)
    naive: Naive | None = None
    whole: bool = False
    slack: bool = False
    seed: int = 1

    @property
    def told(self) -> str:
        """What is injected, in words: those of the release fault where one is named."""
        return SCENARIOS[self.fault].injected if self.fault else self.injected


TRAPS = MappingProxyType(
    {
        "delayed_ratings": "unhappy customers answer sooner, in a ramp",
        "repeat_customers": "few customers with many conversations",
        "eligibility": "what must go to a person is excluded before the arm is drawn",
        "simpson": "a ramp over a drifting baseline",
        "common_incident": "both arms suffer at once",
        "over_dispersion": "one cause hits several customers of one arm inside a block",
        "short_outage": "a bad minute inside the rollback limit",
        "no_data": "a metric without any data",
        "metric_stops": "a metric that stops",
        "one_arm": "only one arm is heard of",
        "no_control": "no control traffic",
        "share_0": "a share of nothing",
        "nulls": "NULL in every measured field",
        "clock_skew": "stamps from the future",
        "late_duplicates": "late and duplicate rows",
        "step_in_block": "a ramp step inside a block",
        "stale": "a producer that falls silent",
        "kill": "the control process dies between two steps",
        "two_processes": "two control processes",
        "half_way": "the state database fails half-way",
        "old_facts": "facts restored older than the state",
        "biased_sampling": "judged answers that were not drawn at random",
        "no_certificate": "promotion without a certificate",
        "author_approves": "promotion approved by its author only",
        "sample_ratio": "units do not fall on the arms as configured",
        "aa_shadow": "the control arm disagrees with itself",
        "swapped_arms": "the logs name the other arm",
        "policy_change": "a policy changed mid-release",
        "judge": "labels of a judge that nobody has accepted",
        "override": "a trigger that a person has set aside",
        "response_rate": "customers of one arm rate less often",
        "tripwire": "one confirmed severe misrouting",
        "slack_outage": "the messenger of the people on call is down",
        "database_locked": "the state cannot be written, then not read",
        "logging_loss": "what happened was never logged",
    }
)
