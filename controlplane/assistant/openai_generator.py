"""Any endpoint that speaks the OpenAI chat protocol, behind the one-method `Generator`.

Rules
- Address, model and key are arguments, never taken from the environment; the time-out is explicit; no silent retries,
  because the circuit breaker must see every failure.
- Every failure becomes a `GenerationError` with a short stable name: timeout, connection, rate_limited, http_<status>,
  empty_answer, bad_response.
- `openai` is imported when the first generator is made: it takes longer than the rest of the assistant together.
"""

import re
from typing import TYPE_CHECKING, NoReturn

from controlplane.assistant.generation import count_tokens, prompt_text
from controlplane.assistant.protocols import Generation, GenerationError, GenerationRequest

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

_CITATION = re.compile(r"\[([a-z0-9-]+)\]")


class OpenAIGenerator:
    """One model at one endpoint."""

    provider = "openai_compatible"

    def __init__(
        self, base_url: str, model: str, api_key: str, timeout_seconds: float = 20.0, max_tokens: int = 220
    ) -> None:
        """`timeout_seconds` bounds connecting and each wait for data; `max_tokens` bounds the answer."""
        import openai

        self.model = model
        self._max_tokens = max_tokens
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
                model=self.model,
                messages=[
                    {"role": "system", "content": request.system},
                    {"role": "user", "content": prompt_text(request)},
                ],
                max_tokens=self._max_tokens,
                temperature=0.0,
            )
            return self._read(request, completion)
        except (openai.OpenAIError, ValueError, AttributeError, TypeError) as error:
            # The client neither checks an answer's shape nor wraps what its JSON parser raises.
            _fail(error)

    def close(self) -> None:
        """Gives the connections back."""
        self._client.close()

    def _read(self, request: GenerationRequest, completion: "ChatCompletion") -> Generation:
        text = (completion.choices[0].message.content or "").strip() if completion.choices else ""
        if not text:
            raise GenerationError("empty_answer", f"model {self.model} returned no text: check the model's name")
        known = {passage.id for passage in request.passages}
        cited = tuple(dict.fromkeys(name for name in _CITATION.findall(text) if name in known))
        usage = completion.usage
        details = usage.prompt_tokens_details if usage else None
        return Generation(
            text=text,
            sources=cited,
            model=completion.model or self.model,
            tokens_in=usage.prompt_tokens if usage else count_tokens(request.system + prompt_text(request)),
            tokens_cached=(details.cached_tokens or 0) if details else 0,
            tokens_out=usage.completion_tokens if usage else count_tokens(text),
        )


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
