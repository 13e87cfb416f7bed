"""Handing out an answer while it is written, sentence by sentence, with nothing leaving unchecked.

Rules
- Text is held until its sentence is complete and everything written so far passes the output check unchanged; the first
  sentence that does not closes the gate, and what is right to say follows when the whole answer has been judged.
- What has left cannot be taken back: if the final answer is not a continuation of it, the customer is told so, and the reply
  of the record says exactly what was seen. The pieces put together are always the reply's text.
"""

import re
from collections.abc import Callable, Iterator

from controlplane.assistant import dialogue

_SENTENCE_END = re.compile(r"[.!?][\"')\]]*(?=\s)")


class SentenceGate:
    """Between a model that writes and a customer who reads. `check` returns a text as it may be sent, None if it may not."""

    def __init__(self, check: Callable[[str], str | None]) -> None:
        self._check = check
        self._written = ""
        self._open = True
        self.released = ""

    def write(self, piece: str) -> str:
        """Takes what the model wrote; returns what may leave now, empty if nothing."""
        self._written = (self._written + piece).lstrip()
        ends = [match.end() for match in _SENTENCE_END.finditer(self._written)]
        if not self._open or not ends or ends[-1] <= len(self.released):
            return ""
        complete = self._written[: ends[-1]]
        if self._check(complete) != complete:
            self._open = False
            return ""
        fresh, self.released = complete[len(self.released) :], complete
        return fresh

    def restart(self) -> None:
        """What was written is void; after something has left, nothing more leaves before the end."""
        self._written = ""
        self._open = not self.released

    def close(self, final: str) -> tuple[str, str]:
        """The whole text the customer has seen at the end, and the part of it that is still to be handed out."""
        if final.startswith(self.released):
            return final, final[len(self.released) :]
        rest = f"\n\n{dialogue.CUT_OFF}\n\n{final}"
        return self.released + rest, rest


def by_sentence(text: str) -> Iterator[str]:
    """A text in pieces that end with a sentence; together they are the text."""
    start = 0
    for match in _SENTENCE_END.finditer(text):
        yield text[start : match.end()]
        start = match.end()
    if start < len(text):
        yield text[start:]
