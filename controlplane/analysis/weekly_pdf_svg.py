"""Pictures of the weekly review for print: those of `weekly_svg` with colours of their own and the fonts that Typst carries. Pure."""

from __future__ import annotations

import re

COLOURS = {
    "ink": "#18212b",
    "soft": "#5c6875",
    "line": "#c9d1d9",
    "track": "#e9edf1",
    "card": "#ffffff",
    "accent": "#3d5a80",
    "good": "#17744a",
    "bad": "#b3261e",
    "none": "#5c6875",
    "good-soft": "#d9efe3",
}
STYLE = 'text{font-family:"Libertinus Serif";font-size:12.5px;fill:#5c6875} .ink{fill:#18212b}'  # what the page's style sheet says
_VARIABLE = re.compile(r"var\(--([a-z-]+)\)")


def for_print(svg: str) -> str:
    """A picture that stands alone: variables as colours, a style for its texts, its namespace. Empty stays empty."""
    if not svg:
        return ""
    coloured = _VARIABLE.sub(lambda found: COLOURS.get(found.group(1), COLOURS["ink"]), svg)
    head, _, rest = coloured.partition(">")
    named = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return f"{named}><style>{STYLE}</style>{rest}"
