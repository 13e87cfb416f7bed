"""The phases as a ladder: every stage with what was done there, what is going on, and what its gate asks. Pure.

Only the stages of the running rollout count: one that began anew after a rollback is at its beginning again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

import polars as pl

from controlplane.core.model import RolloutState
from controlplane.core.policy import Phase, Policy, Stage
from controlplane.store.state_rows import StageRow
from dashboards import answers
from dashboards.answers import BAD, GOOD, QUIET, WAIT, Answer
from dashboards.happened import begun, why
from dashboards.values import State
from dashboards.words import clock, duration, percent

DONE, NOW, CUT, AHEAD = "done", "now", "cut", "ahead"
MARKS = {DONE: "\u2713", NOW: "\u25cf", CUT: "\u2715", AHEAD: ""}
SAID = {DONE: "passed", NOW: "here now", CUT: "cut here", AHEAD: "ahead"}
AUDIENCES = {"employees": "of employees", "low_risk": "of low-risk questions", "eligible": "of eligible customers"}
MOVES = ("start", "promote", "restart", "rollback")


@dataclass(frozen=True)
class Rung:
    """One stage: what is there, what became of it (DONE, NOW, CUT, AHEAD), a sentence about that, and what leaving it takes."""

    stage: Stage
    status: str
    note: str
    asks: str


def rungs(state: State, policy: Policy, approvals: pl.DataFrame) -> tuple[Rung, ...]:
    """Every stage of the policy. approvals: as `data_rollout.approvals`."""
    rollout = state.rollout
    if rollout is None:
        return tuple(Rung(stage, AHEAD, "", asked(policy, stage)) for stage in policy.stages)
    rows = [row for row in state.stages if row.rollout_id == rollout.rollout_id and row.event in MOVES]
    mine = approvals.filter(pl.col("rollout_id") == rollout.rollout_id)
    who = {
        stage: mine.filter(pl.col("stage") == stage)["approver"].to_list() for stage in mine["stage"].unique().to_list()
    }
    found = []
    for stage in policy.stages:
        status = _status(stage.index, rollout.stage, rollout.state)
        note = _note(state, rows, stage.index, status, who.get(stage.index, []))
        found.append(Rung(stage, status, note, asked(policy, stage)))
    return tuple(found)


def _status(index: int, at: int, state: RolloutState) -> str:
    if index == at:
        return CUT if state is RolloutState.ROLLED_BACK else NOW
    return DONE if index < at else AHEAD


def _note(state: State, rows: Sequence[StageRow], index: int, status: str, approvers: Sequence[str]) -> str:
    entered, left = _times(rows, index)
    now = state.meta.now
    if status == AHEAD or entered is None:
        return ""
    if status == CUT:
        return f"rolled back at {clock(left or now, now)}, after {duration((left or now) - entered)}"
    if status == NOW:
        return f"for {duration(now - entered)}, since {clock(entered, now)}"
    by = f", approved by {', '.join(approvers)}" if approvers else ""
    return f"{duration((left or now) - entered)}{by}"


def _times(rows: Sequence[StageRow], index: int) -> tuple[datetime | None, datetime | None]:
    """When the stage was entered last, and when it was left."""
    entered = left = None
    for row in rows:
        if row.stage == index and row.event != "rollback":
            entered, left = row.started_at, None
        elif entered is not None and left is None:
            left = row.started_at
    return entered, left


def asked(policy: Policy, stage: Stage) -> str:
    """What the gate behind a stage asks, in short; of the last stage who stays with the baseline."""
    if stage.index == policy.stages[-1].index:
        rest = 1 - stage.share
        return (
            f"{percent(rest)} stay on the {policy.baseline} as the comparison"
            if rest > 0
            else "nobody is left to compare with"
        )
    return ", ".join(asked_parts(policy, policy.phase(stage.phase))) or "nothing is asked"


def asked_parts(policy: Policy, phase: Phase) -> list[str]:
    """What a phase's gates ask, one by one."""
    parts = []
    if phase.min_minutes:
        parts.append(minutes(phase.min_minutes))
    if phase.min_treated:
        parts.append(_many(phase.min_treated, "customer"))
    if phase.certificates:
        parts.append(_many(len(phase.certificates), "certificate"))
    if phase.name in policy.review.phases:
        parts.append(f"{policy.review.min_labelled:,} answers reviewed")
    if phase.approvals:
        parts.append(_many(phase.approvals, "approval"))
    return parts


def minutes(count: float) -> str:
    """`20 min`, `12 h`, `3 days`."""
    if count % 1440 == 0 and count >= 2880:
        return f"{count / 1440:g} days"
    return f"{count / 60:g} h" if count % 60 == 0 and count >= 120 else f"{count:g} min"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def html(found: Sequence[Rung]) -> str:
    """The ladder: on a wide screen from left to right, on a phone from top to bottom."""
    return f'<ol class="cp-ladder" aria-label="Stages of the rollout">{"".join(_rung(one) for one in found)}</ol>'


def _rung(one: Rung) -> str:
    here = ' aria-current="step"' if one.status in (NOW, CUT) else ""
    gate = "stays" if one.asks.endswith(("comparison", "compare with")) else "gate"
    note = f"<div>{escape(one.note)}</div>" if one.note else ""
    asks = f'<div class="cp-asks"><span>{"" if gate == "stays" else "Gate: "}</span>{escape(one.asks)}</div>'
    if one.status in (DONE, CUT):
        asks = ""
    audience = AUDIENCES.get(one.stage.audience, f"of {one.stage.audience}")
    return (
        f'<li class="cp-rung cp-rung-{one.status}"{here}><span class="cp-mark" role="img" aria-label="{SAID[one.status]}">{MARKS[one.status]}</span>'
        f'<div class="cp-step">{escape(one.stage.phase.capitalize())}</div><div class="cp-share">{percent(one.stage.share)}</div>'
        f'<div class="cp-small">{escape(audience)}</div><div class="cp-note">{note}{asks}</div></li>'
    )


