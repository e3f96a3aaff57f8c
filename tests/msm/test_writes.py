"""create, upsert and update of the row classes: keywords or one object, omitted keeps, None clears, unknown refused."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydantic import BaseModel

import msm
from markets.exceptions import Conflict, InvalidInput, MissingFields, NotFound, UnknownFields
from markets.models import Asset as AssetModel
from msm import client, runtime
from msm.api.rows import Row

pytestmark = pytest.mark.django_db
CLASSES = [cls for cls in vars(client).values() if isinstance(cls, type) and issubclass(cls, Row)]


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    monkeypatch.setattr(runtime, "_runtime", None)
    msm.start_engine()


class Given:
    """One valid row of each class, by its keywords."""

    def __init__(self) -> None:
        self.usd = client.Asset.upsert(unique_identifier="USD", asset_type="currency")
        self.eur = client.Asset.upsert(unique_identifier="EUR", asset_type="currency")
        self.index = client.Index.upsert(unique_identifier="SPX", index_type="equity", display_name="S&P")
        self.issuer = client.Issuer.upsert(unique_identifier="ust", display_name="Treasury")
        self.calendar = client.Calendar.upsert(
            unique_identifier="CAL", display_name="Mine", valid_from="2026-01-01", valid_to="2026-12-31"
        )
        self.account = client.Account.upsert(unique_identifier="main", account_name="Main")
        self.model = client.AccountAllocationModel.upsert(allocation_model_name="balanced")
        self.allocation = client.AccountTargetAllocation.upsert(
            unique_identifier="ta", account_uid=self.account.uid, account_allocation_model_uid=self.model.uid
        )
        self.portfolio = client.Portfolio.upsert(unique_identifier="pf")
        self.category = client.AssetCategory.upsert(unique_identifier="core", display_name="Core")

    def fields(self, cls: type[Row]) -> dict[str, Any]:
        day = {"calendar_uid": self.calendar.uid, "local_date": "2026-01-05"}
        return {
            "AssetType": {"asset_type": "crypto"},
            "Asset": {"unique_identifier": "NEW"},
            "OpenFigiDetails": {"asset_uid": self.usd.uid, "ticker": "USD"},
            "AssetCategory": {"unique_identifier": "new", "display_name": "New"},
            "AssetCategoryMembership": {"category_uid": self.category.uid, "asset_uid": self.usd.uid},
            "CurrencySpot": {
                "unique_identifier": "EURUSD",
                "base_currency_uid": self.eur.uid,
                "quote_currency_uid": self.usd.uid,
            },
            "Bond": {
                "unique_identifier": "BOND",
                "issuer_uid": self.issuer.uid,
                "currency_asset_uid": self.usd.uid,
                "issue_date": "2026-01-01",
                "status": "active",
            },
            "Future": {
                "unique_identifier": "ES",
                "kind": "PERPETUAL",
                "underlying_index_uid": self.index.uid,
                "quote_unit": "USD",
                "settlement_asset": self.usd.uid,
                "margin_asset": self.usd.uid,
                "settlement_model": "LINEAR",
                "settlement_method": "CASH",
                "contract_size": "50",
                "contract_unit": "USD",
            },
            "Issuer": {"unique_identifier": "new", "display_name": "New"},
            "IndexType": {"index_type": "rates"},
            "Index": {"unique_identifier": "NDX", "index_type": "equity", "display_name": "Nasdaq"},
            "Calendar": {
                "unique_identifier": "NEW",
                "display_name": "New",
                "valid_from": "2026-01-01",
                "valid_to": "2026-12-31",
            },
            "CalendarDate": day,
            "CalendarSession": {**day, "opens_at": "2026-01-05T14:30:00Z", "closes_at": "2026-01-05T21:00:00Z"},
            "CalendarEvent": {"calendar_uid": self.calendar.uid, "event_date": "2026-01-05", "event_type": "ROLL"},
            "AccountGroup": {"group_name": "desk"},
            "Account": {"unique_identifier": "new", "account_name": "New"},
            "AccountAllocationModel": {"allocation_model_name": "new"},
            "AccountTargetAllocation": {
                "unique_identifier": "new",
                "account_uid": self.account.uid,
                "account_allocation_model_uid": self.model.uid,
            },
            "PositionSet": {
                "account_target_allocation_uid": self.allocation.uid,
                "position_set_time": "2026-05-25T00:00:00Z",
            },
            "AccountHoldingsSet": {"account_uid": self.account.uid, "time_index": "2026-05-25T00:00:00Z"},
            "VirtualFund": {
                "unique_identifier": "vf",
                "account_uid": self.account.uid,
                "target_portfolio_uid": self.portfolio.uid,
            },
            "Portfolio": {"unique_identifier": "new"},
            "AssetIdentifier": {"asset_uid": self.usd.uid, "scheme": "ticker", "value": "USD", "venue": "XNYS"},
        }[cls.__name__]


@pytest.fixture
def given() -> Given:
    return Given()


def test_every_row_class_is_in_the_client() -> None:
    assert len({cls.__name__ for cls in CLASSES}) == 24


@pytest.mark.parametrize("cls", dict.fromkeys(CLASSES), ids=lambda cls: cls.__name__)
def test_every_class_takes_keywords_a_mapping_a_model_and_a_row(cls: type[Row], given: Given) -> None:
    fields = given.fields(cls)
    made = cls.upsert(**fields)
    assert cls.get_by_uid(made.uid) == made
    assert made in cls.query(per_page=1)
    assert cls.filter(uid_in=[made.uid]) == [made]

    class Model(BaseModel):
        __annotations__ = dict.fromkeys(fields, Any)

    for payload in (fields, Model(**fields), made, made.model_dump()):
        assert cls.upsert(payload) == made
    with pytest.raises(Conflict):
        cls.create(**fields)
    with pytest.raises(TypeError, match=r"takes one object with the fields or keywords, not both"):
        cls.upsert(fields, **fields)
    for wrong in ("x", 5, [fields], object()):
        with pytest.raises(TypeError, match="takes a mapping, a pydantic model or a row, not "):
            cls.upsert(wrong)
    before = cls.query()
    for call in (lambda: cls.upsert(**fields, colour="red"), lambda: cls.upsert({**fields, "colour": "red"})):
        with pytest.raises(UnknownFields, match=r"upsert takes no field colour\. It takes ") as refused:
            call()
        assert isinstance(refused.value, ValueError | TypeError)
        assert refused.value.field == "colour"
    with pytest.raises(MissingFields, match=r"upsert needs "):
        cls.upsert()
    with pytest.raises(InvalidInput, match=r"uid cannot be changed\. Leave it out, or send it as it is"):
        cls.upsert({**fields, "uid": uuid.uuid4()})
    assert cls.query() == before
    if cls.__services__.update is None:
        with pytest.raises(NotImplementedError, match=r"has no update\. It has create, upsert"):
            cls.update(made.uid)
        return
    assert cls.update(made.uid) == cls.update(made.uid, {}) == cls.update(made.uid, made) == made
    with pytest.raises(NotFound):
        cls.update(uuid.uuid4())
    with pytest.raises(UnknownFields, match="update takes no field"):
        cls.update(made.uid, **{cls.__fixed__[0]: "other"})
    assert cls.delete(made.uid) == 1


def test_omitted_keeps_and_none_clears() -> None:
    client.Issuer.upsert(unique_identifier="i", display_name="I", metadata_json={"a": 1})
    assert client.Issuer.upsert(unique_identifier="i", display_name="J").metadata_json == {"a": 1}
    assert client.Issuer.upsert({"unique_identifier": "i", "metadata_json": None}).metadata_json is None
    assert client.Issuer.get_by_unique_identifier("i").display_name == "J"  # type: ignore[union-attr]


def test_a_model_gives_the_fields_that_are_set() -> None:
    class Wanted(BaseModel):
        unique_identifier: str
        display_name: str = "never written"
        metadata_json: dict[str, Any] | None = None

    client.Issuer.upsert(unique_identifier="i", display_name="I", metadata_json={"a": 1})
    kept = client.Issuer.upsert(Wanted(unique_identifier="i"))
    assert (kept.display_name, kept.metadata_json) == ("I", {"a": 1})
    assert client.Issuer.upsert(Wanted(unique_identifier="i", metadata_json=None)).metadata_json is None


def test_what_never_changes_may_be_given_as_it_is_and_not_otherwise(given: Given) -> None:
    spot = client.CurrencySpot.upsert(**given.fields(client.CurrencySpot))
    assert client.CurrencySpot.update(spot.uid, spot.model_dump()) == spot
    with pytest.raises(InvalidInput, match="unique_identifier cannot be changed"):
        client.CurrencySpot.update(spot.uid, {"unique_identifier": "GBPUSD"})
    changed = {**spot.model_dump(), "asset_type": "bond", "base_currency_uid": given.usd.uid}
    with pytest.raises(InvalidInput):
        client.CurrencySpot.update(spot.uid, changed)
    assert client.CurrencySpot.get_by_uid(spot.uid) == spot


def test_sessions_by_hand(given: Given) -> None:
    session = client.CalendarSession.upsert(**given.fields(client.CalendarSession), is_early_close=True)
    assert (session.opens_at, session.session_label) == (dt.datetime(2026, 1, 5, 14, 30, tzinfo=dt.UTC), "regular")
    later = client.CalendarSession.update(session.uid, closes_at="2026-01-05T18:00:00Z")
    assert (later.is_early_close, later.opens_at) == (True, session.opens_at)
    assert given.calendar.sessions() == [later]
    for wrong in (
        {"closes_at": "2026-01-05T18:00:00"},
        {"closes_at": "soon"},
        {"closes_at": None},
        {"closes_at": "2026-01-05T14:00:00Z"},
        {"is_early_close": "yes"},
        {"is_primary": None},
    ):
        with pytest.raises(InvalidInput):
            client.CalendarSession.update(session.uid, **wrong)
    assert given.calendar.sessions() == [later]
    with pytest.raises(MissingFields, match=r"CalendarSession.upsert needs local_date"):
        client.CalendarSession.upsert(calendar_uid=given.calendar.uid, opens_at="2026-01-06T14:30:00Z")
    with pytest.raises(NotFound):
        client.CalendarSession.upsert(given.fields(client.CalendarSession) | {"calendar_uid": uuid.uuid4()})


def test_memberships_by_row(given: Given) -> None:
    joined = client.AssetCategoryMembership.create(category_uid=given.category.uid, asset_uid=given.usd.uid)
    assert given.category.assets == [given.usd]
    assert client.AssetCategoryMembership.upsert(joined) == joined
    with pytest.raises(NotFound):
        client.AssetCategoryMembership.upsert(category_uid=uuid.uuid4(), asset_uid=given.usd.uid)
    with pytest.raises(InvalidInput, match="not registered"):
        client.AssetCategoryMembership.upsert(category_uid=given.category.uid, asset_uid=uuid.uuid4())
    assert client.AssetCategoryMembership.delete(joined.uid) == 1
    assert given.category.assets == []


def test_the_registry_in_bulk(given: Given) -> None:
    for cls, rows in (
        (client.Issuer, [{"unique_identifier": "a", "display_name": "A"}, {"unique_identifier": "ust"}]),
        (client.IndexType, [{"index_type": "Interest Rate"}, {"index_type": "vol", "display_name": "Vol"}]),
        (client.AccountGroup, [{"group_name": "a"}, {"group_name": "b", "group_description": "B"}]),
        (client.AccountAllocationModel, [{"allocation_model_name": "a"}, {"allocation_model_name": "balanced"}]),
    ):
        outcome = cls.bulk_upsert(rows)
        assert (outcome.created + outcome.unchanged, outcome.rejected) == (2, 0)
        assert cls.bulk_upsert(cls.query()).counts == {
            "created": 0,
            "updated": 0,
            "unchanged": len(cls.query()),
            "rejected": 0,
        }


def test_indices_in_bulk_register_their_types(given: Given) -> None:
    rows: list[dict[str, Any]] = [
        {"unique_identifier": "VIX", "index_type": "Implied Vol", "display_name": " The  VIX "},
        {"unique_identifier": "SPX", "provider": "S&P", "value_format": "percent"},
        {"unique_identifier": "BAD", "index_type": "equity"},
        {"unique_identifier": "WORSE", "index_type": None, "display_name": "x"},
        {"unique_identifier": "WORST", "index_type": "equity", "display_name": "x", "calculation_method": "guess"},
    ]
    with pytest.raises(InvalidInput, match="3 of 5 index rows are refused"):
        client.Index.bulk_upsert(rows)
    assert client.Index.filter() == [given.index]
    outcome = client.Index.bulk_upsert(rows, on_error="skip")
    assert [row.outcome for row in outcome.rows()] == ["created", "updated", "rejected", "rejected", "rejected"]
    assert [row.field for row in outcome.rows()][2:] == ["display_name", "index_type", "calculation_method"]
    vix = client.Index.get_by_unique_identifier("VIX")
    assert vix is not None
    assert (vix.index_type, vix.display_name, vix.calculation_method) == ("implied_vol", "The VIX", "custom")
    assert client.IndexType.filter(index_type="Implied Vol") != []


def test_a_query_walks_all_pages_by_key() -> None:
    AssetModel.objects.bulk_create(AssetModel(unique_identifier=f"A{number:04}") for number in range(1_200))
    with CaptureQueriesContext(connection) as queries:
        found = client.Asset.query(per_page=500)
    assert len(queries) == 3
    assert not any("OFFSET" in query["sql"] for query in queries)
    assert [row.unique_identifier for row in found] == [f"A{number:04}" for number in range(1_200)]
    ids = [row.id for row in found[5:8]]
    assert client.Asset.query(id__in=ids, per_page=2) == client.Asset.filter(id__in=ids) == found[5:8]
    assert client.Asset.query(unique_identifier__contains="A119", per_page=7) == found[1190:]
    assert len(client.Asset.filter()) == 500
    assert client.Asset.query(uid__in=[]) == []
    for wrong in (0, -1, True, "5", None, 1.5, 2**70):
        with pytest.raises(InvalidInput, match="per_page="):
            client.Asset.query(per_page=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [0, True, "5", 1.5, 2**70])
def test_limits_and_offsets_are_whole_numbers(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="limit="):
        client.Asset.filter(limit=wrong)
    with pytest.raises(InvalidInput, match="offset="):
        client.Asset.filter(offset=wrong or -1)


def test_a_contained_text_is_taken_literally() -> None:
    for text in ("100%", "1000", "a_b", "axb", "a\\b"):
        client.Asset.upsert(unique_identifier=text)

    def holding(text: str) -> list[str]:
        return [row.unique_identifier for row in client.Asset.filter(unique_identifier_contains=text)]

    assert (holding("0%"), holding("A_B"), holding("\\")) == (["100%"], ["a_b"], ["a\\b"])


def test_several_orders() -> None:
    for identifier, kind in (("A", "x"), ("B", "y"), ("C", "x")):
        client.Asset.upsert(unique_identifier=identifier, asset_type=kind)
    ordered = client.Asset.filter(order_by=["asset_type", "-unique_identifier"])
    assert [row.unique_identifier for row in ordered] == ["C", "A", "B"]
    for wrong in ("colour", "--uid", "?", 5, [None], "uid; DROP TABLE"):
        with pytest.raises(InvalidInput):
            client.Asset.filter(order_by=wrong)  # type: ignore[arg-type]


def test_no_identifiers_ask_no_database_and_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_runtime", None)
    with CaptureQueriesContext(connection) as queries:
        assert client.Asset.get_many_by_unique_identifier([]) == {}
        assert client.Asset.get_many_by_unique_identifier([" ", ""]) == {}
    assert len(queries) == 0
