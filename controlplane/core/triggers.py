"""From closed blocks to readings: each trigger's, validity check's and certificate's streams take one step per block.

A lane's state is a plain dictionary, one entry per stream, so it can be stored as JSON and rebuilt from the ledger by a replay:
`trigger:NAME|SEGMENT` -> detector state (validity checks are called by their reserved names), `certificate:NAME` -> certificate
state, `last` -> the last closed block, `fired` -> the streams that have fired (a latch: what counts is that a block was at or over
the threshold, not what the evidence is now).

Certificates restart at each stage start, deploy and policy change. Detectors never do, with three exceptions: every quarter after the
completion has an account of its own (`controlplane.core.streams`), a stream whose test the policy changed
(`controlplane.core.policy_switch`), and, when a person resumes a held rollout (or switches execution on again, for the triggers
that switch it off), the streams that had fired begin again from no evidence with the weight of a restart, at the first block that
opens behind it. Until then their blocks that had opened before are void (e = 1): their harm is what the person has just let go of.
A stream that fires only after the act, on a block that had opened before it (labels mature for days), was not known to the person
and is not let go of by it: `knowing` keeps the newest act that was known when it fired. Giving evidence up only lowers R, so R plus
the unspent weight stays a supermartingale and the error budget holds.

Blocks are read many at a time wherever nothing but their counts differs; what comes out is what single steps give.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from controlplane.core.blocks import Block, Lane, LetGo
from controlplane.core.evidence import CertificateSpec, CertificateState, Counts, StreamSpec, certificate
from controlplane.core.model import Action, BlockCounts, TriggerReading, Verdict
from controlplane.core.policy import Certificate, Policy, Trigger
from controlplane.core.silence import HEARD, heard_after
from controlplane.core.streams import (
    ALL,
    BUDGETS,
    KNOWING,
    QUARTER,
    Group,
    Stream,
    budgets_of,
    fresh,
    granted,
    grouped,
    read,
    renewed,
    stream_limit,
    streams_of,
    unpack,
    weight_plan,
    without_evidence,
)

__all__ = [
    "ALL",
    "CertificateStanding",
    "CountKey",
    "LaneRun",
    "LaneStep",
    "latched",
    "step_blocks",
    "step_lane",
    "weight_plan",
]

NOTHING_LET_GO = LetGo()
VOID = "void: a person has let go of what this block may hold"
BEFORE_POLICY = "void: the block had opened before the policy changed this stream"
CountKey = tuple[str, str]  # (trigger, check or certificate name, segment)
BlockOfCounts = Mapping[CountKey, BlockCounts]


@dataclass(frozen=True, slots=True)
class CertificateStanding:
    """How far a certificate has come: certified when `log_e` has reached `log_threshold`."""

    name: str
    metric: str
    margin: float
    log_e: float
    log_threshold: float
    certified: bool
    blocks: int


@dataclass(frozen=True, slots=True)
class LaneStep:
    """What one block did to a lane: the new state, what each stream reads, and where the certificates stand."""

    state: dict[str, Any]
    readings: tuple[TriggerReading, ...]
    standings: tuple[CertificateStanding, ...]


@dataclass(frozen=True, slots=True)
class LaneRun:
    """What several blocks did to a lane: the state after the last one, and readings and standings block by block."""

    state: dict[str, Any]
    readings: tuple[tuple[TriggerReading, ...], ...]
    standings: tuple[tuple[CertificateStanding, ...], ...]


def stream_spec(policy: Policy, trigger: Trigger, segment: str) -> StreamSpec:
    """What a stream tests, with its part of the error budget."""
    return StreamSpec(str(trigger.kind), stream_limit(policy, trigger), policy.alpha(trigger, segment))


def to_counts(counts: BlockCounts) -> Counts:
    """The evidence engine's form of a block's counts."""
    return Counts(counts.n_t, counts.x_t, counts.n_c, counts.x_c, counts.k_t, counts.k_c)


def step_lane(
    policy: Policy,
    lane: Lane,
    state: Mapping[str, Any],
    block: Block,
    counts: BlockOfCounts,
    released: LetGo = NOTHING_LET_GO,
) -> LaneStep:
    """Read one closed block with every stream of the lane. Missing counts are a fault of the caller (KeyError).

    `released` is what people had let go of when the block closed; the counts in the readings are those that were used.
    """
    run = step_blocks(policy, lane, state, [block], [counts], released)
    return LaneStep(run.state, run.readings[0], run.standings[0])


def step_blocks(
    policy: Policy,
    lane: Lane,
    state: Mapping[str, Any],
    blocks: Sequence[Block],
    counts: Sequence[BlockOfCounts],
    released: LetGo = NOTHING_LET_GO,
) -> LaneRun:
    """Read closed blocks of one lane in order; `counts[t]` belongs to `blocks[t]`. As so many calls of `step_lane` do.

    Raises ValueError for blocks that are not after the lane's last one, in order.
    """
    after = dict(state)
    readings: list[tuple[TriggerReading, ...]] = []
    done = 0
    for part in _alike(blocks, released):
        _check_order(after, part)
        of_part = counts[done : done + len(part)]
        began = _begin_quarter(policy, streams_of(policy, lane), after, part[0].quarter)
        streams = [granted(stream, after.get(stream.key)) for stream in streams_of(policy, lane)]
        read = _step_streams(streams, after, part, of_part, released, began)
        for block, of_block in zip(part, read, strict=True):
            after[HEARD] = heard_after(after.get(HEARD), block.stage_version, block.end, of_block)
        readings += read
        last = part[-1]
        after["last"] = {"start": last.start.isoformat(), "end": last.end.isoformat(), "version": last.stage_version}
        done += len(part)
    standings = [
        tuple(_step_certificate(policy, item, after, block, of_block[item.name, ALL]) for item in lane.certificates)
        for block, of_block in zip(blocks, counts, strict=True)
    ]
    return LaneRun(after, tuple(readings), tuple(standings))


def _alike(blocks: Sequence[Block], released: LetGo) -> Iterator[list[Block]]:
    """Blocks that can be read in one pass, of one quarter; one in which evidence may be given up, or that may be void, stands alone."""
    run: list[Block] = []
    moments = [moment for moment in (released.resumed_at, released.enabled_at) if moment is not None]
    for block in blocks:
        if run and run[-1].quarter != block.quarter:
            yield run
            run = []
        if block.resumes or block.enables or any(moment > block.start for moment in moments):
            yield from ([run] if run else [])
            yield [block]
            run = []
        else:
            run.append(block)
    yield from ([run] if run else [])


def _check_order(state: Mapping[str, Any], blocks: Sequence[Block]) -> None:
    last = last_block(state)
    before = None if last is None else last.start
    for block in blocks:
        if before is not None and block.start <= before:
            raise ValueError(
                f"block {block.start.isoformat()} is not after block {before.isoformat()}, the last one read; "
                "blocks close once and in order"
            )
        before = block.start


def _begin_quarter(policy: Policy, streams: Iterable[Stream], state: dict[str, Any], quarter: int) -> set[str]:
    """Streams whose account is of an earlier quarter get that of this one; their keys. `state` is changed."""
    if quarter > state.get(QUARTER, 0):
        state |= {QUARTER: quarter, BUDGETS: budgets_of(policy)}
    begun = set()
    for stream in streams if quarter else ():
        stored = state[stream.key] if stream.key in state else fresh(stream)
        if stored.get(QUARTER, 0) < quarter:
            state[stream.key] = renewed(stream, stored, quarter)
            begun.add(stream.key)
    return begun


def _step_streams(
    streams: Sequence[Stream],
    state: dict[str, Any],
    blocks: Sequence[Block],
    counts: Sequence[BlockOfCounts],
    released: LetGo,
    began: set[str],
) -> list[tuple[TriggerReading, ...]]:
    """All streams over blocks that are alike; `began`: those whose quarter begins with the first of them. `state` is changed."""
    latches = set(state.get("fired", ()))
    knew = {key: datetime.fromisoformat(moment) for key, moment in state.get(KNOWING, {}).items()}
    acts = {s.key: _acts(s, released, knew.get(s.key)) for s in streams if s.key in latches}
    given_up = {s.key for s in streams if s.key in latches and _is_let_go_by(s, blocks[0], acts[s.key], s.key in knew)}
    latches -= given_up
    stored = [state[s.key] if s.key in state else fresh(s) for s in streams]
    stored = [without_evidence(one) if s.key in given_up else one for s, one in zip(streams, stored, strict=True)]
    let_go = np.array([s.key in latches and any(act > blocks[0].start for act in acts[s.key]) for s in streams])
    slots: list[list[TriggerReading | None]] = [[None] * len(streams) for _ in blocks]
    for group in grouped(streams, stored):
        _read_group(group, state, blocks, counts, let_go[group.places], (given_up, began), slots)
    rows = [tuple(reading for reading in row if reading is not None) for row in slots]
    fired = {_key(reading) for row in rows for reading in row if reading.fired}
    state["fired"] = sorted(latches | fired)
    for stream in streams:
        known = [act for act in _acts(stream, released) if act > blocks[0].start]
        if known and stream.key in fired - latches:
            knew[stream.key] = max(known)
    state[KNOWING] = {key: knew[key].isoformat() for key in state["fired"] if key in knew}
    if not state[KNOWING]:
        del state[KNOWING]
    return rows


def _read_group(
    group: Group,
    state: dict[str, Any],
    blocks: Sequence[Block],
    counts: Sequence[BlockOfCounts],
    let_go: np.ndarray[Any, np.dtype[np.bool_]],
    anew: tuple[set[str], set[str]],
    slots: list[list[TriggerReading | None]],
) -> None:
    """The group's readings go into their `slots`, its states into `state`. `anew`: who gave evidence up, and whose quarter begins."""
    given_up, began = anew
    indices = np.array([_index(block.start) for block in blocks], dtype=np.int64)
    begins = np.array([one.get("from") or 0 for one in group.stored], dtype=np.int64)
    early = indices[:, None] < begins[None, :]
    void = early | let_go[None, :]
    found = [[of_block[stream.name, stream.segment] for stream in group.streams] for of_block in counts]
    known = np.array([[int(block.starts_stage), block.deploys + block.policies] for block in blocks], dtype=np.int64)
    events = np.repeat(known[:, None, :], len(group.streams), axis=1)
    quarters = np.array([stream.key in began for stream in group.streams], dtype=np.int64)
    events[0, :, 0] = np.maximum(events[0, :, 0], quarters)  # the stage that completes begins the first quarter, too
    events[0, :, 0] += [stream.key in given_up for stream in group.streams]
    after, track = read(group, indices, found, void, [block.share for block in blocks], events)
    for stream, one in zip(group.streams, unpack(group, after, int(indices[-1])), strict=True):
        state[stream.key] = one
    columns = [getattr(track, name).tolist() for name in ("log_E", "empty", "spent", "onset")]
    thresholds = [stream.spec.log_threshold for stream in group.streams]
    for t, block in enumerate(blocks):
        saw = zip(
            group.places,
            group.streams,
            found[t],
            zip(thresholds, *(column[t] for column in columns), strict=True),
            strict=True,
        )
        unheard = void[t].any()
        for i, (place, stream, seen, said) in enumerate(saw):
            why = "" if not unheard or not void[t, i] else BEFORE_POLICY if early[t, i] else VOID
            slots[t][place] = _reading(stream, block, _emptied(seen) if why else seen, said, why)


