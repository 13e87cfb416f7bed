"""A language model as the judge of groundedness: one question per answer, a structured verdict, unknown where there is none.

Rules
- The judge is asked once, with a time-out; it never raises. Whatever is not a clear verdict (no connection, silence, prose, a verdict that
  contradicts its own list of unsupported claims) is `unknown` with a short stable name of the reason, never a guess.
- Every judgement names the model that gave it and the version (hash) of the prompt it was given: figures of different judges never mix.
- Passages and answer travel as one JSON document, so that neither can pretend to be an instruction.
- Endpoints that do not know structured output are asked without it, once the first request was refused for it.
- A judge is a detector with errors of its own: `evaluation.judge_agreement` measures it against people before anybody believes it.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol

from controlplane.assistant.model import Passage

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

PROMPT = "groundedness_judge.md"
MAX_TOKENS = 400
REFUSED_FORMAT = frozenset({400, 422})  # how endpoints without structured output answer the request for it
_FENCE = re.compile(r"```(?:json)?\s*|\s*```")
_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["unsupported", "reason", "verdict", "confidence"],
    "properties": {
        "unsupported": {"type": "array", "items": {"type": "string"}},
        "reason": {"type": "string"},
        "verdict": {"type": "string", "enum": ["grounded", "ungrounded"]},
        "confidence": {"type": "number"},
    },
}


class JudgeVerdict(StrEnum):
    """What a judge can say; `unknown` counts neither for nor against an answer."""

    GROUNDED = "grounded"
    UNGROUNDED = "ungrounded"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One verdict, who gave it and on which prompt.

    `probability` that the answer is grounded, from the judge's stated confidence, None where it stated none (it is not calibrated). `error_type`
    is set exactly where the verdict is unknown: timeout, connection, http_<status>, empty, unreadable, contradiction, bad_response.
    """

    verdict: JudgeVerdict
    probability: float | None
    unsupported: tuple[str, ...]
    reason: str
    judge: str
    prompt_version: str
    error_type: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def evaluator(self) -> str:
        """How evaluation records name this judge."""
        return f"judge:{self.judge}:{self.prompt_version}"


class Judge(Protocol):
    """Says whether an answer rests on passages."""

    def judge(self, answer: str, passages: Sequence[Passage]) -> Judgement:
        """Judges one answer; never raises for what the model or its endpoint does."""
        ...


@cache
def judge_prompt() -> tuple[str, str]:
    """The judge's instructions and their version, the first 12 digits of their sha256."""
    text = files("controlplane.assistant").joinpath("prompts").joinpath(PROMPT).read_text(encoding="utf-8")
    return text, hashlib.sha256(text.encode()).hexdigest()[:12]


