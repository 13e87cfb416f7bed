"""One visual language, light and dark. Colour means state and nothing else; arms differ by ink and dash, so they survive a photocopy.

No font, style sheet or script comes from outside: the fonts are Streamlit's own, served by the page itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Palette:
    """Colours of one theme. `good`, `wait`, `bad` are states (text on `paper`, contrast >= 4.5); `*_soft` are their backgrounds."""

    name: str
    ink: str
    muted: str
    faint: str
    paper: str
    panel: str
    good: str
    wait: str
    bad: str
    good_soft: str
    wait_soft: str
    bad_soft: str

    def tone(self, tone: str) -> str:
        """The colour of a state; everything that is not a state is muted."""
        return {"good": self.good, "wait": self.wait, "bad": self.bad}.get(tone, self.muted)


LIGHT = Palette(
    "light",
    ink="#18212b",
    muted="#5c6875",
    faint="#dfe4e9",
    paper="#ffffff",
    panel="#f5f7f9",
    good="#17744a",
    wait="#8a5a00",
    bad="#b3261e",
    good_soft="#e6f4ec",
    wait_soft="#fdf3dc",
    bad_soft="#fcebe9",
)
DARK = Palette(
    "dark",
    ink="#e8ecf1",
    muted="#9aa7b5",
    faint="#2f3a46",
    paper="#12181f",
    panel="#1a222b",
    good="#58c794",
    wait="#e3b457",
    bad="#ff8a80",
    good_soft="#15302a",
    wait_soft="#33290f",
    bad_soft="#3b1d1d",
)


def palette(kind: str | None) -> Palette:
    """The palette for the theme that the browser shows; light when that is not known."""
    return DARK if kind == "dark" else LIGHT


def options() -> list[str]:
    """Streamlit's theme as command-line options, both variants."""
    common = {"theme.baseRadius": "8px", "theme.showSidebarBorder": "true", "theme.baseFontSize": "15"}
    found = dict(common)
    for colours in (LIGHT, DARK):
        prefix = f"theme.{colours.name}"
        found |= {
            f"{prefix}.primaryColor": colours.ink,
            f"{prefix}.backgroundColor": colours.paper,
            f"{prefix}.secondaryBackgroundColor": colours.panel,
            f"{prefix}.textColor": colours.ink,
            f"{prefix}.borderColor": colours.faint,
            f"{prefix}.linkColor": colours.ink,
            f"{prefix}.redColor": colours.bad,
            f"{prefix}.orangeColor": colours.wait,
            f"{prefix}.greenColor": colours.good,
        }
    return [f"--{key}={value}" for key, value in found.items()]


def css(colours: Palette) -> str:
    """A style element: the palette as variables, then style.css."""
    names = ("ink", "muted", "faint", "paper", "panel", "good", "wait", "bad", "good_soft", "wait_soft", "bad_soft")
    variables = "".join(f"--cp-{name.replace('_', '-')}: {getattr(colours, name)}; " for name in names)
    return f"<style>:root {{ {variables}}}\n{_style_sheet()}</style>"


@cache
def _style_sheet() -> str:
    return Path(__file__).with_name("style.css").read_text(encoding="utf-8")
