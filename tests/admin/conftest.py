"""A logged-in administrator and a viewer."""

import pytest
from django.test import Client

from tests.admin import rows


@pytest.fixture
def boss(db) -> Client:
    client = Client()
    client.force_login(rows.administrator())
    return client


@pytest.fixture
def viewer(db) -> Client:
    client = Client()
    client.force_login(rows.viewer())
    return client
