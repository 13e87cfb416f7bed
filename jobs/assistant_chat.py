"""`controlplane assistant chat`: talk to the assistant, or to the menu, in the terminal or through a pipe.

Rules
- One message a line. A line `/new` starts another conversation, `/quit` or the end of input leaves.
- A model is asked only where `--model` names one; its key comes from the environment alone, never from the command line, which
  other users of the machine can read.
- The bank is made up and lives in memory: what is blocked or ordered here is gone with the process.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO
from uuid import uuid4

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from controlplane.assistant import Assistant, ConversationState, Menu, Reply
    from controlplane.assistant.pricing import Price
    from controlplane.assistant.protocols import Generator

PROMPT = "you> "
NEW, QUIT = "/new", ("/quit", "/exit")
PIPE_WIDTH = 120
HINT = "Talk to the assistant. /new starts another conversation, /quit or Ctrl-D leaves."


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """A remote model. `name` None = grounded extraction; `small` is the cheaper one for plain questions."""

    name: str | None = None
    small: str | None = None
    url: str = "https://api.openai.com/v1"
    api_key: str = field(default="", repr=False)
    timeout_seconds: float = 20.0
    prices: Path | None = None


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """How to talk. `explain` shows each step's verdict, `as_json` prints one JSON object a reply."""

    models: Path
    menu: bool = False
    explain: bool = False
    as_json: bool = False
    tier: Literal["default", "embeddings"] = "default"
    user: str = "terminal"
    model: ModelOptions = ModelOptions()
    classifier: Path | None = None


def chat(options: ChatOptions, clock: Callable[[], datetime], lines: TextIO, out: TextIO) -> int:
    """Talks until the input ends; returns the number of replies."""
    from controlplane.assistant import ConversationState, Message

    bot, close = open_bot(options)
    interactive = lines.isatty() and not options.as_json
    if interactive:
        print(HINT, file=out)
    conversation, state, turn, replies = _conversation_id(), ConversationState(), 0, 0
    try:
        for text in _messages(lines, out if interactive else None):
            if text == NEW:
                conversation, state, turn = _conversation_id(), ConversationState(), 0
                continue
            turn, replies = turn + 1, replies + 1
            message = Message(conversation, turn, options.user, text, clock(), channel="terminal")
            state, reply = _say(bot, state, message, out, quiet=options.as_json)
            if options.as_json:
                print(json.dumps(as_value(reply)), file=out, flush=True)
            elif options.explain:
                Console(file=out, width=None if out.isatty() else PIPE_WIDTH).print(explanation(reply))
    finally:
        close()
    return replies


def open_bot(options: ChatOptions) -> tuple[Assistant | Menu, Callable[[], None]]:
    """The assistant from the stored model of the workspace (trained there the first time), or the menu; and how to close it."""
    from controlplane.assistant import Outside, RateLimit, build_assistant, build_menu, good
    from controlplane.assistant.intent_registry import opened
    from controlplane.assistant.openai_generator import OpenAIGenerator

    if options.menu:
        return build_menu(), lambda: None
    model = options.model
    price = _price(model)
    clients: list[OpenAIGenerator] = []

    def connect(name: str | None) -> Generator | None:
        if name is None:
            return None
        clients.append(OpenAIGenerator(model.url, name, model.api_key, model.timeout_seconds))
        return clients[-1]

    def close() -> None:
        for generator in clients:
            generator.close()

    large, small = connect(model.name), connect(model.small)
    classifier = opened(options.classifier)[0] if options.classifier is not None else None
    config = replace(good(), tier=options.tier, rate_limit=RateLimit(), price=price, small_price=price)
    outside = Outside(classifier=classifier, small=small)
    return build_assistant(config, options.models, generator=large, outside=outside), close


