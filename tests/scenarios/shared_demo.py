"""One run of `controlplane demo --no-serve --json` for the whole test run, whoever asks first: it takes a minute, and many tests only read it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.living import CONTROLPLANE, environment

SEED = "11"
LONGEST_SECONDS = 900  # against waiting for ever; a run takes a minute on an idle machine


@dataclass(frozen=True)
class Run:
    """A demo that has ended."""

    home: Path
    code: int
    out: str
    err: str

    @property
    def story(self) -> dict[str, Any]:
        """The object on the last line."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


def demo(home: Path, *words: str) -> Run:
    """Run the demo in a process of its own."""
    argv = [CONTROLPLANE, "demo", *words]
    done = subprocess.run(argv, env=environment(home), capture_output=True, text=True, timeout=LONGEST_SECONDS)
    return Run(home, done.returncode, done.stdout, done.stderr)


def shared(factory: pytest.TempPathFactory) -> Run:
    """The one run. The workers of a parallel test run share the folder above their own; the first one there runs it, the others wait."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-demo"
    folder.mkdir(exist_ok=True)
    told = folder / "told.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            run = demo(folder / "home", "--no-serve", "--json", "--seed", SEED)
            told.write_text(json.dumps({"code": run.code, "out": run.out, "err": run.err}))
    return Run(folder / "home", **json.loads(told.read_text()))