def _emptied(counts: BlockCounts) -> BlockCounts:
    """A void block's counts are not used."""
    return BlockCounts(counts.metric, counts.segment, counts.start, counts.span_seconds, last_batch=counts.last_batch)


def _reading(
    stream: Stream, block: Block, counts: BlockCounts, said: tuple[float, float, bool, float, int], void: str
) -> TriggerReading:
    threshold, log_e, empty, spent, onset = said
    fired = log_e >= threshold and not void
    verdict = Verdict.FAIL if fired else Verdict.NO_DATA if empty else Verdict.PASS
    return TriggerReading(
        trigger=stream.name,
        metric=stream.metric,
        segment=stream.segment,
        action=stream.action,
        verdict=verdict,
        block_start=block.start,
        log_e=log_e,
        log_threshold=threshold,
        fired=fired,
        counts=counts,
        reason=void or _reason(stream, verdict),
        onset=None if onset < 0 else _moment(onset),
        weight_spent=spent,
        exact=stream.exact,
        quarter=stream.quarter,
        owed=stream.owed,
    )


def _key(reading: TriggerReading) -> str:
    return f"trigger:{reading.trigger}|{reading.segment}"


def _is_let_go_by(stream: Stream, block: Block, acts: Sequence[datetime], knew: bool) -> bool:
    """Whether the block is the first behind an act of a person that lets go of this stream's evidence; `knew`: an earlier act was known."""
    first = bool(block.resumes or (block.enables and stream.action is Action.DISABLE_EXECUTION))
    return first and (not knew or any(act <= block.start for act in acts))


