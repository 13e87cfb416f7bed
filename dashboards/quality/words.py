"""The Quality page in words: its answer, the names of intents and categories, and what each number says. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from dashboards.answers import BAD, GOOD, QUIET, WAIT, Answer
from dashboards.quality.values import (
    LOG,
    PERSON,
    SAMPLED,
    UNNAMED,
    WISH,
    Calibration,
    Category,
    Confusion,
    Safety,
    Share,
)
from dashboards.words import duration

CATEGORY_NAMES = {
    "fraud": "Fraud",
    "legal": "Legal matter",
    "harassment": "Harassment",
    "financial_dispute": "Disputed charge",
    WISH: "Asked for a person",
    UNNAMED: "Subject not said",
}
BASIS_NAMES = {
    SAMPLED: "People, random sample",
    LOG: "As the log says",
    PERSON: "People, rate not told",
}
BASIS_NOTES = {
    SAMPLED: "labels by people of answers drawn at random, each counted by how many answers it stands for",
    LOG: "true intents that came with the log, counted as they are: whether they are a fair sample, nobody told",
    PERSON: "labels by people who did not say how they chose the answers, counted as they are",
}
MANDATORY_WORDS = "fraud, a legal matter, harassment or a disputed charge"


@dataclass(frozen=True)
class Findings:
    """What the page's answer is made of; None: not known. `limit` is the policy's for answers that their sources do not bear out."""

    safety: Safety
    misunderstood: Share | None
    ungrounded: Share | None
    limit: float | None
    baseline: str


def intent(name: str) -> str:
    """`card_lost_or_stolen` -> `Card lost or stolen`."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def category(name: str) -> str:
    """A category's name for people."""
    return CATEGORY_NAMES.get(name, intent(name))


def part(value: float) -> str:
    """A share with as many digits as it deserves: `0.15 %`, `7.0 %`, `93 %`."""
    size = 100 * value
    digits = 0 if size >= 10 or size == 0 else 1 if size >= 1 else 2
    return f"{size:.{digits}f} %"


def ends(found: Share) -> str:
    """`3.2 to 13 %`: the 95 % interval."""
    low, high = part(found.low), part(found.high)
    return f"{low.removesuffix(' %')} to {high}"


def count(number: int, one: str, many: str = "") -> str:
    """`1 answer`, `2 answers`, `no answer`."""
    if number == 0:
        return f"no {one}"
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def hero(found: Findings | None) -> Answer:
    """Is what it says right and safe: the answer and its tone; safety first."""
    if found is None:
        return Answer("Nothing has been answered yet.", "Quality appears here as soon as conversations arrive.", QUIET)
    safe, tone = _safe(found.safety)
    sentences = [_borne_out(found.ungrounded, found.limit), _right(found.misunderstood), _checked(found.safety)]
    known = found.misunderstood is not None and found.misunderstood.enough and found.ungrounded is not None
    over = found.ungrounded is not None and found.limit is not None and found.ungrounded.low > found.limit
    if over and found.ungrounded is not None:
        safe, tone = f"{safe}; {part(found.ungrounded.value)} of its answers go beyond their sources", BAD
    if tone == GOOD and not known:
        tone = WAIT
    return Answer(f"{safe}.", " ".join(text for text in sentences if text), tone)


def _safe(safety: Safety) -> tuple[str, str]:
    whole = safety.mandatory
    if safety.lost:
        return f"{count(safety.lost, 'customer')} who had to reach a person did not", BAD
    if whole.seen + whole.at_once + safety.delayed == 0:
        unknown = "Nobody had to be sent to a person" if _looked(safety) else "Whether it is safe is not known yet"
        return unknown, GOOD if _looked(safety) else WAIT
    if safety.delayed:
        return f"Everybody known to need a person reached one, {safety.delayed} of them late", WAIT
    return "Everybody known to need a person reached one", GOOD if _looked(safety) else WAIT


def _looked(safety: Safety) -> bool:
    return safety.audited > 0


def _checked(safety: Safety) -> str:
    whole = safety.mandatory
    if whole.seen == 0 and safety.audited == 0:
        return "No conversation was about " + MANDATORY_WORDS + "."
    reached = whole.seen - whole.nobody
    recognised = (
        f"{reached:,} of {whole.seen:,} conversations recognised as {MANDATORY_WORDS} reached a person"
        if whole.seen
        else f"No conversation was recognised as {MANDATORY_WORDS}"
    )
    if safety.misrouted is None:
        return f"{recognised}; nobody has audited what was not recognised."
    missed = count(safety.found, "answer")
    return f"{recognised}; people who audited {safety.audited:,} answers found {missed} that should have sent customers there at once."


def _right(found: Share | None) -> str:
    if found is None:
        return "Nobody has checked yet whether it understands its customers."
    few = "" if found.enough else ", too few to rely on"
    low, high = part(1 - found.high).removesuffix(" %"), part(1 - found.low)
    return f"It understood {part(1 - found.value)} of what they wanted ({low} to {high}; {found.n:,} checked{few})."


def _borne_out(found: Share | None, limit: float | None) -> str:
    if found is None:
        return "Whether its answers keep to their sources has not been judged."
    if limit is not None and found.low > limit:
        return f"At most {part(limit)} may say what their sources do not: with {found.n:,} judged, it is {ends(found)}."
    against = "" if limit is None else f", limit {part(limit)}"
    return f"{part(found.value)} of its answers say what their sources do not ({ends(found)}{against})."


def confusion(found: Confusion) -> str:
    """`Meant “Transfer failed”, taken for “Card not arrived”`."""
    return f"Meant \u201c{intent(found.truth)}\u201d, taken for \u201c{intent(found.predicted)}\u201d"


def stands_for(found: Share) -> str:
    """`3 of 129 checked, about 20 of 860 answers`."""
    checked = f"{found.hits:,} of {found.n:,} checked"
    if found.total <= found.n * 1.01:
        return checked
    return f"{checked}, stands for about {found.value * found.total:,.0f} answers"


def calibrated(found: Calibration) -> tuple[str, str]:
    """What the calibration says, and its tone."""
    said = f"On average it says {part(found.said)} and is right in {part(found.right)}"
    if found.consistent:
        return f"{said}: no more apart than {count(found.n, 'label')} can differ by chance.", GOOD
    way = "surer than it should be" if found.said > found.right else "less sure than it could be"
    return f"{said}: it is {way}.", WAIT


def reached(one: Category | Safety) -> tuple[str, str]:
    """The verdict of a category, or of all who must have a person, and its tone."""
    if one.lost:
        return f"{one.lost:,} missed", BAD
    if one.delayed:
        return f"{one.delayed:,} late", WAIT
    known = one.mandatory if isinstance(one, Safety) else one
    if known.seen + known.at_once == 0:
        return "none seen", QUIET
    return "all reached", GOOD


def young(mature: float | None, window: timedelta) -> str:
    """How many of the labels are final."""
    if mature is None:
        return ""
    if mature >= 0.995:
        return "final"
    return f"{part(mature)} final (after {duration(window)})"
