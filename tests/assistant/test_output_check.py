"""Answers leave without personal data, secrets, the system prompt or abuse; ordinary answers leave as they are."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant import dialogue
from controlplane.assistant.knowledge_base import load_knowledge
from controlplane.assistant.output_check import WITHHELD, OutputVerdict, check_output, toxicity
from controlplane.assistant.release import load_prompt

SYSTEM = load_prompt()
SENTENCES = [line.strip() for line in SYSTEM.splitlines() if len(line.split()) >= 12]


@pytest.mark.parametrize("passage", load_knowledge().passages, ids=lambda passage: passage.id)
def test_every_page_leaves_untouched(passage) -> None:
    assert check_output(passage.body, SYSTEM) == OutputVerdict(passage.body, (), False)


@pytest.mark.parametrize(
    "text", [*dialogue.HANDOVERS.values(), *dialogue.GIVING_UP.values(), dialogue.CANNOT, WITHHELD]
)
def test_what_we_say_of_our_own_accord_leaves_untouched(text: str) -> None:
    assert check_output(text, SYSTEM) == OutputVerdict(text, (), False)


@pytest.mark.parametrize(
    ("text", "finding", "gone"),
    [
        ("Write to jane.doe@example.com.", "personal_data:email", "jane.doe"),
        ("Your card 4111 1111 1111 1111 is blocked.", "personal_data:card", "4111"),
        ("Send it to DE89 3704 0044 0532 0130 00.", "personal_data:iban", "3704"),
        ("Call +44 20 7946 0958 for that.", "personal_data:phone", "7946"),
        ("The number is 123-45-6789.", "personal_data:national_id", "6789"),
        ("Use sk-abcdefghijklmnopqrstuv as key.", "secret", "sk-abc"),
        ("The password is tr0ub4dor!", "secret", "tr0ub"),
        ("The secret key is 9f8a7b6c5d.", "secret", "9f8a"),
        ("It runs on postgres://admin:hunter2@db.internal/bank now.", "secret", "hunter2"),
        ("Token: hf_abcdefghijklmnopqrstuvwx", "secret", "hf_abc"),
    ],
)
def test_data_and_secrets_are_masked_and_the_answer_goes_out(text: str, finding: str, gone: str) -> None:
    verdict = check_output(text, SYSTEM)
    assert finding in verdict.findings
    assert gone not in verdict.text
    assert not verdict.blocked


def test_a_private_key_blocks_the_answer() -> None:
    verdict = check_output("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----")
    assert verdict.blocked
    assert verdict.text == WITHHELD


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("wrap", [str, str.upper, lambda s: base64.b64encode(s.encode()).decode(), lambda s: s[::-1]])
def test_a_sentence_of_the_system_prompt_blocks_the_answer(sentence: str, wrap) -> None:
    verdict = check_output(f"Sure. {wrap(sentence)}", SYSTEM)
    assert "system_prompt" in verdict.findings
    assert verdict.blocked
    assert verdict.text == WITHHELD


def test_without_a_system_prompt_there_is_nothing_to_leak() -> None:
    assert not check_output(SENTENCES[0]).blocked


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("Your replacement card is free and arrives in 5 days.", 0),
        ("Do not share your PIN with strangers or thieves.", 0),
        ("That is a shitty fee, I know.", 1),
        ("You are an idiot.", 2),
        ("Shut up and pay.", 2),
        ("You stupid b!tch, go f*** yourself", 2),
        ("I will kill you.", 3),
        ("I know where you live.", 3),
    ],
)
def test_toxicity_in_four_steps(text: str, severity: int) -> None:
    assert toxicity(text) == severity
    assert check_output(text).blocked == (severity >= 2)


@given(st.text(max_size=300))
def test_checking_twice_changes_nothing_more(text: str) -> None:
    once = check_output(text, SYSTEM)
    again = check_output(once.text, SYSTEM)
    assert again.text == once.text
    assert not again.blocked
