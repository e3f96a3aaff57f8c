"""Bulk upsert of bonds, futures and currency spots: asset and terms in one call, by the rules of the single rows."""

import datetime as dt
import threading
import uuid
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from markets.exceptions import Conflict, InvalidInput, MSMError, RejectedRows
from markets.models import Asset, AssetType, Bond, CurrencySpot, Future
from markets.services import bonds, bulk, currency_spots, futures
from tests import factories
from tests.markets.services.test_details import bond_terms, future_terms

pytestmark = pytest.mark.django_db
EXPIRY = dt.datetime(2026, 12, 18, 22, tzinfo=dt.UTC)


def told(outcome: bulk.BulkOutcome) -> list[tuple[Any, ...]]:
    return [(row.key, row.outcome, row.field) for row in outcome.rows()]


def stored() -> tuple[list[Any], ...]:
    return tuple(list(model._base_manager.order_by("pk").values()) for model in (Asset, Bond, Future, CurrencySpot))


def reason_of(outcome: bulk.BulkOutcome) -> str:
    (fault,) = outcome.rejections
    return fault.reason


def pair_terms(**changes: Any) -> dict[str, Any]:
    return {
        "base_currency_uid": factories.currency().uid,
        "quote_currency_uid": factories.currency(asset_type="crypto").uid,
        **changes,
    }


# --- what is written -------------------------------------------------------------------------------------------------
def test_bonds_are_made_changed_and_left_alone() -> None:
    terms = bond_terms()
    plain = factories.asset(unique_identifier="PLAIN", asset_type=None, is_custom_by_organization=False)
    rows: list[dict[str, Any]] = [
        {"unique_identifier": " NEW ", **terms},
        {"unique_identifier": "PLAIN", **terms, "issuer_uid": str(terms["issuer_uid"])},
        {"unique_identifier": "PERPETUAL", **terms, "maturity_date": None},
    ]
    assert told(bonds.bulk_upsert_bonds(rows)) == [
        ("NEW", "created", None),
        ("PLAIN", "created", None),
        ("PERPETUAL", "created", None),
    ]
    found = Bond.objects.values_list("unique_identifier", "asset_type", "issuer_uid", "maturity_date", "status")
    matures, issuer = dt.date(2031, 5, 27), terms["issuer_uid"]
    assert list(found) == [
        ("NEW", "bond", issuer, matures, "ACTIVE"),
        ("PERPETUAL", "bond", issuer, None, "ACTIVE"),
        ("PLAIN", "bond", issuer, matures, "ACTIVE"),
    ]
    assert Bond.objects.get(unique_identifier="PLAIN").uid == plain.uid
    assert Asset.objects.filter(is_custom_by_organization=True, asset_type="bond").count() == 2
    assert AssetType.objects.values_list("asset_type", "display_name").get() == ("bond", "Bond")

    before = stored()
    assert bonds.bulk_upsert_bonds(rows).unchanged == 3
    assert stored() == before, "nothing was written"
    outcome = bonds.bulk_upsert_bonds(
        [
            {"unique_identifier": "NEW", "maturity_date": None},
            {"unique_identifier": "PLAIN", "status": "called", "issue_date": "2026-05-28"},
            {"unique_identifier": "PERPETUAL"},
        ]
    )
    assert told(outcome) == [
        ("NEW", "updated", None),
        ("PLAIN", "updated", None),
        ("PERPETUAL", "unchanged", None),
    ]
    found = Bond.objects.values_list("unique_identifier", "issue_date", "maturity_date", "status")
    assert list(found) == [
        ("NEW", dt.date(2026, 5, 27), None, "ACTIVE"),
        ("PERPETUAL", dt.date(2026, 5, 27), None, "ACTIVE"),
        ("PLAIN", dt.date(2026, 5, 28), matures, "CALLED"),
    ]
    assert list(Asset.objects.order_by("pk").values()) == before[0], "the assets themselves did not change"