def _acts(stream: Stream, released: LetGo, known: datetime | None = None) -> list[datetime]:
    """The newest acts of people that let go of this stream where it has fired; only those after `known`."""
    return let_go_acts(stream.action is Action.DISABLE_EXECUTION, released, known)


def let_go_acts(switches_off: bool, released: LetGo, known: datetime | None = None) -> list[datetime]:
    """The newest acts after `known` that let go of a fired stream: a resumption, or switching execution on for one that switches it off."""
    moments = (released.resumed_at, released.enabled_at if switches_off else None)
    return [moment for moment in moments if moment is not None and (known is None or moment > known)]


def fired_knowing(state: Mapping[str, Any], key: CountKey) -> datetime | None:
    """The newest act of a person that was known when the stream fired on a block from before it."""
    said = state.get(KNOWING, {}).get(f"trigger:{key[0]}|{key[1]}")
    return None if said is None else datetime.fromisoformat(said)


def latched(states: Iterable[Mapping[str, Any]]) -> frozenset[CountKey]:
    """(name, segment) of every stream of these lanes that has fired and was not let go of, validity checks included."""
    found = (key.removeprefix("trigger:").rsplit("|", 1) for state in states for key in state.get("fired", ()))
    return frozenset((name, segment) for name, segment in found)


