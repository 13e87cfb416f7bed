"""Names, reasons and addresses that are attacks: they stay text on every page, and no address makes a page fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dashboards import hostile
from tests.dashboards.pages import open_page, text
from tests.dashboards.test_every_page import FILES

VALUES = (
    "<img src=x onerror=alert(1)>",
    "9" * 5_000,
    "../../token",
    "\ud7ff\u202e\x00",
    "nan",
    "2026-W99",
    "-1e400",
    "a~b~c",
    ",,,",
    "",
)
_NAMES = (
    "arm window find id column evidently report beside metric stage by show cuped onelook incident days view release labels mixed category verdict"
    " week trend gpu gpu_tokens gpu_used matrix queue rollout replays backtest trigger limit weight traffic run words event since noted"
)
PARAMS = _NAMES.split()
DEEP = (
    ("quality", {"view": "understanding"}),
    ("quality", {"view": "topics"}),
    ("rollout", {"view": "policy"}),
    ("governance", {"show": "evaluation"}),
    ("governance", {"show": "force"}),
)


@pytest.fixture(scope="module")
def evil_home(full_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile.make(full_home, tmp_path_factory.mktemp("evil") / "home")


def test_the_reader_sees_an_attack() -> None:
    assert hostile.carried_out(f"<div>{hostile.EVIL}</div>")
    for shown in ("<a href='javascript:alert(1)'>", "<a href='//evil.example'>", "<b onclick=x>", "<svg><script>"):
        assert hostile.carried_out(shown), shown


@pytest.mark.parametrize(("page", "query"), [*((page, {}) for page in FILES), *DEEP])
def test_what_others_wrote_stays_text(
    monkeypatch: pytest.MonkeyPatch, evil_home: Path, page: str, query: dict[str, str]
) -> None:
    shown = open_page(monkeypatch, evil_home, page, **query)
    html = "\n".join(element.proto.body for element in shown.get("html"))
    assert "onerror=alert(1)" in html
    assert hostile.carried_out(html) == []
    said = [element.value for kind in (shown.markdown, shown.caption, shown.error, shown.success) for element in kind]
    assert [one for one in said if "[e](https://evil.example)" in one] == []  # a link of somebody else's, on our page


@pytest.mark.parametrize("turn", [0, *(pytest.param(turn, marks=pytest.mark.slow) for turn in range(1, len(VALUES)))])
@pytest.mark.parametrize("page", FILES)
def test_no_address_makes_a_page_fail(
    monkeypatch: pytest.MonkeyPatch, healthy_home: Path, page: str, turn: int
) -> None:
    """Each parameter with one of the values; `make slow` gives each all of them."""
    query = {name: VALUES[(i + turn) % len(VALUES)] for i, name in enumerate(PARAMS)}
    assert "cp-strip" in text(open_page(monkeypatch, healthy_home, page, **query))
