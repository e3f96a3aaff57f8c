"""Cleaning of values, with the exact refusals."""

import datetime as dt
import uuid
from typing import Any

import pytest

from markets.exceptions import InvalidInput
from markets.services import values

NESTED: list = []
for _ in range(100):
    NESTED = [NESTED]
AWARE = dt.datetime(2026, 1, 2, 9, 30, tzinfo=dt.timezone(dt.timedelta(hours=-5)))


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("Currency", "currency"),
        ("Currency Spot", "currency_spot"),
        (" Asset Future ", "asset_future"),
        ("a\t\n b", "a_b"),
        ("x-y/z.w", "x-y/z.w"),
        ("currency_spot", "currency_spot"),
        (None, None),
    ],
)
def test_type_keys(given: str | None, key: str | None) -> None:
    assert values.normalise_type_key(given, field="asset_type") == key
    assert values.normalise_type_key(key, field="asset_type") == key


@pytest.mark.parametrize("bad", ["", "  ", "a\x00", "\ud800", 5, True, [], "x" * 65])
def test_type_keys_refused(bad: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        values.normalise_type_key(bad, field="asset_type")
    assert refused.value.field == "asset_type"
    assert "asset_type" in str(refused.value)


@pytest.mark.parametrize(("given", "clean"), [(" CME:ESZ6 ", "CME:ESZ6"), ("BTC/USDT", "BTC/USDT"), ("a b", "a b")])
def test_identifiers(given: str, clean: str) -> None:
    assert values.clean_identifier(given) == clean


@pytest.mark.parametrize("bad", ["", "\t", "a\nb", "a\rb", "x" * 256, None, 7, b"x", "a\x00"])
def test_identifiers_refused(bad: Any) -> None:
    with pytest.raises(InvalidInput, match="unique_identifier"):
        values.clean_identifier(bad)


def test_objects() -> None:
    value = {"a": [1, 2.5, None, True, "ü"], "b": {"c": {}}, "n": 10**30}
    assert values.clean_object(value, field="metadata_json") is value
    assert values.clean_object(None, field="metadata_json") is None


@pytest.mark.parametrize(
    "bad",
    [
        [],
        "x",
        1,
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": "\x00"},
        {"\x00": 1},
        {"a": NESTED},
        {1: 2},
        {"a": {1}},
    ],
)
def test_objects_refused(bad: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        values.clean_object(bad, field="metadata_json")
    assert refused.value.field == "metadata_json"


def test_dates_and_instants() -> None:
    assert values.clean_date("2026-01-31", field="d") == dt.date(2026, 1, 31)
    assert values.clean_date(AWARE, field="d") == dt.date(2026, 1, 2)
    assert values.clean_instant(AWARE, field="t") == dt.datetime(2026, 1, 2, 14, 30, tzinfo=dt.UTC)
    assert values.clean_instant(AWARE, field="t").tzinfo is dt.UTC


@pytest.mark.parametrize(
    "bad", ["2026-01-31T00:00:00", "20260131", "2026-02-30", "", 5, None, "1899-12-31", "2200-01-01"]
)
def test_dates_refused(bad: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^d"):
        values.clean_date(bad, field="d")


@pytest.mark.parametrize(
    "bad",
    [
        dt.datetime(2026, 1, 1),  # noqa: DTZ001
        "2026-01-01T00:00:00Z",
        None,
        dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))),
    ],
)
def test_instants_refused(bad: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^t"):
        values.clean_instant(bad, field="t")


def test_naive_instants_are_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidInput, match=r"no time zone\. Add one: 2026-01-01T00:00:00Z, or tzinfo=datetime\.UTC\."):
        values.clean_instant(dt.datetime(2026, 1, 1), field="t")  # noqa: DTZ001


def test_uids() -> None:
    uid = uuid.uuid4()
    assert values.as_uid(uid) == values.as_uid(str(uid)) == uid
    assert values.as_uid(uid.hex) is None
    assert values.as_uid("x" * 36) is None
    assert repr(values.UNSET) == "UNSET"
    assert values.listed(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … and 2 more"
