"""What an operator reads when something is wrong: one line, and an exit code."""

import pytest
from django.db import OperationalError, ProgrammingError
from psycopg import errors

from markets.exceptions import InvalidInput
from msm_project import command_line


def test_a_wrong_database_url_is_one_line_without_the_password(manage):
    done = manage("services", "status", DATABASE_URL="mysql://me:hidden@host/msm", SECRET_KEY="k")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Configuration: DATABASE_URL=mysql://me:***@host/msm does not name a PostgreSQL server: MSM stores its data in "
        "PostgreSQL 15 or newer. Example: postgres://user:password@host:5432/msm. "
        "Unset it to use the embedded server.\n"
    )


def test_an_unreachable_database_is_named_with_the_remedy(manage, data_directory):
    done = manage("migrate", "--skip-checks", DATABASE_URL="postgres://me:hidden@127.0.0.1:1/books", SECRET_KEY="k")
    assert done.returncode == 1
    assert done.stderr.startswith("PostgreSQL at 127.0.0.1:1, database 'books', is not available: ")
    assert done.stderr.endswith("Start it or correct DATABASE_URL; unset it to use the embedded server.\n")
    assert done.stderr.count("\n") == 1
    assert "hidden" not in done.stderr
    assert not (data_directory / "pg").exists()


def test_an_impossible_data_directory_is_named(manage):
    done = manage("services", "status", MSM_DATA_DIR="/proc/msm")
    assert done.returncode == 1
    assert done.stderr == (
        "The data directory /proc/msm cannot be used (No such file or directory: /proc/msm). "
        "Make it writable, free some space, or name another: MSM_DATA_DIR.\n"
    )


def test_traceback_shows_where(manage):
    done = manage("migrate", "--skip-checks", "--traceback", DATABASE_URL="postgres://m@127.0.0.1:1/b", SECRET_KEY="k")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.splitlines()[-1].startswith("PostgreSQL at 127.0.0.1:1, database 'b', is not available: ")


def test_an_unknown_command_keeps_djangos_answer(manage):
    done = manage("no_such_command")
    assert done.returncode == 1
    assert done.stderr.startswith("Unknown command: 'no_such_command'")


def test_errors_of_msm_speak_for_themselves():
    assert command_line.explain(InvalidInput("Ticker 'X' is unknown. Register it first.")) == (
        "Ticker 'X' is unknown. Register it first."
    )


def test_a_missing_table_asks_for_migrate():
    error = ProgrammingError('relation "asset" does not exist\nLINE 1: ...')
    error.__cause__ = errors.UndefinedTable()
    assert command_line.explain(error) == (
        'The database is not migrated (relation "asset" does not exist). Run: manage.py migrate'
    )


@pytest.mark.parametrize("cause", [errors.DeadlockDetected(), errors.LockNotAvailable(), errors.QueryCanceled()])
def test_a_failed_statement_is_not_called_a_failed_connection(cause):
    error = OperationalError("canceled")
    error.__cause__ = cause
    assert command_line.explain(error) is None


def test_an_unforeseen_error_keeps_its_traceback(monkeypatch):
    def fail(argv: list[str]) -> None:
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr("django.core.management.execute_from_command_line", fail)
    with pytest.raises(ZeroDivisionError, match=r"^unforeseen$"):
        command_line.execute(["manage.py", "check"])


def test_ctrl_c_and_exit_codes(monkeypatch, capsys):
    def interrupt(argv: list[str]) -> None:
        raise KeyboardInterrupt

    def leave(argv: list[str]) -> None:
        raise SystemExit(7)

    monkeypatch.setattr("django.core.management.execute_from_command_line", interrupt)
    assert command_line.execute(["manage.py", "check"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"
    monkeypatch.setattr("django.core.management.execute_from_command_line", leave)
    with pytest.raises(SystemExit) as raised:
        command_line.execute(["manage.py", "check"])
    assert raised.value.code == 7
