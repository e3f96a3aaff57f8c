"""The code blocks of the seed documents on the registry, as printed, each in a fresh interpreter of its own."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.xdist_group("processes")

CURRENCIES = """\
from msm.api.assets import Asset, CurrencySpot
from msm.constants import ASSET_TYPE_CURRENCY

USD = {"code": "USD", "currency_name": "US Dollar"}
EUR = {"code": "EUR", "currency_name": "Euro"}

usd = Asset.upsert(unique_identifier=USD["code"], asset_type=ASSET_TYPE_CURRENCY)
eur = Asset.upsert(unique_identifier=EUR["code"], asset_type=ASSET_TYPE_CURRENCY)

eur_usd = CurrencySpot.upsert(
    unique_identifier="BBG0013HGRV5",
    base_currency_uid=eur.uid,
    quote_currency_uid=usd.uid,
)
"""

BONDS = """\
import datetime as dt

from msm.api.assets import Asset, AssetType, Bond
from msm.api.issuers import Issuer
from msm.constants import (
    ASSET_TYPE_BOND_DEFINITION,
    ASSET_TYPE_CURRENCY,
    ASSET_TYPE_CURRENCY_DEFINITION,
)

AssetType.upsert(**ASSET_TYPE_CURRENCY_DEFINITION.as_payload())
AssetType.upsert(**ASSET_TYPE_BOND_DEFINITION.as_payload())

issuer = Issuer.upsert(
    unique_identifier="example-issuer",
    display_name="Example Issuer",
)
usd = Asset.upsert(unique_identifier="USD", asset_type=ASSET_TYPE_CURRENCY)

bond = Bond.upsert(
    unique_identifier="example-usd-bond-2031",
    issuer_uid=issuer.uid,
    currency_asset_uid=usd.uid,
    issue_date=dt.date(2026, 5, 27),
    maturity_date=dt.date(2031, 5, 27),
    status="ACTIVE",
)
"""

FUTURES = """\
from decimal import Decimal

from msm.api.assets import Asset
from msm.api.derivatives import Future
from msm.api.indices import Index, IndexType
from msm.constants import (
    ASSET_TYPE_CURRENCY,
    INDEX_TYPE_EQUITY,
    INDEX_TYPE_EQUITY_DEFINITION,
)

IndexType.upsert(**INDEX_TYPE_EQUITY_DEFINITION.as_payload())
spx = Index.upsert(
    unique_identifier="SPX",
    index_type=INDEX_TYPE_EQUITY,
    display_name="S&P 500 Index",
    provider="example",
)
usd = Asset.upsert(unique_identifier="USD", asset_type=ASSET_TYPE_CURRENCY)

future = Future.upsert(
    unique_identifier="CME:ESZ6",
    kind="EXPIRING",
    underlying_index_uid=spx.uid,
    quote_unit="INDEX_POINT",
    settlement_asset=usd.uid,
    margin_asset=usd.uid,
    settlement_model="LINEAR",
    settlement_method="CASH",
    contract_size=Decimal("50"),
    contract_unit="INDEX_POINT",
    expires_at="2026-12-18T22:00:00Z",
    settles_at="2026-12-18T22:00:00Z",
    metadata={"venue": "CME", "root": "ES"},
)
"""

ENGINE = """\
import msm

msm.start_engine(models=["AssetType", "Asset", "IndexType", "Index", "FutureAssetDetails"])
"""

EVERYTHING = "import msm; msm.start_engine()\n"


@pytest.fixture
def run(environment, manage, tmp_path):
    """Runs code in a process of its own against a migrated database; returns what it printed."""
    assert manage("migrate", "--verbosity", "0").returncode == 0

    def run_block(code: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run_block


def test_currencies_and_bonds(run) -> None:
    shown = """
