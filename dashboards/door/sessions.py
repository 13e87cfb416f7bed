"""Who has come in: tokens, the one-time link, and the sessions they open. Values and a clock; HTTP is in `dashboards.door.http`.

A session is an opaque random id in the browser's cookie; what it stands for is kept here, in memory, so that leaving really ends it
and a restart asks again. Tokens, codes and ids are kept and compared as hashes, in constant time and against every entry.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock

from controlplane.core.roles import Role

LIFE_SECONDS = 12 * 3600.0  # a long shift; then the token is asked for again
CODE_SECONDS = 3600.0
WRONG, WITHIN_SECONDS = 10, 300.0  # wrong guesses of one address, after which it waits
KEPT_SESSIONS, KEPT_ADDRESSES = 1_000, 1_000
NAME_MAX = 80


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who has logged in here. `name` is "" where only a token is known; `ends` is on the clock of the door."""

    name: str
    role: Role
    ends: float


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of a try: the id for the cookie, or None; then `wait` says for how many seconds no more tries are taken."""

    session_id: str | None = None
    wait: float = 0.0


class Door:
    """Lets in who has a token or the code, and knows who is in. Safe for threads."""

    def __init__(self, tokens: Mapping[str, Role], clock: Callable[[], float], code: str = "") -> None:
        """`tokens`: role of each; `clock`: seconds that only grow; `code`: opens once, within an hour, for an admin."""
        self._tokens = [(_digest(token), role) for token, role in tokens.items()]
        self._clock = clock
        self._code = _digest(code) if code else None
        self._code_ends = clock() + CODE_SECONDS
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = Lock()

    @property
    def opens(self) -> bool:
        """Whether there is anything to log in with."""
        return bool(self._tokens)

    def enter(self, token: str, name: str, address: str) -> Entry:
        """Try a token, from a network address; who guesses waits, even with the right one."""
        given, found = _digest(token), None
        for digest, role in self._tokens:
            if hmac.compare_digest(given, digest):
                found = role
        with self._lock:
            wait = self._wait(address)
            if wait > 0:
                return Entry(wait=wait)
            if found is None:
                self._note_wrong(address)
                return Entry()
            self._wrong.pop(address, None)
            return Entry(self._open(" ".join(name.split())[:NAME_MAX], found))

    def redeem(self, code: str, address: str) -> Entry:
        """Try the code of the one-time link; the first use is the only one."""
        given = _digest(code)
        with self._lock:
            wait = self._wait(address)
            if wait > 0:
                return Entry(wait=wait)
            known, self_code = self._code is not None and self._clock() <= self._code_ends, self._code or bytes(32)
            if not (hmac.compare_digest(given, self_code) and known):
                self._note_wrong(address)
                return Entry()
            self._code = None
            return Entry(self._open("", Role.ADMIN))

    def who(self, session_id: str | None) -> Session | None:
        """The session of that id; None when there is none or it is over."""
        if not session_id:
            return None
        key = _digest(session_id)
        with self._lock:
            found = self._sessions.get(key)
            if found is not None and found.ends <= self._clock():
                del self._sessions[key]
                return None
            return found

    def leave(self, session_id: str | None) -> None:
        """End the session."""
        if session_id:
            with self._lock:
                self._sessions.pop(_digest(session_id), None)

    def _open(self, name: str, role: Role) -> str:
        session_id = secrets.token_urlsafe(32)
        self._sessions[_digest(session_id)] = Session(name, role, self._clock() + LIFE_SECONDS)
        while len(self._sessions) > KEPT_SESSIONS:
            self._sessions.popitem(last=False)
        return session_id

    def _wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 when it may now."""
        tries = self._wrong.get(address)
        if tries is None:
            return 0.0
        now = self._clock()
        while tries and tries[0] <= now - WITHIN_SECONDS:
            tries.popleft()
        return tries[0] + WITHIN_SECONDS - now if len(tries) >= WRONG else 0.0

    def _note_wrong(self, address: str) -> None:
        self._wrong.setdefault(address, deque(maxlen=WRONG)).append(self._clock())
        self._wrong.move_to_end(address)
        while len(self._wrong) > KEPT_ADDRESSES:
            self._wrong.popitem(last=False)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
