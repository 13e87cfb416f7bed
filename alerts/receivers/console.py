"""Prints alerts to a terminal or a log: the receiver of last resort, and the first one where no other is configured.

A terminal cannot be asked what it has shown, so after a crash in the middle of printing the message comes again and says so.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TextIO

from alerts.message import DeliveryError, Message, Receipt
from alerts.model import Alert, Severity, Status
from alerts.render import console_text

_COLOURS = {Severity.CRITICAL: "1;31", Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFO: "34"}


@dataclass(frozen=True, slots=True)
class ConsoleReceiver:
    """Writes to `stream` (standard output when None); the first line is coloured where the stream is a terminal."""

    stream: TextIO | None = None
    name: str = "console"

    def send(self, message: Message) -> Receipt:
        """Prints one message. Raises DeliveryError when the stream is closed or its reader is gone."""
        stream = self.stream or sys.stdout
        again = "Repeated: the process stopped while this was being printed." if message.in_doubt else ""
        note = " ".join(filter(None, (message.note, again)))
        steps, brief = message.steps or None, message.parent is not None
        text = console_text(message.event, also=message.besides, note=note, steps=steps, brief=brief)
        try:
            shown = _coloured(text, message.event) if stream.isatty() else text
            print(_encodable(shown, stream), file=stream, flush=True)
        except (OSError, ValueError) as problem:  # ValueError: the stream is closed
            raise DeliveryError(f"{self.name}: cannot print: {problem}") from problem
        return {"parent": message.parent is None, "repeated": message.in_doubt}


def _encodable(text: str, stream: TextIO) -> str:
    """The text as the stream can write it: a terminal without Unicode shows question marks rather than no alert."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _coloured(text: str, alert: Alert) -> str:
    first, _, rest = text.partition("\n")
    colour = "32" if alert.status is Status.RESOLVED else _COLOURS[alert.severity]
    return f"\x1b[{colour}m{first}\x1b[0m\n{rest}"
