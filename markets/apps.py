"""The Django application of the market's reference data and DataNodes."""

from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import pre_migrate


class MarketsConfig(AppConfig):
    name = "markets"
    verbose_name = "Market"

    def ready(self) -> None:
        from markets import namespaces
        from markets.data_nodes.registry import register_module

        connection_created.connect(namespaces.remember_connection)
        pre_migrate.connect(namespaces.make_schema, sender=self)
        register_module("markets.data_nodes.access")
        register_module("markets.data_nodes.prices")
        register_module("markets.data_nodes.snapshots")
        register_module("markets.data_nodes.interpolated_prices")
        register_module("markets.data_nodes.algoseek.master")
        register_module("markets.data_nodes.algoseek.daily")
        register_module("markets.data_nodes.algoseek.minute")
        _hand_registration_to_nodes()
        connection_created.connect(_tell_who_writes, dispatch_uid="markets.audit")


def _tell_who_writes(connection: Any, **_: Any) -> None:
    from markets.services.audit import tell_database

    if tell_database not in connection.execute_wrappers:
        connection.execute_wrappers.append(tell_database)


def _hand_registration_to_nodes() -> None:
    from markets.data_nodes.algoseek.registrar import use_registrar
    from markets.services.figi_registration import register_assets_from_figis

    use_registrar(register_assets_from_figis)
