"""One world for all who come: what each of them writes is taken back."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from tests.permissions.backoffice import Rows
from tests.rest.base import World, make_world


@pytest.fixture(scope="module")
def rows(django_db_setup: None, django_db_blocker: Any) -> Iterator[Rows]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield Rows(make_world())
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def world(rows: Rows) -> World:
    return rows.world
