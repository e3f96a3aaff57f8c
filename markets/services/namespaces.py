"""Makes and migrates the schema of a namespace; see `markets.namespaces` for which one a process works in."""

from dataclasses import dataclass
from typing import TextIO

from django.core.management import call_command
from django.db import ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor
from psycopg.errors import InsufficientPrivilege

from markets import locks, namespaces
from markets.engine.namespaces import clean_namespace
from markets.exceptions import AlreadyRunning, Conflict

SECONDS_FOR_ANOTHER = 300.0  # a migration of an empty schema takes ten seconds, on a busy machine a few times that
HISTORY = "django_migrations"


@dataclass(frozen=True)
class MigratedNamespace:
    """What was done: whether the schema was made, how many migrations were applied, and how many tables it has now."""

    namespace: str
    created: bool
    applied: int
    tables: int


def migrate_namespace(name: str, *, output: TextIO | None = None) -> MigratedNamespace:
    """Make the namespace's schema where it is missing and apply the migrations that it lacks; can be repeated.

    `output` gets a line for each migration. Raises InvalidInput for a name that there cannot be, NamespaceInUse in the
    middle of other work, Conflict for a schema of something else or a user who may not make one, AlreadyRunning while
    another process migrates the namespace.
    """
    namespace = clean_namespace(name)
    with (
        namespaces.within(namespace),
        locks.held(locks.LockSpace.NAMESPACE, 0, patience=SECONDS_FOR_ANOTHER) as free,
    ):
        if not free:
            raise AlreadyRunning(f"Another process migrates the namespace {namespace}. Try again when it is done.")
        created = _make_schema(namespace)
        _refuse_foreign(namespace)
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:
            call_command("migrate", interactive=False, verbosity=1 if output else 0, stdout=output)
        return MigratedNamespace(namespace, created, len(plan), len(_tables()))


def _make_schema(namespace: str) -> bool:
    try:
        return namespaces.make_schema()
    except ProgrammingError as error:
        if not isinstance(error.__cause__, InsufficientPrivilege):
            raise
        user, database = connection.settings_dict["USER"], connection.settings_dict["NAME"]
        raise Conflict(
            f"The database user {user} may not make the schema {namespace}. As its owner: "
            f'GRANT CREATE ON DATABASE "{database}" TO "{user}"'
        ) from error


def _refuse_foreign(namespace: str) -> None:
    tables = _tables()
    if tables and HISTORY not in tables:
        raise Conflict(
            f"The schema {namespace} holds tables of something else ({', '.join(sorted(tables)[:3])}). Choose another "
            "name."
        )


def _tables() -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.table_names(cursor))
