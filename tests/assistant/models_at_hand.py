"""Models for tests that do as they are told: answer, fail, stream, break off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controlplane.assistant.protocols import Generation, GenerationError, GenerationRequest

FREE = "The Everyday account is free. It has no monthly fee. [account-fees]"


class Scripted:
    """Ends each call as `script` says, the last entry for ever: a text is an answer, `!name` an error of that name."""

    provider = "test"

    def __init__(self, name: str, *script: str, tokens: tuple[int, int, int] = (100, 40, 10)) -> None:
        self.model = name
        self.script = list(script) or [FREE]
        self.tokens = tokens
        self.requests: list[GenerationRequest] = []

    @property
    def calls(self) -> int:
        return len(self.requests)

    def generate(self, request: GenerationRequest) -> Generation:
        self.requests.append(request)
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if said.startswith("!"):
            raise GenerationError(said[1:], f"told to fail: {said}", timed_out=said == "!timeout")
        return Generation(said, ("account-fees",), self.model, *self.tokens)


class Streaming(Scripted):
    """Streams its answers in pieces of a few characters; `break_after` pieces it fails."""

    def __init__(self, name: str, *script: str, piece: int = 7, break_after: int | None = None) -> None:
        super().__init__(name, *script)
        self.piece = piece
        self.break_after = break_after
        self.closed = 0

    def stream(self, request: GenerationRequest) -> Iterator[str | Generation]:
        try:
            whole = self.generate(request)
            for n, start in enumerate(range(0, len(whole.text), self.piece)):
                if n == self.break_after:
                    raise GenerationError("connection", "the line went dead")
                yield whole.text[start : start + self.piece]
            yield whole
        finally:
            self.closed += 1


def steps(found: Sequence[object], name: str) -> list[tuple[str, str]]:
    """Verdict and action of the steps of one name."""
    return [(str(s.verdict), str(s.action)) for s in found if s.step == name]  # type: ignore[attr-defined]
