"""`controlplane demo`: the story in about a minute, then dashboards and live traffic until Ctrl-C.

Everything is real but the customers and the clock: the assistant answers, logs land and are ingested, blocks close, evidence
decides, a flag server on loopback is probed over HTTP. The same seed gives the same decisions.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from controlplane import settings_dashboards
from controlplane.assistant import MENU_SERVICE, ReleaseConfig, ServiceProfile, SqliteBank, build_assistant, build_menu
from controlplane.core.policy import Policy, parse
from controlplane.settings import Settings, SettingsError, load, shipped_policy
from controlplane.simulation.review import ReviewConfig
from controlplane.simulation.world import World, WorldConfig
from controlplane.store.landing import LandingWriter
from jobs import demo_report, demo_standing, drift, publish, slack_listen
from jobs.console import stderr
from jobs.control import Control, control_process
from jobs.demo_evaluation import BROKEN_TOPICS, OfflineEvaluation
from jobs.evaluation_run import Candidate
from jobs.evaluation_subject import artefact_hashes, embedded
from jobs.process import announce, control_url, withdraw
from jobs.story import Release, Story, StoryClock
from jobs.up import LOG_IN, Dashboards, usable_port

STORY_START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)  # a Monday; fixed, so that a seed gives the same times
SOURCE = "embedded"
ANY_PORT = 0

GOOD = ReleaseConfig("v1.0")
BAD = ReleaseConfig(
    "v1.0 after the import", knowledge="corrupt", generator="careless", slow_factor=3.0, faulty_topics=BROKEN_TOPICS
)
FIXED = ReleaseConfig("v1.1", seed=2)


def run_demo(home: str | None, *, seed: int, healthy: bool, serve: bool, as_json: bool) -> None:
    """Tell the story, print the timeline (or one JSON object), and go on living where `serve` says so."""
    began = time.monotonic()
    end_cleanly_on_signals()
    settings = fresh_workspace(home)
    if serve:
        usable_port(settings.dashboard_port)  # better told now than after the story
        settings_dashboards.read(os.environ)
    policy = parse(shipped_policy("demo"), "demo.toml")
    clock = StoryClock(STORY_START)
    with ExitStack() as stack:
        told = stack.enter_context((settings.workspace.home / "alerts.txt").open("w+", encoding="utf-8"))
        port = settings.port if serve else ANY_PORT
        control = stack.enter_context(control_process(settings, policy, clock, port, told))
        announce(settings, control.server.url)
        stack.callback(withdraw, settings)
        landing = stack.enter_context(LandingWriter(settings.workspace.landing, SOURCE))
        story = make_story(settings, policy, control, landing, clock, seed, healthy)
        with progress_bar(as_json) as progress:
            story.progress = progress
            reports: list[drift.DriftRun] = []  # Evidently loads in a process of its own while the story goes on
            story.on_rollback = lambda: reports.append(start_drift(story))
            story.run()
            report = reports[0] if reports else start_drift(story)
            progress("waiting for the drift report (Evidently)", 1.0)
            report.finish()
            progress("topics, answers to label, backtest, trade-off", 1.0)
            demo_standing.leave(control.deps, clock.now)
            progress("pinning the weekly review", 1.0)
            demo_report.pin_review(control.deps, clock.now)
            demo_report.write_report(control.deps, clock.now)
            publish.run(control.deps, clock.now)
        result = demo_report.result(control.deps, story, time.monotonic() - began)
        if not as_json:
            demo_report.show(control.deps, story, result, told.name)
        if serve:
            live(settings, control, story)
    if as_json:
        print(json.dumps(result), flush=True)


def end_cleanly_on_signals() -> None:
    """Ctrl-C and SIGTERM end the demo the same way, also where a shell has started it with SIGINT ignored."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


def fresh_workspace(home: str | None) -> Settings:
    """An empty demo workspace. Raises SettingsError for one that is not a demo's, or that a running process uses."""
    settings = load(home)
    workspace = settings.workspace
    if workspace.kind() == "demo":
        if control_url(settings) is not None:
            raise SettingsError(
                f"a demo is running in {workspace.home}: end it first, or name another folder with --home"
            )
        for path in workspace.home.iterdir():
            if path == workspace.models or path == workspace.marker:
                continue  # trained classifiers are recognised by their hash
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    workspace.create("demo")
    return settings


