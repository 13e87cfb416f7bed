"""Properties of the groundedness score, and what its explanation tells a person."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant import groundedness_features as features
from controlplane.assistant.groundedness import GROUNDED, UNGROUNDED, calibration, detector, score
from controlplane.assistant.groundedness_features import DEFECTS, NO_DEFECTS, defects, evidence_of, passage_of, vector
from controlplane.assistant.groundedness_words import counted, is_courtesy, split_sentences, words
from controlplane.assistant.knowledge_base import alter_numbers, load_knowledge

KNOWLEDGE = load_knowledge()
LOST = KNOWLEDGE.get("card-lost")
PAGES = KNOWLEDGE.passages
INVENTIONS = (
    "Your manager at the branch has already approved it.",
    "Our partner Visa also gives you a bonus holiday.",
    "Every customer in Madrid gets 700 pounds.",
    "I really think that is a lovely idea!",
)

pages = st.sampled_from(PAGES)
quotes = pages.flatmap(lambda page: st.tuples(st.just(page), st.lists(st.sampled_from(page.sentences), min_size=1)))


@given(quotes)
def test_a_quote_has_no_defect_and_the_highest_probability_there_is(quoted) -> None:
    page, sentences = quoted
    judged = score(" ".join(sentences), (page,))
    assert judged.label == GROUNDED
    assert judged.probability == pytest.approx(calibration().probability(NO_DEFECTS))
    assert judged.unsupported == judged.unsupported_words == ()
    assert judged.explanation == ""


@given(quotes, st.lists(st.sampled_from(INVENTIONS), max_size=3), st.randoms(use_true_random=False))
def test_the_order_of_sentences_does_not_matter(quoted, invented, rng) -> None:
    page, sentences = quoted
    answer = [*sentences, *invented]
    shuffled = rng.sample(answer, len(answer))
    assert score(" ".join(shuffled), (page,)).score == score(" ".join(answer), (page,)).score


@given(quotes, st.lists(st.sampled_from([*INVENTIONS, *LOST.sentences]), min_size=1, max_size=4))
def test_a_further_sentence_never_raises_the_score(quoted, more) -> None:
    page, sentences = quoted
    found = [score(" ".join([*more[:count], *sentences]), (page,)).score for count in range(len(more) + 1)]
    assert found == sorted(found, reverse=True)


@given(quotes, pages)
def test_a_further_passage_never_adds_a_missing_word(quoted, other) -> None:
    page, sentences = quoted
    answer = " ".join([*sentences, *INVENTIONS])
    assert set(score(answer, (page, other)).unsupported_words) <= set(score(answer, (page,)).unsupported_words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.id)
def test_an_altered_number_makes_a_quote_ungrounded(page) -> None:
    rng = random.Random(page.id)
    for sentence in page.sentences:
        altered = alter_numbers(sentence, rng)
        if altered != sentence:
            judged = score(altered, (page,))
            assert judged.label == UNGROUNDED, altered
            assert "number not in the passages" in judged.explanation


def test_an_invented_sentence_among_many_quotes_is_found() -> None:
    for invention in INVENTIONS:
        judged = score(" ".join([*LOST.sentences, invention]), (LOST,))
        assert judged.label == UNGROUNDED
        assert judged.unsupported == (invention,)


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("The replacement card is not free.", UNGROUNDED),
        ("A blocked card can be used again.", UNGROUNDED),
        ("A blocked card can't be used again.", GROUNDED),
        ("No, the replacement card is free.", GROUNDED),
        ("The lost card line of Barclays answers 24 hours a day.", UNGROUNDED),
        ("Express delivery of a replacement costs £12 and takes 2 weeks.", UNGROUNDED),
        ("Express delivery of a replacement costs £12 and takes two working days.", GROUNDED),
        ("1. The replacement card is free.\n2. The lost card line answers 24 hours a day.", GROUNDED),
        ("the replacement card is free . the lost card line answers 24 hours a day .", GROUNDED),
    ],
)
def test_contradictions_and_forms(answer: str, label: str) -> None:
    assert score(answer, (LOST,)).label == label


@pytest.mark.parametrize("answer", ["", "   ", "...", "[card-lost]", "Thanks!", "Hello, happy to help."])
def test_nothing_claimed_is_nothing_invented(answer: str) -> None:
    judged = score(answer, (LOST,))
    assert (judged.score, judged.label, judged.sentences) == (1.0, GROUNDED, ())


def test_a_courtesy_is_not_called_attributable_all_the_same() -> None:
    """BEGIN calls such answers generic: they claim nothing, and no passage says them either."""
    assert score("Happy to help with everything, dear customer!", (LOST,)).probability < 0.5


def test_a_claim_does_not_hide_behind_a_courtesy() -> None:
    assert score("Thank you for your patience, your loan of 900 pounds is approved.", (LOST,)).label == UNGROUNDED


def test_without_passages_no_claim_stands() -> None:
    judged = score("The replacement card is free. Hello!", ())
    assert (judged.score, judged.probability, judged.label) == (0.0, 0.0, UNGROUNDED)
    assert judged.unsupported == ("The replacement card is free.",)


def test_the_explanation_names_words_numbers_and_names() -> None:
    judged = score("The replacement card is free. Ask Pluto Holdings for 700 golden tickets!", (LOST,))
    assert judged.unsupported_words == ("pluto", "holdings", "golden", "tickets", "700 golden tickets")
    first, second = judged.sentences
    assert first.reasons == ()
    assert first.probability > 0.9 > 0.2 > second.probability
    assert second.reasons == (
        "number not in the passages: 700 golden tickets",
        "name not in the passages: Holdings, Pluto",
        "not in the passages: pluto, holdings, golden, tickets",
    )
    assert judged.explanation.startswith('"Ask Pluto Holdings')


def test_a_cause_is_always_given() -> None:
    for page in PAGES:
        for invention in INVENTIONS:
            for verdict in score(f"{page.sentences[0]} {invention}", (page,)).sentences:
                assert verdict.reasons or verdict.probability >= calibration().threshold


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One page. another page. Mr. j. k. rowling jr. lives here! ok?", 4),
        ("Costs 1.5 % of 2,000.50 pounds at 16:30.", 1),
        ("First\n\nSecond", 2),
        ("- one item\n- two items", 2),
        ("Read [card-lost] this [fees].", 1),
        ("?!", 0),
    ],
)
def test_sentences(text: str, found: int) -> None:
    assert len(split_sentences(text)) == found


def test_words_open_contractions_and_drop_openers() -> None:
    assert words("Well, yes, it isn't free").written == ("it", "is", "not", "free")
    assert words("I do n't know , it ' s free").written == ("i", "do", "not", "know", "it's", "free")
    assert words("No, you can't.").written == ("you", "can", "not")
    assert words("No fee is due").written == ("no", "fee", "is", "due")
    assert words("£ 1,200 at 19.9 %").written == ("£1200", "at", "19.9%")


def test_a_number_counts_with_what_it_counts() -> None:
    found = counted(words("£1,200 within 5 working days of 2019 at 19.9 % from 16:30, one of 3."))
    assert [(each.number, sorted(each.measures)) for each in found] == [
        ("£1200", ["£"]),
        ("5", ["day", "work"]),
        ("2019", ["year"]),
        ("19.9%", ["%"]),
        ("16:30", [":"]),
        ("3", []),
    ]


def test_courtesy_is_words_of_courtesy_only() -> None:
    assert is_courtesy("Of course, I am happy to help you with that!")
    assert not is_courtesy("Of course, the fee is waived.")
    assert not is_courtesy("Thanks for the 5.")


def _longest_common(first: list[str], second: list[str]) -> int:
    """The textbook table: an independent oracle for the bit-parallel one."""
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, left in enumerate(first, 1):
        for j, right in enumerate(second, 1):
            table[i][j] = table[i - 1][j - 1] + 1 if left == right else max(table[i - 1][j], table[i][j - 1])
    return table[-1][-1]


@given(st.lists(st.sampled_from("abcd"), max_size=80), st.lists(st.sampled_from("abcd"), max_size=80))
def test_bit_parallel_alignment_is_the_textbook_one(first: list[str], second: list[str]) -> None:
    positions: dict[str, int] = {}
    for place, word in enumerate(second):
        positions[word] = positions.get(word, 0) | 1 << place
    assert features.longest_common_subsequence(first, positions, len(second)) == _longest_common(first, second)


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_gets_a_probability(answer: str, context: str) -> None:
    judged = score(answer, (passage_of(context),))
    assert 0 <= judged.probability <= 1
    assert 0 <= judged.score <= 1
    assert judged.label in (GROUNDED, UNGROUNDED)


@given(st.text(max_size=200), st.text(max_size=200))
def test_defects_are_finite_and_never_negative(sentence: str, context: str) -> None:
    entries = vector([defects(sentence, evidence_of((passage_of(context),)))])
    assert len(entries) == len(DEFECTS)
    assert all(0 <= entry < 100 for entry in entries)


def test_a_long_answer_is_not_condemned_for_its_length() -> None:
    """Slight rewording in every one of many sentences is no worse than in the worst of them."""
    reworded = [f"Note that {sentence[0].lower()}{sentence[1:]}" for sentence in LOST.sentences]
    one = min(score(sentence, (LOST,)).score for sentence in reworded)
    assert score(" ".join(reworded), (LOST,)).score >= one - 0.15


def test_the_work_grows_with_the_answer_and_not_faster() -> None:
    """Four times as many sentences against the same passages: a ratio of processor times in one run, never a time."""

    def seconds(sentences: int) -> float:
        answer = " ".join((LOST.sentences * 40)[:sentences])
        begin = time.process_time()
        for _ in range(10):
            score(answer, PAGES[:3])
        return time.process_time() - begin

    seconds(20)
    assert min(seconds(160) for _ in range(3)) < 12 * min(seconds(40) for _ in range(3))


def test_records_name_the_detector_and_its_calibration() -> None:
    assert detector() == f"detector:{calibration().version}:{calibration().sha256[:8]}"