def last_block(state: Mapping[str, Any]) -> Block | None:
    """The last block a lane has closed, from its state."""
    last = state.get("last")
    if last is None:
        return None
    start, end = (datetime.fromisoformat(last[key]) for key in ("start", "end"))
    return Block(start, end, int(last["version"]), False)


def _index(moment: datetime) -> int:
    """Blocks are numbered by the microsecond they open at: exact, and rising over any grid."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _moment(index: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=index)


def _reason(stream: Stream, verdict: Verdict) -> str:
    where = "" if stream.segment == ALL else f" in {'' if stream.check else 'segment '}{stream.segment}"
    match verdict:
        case Verdict.FAIL:
            return stream.finding()
        case Verdict.NO_DATA:
            return f"{stream.metric}{where}: no comparable data in this block; it neither passes nor accuses"
        case _:
            return f"{stream.metric}{where}: the evidence stays below its threshold"


def _step_certificate(
    policy: Policy, item: Certificate, state: dict[str, Any], block: Block, counts: BlockCounts
) -> CertificateStanding:
    """The certificate reads the block; `state` is changed. Blocks that opened before a change of the policy certify nothing."""
    key = f"certificate:{item.name}"
    spec = CertificateSpec(str(item.kind), item.margin, policy.budget.certificate)
    stored = state.get(key)
    if stored is not None and _index(block.start) < (stored.get("from") or 0):
        return CertificateStanding(item.name, item.metric, item.margin, 0.0, spec.log_threshold, False, 0)
    begins = {} if stored is None or "from" not in stored else {"from": stored["from"]}
    plain = {} if stored is None else {name: value for name, value in stored.items() if name != "from"}
    before = CertificateState.from_dict(plain) if plain else CertificateState.fresh(spec)
    if block.starts_stage or block.deploys or block.policies:
        before = certificate.restart(before)
    after, reading = certificate.step(spec, before, _index(block.start), to_counts(counts))
    state[key] = {**after.to_dict(), **begins}
    return CertificateStanding(
        item.name, item.metric, item.margin, reading.log_E, reading.log_threshold, reading.certified, after.blocks
    )