def headline(state: State) -> Answer:
    """Where the rollout stands, and what must happen for the next step."""
    rollout, policy = state.rollout, state.policy
    if rollout is None:
        return Answer(
            "Nobody is on the ladder yet.",
            "Every customer is served by the baseline. `controlplane release start` puts a release on the first step of the policy.",
            QUIET,
        )
    if policy is None:
        return Answer("Where are we? Unknown.", f"The policy can't be read: {state.policy_error}.", BAD)
    if rollout.stage >= len(policy.stages):
        return Answer("Where are we? Unknown.", "The rollout stands on a step that its policy does not have.", BAD)
    stage, number, whole = policy.stages[rollout.stage], rollout.stage + 1, len(policy.stages)
    served = f"{percent(stage.share)} {AUDIENCES.get(stage.audience, '')}".strip()
    if rollout.state is RolloutState.ROLLED_BACK:
        return Answer(
            f"Off the ladder: {rollout.release} was rolled back from step {number} of {whole}.",
            f"It served {served} until {clock(begun(state, 'rollback'), state.meta.now)}; everybody is on the {policy.baseline} again. "
            "A fixed release starts at the first step, once the incident is reviewed.",
            BAD,
        )
    following = answers.next_stage(state)
    where = f"Step {number} of {whole}: {served} are on {rollout.release}."
    if following is None:
        return Answer(
            where, f"This is the last step. {asked(policy, stage)[:1].upper()}{asked(policy, stage)[1:]}.", GOOD
        )
    if rollout.state is RolloutState.HELD:
        return Answer(where, f"The ramp is held: {why(state, 'hold')}. A person resumes it on the Live page.", WAIT)
    return _open_or_shut(where, state, following)


def next_start(policy: Policy, incident: str) -> list[str]:
    """What a restart takes under the policy, in order; `incident`: the state of the one that cut the traffic, "" where there is none."""
    done = {"resolved": 1, "reviewed": 2}.get(incident, 0)
    steps = []
    if incident and done < 1:
        steps.append("The incident is resolved: `controlplane incident resolve ID --reason ...`.")
    if incident and policy.incidents.review_before_restart and done < 2:
        steps.append("A person reviews the incident: `controlplane incident review ID`.")
    if policy.incidents.learn_before_restart and policy.evaluation.required:
        steps.append(
            "The conversations that failed become evaluation data: `controlplane incident learn ID --data NAME`."
        )
    if policy.evaluation.required:
        steps.append(
            "An evaluation of exactly the new artefacts passes; the ones that were rolled back cannot start again."
        )
    if policy.decisions.cooldown_minutes:
        steps.append(f"{minutes(policy.decisions.cooldown_minutes)} have passed since the rollback.")
    return [*steps, "It begins at the first step: `controlplane release start NAME --actor YOU --artefact model=HASH`."]


def _open_or_shut(where: str, state: State, following: Stage) -> Answer:
    said = answers.answer(state)
    missing = [line for line in said.lines if line.tone != GOOD]
    goal = f"the step to {percent(following.share)} {AUDIENCES.get(following.audience, '')}".strip()
    if not missing:
        return Answer(where, f"The gate is open: every requirement for {goal} is met.", GOOD, said.lines)
    if all(line.name == "Approved by a person" for line in missing):
        return Answer(where, f"Only a person's approval is missing for {goal}.", WAIT, said.lines)
    done = len(said.lines) - len(missing)
    named = "; ".join(line.gap for line in missing[:3]) + (f"; and {len(missing) - 3} more" if len(missing) > 3 else "")
    return Answer(
        where, f"{done} of {len(said.lines)} requirements for {goal} are met. Missing: {named}.", said.tone, said.lines
    )


def history_rows(state: State, policy: Policy | None, approvals: pl.DataFrame) -> list[tuple[str, ...]]:
    """Every change of the ladder, newest first: when, release, what, share, how long it lasted, who. Cells are HTML."""
    rows = []
    later = state.meta.now
    words = {
        "start": "started",
        "promote": "promoted",
        "restart": "started",
        "rollback": "rolled back",
        "resume": "resumed",
    }
    actors = {(row.event, row.moment): row.actor for row in state.log}
    for row in sorted(state.stages, key=lambda row: row.started_at, reverse=True):
        actor = actors.get((row.event, row.started_at), "")
        moved = row.event in MOVES
        gave = approvals.filter((pl.col("rollout_id") == row.rollout_id) & (pl.col("approved_at") == row.started_at))
        by = actor or ", ".join(gave["approver"].to_list()) or "\u2013"
        share = "off" if row.state is RolloutState.ROLLED_BACK else percent(row.share)
        word = words.get(row.event, row.event.replace("_", " "))
        lasted = duration(later - row.started_at) if moved else ""
        rows.append((clock(row.started_at, state.meta.now), row.release, word, f"{row.phase} {share}", lasted, by))
        later = row.started_at if moved else later
    tones = {"rolled back": "bad", "hold": "wait"}
    return [
        (
            escape(when),
            escape(release),
            _word(word, tones),
            f"<span class='cp-nowrap'>{escape(what)}</span>",
            lasted,
            escape(by),
        )
        for when, release, word, what, lasted, by in rows
    ]


def _word(word: str, tones: dict[str, str]) -> str:
    return f'<span class="cp-chip cp-{tones[word]}">{escape(word)}</span>' if word in tones else escape(word)
