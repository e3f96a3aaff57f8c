"""The registry on real data: sessions as exchange_calendars published them, and bonds as the US Treasury sold them."""

import csv
import datetime as dt
import gzip
from collections import defaultdict
from pathlib import Path

import pytest

from markets.models import Asset, Bond, CalendarSession, Issuer
from markets.services import bonds, issuers
from markets.services.calendars import create_from_pandas_calendar, refresh_calendar
from tests import factories

pytestmark = pytest.mark.django_db
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
AUCTIONS = DATA / "us_treasury_auctions_2008_2015.csv.gz"


def rows_of(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def instant(text: str) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


@pytest.mark.parametrize(
    ("market", "sessions", "with_break"), [("XNYS", 8324, 0), ("XHKG", 8803, 8744), ("24-7", 366, 0)]
)
def test_stored_sessions_are_those_of_the_reference(market: str, sessions: int, with_break: int) -> None:
    path = DATA / f"xcal_{market.lower()}.csv.gz"
    if not path.exists():
        pytest.skip(f"the shared data set {path.name} is not here")
    wanted = [
        (
            dt.date.fromisoformat(row[""][:10]),
            *(instant(row[name]) for name in ("open", "close", "break_start", "break_end")),
        )
        for row in rows_of(path)
    ]

    made = create_from_pandas_calendar(
        source_identifier=market.replace("-", "/"),
        unique_identifier=market,
        display_name=market,
        valid_from=wanted[0][0],
        valid_to=wanted[-1][0],
    )

    stored = list(
        CalendarSession.objects.filter(calendar=made.calendar)
        .order_by("local_date")
        .values_list("local_date", "opens_at", "closes_at", "break_starts_at", "break_ends_at")
    )
    assert [pair for pair in zip(stored, wanted, strict=False) if pair[0] != pair[1]][:5] == []
    assert len(stored) == len(wanted) == sessions
    assert sum(row[3] is not None for row in stored) == with_break


def test_a_refreshed_calendar_keeps_its_sessions_and_gains_the_new_ones() -> None:
    calendar = create_from_pandas_calendar(
        source_identifier="XNYS",
        unique_identifier="XNYS",
        display_name="New York",
        valid_from="2021-01-01",
        valid_to="2021-12-31",
    ).calendar
    before = list(calendar.sessions.order_by("pk").values())
    made = refresh_calendar(calendar, valid_to="2022-12-31")
    assert (made.created, made.kept, made.added, made.changed, made.removed) == (False, 252, 251, 0, 0)
    assert list(calendar.sessions.order_by("pk").values())[:252] == before
    again = refresh_calendar(calendar)
    assert (again.kept, again.added, again.changed, again.removed) == (503, 0, 0, 0)
    assert again.calendar.display_name == "New York"


@pytest.mark.skipif(not AUCTIONS.exists(), reason=f"the shared data set {AUCTIONS.name} is not here")
def test_one_treasury_bond_for_each_cusip() -> None:
    """A reopening sells more of a bond that exists: it is the same bond, issued when it was first."""
    auctions = rows_of(AUCTIONS)
    treasury = issuers.create_issuer(unique_identifier="US_TREASURY", display_name="United States Treasury")
    dollar = factories.currency(unique_identifier="USD")
    by_cusip: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in auctions:
        by_cusip[row["cusip"]].append(row)

    rows = [
        {
            "unique_identifier": cusip,
            "issuer_uid": treasury.uid,
            "currency_asset_uid": dollar.uid,
            "issue_date": min(row["originalIssueDate"] or row["issueDate"] for row in sales)[:10],
            "maturity_date": sale["maturityDate"][:10],
            "status": "MATURED" if sale["maturityDate"] < "2016" else "ACTIVE",
        }
        for cusip, sales in by_cusip.items()
        for sale in sorted(sales, key=lambda row: row["issueDate"])
    ]
    outcomes = [bonds.upsert_bond(**row).created for row in rows]

    assert len(auctions) == len(outcomes) == 537
    assert sum(outcomes) == len(by_cusip) == Bond.objects.count()
    assert len(auctions) - len(by_cusip) == outcomes.count(False) > 0
    stored = {
        bond.asset.unique_identifier: (bond.issue_date, bond.maturity_date)
        for bond in Bond.objects.select_related("asset")
    }
    assert stored["912810RP5"] == (dt.date(2015, 11, 16), dt.date(2045, 11, 15))
    assert stored["912795F55"] == (dt.date(2008, 1, 17), dt.date(2008, 7, 17))  # sold again in April
    assert {bond.asset.asset_type for bond in Bond.objects.select_related("asset")} == {"bond"}
    assert Asset.objects.count() == len(by_cusip) + 1
    assert Issuer.objects.get().bonds.count() == len(by_cusip)
    assert all(matures > issued for issued, matures in stored.values())

    one_by_one = _bonds()
    last_sales = list({row["unique_identifier"]: row for row in rows}.values())
    assert bonds.bulk_upsert_bonds(last_sales).unchanged == len(by_cusip)
    assert _bonds() == one_by_one
    Asset.objects.filter(asset_type="bond").delete()
    assert bonds.bulk_upsert_bonds(last_sales).created == len(by_cusip)
    assert _bonds() == one_by_one, "one bulk call writes what the loop wrote"
    again = bonds.bulk_upsert_bonds(rows, on_error="skip")
    assert (again.unchanged, again.rejected) == (len(by_cusip), len(auctions) - len(by_cusip))


def _bonds() -> list[tuple]:
    fields = ("unique_identifier", "asset_type", "issuer_uid", "currency_asset_uid")
    return list(Bond.objects.values_list(*fields, "issue_date", "maturity_date", "status"))
