"""Who gets in: tokens, the one-time link, sessions and their end, wrong guesses; settings; who an e-mail address is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.roles import PERMISSIONS, Permission, Role
from controlplane.settings import SettingsError
from controlplane.settings_dashboards import Oidc, Serving, read
from dashboards import person
from dashboards.config import Config, load
from dashboards.door.http import safe_target
from dashboards.door.sessions import CODE_SECONDS, KEPT_ADDRESSES, LIFE_SECONDS, WITHIN_SECONDS, WRONG, Door
from dashboards.person import NOBODY, Person

TOKENS = {"the-admins-token": Role.ADMIN, "the-operators-token": Role.OPERATOR}
HERE = "127.0.0.1"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(clock: Clock) -> Door:
    return Door(TOKENS, clock, code="once-only")


def test_a_token_opens_a_session_of_its_role(door: Door) -> None:
    entry = door.enter("the-operators-token", "  ana\n lopez ", HERE)
    found = door.who(entry.session_id)
    assert found is not None
    assert (found.name, found.role) == ("ana lopez", Role.OPERATOR)
    assert entry.session_id not in repr(door.__dict__)  # kept as a hash only


@pytest.mark.parametrize(
    "guess", ["", "the-admins-toke", "the-admins-token ", "THE-ADMINS-TOKEN", "\udcff", "once-only"]
)
def test_nothing_else_opens(door: Door, guess: str) -> None:
    assert door.enter(guess, "", HERE).session_id is None
    assert door.who(guess) is None
    assert door.who(None) is None


def test_a_session_ends_by_leaving_and_by_time(door: Door, clock: Clock) -> None:
    first, second = (door.enter("the-admins-token", "", HERE).session_id for _ in range(2))
    door.leave(first)
    assert door.who(first) is None
    assert door.who(second) is not None
    clock.now += LIFE_SECONDS
    assert door.who(second) is None
    door.leave(second)  # leaving twice is harmless


def test_who_guesses_waits_even_with_the_right_token(door: Door, clock: Clock) -> None:
    for _ in range(WRONG):
        assert door.enter("wrong", "", HERE).wait == 0
    entry = door.enter("the-admins-token", "", HERE)
    assert entry.session_id is None
    assert 0 < entry.wait <= WITHIN_SECONDS
    assert door.redeem("once-only", HERE).wait > 0
    assert door.enter("the-admins-token", "", "10.0.0.9").session_id  # somebody else does not
    clock.now += WITHIN_SECONDS
    assert door.enter("the-admins-token", "", HERE).session_id


def test_guesses_from_everywhere_cost_a_bounded_memory(door: Door) -> None:
    for number in range(KEPT_ADDRESSES + 50):
        door.enter("wrong", "", f"10.0.{number}")
    assert len(door._wrong) == KEPT_ADDRESSES


def test_the_link_opens_once(door: Door) -> None:
    assert door.redeem("once-onlx", HERE).session_id is None
    found = door.who(door.redeem("once-only", HERE).session_id)
    assert found is not None
    assert found.role is Role.ADMIN
    assert door.redeem("once-only", HERE).session_id is None


def test_the_link_grows_old_and_no_code_is_no_code(clock: Clock) -> None:
    door = Door(TOKENS, clock, code="once-only")
    clock.now += CODE_SECONDS + 1
    assert door.redeem("once-only", HERE).session_id is None
    assert Door(TOKENS, clock).redeem("", HERE).session_id is None
    assert not Door({}, clock).opens


@given(st.text(max_size=60))
def test_going_on_stays_here(text: str) -> None:
    found = safe_target(text)
    assert found == "/" or found == text
    assert found.startswith("/")
    assert not found.startswith(("//", "/\\"))
    assert not any(sign in found for sign in "\r\n\t \\")


@pytest.mark.parametrize(
    "text", ["//evil.example", "/\\evil.example", "https://evil.example", "/a\nSet-Cookie: x", "javascript:1", ""]
)
def test_going_elsewhere_goes_to_the_first_page(text: str) -> None:
    assert safe_target(text) == "/"
    assert safe_target("/live?window=24+h&trigger=csat%20drop") == "/live?window=24+h&trigger=csat%20drop"


def test_settings() -> None:
    found = read({"CONTROLPLANE_DASHBOARD_TOKENS": "viewer:0123456789abcdef, approver:fedcba9876543210:x"})
    assert found.tokens == {"0123456789abcdef": Role.VIEWER, "fedcba9876543210:x": Role.APPROVER}
    assert "0123" not in repr(found)
    assert read({}) == Serving()
    public = read({"CONTROLPLANE_DASHBOARD_URL": "https://dash.example.com/"})
    assert (public.url, public.https, "dash.example.com" in public.hosts) == ("https://dash.example.com", True, True)
    names = ("ISSUER", "CLIENT_ID", "CLIENT_SECRET")
    given_ = dict(
        zip((f"CONTROLPLANE_OIDC_{name}" for name in names), ("https://id.example.com/x/", "me", "hush"), strict=True)
    )
    oidc = read(given_).oidc
    assert oidc == Oidc("https://id.example.com/x/", "me", "hush")
    assert oidc.metadata_url == "https://id.example.com/x/.well-known/openid-configuration"
    assert "hush" not in repr(oidc)
    assert read({**given_, "CONTROLPLANE_OIDC_NAME": "Example Bank"}).oidc == Oidc(
        "https://id.example.com/x/", "me", "hush", "Example Bank"
    )


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DASHBOARD_TOKENS", "root:0123456789abcdef", "'root' is no role"),
        ("DASHBOARD_TOKENS", "producer:0123456789abcdef", "'producer' is no role"),
        ("DASHBOARD_TOKENS", "viewer:short", "less than 16"),
        ("DASHBOARD_TOKENS", "viewer:0123456789abcdef operator:0123456789abcdef", "one token stands for"),
        ("DASHBOARD_URL", "http://dash.example.com", "begins with https"),
        ("DASHBOARD_URL", "https://dash.example.com/path", "without a path"),
        ("DASHBOARD_URL", "https://a:b@dash.example.com", "names a host"),
        ("DASHBOARD_URL", "https://[", "no address"),
        ("OIDC_ISSUER", "https://id.example.com", "CLIENT_ID is not set"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        read({f"CONTROLPLANE_{name}": value})
    assert "0123456789abcdef" not in str(caught.value)


def test_a_secret_must_not_travel_in_the_clear() -> None:
    clear = {f"CONTROLPLANE_OIDC_{name}": "x" for name in ("CLIENT_ID", "CLIENT_SECRET")}
    with pytest.raises(SettingsError, match="begins with https"):
        read({**clear, "CONTROLPLANE_OIDC_ISSUER": "http://id.example.com"})
    assert read({**clear, "CONTROLPLANE_OIDC_ISSUER": "http://127.0.0.1:9400"}).oidc is not None


PEOPLE = """
[[people]]
name = "ana.lopez"
role = "approver"
email = "Ana@Example.com"
"""


def alerting(tmp_path: Path, text: str = PEOPLE) -> Config:
    from alerts.config import shipped_text

    (tmp_path / "alerting.toml").write_text(shipped_text() + text)
    return Config(tmp_path, "http://127.0.0.1:1", "x" * 20)


def test_an_address_finds_person_and_role(tmp_path: Path) -> None:
    config = alerting(tmp_path)
    for said in ({"email_verified": True}, {"email_verified": "true"}, {"xms_edov": "1"}):
        found = person.of_claims({"email": "ana@example.COM", "name": "A."} | said, config)
        assert found == Person("ana.lopez", Role.APPROVER, True)
    unknown = person.of_claims({"email": "eve@example.com"}, config)
    assert unknown == Person("eve@example.com", Role.VIEWER, True)
    assert not unknown.may(Permission.QUERY)
    for vouched in (False, "false", 0, None, [True]):
        assert person.of_claims({"email": "ana@example.com", "email_verified": vouched}, config).role is Role.VIEWER
    assert person.of_claims({"email": "ana@example.com"}, config).role is Role.VIEWER  # silence is no yes
    assert person.of_claims({"sub": "1"}, config) == Person("", Role.VIEWER, True)


def test_a_provider_is_asked_again_after_a_shift() -> None:
    assert person.is_recent({"iat": 1_000}, 1_000 + LIFE_SECONDS - 1)
    assert not person.is_recent({"iat": 1_000}, 1_000 + LIFE_SECONDS)
    assert not any(person.is_recent(claims, 2_000) for claims in ({}, {"iat": None}, {"iat": "1000"}))


def test_a_broken_table_gives_nobody_a_role(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    twice = PEOPLE + PEOPLE.replace("ana.lopez", "ann.lopez")
    config = alerting(tmp_path, twice)
    claims = {"email": "ana@example.com", "email_verified": True}
    assert person.of_claims(claims, config).role is Role.VIEWER
    assert "no roles from alerting.toml" in caplog.text
    (tmp_path / "alerting.toml").unlink()
    assert person.of_claims({"email": "ana@example.com"}, config).role is Role.VIEWER


def test_nobody_may_do_anything_and_an_admin_everything() -> None:
    assert not any(NOBODY.may(permission) for permission in Permission)
    assert all(Person(role=Role.ADMIN).may(permission) for permission in Permission)
    for role in Role:
        assert {p for p in Permission if Person(role=role).may(p)} == PERMISSIONS[role]


def test_without_its_server_a_page_knows_nobody_unless_it_is_told_a_role() -> None:
    url = {"CONTROLPLANE_URL": "http://127.0.0.1:1", "CONTROLPLANE_TOKEN": "x" * 20}
    assert person.standing() is None
    assert person.current(load(url)) == NOBODY
    assert person.current(load({**url, "CONTROLPLANE_DASHBOARD_ROLE": "operator"})).role is Role.OPERATOR
    assert person.current(load({**url, "CONTROLPLANE_DASHBOARD_ROLE": "root"})) == NOBODY
    assert person.current(load({"CONTROLPLANE_DASHBOARD_ROLE": "admin"})) == NOBODY
    assert not person.can_log_in(load(url))