def test_futures_from_rows_and_from_a_frame() -> None:
    terms = future_terms(metadata={"a": [1, None]})
    perpetual = {**terms, "kind": "PERPETUAL", "expires_at": None, "settles_at": None, "contract_size": 0.25}
    rows = [{"unique_identifier": "F", **terms}, {"unique_identifier": "P", **perpetual}]
    assert futures.bulk_upsert_futures(rows).created == 2
    row, other = Future.objects.all()
    assert (row.kind, row.quote_unit, row.settlement_model) == ("EXPIRING", "INDEX_POINT", "LINEAR")
    assert (row.contract_size, row.contract_unit, row.metadata) == (Decimal(50), "BTC", {"a": [1, None]})
    assert (row.expires_at, row.settles_at, row.asset_type) == (EXPIRY, EXPIRY, "future")
    assert (row.settlement_asset.uid, str(row.underlying_index.uid)) == (
        terms["settlement_asset"],
        terms["underlying_index_uid"],
    )
    assert (other.kind, other.expires_at, other.contract_size) == ("PERPETUAL", None, Decimal("0.25"))
    frame = pd.DataFrame(
        {
            "unique_identifier": ["F", "P"],
            "settles_at": pd.to_datetime(["2026-12-19T00:00:00Z", None]),
            "contract_size": [50.0, 0.5],
        }
    )
    assert told(futures.bulk_upsert_futures(frame)) == [("F", "updated", None), ("P", "updated", None)]
    row, other = Future.objects.all()
    assert (row.settles_at, row.contract_size) == (dt.datetime(2026, 12, 19, tzinfo=dt.UTC), Decimal(50))
    assert (other.settles_at, other.contract_size) == (None, Decimal("0.5"))
    to_perpetual = {"unique_identifier": "F", "kind": "perpetual", "expires_at": None, "settles_at": None}
    assert futures.bulk_upsert_futures([to_perpetual, {"unique_identifier": "P", "metadata": None}]).updated == 2
    assert list(Future.objects.values_list("kind", "expires_at", "metadata")) == [
        ("PERPETUAL", None, {"a": [1, None]}),
        ("PERPETUAL", None, None),
    ]


def test_pairs_are_unique_in_the_call_and_among_the_stored() -> None:
    euro, dollar, bitcoin = (factories.currency(unique_identifier=name) for name in ("EUR", "USD", "BTC"))
    factories.currency_spot(
        asset=factories.asset(unique_identifier="STORED", asset_type="currency_spot"),
        base_currency=euro,
        quote_currency=dollar,
    )

    def pair(name: str, base: Asset, quote: Asset) -> dict[str, Any]:
        return {"unique_identifier": name, "base_currency_uid": base.uid, "quote_currency_uid": quote.uid}

    rows = [
        pair("STORED", euro, dollar),
        pair("AGAIN", euro, dollar),
        pair("REVERSE", dollar, euro),
        pair("FIRST", bitcoin, dollar),
        pair("SECOND", bitcoin, dollar),
        pair("SAME", bitcoin, bitcoin),
        {"unique_identifier": "HALF", "base_currency_uid": bitcoin.uid},
    ]
    before = stored()
    with pytest.raises(RejectedRows, match="4 of 7 currency spot rows are refused"):
        currency_spots.bulk_upsert_currency_spots(rows)
    assert stored() == before
    outcome = currency_spots.bulk_upsert_currency_spots(rows, on_error="skip")
    assert told(outcome) == [
        ("STORED", "unchanged", None),
        ("AGAIN", "rejected", "quote_currency_uid"),
        ("REVERSE", "created", None),
        ("FIRST", "created", None),
        ("SECOND", "rejected", "quote_currency_uid"),
        ("SAME", "rejected", "quote_currency_uid"),
        ("HALF", "rejected", "quote_currency_uid"),
    ]
    assert [fault.reason for fault in outcome.rejections] == [
        "The pair EUR/USD is the asset STORED already. Use that one.",
        "The pair BTC/USD is the asset FIRST already. Use that one.",
        "Base and quote are both BTC. A pair has two currencies.",
        "quote_currency_uid is missing. A new currency spot needs it.",
    ]
    found = CurrencySpot.objects.values_list(
        "unique_identifier", "base_currency__unique_identifier", "quote_currency__unique_identifier"
    )
    assert list(found) == [("FIRST", "BTC", "USD"), ("REVERSE", "USD", "EUR"), ("STORED", "EUR", "USD")]
    moved = currency_spots.bulk_upsert_currency_spots(
        [{"unique_identifier": "FIRST", "base_currency_uid": euro.uid}], on_error="skip"
    )
    assert reason_of(moved) == "The pair EUR/USD is the asset STORED already. Use that one."


