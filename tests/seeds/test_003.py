"""Seed 003, Futures: each block in an interpreter of its own."""

import pytest

from markets.broker import shared_redis
from markets.openfigi.fake.server import FakeOpenFigi, FakeServer
from tests.scripts import Scripts
from tests.seeds.documents import ENGINE, FUTURE, INDEX_FUTURE

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


def test_a_future_and_its_index_come_from_their_figis(scripts: Scripts) -> None:
    """Asked of a server on this machine; what it makes up says SYNTHETIC."""
    asked = """
from msm.api.indices import Index
print(future.unique_identifier, future.asset_type, future.kind, future.contract_size == 50)
index = Index.get_by_uid(future.underlying_index_uid)
print(index.unique_identifier, index.display_name, future.metadata["underlying_index_figi"] == index.unique_identifier)
assert (future.settlement_asset, future.margin_asset) == (usd.uid, usd.uid)
"""
    shared_redis().ping()  # the script finds it by its address, and starts none
    with FakeServer(FakeOpenFigi()) as server:
        ran = scripts.run(ENGINE + INDEX_FUTURE + asked, MSM_OPENFIGI_BASE_URL=server.url)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "BBG01SWCTHK4 future EXPIRING True",
        "BBG000KKFC45 SYNTHETIC S&P 500 INDEX True",
    ]


def test_a_future_on_what_is_no_index_is_refused_and_leaves_nothing(scripts: Scripts) -> None:
    block = INDEX_FUTURE.replace("BBG000KKFC45", "BBG000B9XRY4")
    shared_redis().ping()  # the script finds it by its address, and starts none
    with FakeServer(FakeOpenFigi()) as server:
        ran = scripts.run(ENGINE + block, MSM_OPENFIGI_BASE_URL=server.url)
    assert ran.returncode == 1
    assert "BBG000B9XRY4 is no index: OpenFIGI puts it in the market sector Equity, not Index." in ran.stderr
    assert scripts.rows("SELECT unique_identifier FROM markets_asset") == [("USD",)]
    assert scripts.rows("SELECT count(*) FROM markets_index") == [(0,)]
