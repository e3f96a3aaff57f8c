"""What the service tests share."""

import pytest
from django.db import connection


@pytest.fixture
def flushable(transactional_db: None) -> None:
    """knox's first migration makes the table of a model that is swapped out: nothing truncates or fills it."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS knox_authtoken")
