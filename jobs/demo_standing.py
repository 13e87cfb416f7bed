"""What the standing jobs of a week would have left behind, done at the end of the demo's story so that every page has something real to show."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from jobs import ask_rollout, review_draw, topics, tradeoff_record
from jobs.deps import Deps
from jobs.refused import Refused
from jobs.tradeoff_command import Assumptions

ACTOR = "demo"
DECIDER = "Noor (simulated approver)"
GOOD_RELEASE = "v1.0"  # as `jobs.demo` names it
PERSON_COST = 4.0  # USD of a conversation with a person, assumed: nothing in the demo measures it
READ_A_DAY = 50.0  # answers that the reviewers of the story can read a day
REPLAYS = 500  # a tenth of a percent is out of reach of so few; the report says what is in it


def leave(deps: Deps, now: datetime) -> None:
    """Topics of what was asked, answers drawn for people to label, the policy tried on the story, and a trade-off. Needs the control API.

    What finds nothing to look at leaves nothing: a story in which nobody was served has no topics and no answers.
    """
    with suppress(Refused):
        topics.run(deps, now, actor=ACTOR)
    with suppress(Refused):
        review_draw.draw(deps, now, READ_A_DAY, ACTOR)
    with suppress(Refused):
        ask_rollout.run_backtest(deps, now, actor=ACTOR, replays=REPLAYS)
    _trade_off(deps, now)


def _trade_off(deps: Deps, now: datetime) -> None:
    """What satisfaction, latency and cost say together of the release that served most, kept as a decision."""
    home, asked = str(deps.home), tradeoff_record.Asked(release=GOOD_RELEASE)
    found = tradeoff_record.tradeoff(home, asked, Assumptions(person_cost=PERSON_COST), now)
    tradeoff_record.record(home, found, DECIDER, "", now)