def make_story(
    settings: Settings,
    policy: Policy,
    control: Control,
    landing: LandingWriter,
    clock: StoryClock,
    seed: int,
    healthy: bool,
) -> Story:
    """The world with its assistant, menu and bank, and the script."""

    def execution_enabled() -> bool:
        rollout, _ = control.flags.snapshot(clock.now)
        return rollout is not None and rollout.execution_enabled

    bank = SqliteBank()
    service = ServiceProfile().seeded(seed)
    models = settings.workspace.models
    built = {
        config.version: build_assistant(config, models, bank, service, execution_enabled=execution_enabled)
        for config in (GOOD, BAD, FIXED)
    }
    world = World(
        seed,
        WorldConfig(
            low_risk_intents=frozenset(policy.assignment.low_risk_intents),
            review=ReviewConfig(audit_rate=policy.traffic.audited_share),
        ),
        clock.now,
        assistant=built[GOOD.version],
        menu=build_menu(bank, MENU_SERVICE.seeded(seed)),
        expose=control.flags.evaluate,
        agent_version=GOOD.version,
    )

    def release(config: ReleaseConfig) -> Release:
        found = built[config.version]

        def candidate() -> Candidate:
            return embedded(config, models, seed, story_service=True)

        hashes = artefact_hashes(found.artefacts)
        return Release(config.version, hashes, lambda: world.deploy(found, config.version), candidate)

    deps = control.deps
    offline = OfflineEvaluation(deps, seed, clock)
    first, bad, fixed = (release(config) for config in (GOOD, BAD, FIXED))
    return Story(deps, world, landing, clock, first, bad, fixed, offline, healthy=healthy)


@contextmanager
def progress_bar(as_json: bool) -> Iterator[Callable[[str, float], None]]:
    """A bar on stderr; silent where stderr is no terminal and the caller wants JSON."""
    columns = (TextColumn("{task.description:64}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr, disable=as_json and not sys.stderr.isatty()) as bar:
        task = bar.add_task("training the classifier", total=1.0)
        yield lambda text, part: bar.update(task, description=text, completed=min(part, 1.0))


def start_drift(story: Story) -> drift.DriftRun:
    """The last two hours of the first release's traffic before and after the bad change (or its middle) in one real report."""
    middle = story.bad_at or (STORY_START + (story.clock.now - STORY_START) / 2)
    until = story.rolled_back_at or story.clock.now
    before = drift.Window("before", middle - timedelta(hours=2), middle, "assistant")
    after = drift.Window("after", middle, until, "assistant")
    # nobody is told of it: the rollback, which it illustrates, has told people already
    return drift.start(story.deps, story.clock.now, before, after, drift.Plan(trigger="demo", actor="demo"))


def live(settings: Settings, control: Control, story: Story) -> None:
    """Dashboards and traffic in real time (the story's clock goes on) until Ctrl-C."""
    child = Dashboards(settings.workspace.home, settings.dashboard_port, control.server.url, settings.token)
    control.deps.dashboard_url = child.url
    stderr.print(f"dashboards on {child.url} (times are the story's, UTC); Ctrl-C ends")
    stderr.print(f"{LOG_IN} {child.link}", soft_wrap=True)
    try:
        with slack_listen.listening(control.deps, control.desk, control.server.url):
            live_on(control, story, child.keep_alive)
    except KeyboardInterrupt:
        stderr.print("stopping")
    finally:
        child.stop()


def live_on(control: Control, story: Story, keep_alive: Callable[[], None]) -> None:
    """One second of the story for each of ours, for ever."""
    published = 0.0
    while True:
        begun = time.monotonic()
        story.step(timedelta(seconds=1))
        if begun - published >= 5.0:
            publish.run(control.deps, story.clock.now)
            published = begun
        keep_alive()
        time.sleep(max(0.0, 1.0 - (time.monotonic() - begun)))
