"""A browser's side of the dashboards without a browser: the web socket on which Streamlit sends what a page consists of.

What is measured is the server: from the request of a run to the first content of the page, and to its end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

PATIENCE_SECONDS = 120.0
CONTENT = ('class="cp-hero', 'class="cp-empty', 'class="cp-headline')  # what a page opens with, behind the strip


@dataclass
class Run:
    """One run of a page: seconds to the first content and to the end, errors shown, charts, and the widgets that one may choose with."""

    first: float | None = None
    full: float = 0.0
    errors: list[str] = field(default_factory=list)
    charts: int = 0
    messages: int = 0
    choices: dict[str, tuple[str, list[str]]] = field(default_factory=dict)  # label -> (widget id, options)


class Session:
    """One visitor. A context manager; `url` is the dashboards' address."""

    def __init__(self, url: str) -> None:
        self._socket = connect(
            f"{url.replace('http', 'ws', 1)}/_stcore/stream", subprotocols=["streamlit"], max_size=None
        )

    def open(self, page: str, query: str = "") -> Run:
        """The first run of a page, as a deep link asks for it."""
        message = BackMsg()
        message.rerun_script.page_name = page
        message.rerun_script.query_string = query
        return self._run(message)

    def choose(self, page: str, widget: str, option: str, kind: str) -> Run:
        """The run after somebody has chosen an option of a widget. kind: "button_group" or "selectbox"."""
        message = BackMsg()
        message.rerun_script.page_name = page
        state = message.rerun_script.widget_states.widgets.add()
        state.id = widget
        if kind == "button_group":
            state.string_array_value.data.append(option)
        else:
            state.string_value = option
        return self._run(message)

    def _run(self, message: BackMsg) -> Run:
        began, found, started = time.perf_counter(), Run(), False
        self._socket.send(message.SerializeToString())
        while True:
            got = ForwardMsg()
            got.ParseFromString(self._socket.recv(timeout=PATIENCE_SECONDS))
            found.messages += 1
            kind = got.WhichOneof("type")
            if kind == "new_session":
                started = True
            elif kind == "delta" and started:
                self._look(got.delta, found, began)
            elif kind == "script_finished" and started:
                found.full = time.perf_counter() - began
                return found

    def _look(self, delta: Any, found: Run, began: float) -> None:
        element = delta.new_element
        match element.WhichOneof("type"):
            case "html" if found.first is None and any(word in element.html.body for word in CONTENT):
                found.first = time.perf_counter() - began
            case "exception":
                found.errors.append(element.exception.message)
            case "vega_lite_chart" | "arrow_vega_lite_chart":
                found.charts += 1
            case "button_group":
                group = element.button_group
                found.choices[f"button_group:{group.label}"] = (group.id, [option.content for option in group.options])
            case "selectbox":
                box = element.selectbox
                found.choices[f"selectbox:{box.label}"] = (box.id, list(box.options))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
