"""The flag read path: what every server of flags uses, and so what a cut must be seen through.

The rollout row is read at most once a second and is served for at most `flag_max_age_seconds` of the policy; a read that fails
leaves the old one to grow stale, after which the baseline is served. The exposure itself is a pure function
(`controlplane.core.assignment`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from controlplane.core.assignment import Exposure, Reason, Unit, baseline, decide_exposure
from controlplane.core.model import Rollout
from controlplane.core.policy import Policy, parse


class RolloutSource(Protocol):
    """Where the rollout row comes from."""

    def rollout(self) -> Rollout | None: ...

    def policy_text(self, policy_hash: str) -> str | None: ...


class FlagReader:
    """Serves exposures from the state. `now` is given with each call, so a simulated clock serves as well as a real one."""

    def __init__(self, source: RolloutSource, *, reread: timedelta = timedelta(seconds=1)) -> None:
        self._source = source
        self._reread = reread
        self._rollout: Rollout | None = None
        self._policies: dict[str, Policy] = {}
        self._read_at: datetime | None = None
        self._tried_at: datetime | None = None
        self.last_error: str | None = None

    def refresh(self, now: datetime) -> None:
        """Read the row now. A failure is remembered and leaves the age of the last good read as it is."""
        self._tried_at = now
        try:
            self._rollout = self._source.rollout()
            if self._rollout is not None and self._rollout.policy_hash not in self._policies:
                text = self._source.policy_text(self._rollout.policy_hash)
                if text is None:
                    raise LookupError(f"policy {self._rollout.policy_hash[:12]} of the rollout is not registered")
                self._policies[self._rollout.policy_hash] = parse(text, in_force=True)
        except Exception as error:
            self.last_error = f"{type(error).__name__}: {error}"
            return
        self._read_at, self.last_error = now, None

    def snapshot(self, now: datetime) -> tuple[Rollout | None, datetime | None]:
        """The row as served now, and when it was read."""
        if self._tried_at is None or abs(now - self._tried_at) >= self._reread:  # a clock may be set back
            self.refresh(now)
        return self._rollout, self._read_at

    def evaluate(self, unit: Unit, now: datetime) -> Exposure:
        """What this customer is served now; the baseline whenever the state cannot be trusted."""
        rollout, read_at = self.snapshot(now)
        if read_at is None:
            return baseline(Reason.ERROR)
        policy = self._policies.get(rollout.policy_hash) if rollout is not None else None
        return decide_exposure(rollout, policy, unit, now, read_at)
