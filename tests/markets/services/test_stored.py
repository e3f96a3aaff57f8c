"""A row that somebody else makes and deletes in the same instant."""

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from markets.exceptions import Conflict
from markets.models import AssetType
from markets.services.stored import insert_or_lock


class Meddler:
    """Deletes every asset type, on a connection of its own, just before a row is locked; `times` times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "FOR UPDATE" in sql and self.times:
            self.times -= 1
            thread = threading.Thread(target=self.delete)
            thread.start()
            thread.join()
        return execute(sql, params, many, context)

    @staticmethod
    def delete() -> None:
        AssetType.objects.all().delete()
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_row_deleted_between_the_insert_and_the_lock_is_made_anew() -> None:
    AssetType.objects.create(asset_type="fleeting", display_name="Another's")
    with connection.execute_wrapper(Meddler(times=1)), transaction.atomic():
        saved = insert_or_lock(AssetType(asset_type="fleeting", display_name="Mine"), key="asset_type")
    assert saved.created
    assert list(AssetType.objects.values_list("display_name", flat=True)) == ["Mine"]


@pytest.mark.django_db(transaction=True)
def test_it_gives_up_when_the_row_never_stays() -> None:
    def never_there(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        return execute(
            sql.replace(" WHERE ", " WHERE false AND ") if "FOR UPDATE" in sql else sql, params, many, context
        )

    with connection.execute_wrapper(never_there), pytest.raises(Conflict, match="Try again"), transaction.atomic():
        insert_or_lock(AssetType(asset_type="fleeting"), key="asset_type")
    assert not AssetType.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_row_that_is_there_is_locked_and_not_made() -> None:
    stored = AssetType.objects.create(asset_type="lasting")
    with transaction.atomic():
        saved = insert_or_lock(AssetType(asset_type="lasting"), key="asset_type")
    assert (saved.row, saved.created) == (stored, False)