class OpenAIJudge:
    """A judge at any endpoint that speaks the OpenAI chat protocol. Address, model and key are arguments, never the environment's."""

    def __init__(self, base_url: str, model: str, api_key: str, timeout_seconds: float = 20.0) -> None:
        """`timeout_seconds` bounds connecting and each wait for data."""
        import openai

        self.model = model
        self._structured = True
        self._client = openai.OpenAI(
            base_url=base_url, api_key=api_key or "none", timeout=timeout_seconds, max_retries=0
        )
        # The client would fill these from variables of other products on the same machine.
        self._client.organization = self._client.project = self._client.admin_api_key = None

    def judge(self, answer: str, passages: Sequence[Passage]) -> Judgement:
        """Asks the model once; twice where its endpoint has just refused structured output."""
        import httpx
        import openai

        try:
            try:
                completion = self._ask(answer, passages)
            except openai.APIStatusError as error:
                if not self._structured or error.status_code not in REFUSED_FORMAT:
                    raise
                self._structured = False
                completion = self._ask(answer, passages)
            return self._read(completion)
        except openai.APITimeoutError:
            return self._unknown("timeout", "the judge did not answer in time")
        except openai.APIStatusError as error:
            return self._unknown(f"http_{error.status_code}", f"the judge's endpoint answered: {error}")
        except (openai.APIConnectionError, httpx.HTTPError) as error:
            return self._unknown("connection", f"no connection to the judge's endpoint: {error}")
        except (openai.OpenAIError, ValueError, AttributeError, TypeError, IndexError) as error:
            # The client neither checks an answer's shape nor wraps what its JSON parser raises.
            return self._unknown("bad_response", f"the judge's endpoint cannot be understood: {error}")

    def close(self) -> None:
        """Gives the connections back."""
        self._client.close()

    def _ask(self, answer: str, passages: Sequence[Passage]) -> "ChatCompletion":
        pages = [f"{passage.title}\n{passage.body}".strip() for passage in passages]
        document = json.dumps({"passages": pages, "answer": answer}, ensure_ascii=False)
        schema = {"name": "verdict", "strict": True, "schema": _SCHEMA}
        wanted: Any = {"response_format": {"type": "json_schema", "json_schema": schema}} if self._structured else {}
        completion: ChatCompletion = self._client.chat.completions.create(
            model=self.model,
            messages=[{"role": "system", "content": judge_prompt()[0]}, {"role": "user", "content": document}],
            max_tokens=MAX_TOKENS,
            temperature=0.0,
            **wanted,
        )
        return completion

    def _read(self, completion: "ChatCompletion") -> Judgement:
        text = (completion.choices[0].message.content or "") if completion.choices else ""
        usage = completion.usage
        return parse_verdict(
            text,
            completion.model or self.model,
            tokens_in=usage.prompt_tokens if usage else 0,
            tokens_out=usage.completion_tokens if usage else 0,
        )

    def _unknown(self, error_type: str, reason: str) -> Judgement:
        return unknown(error_type, reason, self.model)


def unknown(error_type: str, reason: str, judge: str, tokens_in: int = 0, tokens_out: int = 0) -> Judgement:
    """No verdict, and why."""
    version = judge_prompt()[1]
    return Judgement(JudgeVerdict.UNKNOWN, None, (), reason, judge, version, error_type, tokens_in, tokens_out)


def parse_verdict(text: str, judge: str, tokens_in: int = 0, tokens_out: int = 0) -> Judgement:
    """The verdict in what a model wrote: the last JSON object with a verdict, whatever stands around it, or the verdict as the only word."""

    def no_verdict(error_type: str, reason: str) -> Judgement:
        return unknown(error_type, reason, judge, tokens_in, tokens_out)

    if not text.strip():
        return no_verdict("empty", "the judge wrote nothing")
    found = next((item for item in reversed(_objects(_FENCE.sub("", text))) if "verdict" in item), None)
    if found is None:
        found = {"verdict": text.strip().strip(".\"'`*").lower()}
    word = str(found["verdict"]).strip().lower()
    if word not in (JudgeVerdict.GROUNDED, JudgeVerdict.UNGROUNDED):
        return no_verdict("unreadable", f"the judge wrote no verdict: {text.strip()[:120]!r}")
    verdict = JudgeVerdict(word)
    listed = found.get("unsupported")
    claims = tuple(str(claim).strip() for claim in listed if str(claim).strip()) if isinstance(listed, list) else ()
    if claims and verdict is JudgeVerdict.GROUNDED:
        return no_verdict("contradiction", f"the judge says grounded and lists as unsupported: {claims[0][:120]!r}")
    return Judgement(
        verdict,
        _probability(found.get("confidence"), verdict),
        claims,
        str(found.get("reason") or "").strip(),
        judge,
        judge_prompt()[1],
        None,
        tokens_in,
        tokens_out,
    )


def _probability(confidence: object, verdict: JudgeVerdict) -> float | None:
    """Probability of grounded from the confidence in the verdict; None for what is no number in [0, 1]."""
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        return None
    return float(confidence) if verdict is JudgeVerdict.GROUNDED else 1 - float(confidence)


def _objects(text: str) -> list[dict[str, Any]]:
    """Every JSON object that stands in a text and is not inside another one, in order."""
    decoder, found, place = json.JSONDecoder(), [], text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except (json.JSONDecodeError, RecursionError):
            end = place + 1
        else:
            if isinstance(value, dict):
                found.append(value)
        place = text.find("{", end)
    return found
