"""Django's database engine `msm_project.embedded`: PostgreSQL whose server starts when a connection is first wanted."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base
from django.db.backends.postgresql.client import DatabaseClient as PostgresClient

from msm_project.embedded.processes import check_private_directory
from msm_project.embedded.programs import postgres_programs
from msm_project.embedded.servers import embedded_locations, ensure_postgres


class DatabaseClient(PostgresClient):
    """`manage.py dbshell` with the psql of the embedded server."""

    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: list[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        arguments, environment = super().settings_to_cmd_args_env(settings_dict, parameters)
        return [str(postgres_programs(embedded_locations(settings.DATA_DIR)) / "psql"), *arguments[1:]], environment

    def runshell(self, parameters: list[str]) -> None:
        ensure_postgres(settings.DATA_DIR)
        super().runshell(parameters)


class DatabaseWrapper(base.DatabaseWrapper):
    client_class = DatabaseClient

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        # Trying first costs a running server nothing; a dead one is noticed whenever it died.
        with suppress(self.Database.OperationalError, FileNotFoundError):
            self._check_socket_directory()
            return super().get_new_connection(conn_params)
        ensure_postgres(settings.DATA_DIR)
        return super().get_new_connection(conn_params)

    def _check_socket_directory(self) -> None:
        """Refuse a socket in the shared temporary directory that somebody else has put there."""
        locations = embedded_locations(Path(settings.DATA_DIR))
        if locations.sockets_elsewhere:
            check_private_directory(locations.postgres_socket_directory, locations)
