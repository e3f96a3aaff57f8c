"""Seed 003, Futures: each block in an interpreter of its own."""

import pytest

from tests.scripts import Scripts
from tests.seeds.documents import ENGINE, FUTURE

pytestmark = pytest.mark.xdist_group("processes")


def test_the_engine_starts_with_the_printed_tables(scripts: Scripts) -> None:
    assert scripts.output(ENGINE) == ""


def test_futures_need_no_more_than_the_printed_tables(scripts: Scripts) -> None:
    asked = """
print(future.asset_type, future.kind, future.contract_size == 50, future.expires_at.isoformat())
assert future.metadata == {"venue": "CME", "root": "ES"}
assert (future.underlying_index_uid, future.settlement_asset, future.margin_asset) == (spx.uid, usd.uid, usd.uid)
assert Future.filter(settlement_asset=usd.uid, kind="EXPIRING") == [future]
assert (spx.provider, spx.calculation_method, spx.value_format) == ("example", "custom", "decimal")
print(Future.delete(future.uid), Future.get_by_uid(future.uid), Asset.get_by_uid(future.uid).asset_type)
"""
    assert scripts.output(ENGINE + FUTURE + asked) == "future EXPIRING True 2026-12-18T22:00:00+00:00\n1 None future\n"


def test_a_future_on_nothing_is_refused_with_every_reference(scripts: Scripts) -> None:
    asked = """
import uuid
try:
    Future.upsert(unique_identifier="X", kind="PERPETUAL", underlying_index_uid=uuid.uuid4(), quote_unit="USDT",
        settlement_asset=uuid.uuid4(), margin_asset=usd.uid, settlement_model="linear", settlement_method="cash",
        contract_size="1", contract_unit="btc")
except LookupError as error:
    print(sorted(error.by_field))
assert Asset.get_by_unique_identifier("X") is None
"""
    assert scripts.output(ENGINE + FUTURE + asked) == "['settlement_asset', 'underlying_index_uid']\n"
