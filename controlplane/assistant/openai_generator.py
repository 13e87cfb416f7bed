"""Any endpoint that speaks the OpenAI chat protocol, behind the one-method `Generator`.

Rules
- Address, model and key are arguments, never taken from the environment; the time-out is explicit; the client's own retries
  are off: `ladder` tries again, because the circuit breaker and the record must see every failure.
- Every failure becomes a `GenerationError` with a short stable name: timeout, connection, rate_limited, http_<status>,
  empty_answer, bad_response.
- A stream fails like an answer, and it must come to its end: one that breaks off is an error, whatever was written before.
- `openai` is imported when the first generator is made: it takes longer than the rest of the assistant together.
"""

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from controlplane.assistant.generation import count_tokens, prompt_text
from controlplane.assistant.protocols import Generation, GenerationError, GenerationRequest

if TYPE_CHECKING:
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

_CITATION = re.compile(r"\[([a-z0-9-]+)\]")


class OpenAIGenerator:
    """One model at one endpoint."""

    provider = "openai_compatible"

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str,
        timeout_seconds: float = 20.0,
        max_tokens: int = 220,
        stream_seconds: float = 60.0,
    ) -> None:
        """`timeout_seconds` bounds connecting and each wait for data, `stream_seconds` a whole stream, `max_tokens` the answer."""
        import openai

        self.model = model
        self._max_tokens = max_tokens
        self._stream_seconds = stream_seconds
        self._client = openai.OpenAI(
            base_url=base_url, api_key=api_key or "none", timeout=timeout_seconds, max_retries=0
        )
        # The client would fill these from variables of other products on the same machine.
        self._client.organization = self._client.project = self._client.admin_api_key = None

    def generate(self, request: GenerationRequest) -> Generation:
        """Asks the model once."""
        import openai

        try:
            completion = self._client.chat.completions.create(
                model=self.model, messages=_messages(request), max_tokens=self._max_tokens, temperature=0.0
            )
            return self._read(request, completion)
        except (openai.OpenAIError, ValueError, AttributeError, TypeError) as error:
            # The client neither checks an answer's shape nor wraps what its JSON parser raises.
            _fail(error)

    def stream(self, request: GenerationRequest) -> Iterator[str | Generation]:
        """Asks the model once; the pieces of its answer as they come, then the whole."""
        import openai

        pieces: list[str] = []
        usage: CompletionUsage | None = None
        model, finished = self.model, False
        latest = time.monotonic() + self._stream_seconds
        try:
            with self._client.chat.completions.create(
                model=self.model,
                messages=_messages(request),
                max_tokens=self._max_tokens,
                temperature=0.0,
                stream=True,
                stream_options={"include_usage": True},
            ) as chunks:
                for chunk in chunks:
                    if time.monotonic() > latest:
                        raise GenerationError("timeout", "the model did not finish in time", timed_out=True)
                    model, usage = chunk.model or model, chunk.usage or usage
                    for choice in chunk.choices:
                        finished = finished or choice.finish_reason is not None
                        if choice.delta.content:
                            pieces.append(choice.delta.content)
                            yield choice.delta.content
        except (openai.OpenAIError, ValueError, AttributeError, TypeError) as error:
            _fail(error)
        except Exception as error:
            _fail_transport(error)
        text = "".join(pieces).strip()
        if not finished:
            raise GenerationError("bad_response", f"model {self.model} broke its answer off")
        yield self._generation(request, text, model, usage)

    def close(self) -> None:
        """Gives the connections back."""
        self._client.close()

    def _read(self, request: GenerationRequest, completion: "ChatCompletion") -> Generation:
        text = (completion.choices[0].message.content or "").strip() if completion.choices else ""
        return self._generation(request, text, completion.model or self.model, completion.usage)

    def _generation(
        self, request: GenerationRequest, text: str, model: str, usage: "CompletionUsage | None"
    ) -> Generation:
        if not text:
            raise GenerationError("empty_answer", f"model {self.model} returned no text: check the model's name")
        known = {passage.id for passage in request.passages}
        cited = tuple(dict.fromkeys(name for name in _CITATION.findall(text) if name in known))
        details = usage.prompt_tokens_details if usage else None
        return Generation(
            text=text,
            sources=cited,
            model=model,
            tokens_in=usage.prompt_tokens if usage else count_tokens(request.system + prompt_text(request)),
            tokens_cached=(details.cached_tokens or 0) if details else 0,
            tokens_out=usage.completion_tokens if usage else count_tokens(text),
        )


def _messages(request: GenerationRequest) -> "list[ChatCompletionMessageParam]":
    """Instructions stand in the system message alone; passages and question are data and go to the user's."""
    return [
        {"role": "system", "content": request.system},
        {"role": "user", "content": prompt_text(request)},
    ]


def _fail_transport(error: Exception) -> NoReturn:
    """Raises the `GenerationError` for a connection that broke while the answer was read; anything else is our own fault."""
    import httpx

    match error:
        case httpx.TimeoutException():
            raise GenerationError("timeout", "the model fell silent while it answered", timed_out=True) from error
        case httpx.HTTPError():
            raise GenerationError("connection", f"the connection to the model broke: {error}") from error
        case _:
            raise error


def _fail(error: Exception) -> NoReturn:
    """Raises the `GenerationError` for an error of the client library."""
    import openai

    match error:
        case openai.APITimeoutError():
            raise GenerationError("timeout", "the model did not answer in time", timed_out=True) from error
        case openai.RateLimitError():
            raise GenerationError("rate_limited", "the model's endpoint refused for too many requests") from error
        case openai.APIStatusError():
            raise GenerationError(f"http_{error.status_code}", f"the model's endpoint answered: {error}") from error
        case openai.APIConnectionError():
            raise GenerationError("connection", f"no connection to the model's endpoint: {error}") from error
        case _:
            raise GenerationError("bad_response", f"the model's endpoint cannot be understood: {error}") from error
