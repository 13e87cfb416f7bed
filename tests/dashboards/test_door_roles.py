"""Roles to the end: what a person's role may not do is refused by the control process, whatever the page shows; and the page says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.core.roles import Role
from dashboards import control
from dashboards.config import Config
from jobs.control import Control
from tests.dashboards.conftest import TOKEN, standing
from tests.dashboards.pages import open_page, text


@pytest.fixture
def running(healthy_home: Path, tmp_path: Path) -> Iterator[Control]:
    """The control process of a healthy rollout, at the time of its snapshot."""
    with standing(healthy_home, tmp_path / "home") as found:
        yield found


def test_an_operator_makes_it_safer_and_only_an_approver_lets_it_grow(running: Control) -> None:
    config = Config(running.deps.home, running.server.url, TOKEN)

    def act(action: str, role: Role | None) -> control.Outcome:
        rollout = running.deps.state.rollout()
        assert rollout is not None
        return control.act(config, action, "kim", "drill", rollout.version, role)

    for role in (None, Role.VIEWER, Role.PRODUCER):
        assert not act("hold", role).done
    assert "takes the role operator or approver or admin; you have the role viewer" in act("hold", Role.VIEWER).text
    assert act("hold", Role.OPERATOR).done
    refused = act("resume", Role.OPERATOR)
    assert (refused.done, "let the rollout grow" in refused.text) == (False, True)
    assert act("resume", Role.APPROVER).done
    rows = [(row["event"], row["actor"]) for row in running.deps.state.audit_rows()[-2:]]
    assert rows == [("hold", "kim"), ("resume", "kim")]
    assert (
        "refused the token"
        in control.act(
            Config(config.home, config.control_url, "another-token-1"), "hold", "kim", "x", 1, Role.ADMIN
        ).text
    )


def test_the_page_shows_what_the_role_may_do(running: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    where = (running.server.url, TOKEN)
    for role, holds in (("viewer", False), ("operator", True)):
        app = open_page(monkeypatch, running.deps.home, "live", control=where, role=role)
        usable = [button.label for button in app.button if "old" in button.label and not button.disabled]
        assert bool([label for label in usable if label.startswith("Hold")]) is holds, (role, usable)
        assert f">{role}</a>" in text(app)
