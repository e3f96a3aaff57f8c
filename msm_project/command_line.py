"""Runs a management command and turns what an operator can mend into one line and an exit code."""

import errno
import sys
import traceback

FAILED = 1
INTERRUPTED = 130  # as shells report SIGINT
CONNECTION_STATES = ("08", "28", "3D", "53", "57P")  # SQLSTATE classes: cannot connect, cannot log in, no database

UNUSABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR}


def execute(argv: list[str]) -> int:
    """Run `argv` as manage.py does; the exit code. `--traceback` shows where an error came from.

    Errors that nobody foresaw keep their traceback.
    """
    from django.core.management import CommandError, execute_from_command_line

    from markets.services import audit

    audit.speak_for_process(source="command", actor=audit.operating_system_user())
    try:
        execute_from_command_line(argv)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        message = explain(error)
        if message is None and not isinstance(error, CommandError):
            raise
        if "--traceback" in argv:
            traceback.print_exc()
        print(message or f"CommandError: {error}", file=sys.stderr)
        return getattr(error, "returncode", FAILED)
    return 0


def explain(error: BaseException) -> str | None:
    """What to tell the operator about `error`, in one line with the remedy; None for an unforeseen error."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import OperationalError, ProgrammingError

    if getattr(type(error), "is_msm_error", False):
        return str(error)
    if isinstance(error, ImproperlyConfigured):
        return f"Configuration: {error}"
    if isinstance(error, OperationalError):
        return _about_connection(error)
    if isinstance(error, ProgrammingError):
        return _about_schema(error)
    if _is_redis_failure(error):
        return _about_redis(error)
    if isinstance(error, OSError):
        return _about_data_directory(error)
    return None


def _state(error: BaseException) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _about_connection(error: BaseException) -> str | None:
    from django.conf import settings

    state = _state(error)
    if state and not state.startswith(CONNECTION_STATES):
        return None  # a deadlock, a timeout: not about connecting
    database = settings.DATABASES["default"]
    where = f"{database.get('HOST') or 'the local socket'}:{database.get('PORT') or 5432}"
    if settings.EMBEDDED_DATABASE:
        remedy = f"See the logs in {settings.DATA_DIR / 'logs'}, or run: manage.py services status"
    else:
        remedy = "Start it or correct DATABASE_URL; unset it to use the embedded server."
    return f"PostgreSQL at {where}, database {database['NAME']!r}, is not available: {_first_line(error)}. {remedy}"


def _about_schema(error: BaseException) -> str | None:
    from psycopg import errors

    if isinstance(error.__cause__, errors.UndefinedTable | errors.UndefinedColumn | errors.InvalidSchemaName):
        return f"The database is not migrated ({_first_line(error)}). Run: manage.py {_migration()}"
    return None


def _migration() -> str:
    from markets import namespaces

    return f"migrate_namespace {namespaces.current()}" if namespaces.current() else "migrate"


def _is_redis_failure(error: BaseException) -> bool:
    from kombu.exceptions import OperationalError as BrokerError
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import TimeoutError as RedisTimeoutError

    return isinstance(error, BrokerError | RedisConnectionError | RedisTimeoutError)


def _about_redis(error: BaseException) -> str:
    from django.conf import settings

    from msm_project.environment import without_password

    if settings.EMBEDDED_REDIS:
        remedy = f"See the logs in {settings.DATA_DIR / 'logs'}, or run: manage.py services status"
    else:
        remedy = "Start it or correct REDIS_URL; unset it to use the embedded server."
    return f"Redis at {without_password(settings.REDIS_URL)} is not available: {_first_line(error)}. {remedy}"


def _about_data_directory(error: OSError) -> str | None:
    """The key file is read before the settings are complete, so this asks the environment and not the settings."""
    from pathlib import Path

    from msm_project import environment

    default = Path(__file__).resolve().parent.parent / ".msm"
    directory = Path(environment.read("MSM_DATA_DIR", str(default))).expanduser().absolute()
    if error.filename is None:
        return None
    path = Path(str(error.filename))
    leads_there = path == directory or path in directory.parents
    if not (error.errno in UNUSABLE and (leads_there or directory in path.parents)) and not (
        error.errno == errno.ENOENT and leads_there
    ):
        return None
    return (
        f"The data directory {directory} cannot be used ({error.strerror}: {path}). "
        "Make it writable, free some space, or name another: MSM_DATA_DIR."
    )
