"""What the Quality page asks: bounded lists that count right, examples whose reading is remembered, and labels that go the whole way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from controlplane.core.roles import Permission
from controlplane.server.services import ActionRefused, QueryRefused
from controlplane.settings import load
from controlplane.store.facts import ingest_file
from controlplane.store.rollups import failed_checks, refresh
from controlplane.store.warehouse import Warehouse
from jobs.asking import ASKS, Desk
from jobs.compose import open_state, policy_in_force
from jobs.deps import Deps

EMAIL = "ana.example@example.org"


def _records(moment: datetime) -> list[str]:
    """Twelve conversations: three about fraud, one of which reached nobody and one a person a turn late; one misrouted; one ungrounded."""
    lines: list[dict[str, Any]] = []
    for i in range(12):
        at = (moment + timedelta(seconds=i)).isoformat()
        base = {"conversation_id": f"c{i}", "ts": at}
        lines.append(
            base
            | {
                "record": "exposure",
                "exposure_id": f"x{i}",
                "variant": "assistant",
                "user_id": f"u{i}",
                "release": "v1.0",
            }
        )
        turn = {
            "interaction_id": f"c{i}:1",
            "turn": 1,
            "arm": "assistant",
            "question": f"why {i}, {EMAIL}",
            "answer": f"answer {i}",
        }
        turn |= {"intent_pred": "fees", "intent_conf": 0.9, "sources": ["fees-page"]}
        if i < 3:
            turn |= {"safety_route": "fraud", "escalated": i > 1, "escalation_reason": "mandatory_category"}
        lines.append(base | turn)
        if i == 1:
            later = {"interaction_id": "c1:2", "turn": 2, "ts": (moment + timedelta(seconds=30)).isoformat()}
            lines.append(base | later | {"arm": "assistant", "escalated": True, "question": "hello?", "answer": "wait"})
        judged = {
            "record": "evaluation",
            "interaction_id": f"c{i}:1",
            "conversation_id": f"c{i}",
            "ts": at,
            "sampling_rate": 0.5,
        }
        if i == 5:
            lines.append(
                judged
                | {"evaluation_id": "s5", "name": "safety_route", "label": "misrouted", "evaluator": "human:rita"}
            )
            lines.append(
                judged
                | {"evaluation_id": "n5", "name": "intent_true", "label": "legal_complaint", "evaluator": "human:rita"}
            )
        if i == 7:
            lines.append(
                judged
                | {
                    "evaluation_id": "g7",
                    "name": "groundedness",
                    "label": "ungrounded",
                    "evaluator": "detector:x",
                    "score": 0.1,
                }
            )
    return [json.dumps(line) for line in lines]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Deps, str]]:
    """A desk on a workspace with these conversations, and ISO time from which on they lie."""
    folder = tmp_path_factory.mktemp("ask")
    home, log = folder / "home", folder / "log.jsonl"
    (home / "landing").mkdir(parents=True)
    (home / "workspace.toml").write_text('kind = "demo"\n')
    since = datetime(2026, 1, 5, 9, tzinfo=UTC)
    log.write_text("\n".join(_records(since + timedelta(seconds=1))) + "\n")
    settings, now = load(home), since + timedelta(minutes=1)
    with open_state(settings, now) as state, Warehouse.open(settings.workspace.facts) as warehouse:
        assert ingest_file(warehouse, log, source="test", now=now, key=settings.hmac_key).quarantined == 0
        refresh(warehouse, now)
        deps = Deps(settings, warehouse, state, policy_in_force(settings, state))
        desk = Desk(deps, lambda: now)
        yield desk, deps, since.isoformat()
        desk.close()


def _answer(desk: Desk, name: str, actor: str = "rita", **arguments: Any) -> Any:
    return desk.ask(f"quality_{name}", arguments, actor)["answer"]


def test_words_and_labels_take_their_permissions() -> None:
    mine = {name: ask for name, ask in ASKS.items() if name.startswith("quality_")}
    labelling = {"quality_draw", "quality_take", "quality_submit", "quality_disputes", "quality_adjudicate"}
    assert {name for name, ask in mine.items() if ask.permission is Permission.LABEL} == labelling
    assert all(ask.permission is Permission.QUERY for name, ask in mine.items() if name not in labelling)
    assert all(ask.signed for name, ask in mine.items() if name not in ("quality_routed", "quality_misrouted"))


def test_the_proof_list_and_the_exceptions(world: tuple[Desk, Deps, str]) -> None:
    desk, deps, since = world
    found = _answer(desk, "routed", since=since, categories=["fraud"])
    assert [(row["conversation_id"], row["person"], row["late"]) for row in found["rows"]] == [
        ("c2", True, False),
        ("c1", True, True),
        ("c0", False, False),
    ]
    with deps.warehouse.cursor() as cursor:
        kept = cursor.execute("SELECT reached, n FROM rollup_safety WHERE screened = 'fraud' ORDER BY 1").fetchall()
    assert kept == [("late", 1), ("nobody", 1), ("person", 1)]
    assert failed_checks(deps.warehouse, datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)) == {}
    assert found["among"] == 3
    page = _answer(desk, "routed", since=since, categories=["fraud"], most=1, skip=1)
    assert ([row["conversation_id"] for row in page["rows"]], page["among"]) == (["c1"], 3)
    missed = _answer(desk, "routed", since=since, categories=["fraud", "legal"], missed=True)
    assert [row["conversation_id"] for row in missed["rows"]] == ["c1", "c0"]
    assert _answer(desk, "routed", since=since, categories=["fraud"], arm="baseline") == {"rows": [], "among": 0}
    (called,) = _answer(desk, "misrouted", since=since)["rows"]
    said = {"conversation_id": "c5", "intent": "legal_complaint", "by": "human:rita", "person": False, "picked": False}
    assert {name: called[name] for name in said} == said
    assert not [row for row in deps.state.audit_rows() if row["event"] == "answers_read"], (
        "a list without words leaves no row"
    )


def test_examples_are_masked_and_their_reading_is_remembered_once(world: tuple[Desk, Deps, str]) -> None:
    desk, deps, since = world
    for _ in range(2):
        (judged,) = _answer(desk, "judged", since=since, label="ungrounded")["rows"]
    assert (judged["conversation_id"], judged["answer"], judged["score"]) == ("c7", "answer 7", 0.1)
    assert EMAIL not in judged["question"]
    (confused,) = _answer(desk, "confused", since=since, predicted="fees", truth="legal_complaint")["rows"]
    assert (confused["conversation_id"], confused["confidence"], confused["by"]) == ("c5", 0.9, "human:rita")
    read = [row for row in deps.state.audit_rows() if row["event"] == "answers_read"]
    assert [json.loads(str(row["payload"]))["conversations"] for row in read] == [["c7"], ["c5"]]
    assert {row["actor"] for row in read} == {"rita"}
    assert _answer(desk, "judged", since=since, label="grounded") == {"rows": [], "among": 0}


def test_what_customers_said_of_a_topic_is_read_by_name(world: tuple[Desk, Deps, str]) -> None:
    desk, deps, _ = world
    told = {"topics": [{"topic_id": "t1", "new": False, "examples": ["where is it"]}, {"topic_id": "t2", "new": False}]}
    deps.state.record_artefact("topics-1", "topics", "reports/topics/x.json", told, datetime(2026, 1, 5, 9, tzinfo=UTC))
    before = len(deps.state.audit_rows())
    for _ in range(2):
        found = _answer(desk, "examples", artefact_id="topics-1")
    assert found == {"examples": {"t1": ["where is it"], "t2": []}}
    (row,) = deps.state.audit_rows()[before:]
    assert (row["actor"], row["event"], row["subject"]) == ("rita", "answers_read", "topics-1")
    with pytest.raises(QueryRefused, match="no analysis"):
        _answer(desk, "examples", artefact_id="another")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("routed", {"categories": ["fraud"], "most": 100_000}),
        ("routed", {"categories": ["fraud"], "arm": "everybody"}),
        ("routed", {"categories": ["fraud"], "since": "2026-01-05T10:00:00"}),
        ("routed", {"categories": ["fraud"], "since": "1999-01-05T10:00:00+00:00"}),
        ("judged", {"label": "perhaps"}),
        ("judged", {"label": "grounded", "most": 26}),
        ("draw", {"per_day": 0}),
    ],
)
def test_what_is_out_of_bounds_is_refused(world: tuple[Desk, Deps, str], name: str, wrong: dict[str, Any]) -> None:
    desk, _, since = world
    asked = wrong if name == "draw" else {"since": since} | wrong
    with pytest.raises(QueryRefused):
        _answer(desk, name, **asked)


def test_from_the_draw_to_the_decision(world: tuple[Desk, Deps, str]) -> None:
    """Two people differ on an answer, a third decides; what is settled lies in the landing folder."""
    desk, deps, _ = world
    nothing = _answer(desk, "take")
    assert nothing["item"] is None
    assert "nothing is left" in nothing["reason"]
    assert "out_of_scope" in nothing["subjects"]
    assert {"fees", "legal_complaint"} <= set(nothing["subjects"])
    assert _answer(desk, "draw", per_day=1_000)["drawn"] == 13
    first = _answer(desk, "take")
    item = first["item"]
    assert EMAIL not in item["question"]
    assert not {"label", "score", "reasons", "intent_pred"} & set(item), "a reviewer sees nothing that anybody said"
    assert _answer(desk, "take", skip=[item["item_id"]])["item"]["item_id"] != item["item_id"]
    with pytest.raises(ActionRefused, match="was not given to"):
        _answer(desk, "submit", actor="bob", item_id=item["item_id"], label="correct")
    with pytest.raises(ActionRefused, match="is no label"):
        _answer(desk, "submit", item_id=item["item_id"], label="nice")
    wanted = {key: one.wanted for key, one in ((one.item_id, one) for one in deps.state.review_items())}
    double = next(key for key, people in wanted.items() if people == 2)
    for who, label in (("rita", "correct"), ("bob", "unsafe")):
        seen: list[str] = []
        while (now := _answer(desk, "take", actor=who, skip=seen)["item"])["item_id"] != double:
            seen.append(now["item_id"])
        said = _answer(desk, "submit", actor=who, item_id=double, label=label, grounded=True, note=f"call me, {EMAIL}")
    assert (said["status"], said["evaluations"]) == ("disagreed", 0)
    dispute = _answer(desk, "disputes")
    assert (dispute["open"], dispute["mine"], dispute["item"]["item_id"]) == (1, True, double)
    assert [one["label"] for one in dispute["item"]["opinions"]] == ["correct", "unsafe"]
    assert EMAIL not in json.dumps(dispute)
    with pytest.raises(ActionRefused, match="a third person decides"):
        _answer(desk, "adjudicate", item_id=double, label="correct")
    decided = _answer(desk, "adjudicate", actor="olga", item_id=double, label="unsafe", severity=4)
    assert (decided["status"], decided["item"], decided["open"]) == ("adjudicated", None, 0)
    assert decided["evaluations"] == 1
    landed = [
        line
        for path in deps.landing.rglob("*")
        if path.is_file() and "review" in str(path)
        for line in path.read_text().splitlines()
    ]
    assert any('"misrouted"' in line and "human:olga" in line for line in landed)


def test_two_people_at_once_press_twice_and_nothing_is_lost_or_doubled(world: tuple[Desk, Deps, str]) -> None:
    """What the test above left of the draw: both take and label at the same moment, every press comes twice, one has a second tab open."""
    desk, deps, _ = world
    start = Barrier(2)
    held = {one.item_id for one in deps.state.review_assignments()}
    assert [one for one in deps.state.review_items() if one.item_id not in held], "something is left"

    def labels(who: str) -> list[str]:
        start.wait()
        item, done = _answer(desk, "take", actor=who)["item"], []
        while item is not None:
            said = _answer(desk, "submit", actor=who, item_id=item["item_id"], label="correct", intent="fees")
            with suppress(ActionRefused):  # the second press, or the other tab: settled by then, or the same again
                _answer(desk, "submit", actor=who, item_id=item["item_id"], label="correct", intent="fees")
            done.append(item["item_id"])
            item = said["item"]
        return done

    with ThreadPoolExecutor(2) as people:
        mine, other = people.map(labels, ("ina", "jo"))
    assert len(mine) == len(set(mine))
    assert len(other) == len(set(other))
    wanted = {one.item_id: one.wanted for one in deps.state.review_items()}
    opinions = deps.state.review_opinions()
    given = {key: [one.reviewer for one in found.values()] for key, found in opinions.items()}
    assert {key for key, who in given.items() if "ina" in who} == set(mine)
    assert all(len(set(who)) == len(who) <= wanted[key] for key, who in given.items())
    settled = [key for key in {*mine, *other} if len(given[key]) == wanted[key]]
    assert settled
    assert set(settled) <= deps.state.review_returned()
    files = [path for path in deps.landing.rglob("*.jsonl") if "review" in str(path)]
    lines = {line for path in files for line in path.read_text().splitlines()}
    ids = [row["evaluation_id"] for row in map(json.loads, lines) if "evaluation_id" in row]
    assert {f"review:{key}:safety_route" for key in settled} <= set(ids)
    assert len(ids) == len(set(ids)), "what lands twice is the same to the letter: a repeat, which ingest drops"