def as_value(reply: Reply) -> dict[str, Any]:
    """A reply as JSON types."""
    return {
        "interaction_id": reply.interaction_id,
        "kind": reply.kind,
        "text": reply.text,
        "answer": reply.answer,
        "disclosure": reply.disclosure or None,
        "intent": reply.intent_pred,
        "confidence": reply.intent_conf,
        "safety_route": reply.safety_route,
        "escalated": reply.escalated,
        "escalation_reason": reply.escalation_reason,
        "workflow": reply.workflow,
        "workflow_status": reply.workflow_status,
        "sources": list(reply.sources),
        "options": list(reply.options),
        "model": reply.model,
        "tokens_in": reply.tokens_in,
        "tokens_cached": reply.tokens_cached,
        "tokens_out": reply.tokens_out,
        "cost_usd": reply.cost_usd,
        "error_type": reply.error_type,
        "timed_out": reply.timed_out,
        "latency_ms": round(reply.latency_ms, 2),
        "grounded": reply.grounded,
        "steps": [
            {"step": s.step, "verdict": s.verdict, "action": s.action, "reason": s.reason, "score": s.score}
            for s in reply.steps
        ],
    }


def explanation(reply: Reply) -> Table:
    """What each step saw and what was done about it."""
    table = Table(title=f"{reply.interaction_id} · {reply.kind} · {reply.latency_ms:.1f} ms", title_justify="left")
    for name, justify in (
        ("step", "left"),
        ("verdict", "left"),
        ("action", "left"),
        ("score", "right"),
        ("ms", "right"),
    ):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    table.add_column("reason", overflow="fold")
    for step in reply.steps:
        score = "" if step.score is None else f"{step.score:.3f}"
        cells = (step.step, step.verdict, step.action, score, f"{step.measured_ms:.1f}", step.reason)
        table.add_row(*(_plain(cell) for cell in cells))
    return table


def _say(
    bot: Assistant | Menu, state: ConversationState, message: Any, out: TextIO, quiet: bool
) -> tuple[ConversationState, Reply]:
    """One turn, written as it comes unless `quiet`."""
    from controlplane.assistant import Assistant

    if quiet or not isinstance(bot, Assistant):
        state, reply = bot.respond(state, message)
        if not quiet:
            print(reply.text, file=out, flush=True)
        return state, reply
    served: tuple[ConversationState, Reply] | None = None
    for piece in bot.stream(state, message):
        if isinstance(piece, str):
            print(piece, end="", file=out, flush=True)
        else:
            served = piece
    print(file=out, flush=True)
    if served is None:
        raise RuntimeError("the assistant's stream ended without a reply")
    return served


def _messages(lines: TextIO, prompt_to: TextIO | None) -> Iterator[str]:
    """The customer's messages; blank lines are none."""
    while True:
        if prompt_to is not None:
            print(PROMPT, end="", file=prompt_to, flush=True)
        line = lines.readline()
        if not line:
            if prompt_to is not None:
                print(file=prompt_to)
            return
        text = line.strip()
        if text in QUIT:
            return
        if text:
            yield text


def _price(model: ModelOptions) -> Price | None:
    """Extraction costs nothing; a remote model without a table costs nobody knows what."""
    from controlplane.assistant.pricing import ModelPrice, TablePrice, load_prices

    if model.name is None:
        return ModelPrice(0.0, 0.0, 0.0)
    return TablePrice(load_prices(model.prices)) if model.prices is not None else None


def _conversation_id() -> str:
    return f"chat-{uuid4().hex[:8]}"


def _plain(text: str) -> str:
    """Text that the table must not take for markup."""
    from rich.markup import escape

    return escape(str(text))


def key_from_environment() -> str:
    """The key of the model's endpoint: OPENAI_API_KEY, else CONTROLPLANE_LLM_KEY; many local endpoints need none."""
    return os.environ.get("OPENAI_API_KEY") or os.environ.get("CONTROLPLANE_LLM_KEY") or ""


def standard_streams() -> tuple[TextIO, TextIO]:
    """Standard input and output; bytes that are no UTF-8 are replaced, they must not end a conversation."""
    reconfigure = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return sys.stdin, sys.stdout
