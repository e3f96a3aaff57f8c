"""Currency spots, bonds and futures through their services: what is written, and what is refused whole."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from markets.exceptions import Conflict, InvalidInput, InvalidReferences, MissingReferences, ProtectedRow
from markets.models import Asset, AssetType, Bond, CurrencySpot, Future
from markets.services import assets, bonds, currency_spots, deletion, futures
from tests import factories

pytestmark = pytest.mark.django_db
EXPIRY = dt.datetime(2026, 12, 18, 22, tzinfo=dt.UTC)


def bond_terms(**changes: Any) -> dict[str, Any]:
    return {
        "issuer_uid": factories.issuer().uid,
        "currency_asset_uid": factories.currency().uid,
        "issue_date": "2026-05-27",
        "maturity_date": dt.date(2031, 5, 27),
        "status": " active ",
        **changes,
    }


def future_terms(**changes: Any) -> dict[str, Any]:
    money = factories.currency().uid
    return {
        "kind": "expiring",
        "underlying_index_uid": str(factories.index().uid),
        "quote_unit": " index_point ",
        "settlement_asset": money,
        "margin_asset": money,
        "settlement_model": "Linear",
        "settlement_method": "CASH",
        "contract_size": Decimal("50"),
        "contract_unit": "btc",
        "expires_at": "2026-12-18T22:00:00Z",
        "settles_at": EXPIRY,
        **changes,
    }


def test_a_bond_is_an_asset_with_terms_and_the_same_one_again() -> None:
    terms = bond_terms()
    made = bonds.upsert_bond(unique_identifier=" B ", **terms)
    row = Bond.objects.get()
    assert (made.created, row.unique_identifier, row.asset_type, row.status) == (True, "B", "bond", "ACTIVE")
    assert (row.uid, row.issuer.uid) == (Asset.objects.get(unique_identifier="B").uid, terms["issuer_uid"])
    assert AssetType.objects.get(asset_type="bond").display_name == "Bond"
    before = row.updated_at
    again = bonds.upsert_bond(unique_identifier="B", **terms)
    assert (again.created, again.row.uid, again.row.updated_at) == (False, row.uid, before), "nothing was written"
    kept = bonds.upsert_bond(unique_identifier="B", status="CALLED").row
    assert (kept.status, kept.maturity_date) == ("CALLED", dt.date(2031, 5, 27))
    assert bonds.update_bond(kept, maturity_date=None).maturity_date is None


def test_a_type_that_was_described_keeps_its_words() -> None:
    factories.asset_type(asset_type="bond", display_name="Our bonds")
    bonds.upsert_bond(unique_identifier="B", **bond_terms())
    assert AssetType.objects.get().display_name == "Our bonds"


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"issuer_uid": "junk"}, InvalidReferences, "issuer_uid"),
        ({"maturity_date": "2026-05-26"}, InvalidInput, "maturity_date"),
        ({"status": "LATE"}, InvalidInput, "status"),
        ({"issue_date": None}, InvalidInput, "issue_date"),
        ({"coupon_rate": 1}, InvalidInput, "coupon_rate"),
    ],
)
def test_a_bad_bond_writes_nothing(changes: dict, error: type[Exception], field: str) -> None:
    terms = bond_terms(**changes)
    count = Asset.objects.count()
    with pytest.raises(error) as refused:
        bonds.upsert_bond(unique_identifier="B", **terms)
    assert refused.value.field == field  # type: ignore[attr-defined]
    assert (Asset.objects.count(), Bond.objects.count(), AssetType.objects.count()) == (count, 0, 0)


def test_equal_dates_are_a_bond_and_a_new_one_names_what_it_lacks() -> None:
    bonds.upsert_bond(unique_identifier="B", **bond_terms(maturity_date="2026-05-27"))
    with pytest.raises(InvalidInput, match=r"A new bond needs issuer, currency_asset, issue_date, status\."):
        bonds.upsert_bond(unique_identifier="C")
    assert not Asset.objects.filter(unique_identifier="C").exists()


def test_all_missing_references_are_told_at_once() -> None:
    nothing = [uuid.uuid4() for _ in range(3)]
    terms = future_terms(underlying_index_uid=nothing[0], settlement_asset=nothing[1], margin_asset=nothing[2])
    before = set(Asset.objects.values_list("pk", flat=True))
    with pytest.raises(LookupError) as refused:
        futures.upsert_future(unique_identifier="F", **terms)
    assert isinstance(refused.value, MissingReferences)
    assert isinstance(refused.value, InvalidInput)
    assert list(refused.value.by_field) == ["underlying_index_uid", "settlement_asset", "margin_asset"]
    assert all(str(uid) in str(refused.value) for uid in nothing)
    assert set(Asset.objects.values_list("pk", flat=True)) == before
    assert not AssetType.objects.exists()


def test_a_currency_is_a_currency() -> None:
    share = factories.asset(asset_type="equity")
    euro, token = factories.currency(), factories.currency(asset_type="crypto")
    with pytest.raises(InvalidReferences, match="whose type is equity; a currency's is currency or crypto") as refused:
        currency_spots.upsert_currency_spot(
            unique_identifier="P", base_currency_uid=share.uid, quote_currency_uid=euro.uid
        )
    assert list(refused.value.by_field) == ["base_currency_uid"]
    with pytest.raises(InvalidReferences):
        bonds.upsert_bond(unique_identifier="B", **bond_terms(currency_asset_uid=share.uid))
    made = currency_spots.upsert_currency_spot(
        unique_identifier="P", base_currency_uid=token.uid, quote_currency_uid=euro.uid
    )
    assert made.created


def test_pairs_are_ordered_and_unique() -> None:
    euro, dollar = factories.currency(unique_identifier="EUR"), factories.currency(unique_identifier="USD")
    pair = {"base_currency_uid": euro.uid, "quote_currency_uid": dollar.uid}
    currency_spots.create_currency_spot(unique_identifier="EURUSD", **pair)
    currency_spots.create_currency_spot(
        unique_identifier="USDEUR", base_currency_uid=dollar.uid, quote_currency_uid=euro.uid
    )
    with pytest.raises(Conflict, match="The pair EUR/USD is the asset EURUSD already"):
        currency_spots.upsert_currency_spot(unique_identifier="OTHER", **pair)
    with pytest.raises(InvalidInput, match="Base and quote are both EUR"):
        currency_spots.upsert_currency_spot(unique_identifier="EURUSD", quote_currency_uid=euro.uid)
    with pytest.raises(Conflict, match="A currency spot 'EURUSD' exists already"):
        currency_spots.create_currency_spot(unique_identifier="EURUSD", **pair)
    assert not Asset.objects.filter(unique_identifier="OTHER").exists()
    assert CurrencySpot.objects.count() == 2


def test_a_future_is_stored_as_meant() -> None:
    row = futures.upsert_future(unique_identifier="CME:ESZ6", **future_terms()).row
    assert (row.kind, row.quote_unit, row.contract_unit, row.settlement_model) == (
        "EXPIRING",
        "INDEX_POINT",
        "BTC",
        "LINEAR",
    )
    assert (row.contract_size, row.expires_at, row.settles_at) == (Decimal(50), EXPIRY, EXPIRY)
    perpetual = futures.update_future(row, kind="PERPETUAL", expires_at=None)
    assert (perpetual.kind, perpetual.expires_at, perpetual.settles_at) == ("PERPETUAL", None, EXPIRY)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "PERPETUAL"}, "expires_at"),
        ({"expires_at": None}, "expires_at"),
        ({"expires_at": "2026-12-18T22:00:00"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"settles_at": "2026-12-18T21:59:59Z"}, "settles_at"),
        ({"contract_size": 0}, "contract_size"),
        ({"contract_size": "-1"}, "contract_size"),
        ({"contract_size": "NaN"}, "contract_size"),
        ({"contract_size": "1e-19"}, "contract_size"),
        ({"contract_size": 10**20}, "contract_size"),
        ({"contract_size": True}, "contract_size"),
        ({"quote_unit": " "}, "quote_unit"),
        ({"contract_unit": "é"}, "contract_unit"),
        ({"kind": "MONTHLY"}, "kind"),
        ({"settlement_method": None}, "settlement_method"),
        ({"metadata": [1]}, "metadata"),
        ({"strike": 5}, "strike"),
    ],
)
def test_a_bad_future_writes_nothing(changes: dict, field: str) -> None:
    terms = future_terms(**changes)
    count = Asset.objects.count()
    with pytest.raises(InvalidInput) as refused:
        futures.upsert_future(unique_identifier="F", **terms)
    assert refused.value.field == field
    assert (Asset.objects.count(), Future.objects.count(), AssetType.objects.count()) == (count, 0, 0)


def test_a_type_changes_only_without_terms_of_another() -> None:
    bond = factories.bond()
    asset = Asset.objects.get(pk=bond.pk)
    for change in ("crypto", None):
        with pytest.raises(Conflict, match="has the terms of a bond"):
            assets.update_asset(asset, asset_type=change)
    with pytest.raises(Conflict, match="Delete its bond row first"):
        futures.upsert_future(unique_identifier=bond.unique_identifier, **future_terms())
    assert not Future.objects.exists()
    deletion.delete(bond)
    assert futures.upsert_future(unique_identifier=bond.unique_identifier, **future_terms()).created
    with pytest.raises(Conflict, match="is the currency of the bond"):
        assets.update_asset(factories.bond().currency_asset, asset_type="equity")
    assert bonds.upsert_bond(
        unique_identifier=factories.asset(asset_type="crypto").unique_identifier, **bond_terms()
    ).created


def test_what_terms_refer_to_stays_and_an_asset_takes_its_terms_along() -> None:
    bond, future = factories.bond(), factories.future()
    for needed in (bond.issuer, future.underlying_index):
        assert not deletion.delete_impact(needed).can_delete
        with pytest.raises(ProtectedRow):
            deletion.delete(needed)
    for needed in (bond.currency_asset, future.settlement_asset):
        with pytest.raises(ProtectedRow):
            assets.delete_asset(needed)
    assets.delete_asset(Asset.objects.get(pk=bond.pk))
    assert not Bond.objects.exists()
    deletion.delete(bond.issuer)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("bond", {"maturity_date": dt.date(2020, 1, 1)}),
        ("bond", {"status": "LATE"}),
        ("future", {"kind": "PERPETUAL"}),
        ("future", {"expires_at": None}),
        ("future", {"contract_size": 0}),
        ("future", {"quote_unit": "usd"}),
        ("future", {"settles_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}),
    ],
)
def test_the_database_states_the_rules_too(kind: str, change: dict) -> None:
    row = getattr(factories, kind)()
    with pytest.raises(IntegrityError), transaction.atomic():
        type(row)._base_manager.filter(pk=row.pk).update(**change)
