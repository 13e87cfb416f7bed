"""`controlplane assistant chat`: in a terminal, through a pipe, for machines; with a model, without, with one that is down."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from jobs.assistant_chat import HINT, PROMPT, ChatOptions, ModelOptions, chat
from jobs.cli import app

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
QUESTION = "is the everyday account free"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chat") / "work"


def say(home: Path, *lines: str, options: tuple[str, ...] = (), env: dict[str, str | None] | None = None) -> Result:
    surroundings = {"CONTROLPLANE_HOME": str(home), "OPENAI_BASE_URL": None, "OPENAI_API_KEY": None, **(env or {})}
    typed = "".join(f"{line}\n" for line in lines)
    return CliRunner().invoke(
        app, ["assistant", "chat", *options], input=typed, env=surroundings, catch_exceptions=False
    )


def replies(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_conversation_through_a_pipe(home: Path) -> None:
    result = say(home, "I lost my card", "", "yes")
    assert result.exit_code == 0
    assert result.stdout.startswith("You are chatting with")
    assert "Shall I do that?" in result.stdout
    assert "your card is blocked" in result.stdout
    assert PROMPT not in result.stdout


def test_for_machines_each_reply_is_one_json_object(home: Path) -> None:
    first, second = replies(say(home, QUESTION, "I want to speak to a human", options=("--json",)))
    assert (first["kind"], first["intent"], first["sources"]) == ("answer", "fees", ["account-fees"])
    assert first["text"].endswith(first["answer"])
    assert first["disclosure"]
    assert first["cost_usd"] == 0
    assert {"step", "verdict", "action", "reason", "score"} == set(first["steps"][0])
    assert (second["kind"], second["escalation_reason"], second["disclosure"]) == ("handover", "agent_request", None)
    assert first["interaction_id"].rpartition(":")[0] == second["interaction_id"].rpartition(":")[0]


def test_new_starts_another_conversation_and_quit_leaves(home: Path) -> None:
    found = replies(say(home, "agent", "/new", QUESTION, "/quit", QUESTION, options=("--json",)))
    assert [reply["kind"] for reply in found] == ["handover", "answer"]
    assert found[0]["interaction_id"] != found[1]["interaction_id"]
    assert all(reply["interaction_id"].endswith(":1") for reply in found)


def test_explain_shows_verdict_and_action_of_each_step(home: Path) -> None:
    told = say(home, QUESTION, "someone used my card without my permission", options=("--explain",)).stdout
    for word in ("verdict", "action", "retrieval", "generation", "groundedness", "grounded", "fraud", "hand_over"):
        assert word in told


def test_the_menu_talks_too(home: Path) -> None:
    found = replies(say(home, "hello", "1", options=("--menu", "--json")))
    assert [reply["kind"] for reply in found] == ["menu", "menu"]
    assert found[0]["options"][-1] == "Talk to an agent"
    assert found[0]["disclosure"] is None


def test_nothing_said_is_nothing_answered(home: Path) -> None:
    assert say(home).stdout == ""
    assert say(home, "", "   ").stdout == ""


def test_markup_of_a_customer_stays_text(home: Path) -> None:
    result = say(home, "[bold]is the everyday account free[/bold] [/x]", options=("--explain",))
    assert result.exit_code == 0


def test_a_classifier_trained_on_ones_own_texts_is_used(home: Path, tmp_path: Path) -> None:
    subjects = {"fees": "what is the fee for", "limits": "how much can I send with", "opening_hours": "when is it open"}
    rows = [
        f"{words} {thing} number {n},{label}"
        for label, words in subjects.items()
        for n, thing in enumerate(["x", "y"] * 9)
    ]
    (tmp_path / "texts.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    train = ["assistant", "train", "--data", str(tmp_path / "texts.csv"), "--out", str(tmp_path / "models"), "--json"]
    trained = CliRunner().invoke(app, train, catch_exceptions=False)
    assert trained.exit_code == 0, trained.output
    folder = json.loads(trained.stdout.splitlines()[-1])["model"]
    (reply,) = replies(say(home, "what is the fee for x", options=("--json", "--classifier", folder)))
    assert reply["intent"] == "fees"
    missing = say(home, "hello", options=("--classifier", str(tmp_path / "nothing")))
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "no model at" in missing.stderr


class Endpoint(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.append(self.headers["Authorization"])  # type: ignore[attr-defined]
        message = {"role": "assistant", "content": "The Everyday account is free. [account-fees]"}
        usage = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}
        head = {"id": "x", "object": "chat.completion", "created": 1, "model": asked["model"]}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        body = json.dumps({**head, "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def endpoint() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.keys = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/v1"


def test_a_remote_model_answers_with_key_and_address_from_the_environment(
    home: Path, endpoint: ThreadingHTTPServer, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.json"
    tier = {"name": "s", "priority": 0, "isDefault": True, "conditions": [], "prices": {"input": 1e-6, "output": 2e-6}}
    prices.write_text(json.dumps([{"modelName": "m", "matchPattern": "^tiny$", "pricingTiers": [tier]}]))
    env = {"OPENAI_BASE_URL": url(endpoint), "OPENAI_API_KEY": "very-secret"}
    result = say(home, QUESTION, options=("--json", "--model", "tiny", "--prices", str(prices)), env=env)
    (reply,) = replies(result)
    assert (reply["model"], reply["answer"]) == ("tiny", "The Everyday account is free. [account-fees]")
    assert reply["cost_usd"] == pytest.approx(0.00102)
    assert endpoint.keys == ["Bearer very-secret"]  # type: ignore[attr-defined]
    assert "very-secret" not in result.output
    assert "very-secret" not in repr(ModelOptions("tiny", api_key="very-secret"))


def test_an_address_in_the_environment_alone_asks_nobody(home: Path, endpoint: ThreadingHTTPServer) -> None:
    (reply,) = replies(say(home, QUESTION, options=("--json",), env={"OPENAI_BASE_URL": url(endpoint)}))
    assert reply["model"] == "extractive-1"
    assert endpoint.keys == []  # type: ignore[attr-defined]


def test_a_model_that_is_down_is_replaced_and_said_so(home: Path) -> None:
    options = ("--explain", "--model", "tiny", "--model-url", "http://127.0.0.1:9/v1", "--timeout", "2")
    told = say(home, QUESTION, options=options).stdout
    assert "Everyday account is free" in told
    assert "connection" in told
    assert "fall_back" in told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tier", "huge"), "--tier huge"),
        (("--small-model", "s"), "name the large one too"),
        (("--model", "m", "--prices", "no-such-file.json"), "no-such-file.json"),
        (("--model", "m", "--model-url", "nonsense"), "--model-url nonsense: give an address that begins with http"),
        (("--classifier", "no-such-folder"), "no model at no-such-folder"),
    ],
)
def test_wrong_use_is_said(home: Path, options: tuple[str, ...], said: str) -> None:
    result = say(home, QUESTION, options=options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.startswith("controlplane: ")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_hint_and_a_prompt(home: Path) -> None:
    out = io.StringIO()
    assert chat(ChatOptions(home / "models"), lambda: NOW, Terminal(f"{QUESTION}\n"), out) == 1
    assert out.getvalue().startswith(f"{HINT}\n{PROMPT}You are chatting")
    assert out.getvalue().endswith(f"{PROMPT}\n")


def start(home: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, "CONTROLPLANE_HOME": str(home)}
    # A shell's background job starts with SIGINT ignored, and children inherit that: a test must not depend on who runs it.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from jobs.cli import main; main()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code, "assistant", "chat", "--json"], env=env, **pipes)  # type: ignore[call-overload]


def test_a_reply_comes_at_once_and_an_interrupt_ends_it_cleanly(home: Path) -> None:
    with start(home) as process:
        process.stdin.write(f"{QUESTION}\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["kind"] == "answer"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_bytes_that_are_no_text_do_not_end_a_conversation(home: Path) -> None:
    with start(home) as process:
        out, err = process.communicate(
            b"\xff\xfe is the everyday account free \xc3\n" + f"{QUESTION}\n".encode(), timeout=30
        )
    assert process.returncode == 0, err
    assert len(out.splitlines()) == 2
