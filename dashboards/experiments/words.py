"""The Experiments page in words and small pieces of HTML: its answer, a row per measure, an interval as a bar. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from controlplane.core.metrics import Direction, Metric
from dashboards import ui
from dashboards.answers import BAD, GOOD, QUIET, WAIT, Answer
from dashboards.experiments.effects import (
    BETTER,
    NOT_SHOWN,
    NOT_WORSE,
    UNKNOWN,
    WORSE,
    Effect,
    Level,
    Split,
    Stage,
    outcome,
)
from dashboards.words import difference_text, duration, percent, value_text

TONES = {BETTER: GOOD, NOT_WORSE: GOOD, WORSE: BAD, NOT_SHOWN: QUIET, UNKNOWN: QUIET}
MOST_NAMED = 3


def stage_label(stage: Stage) -> str:
    """`Ramp 20 %`."""
    return f"{stage.phase[:1].upper()}{stage.phase[1:]} {percent(stage.share)}"


def answer(release: str, baseline: str, effects: Sequence[Effect], split: Split | None, cut: bool = False) -> Answer:
    """What the release has changed, in one headline and one sentence. `cut`: it was rolled back, which comes before what its outcomes were."""
    found = _compared(release, baseline, effects, split)
    if not cut:
        return found
    said = f"It was rolled back; what is compared here is before that, and decides nothing. {found.sentence}"
    return Answer(found.headline, said, BAD)


def of_an_older(told: Answer, newest: str, unknown: bool) -> Answer:
    """The answer for a release that is not the newest one, which has to be said before anything about it is read.

    unknown: nothing of the newest one is final.
    """
    why = "has no final outcome yet" if unknown else "can be chosen below"
    return Answer(told.headline, f"{told.sentence} {newest}, the newest release, {why}.", told.tone)


def _compared(release: str, baseline: str, effects: Sequence[Effect], split: Split | None) -> Answer:
    question = f"What does {release} change?"
    known = [effect for effect in effects if effect.found is not None and outcome(effect.metric)]
    if split is not None and split.broken:
        told = f"{split.treated:,} of {split.units:,} conversations are on the assistant, {split.expected:,.0f} were to be expected"
        return Answer(
            "Don't read this comparison.",
            f"The traffic did not split as configured: {told}. Find out where conversations were lost before reading any result.",
            BAD,
        )
    if not known:
        return Answer(
            f"{question} Unknown yet.",
            f"No outcome has final values of both {release} and the {baseline} at the same time yet.",
            QUIET,
        )
    worse, better = ([e for e in known if e.verdict == word] for word in (WORSE, BETTER))
    rest = _rest([e for e in known if e.verdict in (NOT_WORSE, NOT_SHOWN)], len(known), baseline)
    if not worse and not better:
        return Answer(f"{question} Nothing shown yet.", rest, WAIT)
    parts = [f"{word} on {_named(found)}" for word, found in (("Worse", worse), ("Better", better)) if found]
    headline = f"{release} is {' and '.join(_counted(w, f) for w, f in (('worse', worse), ('better', better)) if f)}."
    return Answer(headline, f"{'; '.join(parts)}. {rest}".strip(), BAD if worse else GOOD)


def _rest(quiet: Sequence[Effect], known: int, baseline: str) -> str:
    """What shows no difference for sure, and what of it is shown not to be worse."""
    if not quiet:
        return ""
    holding = [effect.metric.title for effect in quiet if effect.verdict == NOT_WORSE]
    if len(quiet) < known:
        said = f"{len(quiet)} of {known} outcomes show no difference from the {baseline} for sure."
    elif known > 1:
        said = f"None of the {known} outcomes judged so far differs from the {baseline} for sure."
    else:
        said = f"The one outcome judged so far does not differ from the {baseline} for sure."
    return f"{said} Not worse than the policy tolerates: {', '.join(holding)}." if holding else said


def reading(effect: Effect) -> str:
    """What the picture of one measure says by now, and why the verdict may be more careful than the interval alone."""
    found = effect.found
    if found is None:
        return ""
    alone = not found.anytime.low <= 0.0 <= found.anytime.high
    said = f"By now {span_text(effect)}"
    if alone and effect.verdict not in (BETTER, WORSE):
        return f"{said}: it leaves zero on its own, but not as one of several measures that are judged together."
    return f"{said}: {effect.verdict}."


def _counted(word: str, found: Sequence[Effect]) -> str:
    return f"{word} on {len(found)} outcome{'' if len(found) == 1 else 's'}"


def _named(found: Sequence[Effect]) -> str:
    def one(effect: Effect) -> str:
        assert effect.found is not None
        return f"{effect.metric.title} ({difference_text(effect.metric, effect.found.fixed.estimate)})"

    more = len(found) - MOST_NAMED
    return ", ".join(map(one, found[:MOST_NAMED])) + (f" and {more} more" if more > 0 else "")


def split_tile(split: Split | None) -> tuple[str, str, str]:
    """Value, note and tone of the tile of the split."""
    if split is None:
        return "Unknown", "no stage has drawn lots yet", QUIET
    counted = f"{split.treated:,} on the assistant, {split.expected:,.0f} expected"
    return ("Broken", counted, BAD) if split.broken else ("As configured", counted, GOOD)


def span_text(effect: Effect) -> str:
    """`−2.9 pp [−6.9, +1.0]`, or why there is none."""
    if effect.found is None:
        return "too little data" if not effect.provisional else "not final yet"
    found = effect.found.anytime
    ends = [difference_text(effect.metric, end) for end in (found.low, found.high)]
    return f"{difference_text(effect.metric, found.estimate)} [{ends[0]}, {ends[1]}]"


def final_text(effect: Effect) -> str:
    """How much of it is final, and after how long a value is."""
    if effect.mature is None:
        return "\u2013"
    if not effect.maturity:
        return "at once"
    return f"{100 * effect.mature:.0f} % after {duration(effect.maturity)}"


def row(effect: Effect) -> tuple[str, ...]:
    """One line of the table of all measures, as HTML."""
    values = [value_text(effect.metric, value) for value in (effect.treated, effect.control)]
    waits = effect.provisional and effect.n_t
    verdict = ui.chip("provisional", WAIT) if waits else ui.chip(effect.verdict, TONES[effect.verdict])
    found = effect.found
    drawn = (
        ""
        if found is None
        else bar(effect.metric, found.anytime.low, found.fixed.estimate, found.anytime.high, effect.margin)
    )
    return (
        f"<b>{escape(effect.metric.title)}</b>",
        values[0],
        values[1],
        drawn,
        escape(span_text(effect)),
        f"{effect.n_t:,} / {effect.n_c:,}",
        final_text(effect),
        verdict,
    )


def bar(metric: Metric, low: float, middle: float, high: float, margin: float | None) -> str:
    """An interval on a scale of its own with zero in the middle, as HTML: a line from low to high, a dot, zero, and the margin in red."""
    worse = -1.0 if metric.direction is Direction.HIGHER else 1.0
    reach = 1.1 * max(abs(low), abs(high), abs(margin or 0.0)) or 1.0

    def place(value: float) -> float:
        return round(50.0 + 50.0 * value / reach, 1)

    line = f'<i class="cp-ci-line" style="left:{place(low)}%;width:{place(high) - place(low):.1f}%"></i>'
    dot = f'<i class="cp-ci-dot" style="left:{place(middle)}%"></i>'
    limit = "" if margin is None else f'<i class="cp-ci-limit" style="left:{place(worse * margin)}%"></i>'
    said = f"from {difference_text(metric, low)} to {difference_text(metric, high)}"
    return (
        f'<div class="cp-ci" role="img" aria-label="{escape(said)}"><i class="cp-ci-zero"></i>{limit}{line}{dot}</div>'
    )


def level_tone(level: Level) -> str:
    """The tone of a segment's verdict."""
    return TONES[level.verdict]


def forest_note(levels: Sequence[Level], heterogeneity: float | None, what: str) -> str:
    """What a person may read out of the picture of segments, corrections named."""
    judged = [level for level in levels if level.found is not None]
    apart = [level.name for level in judged if level.differs is not None and level.differs <= 0.05]
    said = f"Verdicts are corrected over {len(judged)} {what} (Benjamini-Hochberg): at most 5 % of those called better or worse are luck."
    if heterogeneity is None:
        return said
    if apart:
        return f"{said} Unlike the others: {', '.join(apart)}."
    return f"{said} No sign that the effect differs between them (p {heterogeneity:.2g})."
