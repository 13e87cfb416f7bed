"""Another process that holds the state database of a drill: started by `hold`, it lets go when it is told to, or when the drill ends.

Run as a program (`python drill_lock.py FILE write|whole`) it takes the lock, says so in one line, and keeps it while its standard input is open;
so it never outlives the drill, however that ends. `write` is a write transaction (readers of a SQLite database in WAL mode go on), `whole` keeps
every other connection out of the file, as a restore or a repair does; that one only comes in while nobody else has the file open.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HELD = "held"
WAIT_SECONDS = 5.0  # for whoever has the file, before it is said that the lock cannot be had


def hold(state: Path, *, whole: bool) -> Callable[[], None]:
    """Let another process lock the SQLite file; returns when it has the lock. Call the result to make it let go.

    Raises RuntimeError when it cannot get the lock: the drill would rehearse nothing.
    """
    words = [sys.executable, "-I", __file__, str(state), "whole" if whole else "write"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def let_go() -> None:
        if process.poll() is None:
            process.communicate()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    said = process.stdout.readline().strip() if process.stdout is not None else ""
    if said != HELD:
        reason = process.stderr.read().strip() if process.stderr is not None else ""
        let_go()
        raise RuntimeError(
            f"the drill's other process could not lock {state}: {reason.splitlines()[-1:] or 'no reason'}"
        )
    return let_go


def _hold(path: str, how: str) -> None:
    connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
    if how == "whole":
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN IMMEDIATE")
    print(HELD, flush=True)
    sys.stdin.read()
    connection.execute("ROLLBACK")
    connection.close()


if __name__ == "__main__":
    _hold(*sys.argv[1:3])