# --- what is refused -------------------------------------------------------------------------------------------------
NOTHING = uuid.uuid4()
REFUSED: list[Any] = [
    ("bond", {"issuer_uid": "junk"}, "issuer_uid"),
    ("bond", {"issuer_uid": None}, "issuer_uid"),
    ("bond", {"issuer_uid": NOTHING}, "issuer_uid"),
    ("bond", {"currency_asset_uid": str(NOTHING)}, "currency_asset_uid"),
    ("bond", {"currency_asset_uid": "{share}"}, "currency_asset_uid"),
    ("bond", {"maturity_date": "2026-05-26"}, "maturity_date"),
    ("bond", {"issue_date": "2031-05-28"}, "maturity_date"),
    ("bond", {"issue_date": None}, "issue_date"),
    ("bond", {"issue_date": "1\x00"}, "issue_date"),
    ("bond", {"status": "LATE"}, "status"),
    ("future", {"kind": "PERPETUAL"}, "expires_at"),
    ("future", {"expires_at": None, "settles_at": None}, "expires_at"),
    ("future", {"settles_at": "2026-12-18T21:59:59Z"}, "settles_at"),
    ("future", {"expires_at": "2026-12-18T22:00:00"}, "expires_at"),
    ("future", {"contract_size": float("nan")}, "contract_size"),
    ("future", {"contract_size": 0}, "contract_size"),
    ("future", {"metadata": {"a": float("inf")}}, "metadata"),
    ("future", {"underlying_index_uid": NOTHING}, "underlying_index_uid"),
    ("future", {"margin_asset": NOTHING}, "margin_asset"),
    ("pair", {"base_currency_uid": "{share}"}, "base_currency_uid"),
    ("pair", {"quote_currency_uid": NOTHING}, "quote_currency_uid"),
]
SERVICES: dict[str, Any] = {
    "bond": (bond_terms, bonds.upsert_bond, bonds.bulk_upsert_bonds),
    "future": (future_terms, futures.upsert_future, futures.bulk_upsert_futures),
    "pair": (pair_terms, currency_spots.upsert_currency_spot, currency_spots.bulk_upsert_currency_spots),
}


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize(("kind", "changes", "field"), REFUSED)
def test_a_row_is_refused_as_the_single_one_is(kind: str, changes: dict, field: str, is_stored: bool) -> None:
    make_terms, upsert, bulk_upsert = SERVICES[kind]
    share = factories.asset(unique_identifier="SHARE", asset_type="equity")
    changes = {name: share.uid if value == "{share}" else value for name, value in changes.items()}
    terms = make_terms()
    if is_stored:
        upsert(unique_identifier="X", **terms)
    row = changes if is_stored else {**terms, **changes}
    before = stored()
    with pytest.raises(InvalidInput) as refused:
        upsert(unique_identifier="X", **row)
    outcome = bulk_upsert([{"unique_identifier": "X", **row}], on_error="skip")
    assert told(outcome) == [("X", "rejected", field)]
    alone = getattr(refused.value, "by_field", {}).get(field) or str(refused.value)
    assert reason_of(outcome) == alone
    assert stored() == before


def test_every_fault_of_a_row_is_told_and_the_others_are_written() -> None:
    terms = bond_terms()
    rows: list[Any] = [
        {"unique_identifier": "A", **terms},
        {"unique_identifier": "B", **terms, "issuer_uid": NOTHING, "currency_asset_uid": NOTHING},
        {"unique_identifier": "C", "status": "ACTIVE"},
        {"unique_identifier": "D", **terms, "coupon": 1},
        "E",
        {"unique_identifier": "A", **terms},
        {**terms},
    ]
    outcome = bonds.bulk_upsert_bonds(rows, on_error="skip")
    assert [(fault.row, fault.field) for fault in outcome.rejections] == [
        (1, "issuer_uid"),
        (1, "currency_asset_uid"),
        (2, "issuer_uid"),
        (2, "currency_asset_uid"),
        (2, "issue_date"),
        (3, "coupon"),
        (4, None),
        (5, "unique_identifier"),
        (6, "unique_identifier"),
    ]
    assert outcome.rejections[0].reason == f"issuer_uid={NOTHING}: there is no issuer with this uid. Create it first."
    assert list(Bond.objects.values_list("unique_identifier", flat=True)) == ["A"]
    assert not Asset.objects.filter(unique_identifier__in=["B", "C", "D", "E"]).exists()


def test_an_asset_with_other_terms_or_that_serves_as_a_currency_is_refused() -> None:
    terms = bond_terms()
    future = factories.future(asset=factories.asset(unique_identifier="F", asset_type="future"))
    dollar = factories.currency(unique_identifier="USD")
    factories.bond(asset=factories.asset(unique_identifier="B", asset_type="bond"), currency_asset=dollar)
    before = stored()
    for name in (future.unique_identifier, "USD"):
        with pytest.raises(Conflict) as refused:
            bonds.upsert_bond(unique_identifier=name, **terms)
        outcome = bonds.bulk_upsert_bonds([{"unique_identifier": name, **terms}], on_error="skip")
        assert told(outcome) == [(name, "rejected", "unique_identifier")]
        assert reason_of(outcome) == str(refused.value)
    assert stored() == before


def test_one_rows_currency_is_not_anothers_bond() -> None:
    euro = factories.currency(unique_identifier="EUR")
    terms = bond_terms()
    rows = [
        {"unique_identifier": "A", **terms, "currency_asset_uid": euro.uid},
        {"unique_identifier": "EUR", **terms},
    ]
    outcome = bonds.bulk_upsert_bonds(rows, on_error="skip")
    assert told(outcome) == [("A", "created", None), ("EUR", "rejected", "unique_identifier")]
    assert reason_of(outcome).startswith("EUR is the currency of the bond A, so it stays one of currency, crypto.")
    euro.refresh_from_db()
    assert euro.asset_type == "currency"
    own = bonds.bulk_upsert_bonds(
        [{"unique_identifier": "EUR", **terms, "currency_asset_uid": euro.uid}], on_error="skip"
    )
    assert "EUR cannot be its own currency." in [fault.reason for fault in own.rejections]


