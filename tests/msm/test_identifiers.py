"""Identifiers from a script."""

import datetime as dt

import pytest

import msm
import msm.client as msc
from markets.exceptions import Conflict, InvalidInput, RejectedRows
from msm import runtime
from msm.api.assets import Asset, AssetIdentifier
from msm.services import resolve_identifier

pytestmark = pytest.mark.django_db
D = dt.date


@pytest.fixture
def meta(monkeypatch: pytest.MonkeyPatch) -> Asset:
    monkeypatch.setattr(runtime, "_runtime", None)
    msm.start_engine(models=[AssetIdentifier])
    return Asset.upsert(unique_identifier="META")


def test_an_identifier_is_written_renamed_and_resolved(meta: Asset) -> None:
    fb = AssetIdentifier.create(
        asset_uid=meta.uid, scheme="ticker", value="fb", venue="XNAS", valid_from="2012-05-18", evidence={"row": 1}
    )
    assert (fb.asset_identifier, fb.value, fb.valid_from, fb.evidence) == ("META", "FB", D(2012, 5, 18), {"row": 1})
    new = meta.change_identifier("ticker", "META", venue="XNAS", effective=D(2022, 6, 9), source="exchange")
    assert (new.value, new.valid_from, new.source) == ("META", D(2022, 6, 9), "exchange")
    assert [row.value for row in meta.get_identifiers()] == ["FB", "META"]
    assert [row.value for row in meta.get_identifiers(D(2022, 6, 8), scheme="ticker")] == ["FB"]
    found = Asset.resolve("ticker", "FB", D(2022, 6, 8), venue="XNAS")
    assert (found.outcome, found.asset_identifier) == ("found", "META")
    assert found == resolve_identifier("ticker", "FB", D(2022, 6, 8), venue="XNAS")
    assert Asset.resolve("ticker", "FB", (D(2022, 6, 8), D(2022, 6, 9))).gaps == ((D(2022, 6, 9), D(2022, 6, 9)),)


def test_the_row_class_reads_and_writes_like_the_others(meta: Asset) -> None:
    row = msc.AssetIdentifier.upsert(asset_identifier="META", scheme="isin", value="US30303M1027")
    assert AssetIdentifier.upsert(asset_identifier="META", scheme="isin", value="US30303M1027").uid == row.uid
    with pytest.raises(Conflict, match="META has isin US30303M1027 at any time already"):
        AssetIdentifier.create(asset_identifier="META", scheme="isin", value="US30303M1027")
    assert AssetIdentifier.update(row.uid, valid_from=D(2012, 5, 18)).valid_from == D(2012, 5, 18)
    assert AssetIdentifier.update(row.uid, row).value == "US30303M1027"
    for condition in ({"asset_uid": meta.uid}, {"asset_identifier": "META"}, {"value": "US30303M1027"}):
        assert [found.uid for found in AssetIdentifier.filter(**condition)] == [row.uid]
    assert AssetIdentifier.query(scheme="cusip") == []
    assert (AssetIdentifier.delete(row.uid), AssetIdentifier.delete(row.uid)) == (1, 0)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"asset_identifier": "NOBODY"}, "asset_identifier"),
        ({"asset_uid": "x"}, "asset_uid"),
        ({}, "asset_uid"),
        ({"asset_identifier": "META", "value": "US30303M1028"}, "value"),
    ],
)
def test_what_is_wrong_names_the_field(meta: Asset, fields: dict, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        AssetIdentifier.create(**{"scheme": "isin", "value": "US30303M1027", **fields})
    assert caught.value.field == field
    assert meta.get_identifiers() == []


def test_many_at_once_tell_every_fault(meta: Asset) -> None:
    rows = [{"asset_identifier": "META", "scheme": "cusip", "value": value} for value in ("30303M102", "30303M103")]
    with pytest.raises(RejectedRows, match="1 of 2 identifier rows are refused"):
        AssetIdentifier.bulk_upsert(rows)
    assert AssetIdentifier.bulk_upsert(rows, on_error="skip").counts == {
        "created": 1,
        "updated": 0,
        "unchanged": 0,
        "rejected": 1,
    }
    assert AssetIdentifier.bulk_upsert(meta.get_identifiers()).unchanged == 1
