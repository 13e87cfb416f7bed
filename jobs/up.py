"""`controlplane up`: the control process and the dashboards, until Ctrl-C or SIGTERM. A restart continues where it was.

One process has the writer lease; a second one is told who has it. What has landed is judged every second; everything that was
acknowledged is on disk before, so `kill -9` at any moment loses nothing. The dashboards are a process of their own: killing
them never touches a decision, and they are started again.
"""

from __future__ import annotations

import ctypes
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controlplane import settings_dashboards
from controlplane.core import estimates
from controlplane.server.serve import ServerError
from controlplane.settings import Settings, SettingsError
from controlplane.store.landing import LandingError
from controlplane.store.queries import load
from controlplane.store.state import StateWriter
from controlplane.store.state_claims import FencedOff
from jobs import judging, notify, publish, review_draw, slack_listen, tick, topics, triage, work
from jobs.compose import follow_policy, policy_in_force, read_policy, workspace_settings
from jobs.console import clock, stderr
from jobs.control import Control, control_process
from jobs.deps import Deps
from jobs.heart import Heart
from jobs.lease import (
    LEASE,
    LEASE_SECONDS,
    LEASE_TTL,
    free_left_behind,
    give_up_lease,
    owner_of,
    refuse_second,
    wait_for_lease,
)
from jobs.metric_definitions import at_start
from jobs.process import announce, withdraw
from jobs.scheduler import Job, last_due, schedule

log = logging.getLogger("controlplane.jobs")

HEARTBEAT_SECONDS = 5.0
JUDGE_SECONDS = 2.0
PUBLISH_SECONDS = 5.0
WORK_SECONDS = 1.0
TRIAGE_SECONDS = 10.0
MONTHLY = "0 3 1 * *"
MONDAYS = "0 5 * * mon"  # by name: the scheduler counts days of the week from Monday as 0, crontab from Sunday
PORT_SECONDS = 3.0  # the dashboards of a process that ended hard need a moment to end too
LOG_IN = "open them logged in (this link works once, within an hour):"
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None)


