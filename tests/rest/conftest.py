"""What the REST tests share: a world of rows, and clients of several rights."""

import pytest
from rest_framework.test import APIClient

from tests import factories
from tests.rest.base import ALL, VIEWS, World, make_world


@pytest.fixture
def world(db: None) -> World:
    return make_world()


def _client(token: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


@pytest.fixture
def anonymous() -> APIClient:
    return APIClient()


@pytest.fixture
def viewer(db: None) -> APIClient:
    return _client(factories.token(factories.user(*VIEWS)))


@pytest.fixture
def analyst(db: None) -> APIClient:
    """May do everything but force the deletion of a public asset."""
    return _client(factories.token(factories.user(*ALL)))


@pytest.fixture
def admin(db: None) -> APIClient:
    return _client(factories.token(factories.user(is_superuser=True)))
