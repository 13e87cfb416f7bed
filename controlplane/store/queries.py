"""Finds the SQL that ships with the project.

SQL is data, kept as files under `sql/<folder>/<name>.sql`: in an installed package below `controlplane/sql`, in a checkout
at the repository's top level. A query is named "folder/name", without suffix.
"""

import re
from functools import cache
from pathlib import Path

import controlplane

_NUMBERED = re.compile(r"^(\d{3})_[a-z0-9_]+$")


@cache
def sql_root() -> Path:
    """The folder that holds the SQL files. Raises FileNotFoundError when neither place has them."""
    package = Path(controlplane.__file__).resolve().parent
    places = (package / "sql", package.parent / "sql")
    for place in places:
        if (place / "migrations").is_dir():
            return place
    looked = " or ".join(str(place) for place in places)
    raise FileNotFoundError(f"the SQL files of controlplane are in neither {looked}; reinstall the package")


@cache
def load(name: str) -> str:
    """The text of `sql/<name>.sql`; name is "folder/name". Raises FileNotFoundError that lists what the folder has."""
    path = sql_root() / f"{name}.sql"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.sql")) if path.parent.is_dir() else []
        raise FileNotFoundError(
            f'no query "{name}" at {path}; queries in that folder: {", ".join(known) or "none, or no such folder"}'
        )
    return path.read_text(encoding="utf-8")


def migrations() -> list[tuple[int, str]]:
    """(number, query name) of every file in sql/migrations, ascending. Raises ValueError for a name without a number,
    or for two files with the same number."""
    found: dict[int, str] = {}
    for path in sorted((sql_root() / "migrations").glob("*.sql")):
        match = _NUMBERED.match(path.stem)
        if match is None:
            raise ValueError(f"{path}: a migration is named NNN_words.sql, for example 002_touched.sql")
        number = int(match.group(1))
        if number in found:
            raise ValueError(f"{path}: migration number {number} is taken by {found[number]}; take the next free one")
        found[number] = f"migrations/{path.stem}"
    return sorted(found.items())
