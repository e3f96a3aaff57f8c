"""Single FIGIs, indices and index futures from OpenFIGI: all of it is resolved before anything is written."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connections

from markets.engine.figi_facts import FigiFacts
from markets.exceptions import InvalidInput, MissingReferences
from markets.models import Asset, AssetIdentifier, AssetSnapshot, Future, Index, OpenFigiDetails, PendingResolution
from markets.openfigi.answers import FigiRow
from markets.openfigi.errors import OpenFigiUnavailable
from markets.openfigi.fake.universe import NOT_FOUND_EVERY, made_figi, rows_for, security
from markets.services.assets import upsert_asset
from markets.services.figi_registration import register_asset_from_figi, register_assets_from_figis
from markets.services.index_types import upsert_index_type
from markets.services.openfigi_indices import register_index_from_figi, register_index_future_from_figis
from markets.services.openfigi_lookup import (
    AmbiguousIdentifier,
    FigiNotFound,
    query_by_figi,
    query_by_isin,
    query_figi,
    search_figi,
)
from markets.services.openfigi_registration import FoundAsset, default_asset_type, register_found

APPLE = "US0378331005"
INDEX, FUTURE = "BBG000KKFC45", "BBG01SWCTHK4"


def terms(**changes):
    usd = upsert_asset(unique_identifier="USD", asset_type="currency").row
    return {
        "underlying_index_figi": INDEX,
        "underlying_index_type": "EQUITY",
        "settlement_asset_uid": usd.uid,
        "margin_asset_uid": usd.uid,
        "kind": "EXPIRING",
        "quote_unit": "INDEX_POINT",
        "settlement_model": "LINEAR",
        "settlement_method": "CASH",
        "contract_size": Decimal("50"),
        "contract_unit": "INDEX_POINT",
        "expires_at": "2026-12-18T22:00:00Z",
        "settles_at": "2026-12-18T22:00:00Z",
    } | changes


@pytest.fixture
def equity_indices(db) -> None:
    upsert_index_type(index_type="EQUITY", display_name="Equity")


def test_a_figi_is_asked_for(openfigi):
    row = query_by_figi("bbg000b9xry4")
    assert (row.figi, row.name) == ("BBG000B9XRY4", "SYNTHETIC BBG000B9XRY4")
    assert [entry["id_values"] for entry in openfigi.fake.log] == [["BBG000B9XRY4"]]
    with pytest.raises(InvalidInput, match="its check digit is 5 where 4 is due"):
        query_by_figi("BBG000B9XRY5")
    assert len(openfigi.fake.log) == 1


def test_an_isin_on_an_exchange_is_one_row_or_an_error(openfigi):
    [expected] = [row for row in rows_for("ID_ISIN", APPLE) if row["exchCode"] == "UN"]
    assert query_by_isin(APPLE, "UN").figi == expected["figi"]
    with pytest.raises(FigiNotFound, match="OpenFIGI knows no ISIN US0378331005 on XX"):
        query_by_isin(APPLE, "XX")


def test_several_rows_for_a_figi_are_told(openfigi, monkeypatch):
    rows = tuple(FigiRow(figi=made_figi(1, role)) for role in (1, 2))
    from markets.openfigi.answers import Answer, Outcome
    from markets.services import openfigi_lookup

    with pytest.raises(AmbiguousIdentifier, match="OpenFIGI knows 2 instruments for X") as caught:
        openfigi_lookup._only(Answer(Outcome.FOUND, rows=rows), "X")
    assert caught.value.rows == list(rows)


def test_tickers_are_asked_with_their_filters(openfigi):
    found = query_figi(["B", "C"], market_sector="Equity", exchange_code="US")
    assert {row.exchange_code for row in found} <= {"US"}
    assert query_figi(["B"], market_sector="Corp") == []
    with pytest.raises(InvalidInput, match="takes a list"):
        query_figi("B", market_sector="Equity")


def test_a_search_collects_all_pages(openfigi):
    found = search_figi("SYNTHETIC AURORA", market_sector="Equity", exchange_code="US")
    assert len(found) > 100
    assert search_figi("SYNTHETIC AURORA", most=2)[0].name.startswith("SYNTHETIC AURORA")
    with pytest.raises(InvalidInput, match="query is blank"):
        search_figi("  ")


def test_an_answer_that_cannot_be_used_is_no_not_found(openfigi):
    openfigi.fake.plan.replace([{"fault": "short_array"}])
    with pytest.raises(OpenFigiUnavailable, match="could not be used"):
        query_by_figi("BBG000B9XRY4")


def test_an_index_is_registered_from_its_figi(openfigi, equity_indices):
    index = register_index_from_figi(INDEX, index_type="EQUITY")
    assert (index.unique_identifier, index.display_name) == (INDEX, "SYNTHETIC S&P 500 INDEX")
    assert sorted(index.metadata_json["openfigi"]) == sorted(
        [
            *(
                "figi",
                "composite",
                "share_class",
                "ticker",
                "name",
                "exchange_code",
                "security_type",
                "security_type_2",
            ),
            *("security_market_sector", "security_description", "metadata", "unique_id", "unique_id_fut_opt"),
            "raw_payload",
        ]
    )
    assert not Asset.objects.exists()


def test_what_is_no_index_is_not_registered_as_one(openfigi, equity_indices):
    with pytest.raises(InvalidInput, match=r"BBG000B9XRY4 is no index: .* market sector Equity, not Index"):
        register_index_from_figi("BBG000B9XRY4", index_type="EQUITY")
    assert not Index.objects.exists()


def test_an_index_future_has_its_index_its_details_and_its_first_snapshot(openfigi, equity_indices):
    future = register_index_future_from_figis(FUTURE, metadata={"venue": "CME", "openfigi": "mine"}, **terms())
    assert future.asset.unique_identifier == FUTURE
    assert (future.asset.asset_type, future.asset.is_custom_by_organization) == ("future", False)
    assert future.underlying_index.unique_identifier == INDEX
    assert (future.contract_size, future.kind) == (Decimal(50), "EXPIRING")
    assert future.metadata == {"venue": "CME", "openfigi": "mine", "underlying_index_figi": INDEX}
    assert OpenFigiDetails.objects.get().figi == FUTURE
    assert AssetSnapshot.objects.get().asset_identifier == FUTURE
    assert [entry["id_values"] for entry in openfigi.fake.log] == [[INDEX, FUTURE]]
    again = register_index_future_from_figis(FUTURE, **terms(contract_size=Decimal(5)))
    assert (again.pk, again.contract_size) == (future.pk, Decimal(5))
    assert AssetSnapshot.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"underlying_index_figi": "BBG000B9XRY4"}, InvalidInput),
        ({"underlying_index_figi": "BBG000B9XRY5"}, InvalidInput),
        ({"contract_size": Decimal(0)}, InvalidInput),
        ({"expires_at": None}, InvalidInput),
        ({"settlement_asset_uid": "01890000-0000-7000-8000-000000000000"}, MissingReferences),
        ({"unheard_of": 1}, InvalidInput),
    ],
)
def test_a_future_that_is_refused_leaves_nothing(openfigi, equity_indices, changes, error):
    with pytest.raises(error):
        register_index_future_from_figis(FUTURE, **terms(**changes))
    assert not Index.objects.exists()
    assert not Future.objects.exists()
    assert [asset.unique_identifier for asset in Asset.objects.all()] == ["USD"]


@pytest.mark.parametrize(
    ("sector", "kind", "group", "asset_type"),
    [
        ("Equity", "Common Stock", "Common Stock", "equity"),
        ("Pfd", "PUBLIC", "Preferred Stock", "equity"),
        ("Equity", "SINGLE STOCK FUTURE", "Future", "future"),
        ("Comdty", "Financial commodity future.", "Future", "future"),
        ("Equity", "Equity Option", "Option", None),
        ("Equity", "Equity WRT", "Warrant", None),
        ("Govt", "US GOVERNMENT", "Note", "bond"),
        ("Corp", "DOMESTIC MTN", "Corp", "bond"),
        ("M-Mkt", "COMMERCIAL PAPER", "", "bond"),
        ("Curncy", "Crypto", "CRYPTO", "crypto"),
        ("Curncy", "SPOT", "SPOT", "currency_spot"),
        ("Curncy", "FORWARD", "FORWARD", None),
        ("Index", "Equity Index", "Index", None),
        (None, None, None, None),
    ],
)
def test_the_type_of_an_asset_is_told_by_its_row_or_not_at_all(sector, kind, group, asset_type):
    row = FigiRow(figi="X", security_market_sector=sector, security_type=kind, security_type_2=group)
    assert default_asset_type(row) == asset_type


@pytest.mark.django_db
def test_an_asset_that_is_there_keeps_what_it_is_and_gets_what_it_lacks(openfigi):
    asset = upsert_asset(unique_identifier="BBG000B9XRY4", asset_type="our_kind").row
    row = query_by_figi("BBG000B9XRY4")
    found = register_found([FoundAsset(row)])["BBG000B9XRY4"]
    assert (found.asset.pk, found.is_new, found.asset.asset_type) == (asset.pk, False, "our_kind")
    assert OpenFigiDetails.objects.get(asset=asset).name == "SYNTHETIC BBG000B9XRY4"
    assert AssetSnapshot.objects.count() == 1
    register_found([FoundAsset(row)])
    assert (AssetSnapshot.objects.count(), AssetIdentifier.objects.count()) == (1, 3)


@pytest.mark.django_db
def test_an_identifier_of_another_asset_is_left_to_it(openfigi):
    other = upsert_asset(unique_identifier="OTHER").row
    figi = made_figi(5, 1)
    AssetIdentifier.objects.create(asset=other, scheme="figi", value=figi, source="a person")
    register_found([FoundAsset(query_by_figi(figi))])
    assert AssetIdentifier.objects.get(scheme="figi", value=figi).asset == other
    assert Asset.objects.filter(unique_identifier=figi).exists()


@pytest.mark.django_db(transaction=True)
def test_callers_at_the_same_time_end_with_one_asset(openfigi):
    rows = [FoundAsset(query_by_figi(row["figi"])) for row in security(23)]

    def work(seed: int) -> int:
        try:
            ordered = rows if seed % 2 else rows[::-1]
            return sum(item.is_new for item in register_found(ordered).values())
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(work, range(6)))
    assert sum(made) == len(rows) == Asset.objects.count()
    assert OpenFigiDetails.objects.count() == AssetSnapshot.objects.count() == len(rows)


@pytest.mark.django_db
def test_figis_are_registered_with_what_openfigi_says(openfigi):
    figis = [row["figi"] for row in security(23)]
    found = register_assets_from_figis(figis)
    assert [item.outcome for item in found] == ["registered"] * len(figis)
    details = {row.figi: row.name for row in OpenFigiDetails.objects.all()}
    assert set(details.values()) == {next(security(23))["name"]}
    assert not PendingResolution.objects.exists()
    openfigi.fake.log.clear()
    assert [item.outcome for item in register_assets_from_figis(figis)] == ["existing"] * len(figis)
    assert openfigi.fake.log == []


@pytest.mark.django_db
def test_a_figi_that_openfigi_does_not_know_is_registered_only_where_a_file_describes_it(openfigi):
    unknown = made_figi(NOT_FOUND_EVERY * 3, 60)
    with pytest.raises(FigiNotFound, match=f"OpenFIGI knows no FIGI {unknown}"):
        register_asset_from_figi(unknown)
    assert not Asset.objects.exists()
    [found] = register_assets_from_figis([unknown], facts={unknown: FigiFacts(name="Of the file")})
    assert found.outcome == "registered"
    assert PendingResolution.objects.get().value == unknown
    assert len(openfigi.fake.log) == 1, "that it is unknown is remembered"


@pytest.mark.django_db
def test_without_the_network_a_figi_is_registered_and_waits(openfigi, monkeypatch):
    monkeypatch.setattr("markets.openfigi.client.FIRST_PAUSE", 0)
    openfigi.fake.plan.replace([{"fault": "reset"}])
    figis = [row["figi"] for row in security(23)]
    found = register_assets_from_figis(figis, batch_size=1)
    assert [item.outcome for item in found] == ["registered"] * len(figis)
    assert PendingResolution.objects.count() == len(figis)
    assert len(openfigi.fake.log) == 2, "two tries of the first batch, and then it is not asked any more"


@pytest.mark.django_db
def test_more_than_a_window_of_the_limit_allows_is_not_waited_for(openfigi, settings):
    settings.OPENFIGI_MAPPING_LIMIT = (1, 60.0)
    figis = [row["figi"] for number in (23, 24, 25) for row in security(number)]
    register_assets_from_figis(figis)
    assert [entry["jobs"] for entry in openfigi.fake.log] == [10]
    assert PendingResolution.objects.count() == len(figis) - 10
    assert Asset.objects.count() == len(figis)
