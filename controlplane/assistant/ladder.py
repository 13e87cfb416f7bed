"""Who writes the answer when somebody fails: model, smaller model, extraction; after that nobody, and pages are offered.

Rules
- Each model stands behind its own circuit breaker and is tried again by `RetryPolicy`; every try is a model call of the
  record and a step with its own verdict (what happened) and action (`continue`, `retry`, `fall_back`).
- A request that starts at the small model falls to extraction, not to the more expensive model.
- Extraction repeats sentences of the passages and cannot fail in itself; it is the release's own model where no other is
  configured, and then its simulated service can fail like any other.
- `climb` is a generator so that an answer can be handed out while it is written: it yields what models write, `RESTART`
  where that was in vain, and returns the answer, None if nobody could write one.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from enum import Enum

from controlplane.assistant.breaker import Breakers
from controlplane.assistant.generation import ExtractiveGenerator
from controlplane.assistant.pricing import Price
from controlplane.assistant.protocols import Generation, GenerationError, GenerationRequest, StreamingGenerator
from controlplane.assistant.protocols import Generator as Model
from controlplane.assistant.retry import RetryPolicy
from controlplane.assistant.routing import Size
from controlplane.assistant.service import ServiceDraw
from controlplane.assistant.turn import Turn


class Restart(Enum):
    """Says that what was written so far is void."""

    RESTART = "restart"


RESTART = Restart.RESTART
Piece = str | Restart
Climb = Generator[Piece, None, Generation | None]


@dataclass(frozen=True, slots=True)
class Rung:
    """A model and its price."""

    model: Model
    price: Price | None


@dataclass(slots=True)
class _Try:
    """How one call of a model ended."""

    generation: Generation | None = None
    error_type: str | None = None
    timed_out: bool = False
    simulated: bool = False
    wrote: bool = False


class Ladder:
    """The models of one release, the best first."""

    def __init__(
        self,
        large: Rung,
        small: Rung | None,
        breakers: Breakers,
        retry: RetryPolicy,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """`clock` and `sleep` in seconds."""
        self._large = large
        self._small = small
        self._breakers = breakers
        self._retry = retry
        self._clock = clock
        self._sleep = sleep
        self._extractive = ExtractiveGenerator()

    def climb(self, turn: Turn, request: GenerationRequest, start: Size, streamed: bool) -> Climb:
        """Asks one model after the other; blames the request only if none answers."""
        rungs = [self._large] if start == "large" else []
        rungs += [self._small] if self._small is not None else []
        first_error: _Try | None = None
        for rung in rungs:
            last = yield from self._ask(turn, rung, request, streamed)
            if last.generation is not None:
                return last.generation
            if last.error_type is not None and first_error is None:
                first_error = last
            if last.wrote:
                yield RESTART
        if not isinstance(rungs[-1].model, ExtractiveGenerator):
            generation = self._extractive.generate(request)
            turn.step("generation", "answered", "continue", generation.model)
            return generation
        if first_error is not None:
            turn.fail(f"model_{first_error.error_type}", first_error.timed_out)
        return None

    def extract(self, request: GenerationRequest) -> Generation:
        """An answer of the passages' own sentences, for one that must not leave."""
        return self._extractive.generate(request)

    def _ask(self, turn: Turn, rung: Rung, request: GenerationRequest, streamed: bool) -> Generator[Piece, None, _Try]:
        """One model with its retries."""
        breaker, now = self._breakers.of(f"model:{rung.model.model}"), turn.message.ts
        last = _Try()
        for tried in range(1, self._retry.attempts + 1):
            if not breaker.allow(now):
                turn.step("generation", "breaker_open", "fall_back", rung.model.model)
                return last
            succeeded: bool | None = False
            try:
                last = yield from self._call(turn, rung, request, streamed)
                succeeded = last.generation is not None
            except GeneratorExit:
                succeeded = None  # whoever read the stream has left: nobody knows how it would have ended
                raise
            finally:
                if succeeded is None:
                    breaker.cancel()
                else:
                    breaker.record(succeeded, now)
            if last.error_type is None:
                turn.step("generation", "answered", "continue", rung.model.model)
                return last
            again = not last.simulated and not last.wrote and self._retry.again(tried, last.error_type)
            turn.step("generation", last.error_type, "retry" if again else "fall_back", rung.model.model)
            if not again:
                return last
            self._wait(turn, self._retry.wait(f"{request.key}|{rung.model.model}", tried))
        return last

    def _call(self, turn: Turn, rung: Rung, request: GenerationRequest, streamed: bool) -> Generator[Piece, None, _Try]:
        """One call, logged whatever happens to it."""
        draw = turn.draw("model", blame=False)
        ended = _Try(error_type=draw.error_type, timed_out=draw.timed_out, simulated=draw.failed)
        turn.elapsed_ms()
        started = self._clock()
        operation = turn.trace.chat(rung.model, request, streamed)
        try:
            if not draw.failed:
                for piece in _written(rung.model, request, streamed):
                    if isinstance(piece, Generation):
                        ended.generation = piece
                    else:
                        ended.wrote = True
                        operation.chunk()
                        yield piece
        except GenerationError as error:
            ended.generation, ended.error_type, ended.timed_out = None, error.error_type, error.timed_out
            draw = ServiceDraw(draw.latency_ms, error.error_type, error.timed_out)
        except BaseException as error:
            operation.end(type(error).__name__)
            raise
        if ended.generation is not None:
            operation.answered(ended.generation)
        operation.end(ended.error_type)
        turn.add_model_call(rung.model, ended.generation, draw, rung.price, (self._clock() - started) * 1000)
        return ended

    def _wait(self, turn: Turn, seconds: float) -> None:
        """In the story the wait is part of its time; otherwise it is really waited."""
        if turn.service is None:
            self._sleep(seconds)
        else:
            turn.latency_ms += seconds * 1000


def _written(model: Model, request: GenerationRequest, streamed: bool) -> Iterator[str | Generation]:
    """What a model writes, the whole `Generation` last; a stream that ends without it, and a blank answer, are errors."""
    last: str | Generation = ""
    if streamed and isinstance(model, StreamingGenerator):
        for last in model.stream(request):
            if isinstance(last, str):
                yield last
    else:
        last = model.generate(request)
    if not isinstance(last, Generation):
        raise GenerationError("bad_response", f"model {model.model} broke its answer off")
    if not last.text.strip():
        raise GenerationError("empty_answer", f"model {model.model} answered with nothing")
    yield last
