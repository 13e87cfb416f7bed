"""How the dashboards start: private, on loopback, read-only without a token; and how numbers are put into words."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.core.metrics import METRICS
from dashboards import words
from dashboards.config import Config, load
from dashboards.launch import command, environment, main


def test_the_server_tells_nobody_and_stays_on_loopback() -> None:
    argv = command(8322)
    assert argv[1:4] == ["-m", "streamlit", "run"]
    for option in (
        "--server.address=127.0.0.1",
        "--server.headless=true",
        "--browser.gatherUsageStats=false",
        "--client.showErrorDetails=none",
    ):
        assert option in argv


def test_every_option_is_one_that_streamlit_knows() -> None:
    from streamlit import config

    known = set(config.get_config_options())
    options = [part[2:].split("=")[0] for part in command(1) if part.startswith("--")]
    assert set(options) <= known


def test_streamlit_finds_the_application_behind_the_door() -> None:
    from streamlit.web.server.app_discovery import discover_asgi_app

    script = next(part for part in command(1) if part.endswith(".py"))
    assert Path(script).name == "asgi.py"  # app.py alone would serve the pages without guard and log-in
    found = discover_asgi_app(Path(script))
    assert (found.is_asgi_app, found.import_string) == (True, "asgi:app")


def test_a_wrong_setting_ends_it_before_it_serves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["launch", "--port", "1"])
    monkeypatch.setenv("CONTROLPLANE_DASHBOARD_URL", "http://dash.example.com")
    with pytest.raises(SystemExit):
        main()
    assert "CONTROLPLANE_DASHBOARD_URL is" in capsys.readouterr().err


def test_the_environment_names_the_workspace_and_only_a_given_token(tmp_path: Path) -> None:
    base = {"PATH": "/bin", "CONTROLPLANE_TOKEN": "of-somebody-else"}
    assert "CONTROLPLANE_TOKEN" not in environment(tmp_path, base)
    found = environment(tmp_path, base, "http://127.0.0.1:1", "mine")
    assert (found["CONTROLPLANE_HOME"], found["CONTROLPLANE_TOKEN"], found["PATH"]) == (str(tmp_path), "mine", "/bin")


def test_a_config_shows_no_token() -> None:
    found = load(
        {"CONTROLPLANE_HOME": "/w", "CONTROLPLANE_URL": "http://127.0.0.1:1/", "CONTROLPLANE_TOKEN": "secret-token"}
    )
    assert found == Config(Path("/w"), "http://127.0.0.1:1", "secret-token")
    assert "secret" not in repr(found)
    assert not load({"CONTROLPLANE_URL": "http://127.0.0.1:1"}).may_act


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (9, "9 s"),
        (250, "4 min 10 s"),
        (3600, "1 h"),
        (11_100, "3 h 5 min"),
        (187_200, "2 d 4 h"),
        (-5, "0 s"),
    ],
)
def test_durations(seconds: int, text: str) -> None:
    assert words.duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("csat", 4.237, "4.24"),
        ("escalation_rate", 0.2714, "27.1 %"),
        ("misrouting_rate", 0.0038, "0.38 %"),
        ("timeout_rate", 0.0, "0.0 %"),
        ("resolution_time", 214.0, "3.6 min"),
        ("latency_p95", 1875.2, "1,875 ms"),
        ("cost_per_resolved", 0.00221, "$0.0022"),
        ("tokens_per_request", 619.4, "619"),
        ("csat", None, "\u2013"),
    ],
)
def test_values_carry_their_unit(metric: str, value: float | None, text: str) -> None:
    assert words.value_text(METRICS[metric], value) == text


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("csat", -0.08, "\u22120.08"),
        ("escalation_rate", 0.051, "+5.1 pp"),
        ("resolution_time", -222.0, "\u22123.7 min"),
        ("csat", 0.0, "\u00b10.00"),
    ],
)
def test_differences_carry_sign_and_unit(metric: str, value: float, text: str) -> None:
    assert words.difference_text(METRICS[metric], value) == text


def test_a_time_says_its_zone_and_another_day() -> None:
    now = datetime(2026, 1, 7, 15, tzinfo=UTC)
    assert words.clock(now - timedelta(hours=1), now) == "14:00 UTC"
    assert words.clock(now - timedelta(days=1), now) == "6 Jan 15:00 UTC"


def test_trigger_titles() -> None:
    assert [words.trigger_title(name) for name in ("csat_drop", "latency_slo_breach", "api_errors")] == [
        "CSAT drop",
        "Latency SLO breach",
        "API errors",
    ]