def test_a_type_that_went_astray_is_set_right() -> None:
    bond = factories.bond(asset=factories.asset(unique_identifier="B", asset_type="equity"))
    outcome = bonds.bulk_upsert_bonds([{"unique_identifier": "B", "status": "ACTIVE"}])
    assert told(outcome) == [("B", "updated", None)]
    again = Bond.objects.get()
    assert (again.asset_type, again.updated_at) == ("bond", bond.updated_at)


def test_read_only_fields_are_taken_as_they_are_stored() -> None:
    bond = factories.bond()
    as_stored = {name: getattr(bond, name) for name in ("uid", "asset_type", "created_at", "updated_at")}
    row = {"unique_identifier": bond.unique_identifier, "asset_uid": str(bond.uid), **as_stored}
    assert bonds.bulk_upsert_bonds([row]).unchanged == 1
    for name in row.keys() - {"unique_identifier"}:
        wrong = {**row, name: uuid.uuid4() if name.endswith("uid") else "2026-01-01T00:00:00Z", "status": "CALLED"}
        assert told(bonds.bulk_upsert_bonds([wrong], on_error="skip")) == [(row["unique_identifier"], "rejected", name)]
    bond.refresh_from_db()
    assert bond.status == "ACTIVE"


# --- how it is written -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["bond", "future"])
def test_the_number_of_queries_does_not_depend_on_the_number_of_rows(kind: str) -> None:
    make_terms, _, bulk_upsert = SERVICES[kind]
    terms = make_terms()
    spares = [make_terms() for _ in range(40)]
    bulk_upsert([{"unique_identifier": "FIRST", **terms}])
    counts = []
    for size in (2, 40):
        rows = [{"unique_identifier": f"{size}-{place}", **spares[place]} for place in range(size)]
        with CaptureQueriesContext(
            connection,
        ) as made:
            assert bulk_upsert(rows).created == size
        with CaptureQueriesContext(connection) as kept:
            assert bulk_upsert(rows).unchanged == size
        with CaptureQueriesContext(connection) as refused:
            wrong = [{**row, "settlement_asset" if kind == "future" else "issuer_uid": NOTHING} for row in rows]
            assert bulk_upsert(wrong, on_error="skip").rejected == size
        counts.append((len(made), len(kept), len(refused)))
    assert counts[0] == counts[1]
    assert max(counts[0]) < 40


@pytest.mark.django_db(transaction=True)
def test_an_asset_that_another_caller_makes_meanwhile_is_a_conflict() -> None:
    terms = bond_terms()
    stage = bonds.BONDS.stage()
    made = threading.Thread(target=_make_future, args=("X",))
    with pytest.raises(Conflict, match="Another caller wrote one of these rows meanwhile"), transaction.atomic():
        _check_then_merge(stage, terms, made)
    assert Asset.objects.get(unique_identifier="X").asset_type == "future"
    assert not Bond.objects.exists()


def _make_future(name: str) -> None:
    factories.future(asset=factories.asset(unique_identifier=name, asset_type="future"))
    connection.close()


def _check_then_merge(stage: Any, terms: dict[str, Any], meanwhile: threading.Thread) -> None:
    stage.create()
    cleaned = [clean(terms[name]) for name, clean in stage.entity.clean.items()]
    given = sum(stage.bits.values())
    stage.copy([(0, given, uuid.uuid4(), "X", *cleaned)], ever=given, always=given)
    stage.settle()
    assert list(stage.faults()) == []
    meanwhile.start()
    meanwhile.join(60)
    stage.merge(timezone.now())


@pytest.mark.django_db(transaction=True)
def test_callers_of_the_same_rows_end_with_one_of_each() -> None:
    terms = bond_terms()
    rows = [{"unique_identifier": f"B{place:03}", **terms} for place in range(200)]
    outcomes: list[Any] = []
    barrier = threading.Barrier(3)

    def run(given: list[dict[str, Any]]) -> None:
        barrier.wait()
        try:
            outcomes.append(bonds.bulk_upsert_bonds(given))
        except MSMError as error:
            outcomes.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(given,)) for given in (rows, rows[::-1], rows)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert len(outcomes) == 3
    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert all(isinstance(error, Conflict) for error in refused), refused
    assert sum(outcome.created for outcome in outcomes if outcome not in refused) == 200
    assert (Bond.objects.count(), Asset.objects.filter(asset_type="bond").count()) == (200, 200)
