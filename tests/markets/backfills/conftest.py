"""What the tests of gaps and backfills need."""

import pytest

from tests.markets.data_nodes.nodes import drop_tables


@pytest.fixture
def transactional_db(transactional_db):
    """The database with real commits; the engine's tables are dropped afterwards."""
    yield
    drop_tables()