print(eur_usd.asset_type, eur_usd.uid == eur_usd.asset_uid == Asset.get_by_unique_identifier("BBG0013HGRV5").uid)
print(eur_usd.base_currency_uid == eur.uid, eur_usd.quote_currency_uid == usd.uid, eur_usd.uid)
assert CurrencySpot.filter(base_currency_uid=eur.uid) == [eur_usd] == [CurrencySpot.get_by_uid(eur_usd.uid)]
"""
    first = run(EVERYTHING + CURRENCIES + shown)
    assert first.startswith("currency_spot True\nTrue True ")
    assert run(EVERYTHING + CURRENCIES + shown) == first, "the same rows again"
    shown = """
print(bond.asset_type, bond.status, bond.issue_date, bond.maturity_date, bond.issuer_uid == issuer.uid, bond.uid)
assert bond.currency_asset_uid == usd.uid
assert Bond.get_by_unique_identifier("example-usd-bond-2031") == bond
try:
    Issuer.delete(issuer.uid)
except Exception as error:
    print(type(error).__name__)
"""
    first = run(EVERYTHING + BONDS + shown)
    assert first.startswith("bond ACTIVE 2026-05-27 2031-05-27 True ")
    assert first.endswith("ProtectedRow\n")
    assert run(EVERYTHING + BONDS + shown) == first


def test_futures_need_no_more_than_the_printed_tables(run) -> None:
    shown = """
print(future.asset_type, future.kind, future.contract_size == 50, future.expires_at.isoformat())
assert future.metadata == {"venue": "CME", "root": "ES"}
assert (future.underlying_index_uid, future.settlement_asset, future.margin_asset) == (spx.uid, usd.uid, usd.uid)
assert Future.filter(settlement_asset=usd.uid, kind="EXPIRING") == [future]
assert (spx.provider, spx.calculation_method, spx.value_format) == ("example", "custom", "decimal")
print(Future.delete(future.uid), Future.get_by_uid(future.uid), Asset.get_by_uid(future.uid).asset_type)
"""
    assert run(ENGINE + FUTURES + shown) == ("future EXPIRING True 2026-12-18T22:00:00+00:00\n1 None future\n")
    missing = """
import uuid
try:
    Future.upsert(unique_identifier="X", kind="PERPETUAL", underlying_index_uid=uuid.uuid4(), quote_unit="USDT",
        settlement_asset=uuid.uuid4(), margin_asset=usd.uid, settlement_model="linear", settlement_method="cash",
        contract_size="1", contract_unit="btc")
except LookupError as error:
    print(sorted(error.by_field))
assert Asset.get_by_unique_identifier("X") is None
"""
    assert run(ENGINE + FUTURES + missing) == "['settlement_asset', 'underlying_index_uid']\n"


def test_calendar_dates_and_events(run) -> None:
    code = """
from msm.api.calendars import Calendar, CalendarDate, CalendarEvent
nyse = Calendar.create_from_pandas_calendar(
    source_identifier="NYSE", unique_identifier="XNYS", display_name="New York",
    valid_from="2026-01-01", valid_to="2026-12-31",
)
holidays = CalendarDate.filter(calendar_uid=nyse.uid, is_holiday=True, limit=2)
print([(str(row.local_date), row.holiday_name) for row in holidays])
print(len(CalendarDate.filter(is_weekend=False, is_business_day=True)))
event = CalendarEvent.upsert(calendar_uid=nyse.uid, event_date="2026-03-20", event_type="last trade")
print(event.event_type, event.event_label == "", CalendarEvent.filter(event_type="Last Trade") == [event])
day = CalendarDate.upsert(calendar_uid=nyse.uid, local_date="2026-01-01", holiday_name="New Year")
print(day.holiday_name, day.is_holiday, CalendarDate.delete(day.uid), CalendarEvent.delete(event.uid))
"""
    assert run(EVERYTHING + code).splitlines() == [
        "[('2026-01-01', 'New Years Day'), ('2026-01-19', 'Dr. Martin Luther King Jr. Day')]",
        "251",
        "LAST_TRADE True True",
        "New Year True 1 1",
    ]
