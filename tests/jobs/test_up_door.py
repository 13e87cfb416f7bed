"""The dashboards' process: the code of the one-time link goes to the first one alone, and a wrong setting is told before anything starts."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, ClassVar

import pytest

from controlplane.settings import SettingsError
from controlplane.settings_dashboards import CODE, URL
from jobs.up import Dashboards


class Started:
    """Stands in for a process, and keeps what it was started with."""

    found: ClassVar[list[dict[str, str]]] = []

    def __init__(self, argv: list[str], *, env: dict[str, str], **_: Any) -> None:
        self.argv, self.ended = argv, False
        Started.found.append(env)

    def poll(self) -> int | None:
        return 0 if self.ended else None


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    monkeypatch.setattr(subprocess, "Popen", Started)
    monkeypatch.setattr(Started, "found", [])
    monkeypatch.delenv(URL, raising=False)
    return Started.found


def test_the_link_is_for_the_first_process_and_the_token_is_in_no_link(
    started: list[dict[str, str]], tmp_path: Path
) -> None:
    child = Dashboards(tmp_path, 0, "http://127.0.0.1:1", "the-token-itself")
    assert child.link == f"{child.url}/session/once?code={started[0][CODE]}"
    assert len(started[0][CODE]) >= 32
    assert "the-token-itself" not in child.link + " ".join(child._process.argv)
    assert started[0]["CONTROLPLANE_TOKEN"] == "the-token-itself"
    child.keep_alive()
    assert len(started) == 1
    child._process.ended = True
    child.keep_alive()
    assert [env[CODE] for env in started[1:]] == [""]


def test_links_lead_to_the_public_name(
    started: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, "https://dash.example.com/")
    assert Dashboards(tmp_path, 0, "http://127.0.0.1:1", "x").link.startswith(
        "https://dash.example.com/session/once?code="
    )
    monkeypatch.setenv(URL, "http://dash.example.com")
    with pytest.raises(SettingsError, match=URL):
        Dashboards(tmp_path, 0, "http://127.0.0.1:1", "x")
    assert len(started) == 1
