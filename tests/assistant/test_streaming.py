"""Answers in pieces: together they are the reply, and nothing leaves that was not checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.assistant import (
    Assistant,
    AssistantPolicy,
    ConversationState,
    Reply,
    ReplyKind,
    build_assistant,
    dialogue,
    good,
)
from controlplane.assistant.breaker import BreakerState
from controlplane.assistant.streaming import SentenceGate, by_sentence
from tests.assistant.models_at_hand import FREE, Scripted, Streaming, steps
from tests.assistant.talk import NOW, converse, faultless, message

QUESTION = "is the everyday account free"
PIECES = st.lists(st.text(alphabet="ab .!?\n", max_size=12), max_size=25)
SECRET = "The card number is 4111 1111 1111 1111."


def through(gate: SentenceGate, pieces: list[str]) -> str:
    return "".join(gate.write(piece) for piece in pieces)


@given(PIECES)
def test_what_leaves_is_the_beginning_of_what_was_written(pieces: list[str]) -> None:
    gate = SentenceGate(lambda text: text)
    released = through(gate, pieces)
    final = "".join(pieces).strip()
    assert final.startswith(released)
    whole, rest = gate.close(final)
    assert released + rest == whole == final


@given(PIECES, st.integers(0, 40))
def test_nothing_leaves_that_the_check_refuses(pieces: list[str], limit: int) -> None:
    gate = SentenceGate(lambda text: text if len(text) <= limit else None)
    assert len(through(gate, pieces)) <= limit


@given(PIECES)
def test_a_sentence_leaves_whole_or_not_at_all(pieces: list[str]) -> None:
    gate = SentenceGate(lambda text: text)
    for piece in pieces:
        gone = gate.write(piece)
        assert not gone or gone[-1] in ".!?"


@given(st.text(max_size=200))
def test_sentences_put_together_are_the_text(text: str) -> None:
    assert "".join(by_sentence(text)) == text


def test_a_sentence_that_is_changed_by_the_check_closes_the_gate() -> None:
    gate = SentenceGate(lambda text: text.replace("secret", "[x]"))
    assert through(gate, ["It is free. ", "The secret is out. ", "It is late. "]) == "It is free."
    whole, rest = gate.close("It is free. The [x] is out. It is late.")
    assert whole == "It is free. The [x] is out. It is late."
    assert rest == " The [x] is out. It is late."


def test_after_a_restart_the_customer_is_told() -> None:
    gate = SentenceGate(lambda text: text)
    assert through(gate, ["It costs. ", "Nothing. "]) == "It costs. Nothing."
    gate.restart()
    assert gate.write("It is free. Really. ") == ""
    whole, rest = gate.close("It is free.")
    assert whole == f"It costs. Nothing.{rest}"
    assert dialogue.CUT_OFF in rest
    assert rest.endswith("It is free.")


def stream(assistant: Assistant, text: str, state: ConversationState | None = None) -> tuple[list[str], Reply]:
    """The pieces and the reply; the last item is the only one that is no text."""
    *pieces, last = assistant.stream(state or ConversationState(), message(text))
    assert isinstance(last, tuple)
    assert all(isinstance(piece, str) for piece in pieces)
    return [str(piece) for piece in pieces], last[1]


Make = Callable[..., Assistant]


@pytest.fixture
def make(models: Path) -> Make:
    def build(generator: Scripted | None = None, **policy: object) -> Assistant:
        config = replace(good(), policy=AssistantPolicy(**policy))  # type: ignore[arg-type]
        return build_assistant(config, models, service=faultless(), generator=generator)

    return build


@pytest.mark.parametrize(
    "text",
    [QUESTION, "I lost my card", "what is the weather", "someone stole my money", "refund or statement", "", "agent"],
)
def test_a_stream_ends_in_what_respond_returns(make: Make, text: str) -> None:
    pieces, streamed = stream(make(), text)
    plain = converse(make(), text)[0]
    assert "".join(pieces) == streamed.text == plain.text
    assert streamed == plain


def test_extraction_is_handed_out_by_sentence(make: Make) -> None:
    pieces, reply = stream(make(), "how long does a refund take")
    assert len(pieces) > 3
    assert reply.model == "extractive-1"


def test_a_models_sentences_leave_while_it_writes(make: Make) -> None:
    class Watched(Streaming):
        def stream(self, request: object) -> object:
            for n, piece in enumerate(super().stream(request)):  # type: ignore[arg-type]
                self.written = n
                yield piece

    model = Watched("m", FREE, piece=4)
    reading = make(model).stream(ConversationState(), message(QUESTION))
    seen = [getattr(model, "written", -1) for piece in reading if isinstance(piece, str)]
    assert seen[0] == -1  # the disclosure needs no model
    assert 0 < seen[1] < len(FREE) // 4


def test_the_first_piece_of_a_conversation_is_the_disclosure_and_later_ones_are_not(make: Make) -> None:
    assistant = make(Streaming("m"))
    pieces, _ = stream(assistant, QUESTION)
    assert pieces[0].strip() == dialogue.DISCLOSURE
    later, reply = stream(assistant, QUESTION, ConversationState(turns=1, disclosed=True))
    assert later[0] == "The Everyday account is free."
    assert reply.disclosure == ""


def test_personal_data_never_leaves_a_stream(make: Make) -> None:
    pieces, reply = stream(make(Streaming("m", f"The Everyday account is free. {SECRET} Bye.")), QUESTION)
    assert "4111" not in "".join(pieces)
    assert "The Everyday account is free." in "".join(pieces)
    assert "".join(pieces) == reply.text
    assert steps(reply.steps, "output")[-1][1] == "masked"


def test_a_leaked_prompt_never_leaves_a_stream(make: Make) -> None:
    from controlplane.assistant.release import load_prompt

    pieces, reply = stream(make(Streaming("m", f"Sure. {load_prompt()}")), QUESTION)
    told = "".join(pieces)
    assert told == reply.text
    assert "Text inside the passages" not in told
    assert "replace" in {action for _, action in steps(reply.steps, "output")}


def test_a_stream_that_breaks_off_early_is_as_if_it_had_never_been(make: Make) -> None:
    pieces, reply = stream(make(Streaming("m", FREE, break_after=2)), QUESTION)
    assert "".join(pieces) == reply.text
    assert (reply.model, reply.error_type) == ("extractive-1", None)
    assert dialogue.CUT_OFF not in reply.text


def test_a_stream_that_breaks_off_late_is_owned_up_to(make: Make) -> None:
    pieces, reply = stream(make(Streaming("m", FREE, break_after=6)), QUESTION)
    assert "".join(pieces) == reply.text
    assert reply.answer.startswith("The Everyday account is free.")
    assert dialogue.CUT_OFF in reply.text
    assert reply.model == "extractive-1"


def test_where_ungrounded_answers_are_replaced_nothing_leaves_before_the_verdict(make: Make) -> None:
    lie = "Our Madrid office pays you 900 euros a week. It is guaranteed by law. [account-fees]"
    pieces, reply = stream(make(Streaming("m", lie), block_ungrounded=True), QUESTION)
    assert "Madrid" not in "".join(pieces)
    assert steps(reply.steps, "groundedness") == [("ungrounded", "replace")]
    observed, _ = stream(make(Streaming("m", lie)), QUESTION)
    assert "Madrid" in "".join(observed)


def test_a_reader_who_leaves_closes_the_model_and_proves_nothing_about_it(make: Make) -> None:
    model = Streaming("m", FREE * 20)
    assistant = make(model)
    for _ in range(8):
        reading = assistant.stream(ConversationState(), message(QUESTION))
        assert next(reading)
        assert next(reading)
        reading.close()  # type: ignore[attr-defined]
    assert model.closed == 8
    assert assistant.breakers.states(NOW)["model:m"] is BreakerState.CLOSED


@settings(max_examples=25, deadline=None)
@given(parts=st.lists(st.sampled_from(["Free. ", "It is 4111 1111 1111 1111. ", "No fee", "! ", "a@b.example "])))
def test_whatever_a_model_writes_the_pieces_are_the_reply(parts: list[str], models: Path) -> None:
    generator = Streaming("m", "".join(parts) or FREE, piece=5)
    assistant = build_assistant(good(), models, service=faultless(), generator=generator)
    pieces, reply = stream(assistant, QUESTION)
    assert "".join(pieces) == reply.text
    assert reply.kind is ReplyKind.ANSWER
    assert "4111" not in reply.text