def run_up(home: str | None, policy_file: str | None, port: int | None, *, dashboards: bool) -> None:
    """Run until a signal. Raises SettingsError for a demo's workspace or a policy that cannot be used."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("apscheduler").setLevel(
        logging.ERROR
    )  # a run that takes longer than its rhythm is joined with the next
    settings = workspace_settings(home, policy_file)
    if settings.workspace.kind() == "demo":
        raise SettingsError(
            f"{settings.workspace.home} is a demo's workspace, with simulated time: name another with --home"
        )
    refuse_second(settings)
    if port is not None:
        settings = replace(settings, port=port)
    owner = owner_of(os.getpid())
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    state = StateWriter(settings.state_url)
    state.migrate(clock())
    policy = policy_in_force(settings, state)
    if settings.policy_path is not None and (named := read_policy(settings)).hash != policy.hash:
        stderr.print(
            f"the rollout is judged by its own policy {policy.hash[:12]}; {settings.policy_path} ({named.hash[:12]}) applies to "
            "the next one: controlplane release start --policy"
        )
    if (changed := at_start(state, clock())) is not None:
        stderr.print(changed)
    free_left_behind(settings, state)
    state.close()
    try:
        with (
            control_process(
                settings, policy, clock, settings.port, before_facts=lambda s: wait_for_lease(s, owner, stop)
            ) as control,
            notify.courier(control.deps, clock),
        ):
            _serve(settings, control, owner, stop, dashboards)
    finally:
        give_up_lease(settings, owner)


def _serve(settings: Settings, control: Control, owner: str, stop: threading.Event, dashboards: bool) -> None:
    deps = control.deps
    child = (
        Dashboards(settings.workspace.home, settings.dashboard_port, control.server.url, settings.token)
        if dashboards
        else None
    )
    deps.dashboard_url = child.url if child is not None else settings_dashboards.dashboard_url(os.environ)
    announce(settings, control.server.url)
    fenced = threading.Event()

    def on_fenced() -> None:
        fenced.set()
        stop.set()

    scheduler = schedule(_jobs(control, owner), deps.state, owner, clock, on_fenced)
    heart = Heart(_beat_of(control), clock, on_fenced)
    scheduler.start()
    heart.start()
    try:
        stderr.print(f"control API on {control.server.url}" + (f", dashboards on {child.url}" if child else ""))
        if child is not None:
            stderr.print(f"{LOG_IN} {child.link}", soft_wrap=True)
        with slack_listen.listening(deps, control.desk, control.server.url, on_fenced):
            while not stop.wait(1.0):
                if child is not None:
                    child.keep_alive()
    finally:
        stderr.print("stopping")
        if child is not None:
            child.stop()
        heart.stop()
        scheduler.shutdown(wait=True)
        withdraw(settings)
    if fenced.is_set():
        raise FencedOff("another control process has taken over this workspace; this one has stopped")


def _beat_of(control: Control) -> Callable[[datetime, datetime | None], datetime | None]:
    """One beat of this process, as `Heart` asks for it; guarded by the lease."""
    deps, said = control.deps, list[datetime]()

    def beat(now: datetime, due: datetime | None) -> datetime | None:
        follow_policy(deps)
        if due is not None and due not in said:
            said[:] = [due]  # once a block: while another source is behind, saying it again changes nothing
            _say_alive(control, now)
        return _due(tick.run(deps, now, clock), deps.policy.watch.lateness_seconds)

    return beat


def _due(done: tick.Tick, lateness_seconds: int) -> datetime | None:
    """When records can next change what is known: a block can close, or a containment can be verified."""
    closes, verification = done.evaluation.closes_at, done.verification
    found = [] if closes is None else [closes + timedelta(seconds=lateness_seconds)]
    if verification is not None and verification.verified is None and verification.deadline is not None:
        found.append(verification.deadline)
    return min(found, default=None)


def _say_alive(control: Control, now: datetime) -> None:
    """The API keeps no block waiting that can close now. Where the disk does not take it, the beat does the rest all the same."""
    try:
        control.landing.heartbeat(now)
    except (OSError, LandingError):
        log.exception("the landing folder took no heartbeat of the API")


def _works(deps: Deps, now: datetime) -> int:
    estimates.clopper_pearson(
        0, 1
    )  # imports SciPy beside the heartbeat, so that the first decision need not wait for that
    return work.run(deps, now, clock)


def _jobs(control: Control, owner: str) -> list[Job]:
    deps = control.deps

    def renew(now: datetime) -> object:
        return deps.state.take_lease(LEASE, owner, now, LEASE_TTL)

    judge = judging.answer_judge(deps.settings, control.landing)
    return [
        Job("lease", renew, seconds=LEASE_SECONDS, claimed=False),  # of its own: a long beat must not lose the lease
        Job("heartbeat", control.landing.heartbeat, seconds=HEARTBEAT_SECONDS, claimed=False),
        Job("judge", lambda now: judge.run(deps, now), seconds=JUDGE_SECONDS, claimed=False),
        Job("work", lambda now: _works(deps, now), seconds=WORK_SECONDS, claimed=False),  # beside the heartbeat
        Job("publish", lambda now: publish.run(deps, now), seconds=PUBLISH_SECONDS, claimed=False),
        Job("triage", lambda now: triage.run(deps, now), seconds=TRIAGE_SECONDS, claimed=False),
        Job(
            "drift",
            lambda now: monthly_drift(control, now),
            cron=MONTHLY,
            lease=timedelta(hours=1),
            worth_catching_up=lambda due: has_facts_before(deps, due),
        ),
        Job(
            "topics",
            lambda now: topics.weekly(deps, now),
            cron=topics.WEEKLY,
            lease=timedelta(hours=1),
            worth_catching_up=lambda due: has_facts_before(deps, due),
        ),
        Job(
            "review",
            lambda now: monday_review(control, now),
            cron=MONDAYS,
            lease=timedelta(hours=1),
            worth_catching_up=lambda due: has_facts_before(deps, due),
        ),
        Job(
            "review_draw",
            lambda now: review_draw.daily(deps, now),
            cron=review_draw.DAILY,
            lease=timedelta(hours=1),
            worth_catching_up=lambda due: has_facts_before(deps, due),
        ),
    ]


def monthly_drift(control: Control, now: datetime) -> str:
    """The monthly drift analysis of the policy's window before its due time, against the policy's reference, however late it runs."""
    from jobs.drift_work import monthly

    return monthly(control.deps, now, last_due(MONTHLY, now) or now)


def monday_review(control: Control, now: datetime) -> str:
    """The review of the week before its due time, pinned and told, however late it runs."""
    from jobs.weekly_tell import monday

    return monday(control.deps, now, last_due(MONDAYS, now) or now)


def has_facts_before(deps: Deps, due: datetime) -> bool:
    """Whether the drift analysis of that time had anything to look at."""
    cursor = deps.warehouse.cursor()
    try:
        ((oldest,),) = cursor.execute(load("drift/oldest")).fetchall()
    finally:
        cursor.close()
    return oldest is not None and oldest.replace(tzinfo=UTC) < due


class Dashboards:
    """The dashboards' process, started again when it ends by itself."""

    def __init__(self, home: Path, port: int, control_url: str, token: str) -> None:
        """Starts at once; port 0 takes any free one. Raises ServerError when the port is in use, SettingsError for a wrong variable."""
        self._public = settings_dashboards.read(os.environ).url
        self._port = usable_port(port)
        self._home = home
        self._code = secrets.token_urlsafe(24)
        self._environment = {**os.environ, "CONTROLPLANE_URL": control_url, "CONTROLPLANE_TOKEN": token}
        self._process = self._start(self._code)

    @property
    def url(self) -> str:
        """Where people reach them: the configured address, else this machine's."""
        return self._public or f"http://127.0.0.1:{self._port}"

    @property
    def link(self) -> str:
        """Opens them logged in as admin, once; the token itself is in no link and in no history of a browser."""
        return f"{self.url}/session/once?code={self._code}"

    def _start(self, code: str = "") -> subprocess.Popen[bytes]:
        """`code`: of the link, given to the first process alone: what starts again must not open a used link."""
        argv = [sys.executable, "-m", "dashboards.launch", "--port", str(self._port), "--home", str(self._home)]
        with (self._home / "dashboards.log").open("ab") as log:
            return subprocess.Popen(
                argv,
                env={**self._environment, settings_dashboards.CODE: code},
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )

    def keep_alive(self) -> None:
        """Start them again when they have ended."""
        if self._process.poll() is not None:
            self._process = self._start()

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _end_with_parent() -> None:
    """Runs in the child: SIGTERM when the control process ends, however hard, so that no orphan keeps the port."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def usable_port(port: int) -> int:
    """`port`, or any free one for 0. Raises ServerError while another program has it; those that just end are waited for."""
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        with socket.socket() as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                found.bind(("127.0.0.1", port))
                return int(found.getsockname()[1])
            except OSError as error:
                if time.monotonic() > deadline:
                    raise ServerError(
                        f"the dashboards cannot have port {port} on 127.0.0.1 ({error.strerror}): choose another with "
                        "CONTROLPLANE_DASHBOARD_PORT (0 takes any free one)"
                    ) from None
        time.sleep(0.2)
