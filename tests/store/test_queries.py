"""Finding the SQL that ships."""

import pytest

from controlplane.store import queries


def test_loads_a_query_by_folder_and_name():
    assert queries.load("staging/next_batch").startswith("--")


def test_an_unknown_query_lists_what_the_folder_has():
    with pytest.raises(FileNotFoundError, match=r'no query "staging/nope".*next_batch'):
        queries.load("staging/nope")


def test_an_unknown_folder_is_named():
    with pytest.raises(FileNotFoundError, match="no such folder"):
        queries.load("nowhere/nope")


def test_migrations_are_numbered_and_ascending():
    numbers = [number for number, _ in queries.migrations()]
    assert numbers == sorted(set(numbers))
    assert queries.migrations()[0] == (1, "migrations/001_facts")


@pytest.mark.parametrize(
    ("names", "message"),
    [(["1_short"], "NNN_words"), (["001_one", "001_two"], "number 1 is taken")],
)
def test_a_badly_named_migration_is_refused(tmp_path, monkeypatch, names, message):
    (tmp_path / "migrations").mkdir()
    for name in names:
        (tmp_path / "migrations" / f"{name}.sql").write_text("SELECT 1;")
    monkeypatch.setattr(queries, "sql_root", lambda: tmp_path)
    with pytest.raises(ValueError, match=message):
        queries.migrations()


def test_every_query_says_in_its_first_line_what_it_is():
    for path in queries.sql_root().rglob("*.sql"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("-- "), f"{path} lacks its one-line header"
