"""Values of indices: what is written, what is refused, and what is read back."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from django.db import IntegrityError, connection, transaction

from markets.data_nodes.reads import read_frame
from markets.engine.index_values import clean_cadence
from markets.exceptions import Conflict, DuplicateKeys, FrameError, InvalidInput, ProtectedRow, UnknownIdentifiers
from markets.models import Index, IndexValue, StorageNode, UpdateStatistic
from markets.services import deletion, indices
from markets.services.index_values import (
    WrittenValues,
    cadences_of,
    delete_index_values,
    read_index_values,
    write_index_values,
)
from tests import factories

pytestmark = pytest.mark.django_db
NAIVE = dt.datetime(2026, 1, 1)  # noqa: DTZ001
FIRST, SECOND = "2026-05-25T21:00:00Z", "2026-05-26T21:00:00Z"


def frame(*rows: tuple[str, str, float], **columns: Any) -> pd.DataFrame:
    """(index, time, value) rows, and further columns."""
    names, times, values = zip(*rows, strict=True) if rows else ((), (), ())
    index = pd.MultiIndex.from_arrays(
        [pd.to_datetime(list(times), utc=True), list(names)], names=["time_index", "index_identifier"]
    )
    return pd.DataFrame({"value": pd.array(values, dtype="float64"), **columns}, index=index)


@pytest.fixture
def sofr() -> Index:
    return factories.index(unique_identifier="SOFR")


def test_values_are_written_and_read_back(sofr: Index) -> None:
    factories.index(unique_identifier="SPX")
    given = frame(
        ("SPX", SECOND, 5300.5),
        ("SOFR", SECOND, 0.0532),
        ("SOFR", FIRST, 0.0531),
        observation_status=["final", None, " preliminary "],
        source_as_of=pd.to_datetime([None, "2026-05-27T08:00:00+02:00", None], utc=True),
        metadata_json=[None, {"source": "fed", "n": [1, None]}, None],
    )
    assert write_index_values(given, cadence=" 1D ") == WrittenValues(3, 0, 0)
    assert write_index_values(frame(("SOFR", SECOND, 1.0)), cadence="15m") == WrittenValues(1, 0, 0)

    found = read_index_values("SOFR", cadence="1d")

    assert list(found.index.names) == ["time_index", "cadence", "index_identifier"]
    assert found.index.tolist() == [
        (pd.Timestamp(SECOND), "1d", "SOFR"),
        (pd.Timestamp(FIRST), "1d", "SOFR"),
    ]
    assert found["value"].tolist() == [0.0532, 0.0531]
    assert found["observation_status"].isna().tolist() == [True, False]
    assert found["observation_status"].iloc[1] == "preliminary"
    assert found["source_as_of"].tolist() == [pd.Timestamp("2026-05-27T06:00:00Z"), pd.NaT]
    assert found["metadata_json"].tolist() == [{"source": "fed", "n": [1, None]}, None]
    assert cadences_of(sofr) == ["15m", "1d"]
    assert len(read_index_values(["SPX", "SOFR"])) == 4


def test_the_table_is_known_to_the_engine(sofr: Index) -> None:
    write_index_values(frame(("SOFR", FIRST, 1.0), ("SOFR", SECOND, 2.0)), cadence="1d")
    storage = StorageNode.objects.get(identifier="IndexValues")
    statistic = UpdateStatistic.objects.get(storage=storage)
    assert (statistic.identity, statistic.row_count) == (["1d", "SOFR"], 2)
    assert statistic.last_time_index == dt.datetime(2026, 5, 26, 21, tzinfo=dt.UTC)
    read = read_frame(storage, dimension_filters={"index_identifier": ["SOFR"]})
    assert read["value"].tolist() == [1.0, 2.0]
    write_index_values(frame(("SOFR", SECOND, 3.0)), cadence="1d", mode="upsert")
    assert UpdateStatistic.objects.get().row_count == 2


def test_append_refuses_what_is_stored_and_writes_nothing(sofr: Index) -> None:
    write_index_values(frame(("SOFR", FIRST, 1.0)), cadence="1d")
    with pytest.raises(DuplicateKeys, match=r"\(SOFR, 2026-05-25T21:00:00\.000000Z\)"):
        write_index_values(frame(("SOFR", SECOND, 2.0), ("SOFR", FIRST, 9.0)), cadence="1d")
    assert list(IndexValue.objects.values_list("value", flat=True)) == [1.0]
    assert UpdateStatistic.objects.get().row_count == 1


def test_upsert_changes_what_differs_and_keeps_what_is_left_out(sofr: Index) -> None:
    write_index_values(
        frame(("SOFR", FIRST, 1.0), ("SOFR", SECOND, 2.0), observation_status=["final", "final"]), cadence="1d"
    )
    changed = frame(("SOFR", FIRST, 1.5), ("SOFR", SECOND, 2.0), ("SOFR", "2026-05-27T21:00:00Z", 3.0))
    assert write_index_values(changed, cadence="1d", mode="upsert") == WrittenValues(1, 1, 1)
    assert write_index_values(changed, cadence="1d", mode="upsert") == WrittenValues(0, 0, 3)
    assert list(IndexValue.objects.order_by("time_index").values_list("value", "observation_status")) == [
        (1.5, "final"),
        (2.0, "final"),
        (3.0, None),
    ]
    cleared = frame(("SOFR", FIRST, 1.5), observation_status=[None])
    assert write_index_values(cleared, cadence="1d", mode="upsert") == WrittenValues(0, 1, 0)
    assert IndexValue.objects.order_by("time_index").first().observation_status is None


def test_every_unknown_index_is_told_at_once(sofr: Index) -> None:
    with pytest.raises(UnknownIdentifiers, match=r"2 identifiers \(ABC, XYZ\) are not registered as indices"):
        write_index_values(frame(("XYZ", FIRST, 1.0), ("SOFR", FIRST, 1.0), ("ABC", FIRST, 1.0)), cadence="1d")
    with pytest.raises(UnknownIdentifiers, match="XYZ"):
        read_index_values(["SOFR", "XYZ"])
    assert not IndexValue.objects.exists()
    assert not UpdateStatistic.objects.exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (frame(("SOFR", FIRST, np.nan)), "missing or not a number"),
        (frame(("SOFR", FIRST, np.inf)), "infinit"),
        (frame(("SOFR", FIRST, 1.0), ("SOFR", FIRST, 2.0)), "twice|more than once|2 rows|2 times"),
        (frame(("SOFR", FIRST, 1.0), definition_uid=["x"]), "definition_uid belongs to published formulas"),
        (frame(("SOFR", FIRST, 1.0), unit=["bp"]), "has 'unit'"),
        (frame(("SOFR", FIRST, 1.0), cadence=["1d"]), "give it as cadence="),
        (frame(("SOFR", FIRST, 1.0)).drop(columns="value").assign(observation_status="x"), "lacks value"),
        (frame(("SOFR", FIRST, 1.0), observation_status=["x" * 33]), "at most 32 characters"),
        (frame(("SOFR", FIRST, 1.0), observation_status=["a\x00"]), "NUL"),
        (frame(("SOFR", FIRST, 1.0), metadata_json=[[1]]), "must be an object"),
        (frame(("SOFR", FIRST, 1.0), metadata_json=[{"a": float("nan")}]), "must be an object"),
        (frame(("SOFR", FIRST, 1.0), metadata_json=[{"a": "\x00"}]), "must be an object"),
        (frame(("SOFR", FIRST, 1.0), source_as_of=pd.to_datetime([FIRST]).tz_localize(None)), "source_as_of"),
        (frame(("SOFR", FIRST, 1.0)).tz_localize(None, level=0), "UTC|zone"),
        (frame(("S\x00", FIRST, 1.0)), "NUL"),
        (frame((None, FIRST, 1.0)), "index_identifier"),  # type: ignore[arg-type]
        ([("SOFR", FIRST, 1.0)], "DataFrame"),
        (None, "DataFrame"),
    ],
)
def test_a_wrong_frame_is_refused_whole(sofr: Index, given: Any, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        write_index_values(given, cadence="1d")
    assert not IndexValue.objects.exists()


@pytest.mark.parametrize(
    "cadence", ["", "d", "0d", "01d", "1", "1 d", "-1d", "1x", "1d\n1d", "1D2", 1, None, "9" * 40 + "d"]
)
def test_a_wrong_cadence_is_refused(sofr: Index, cadence: Any) -> None:
    with pytest.raises(InvalidInput, match="cadence="):
        write_index_values(frame(("SOFR", FIRST, 1.0)), cadence=cadence)
    assert not IndexValue.objects.exists()


@pytest.mark.parametrize(("written", "stored"), [(" 15M ", "15m"), ("1MO", "1mo"), ("1q", "1q"), ("250Y", "250y")])
def test_cadences_have_one_spelling(written: str, stored: str) -> None:
    assert clean_cadence(written) == stored


def test_reading_by_time_order_and_limit(sofr: Index) -> None:
    times = pd.date_range("2026-01-01", periods=600, freq="D", tz="UTC").astype(str)
    write_index_values(frame(*(("SOFR", time, float(place)) for place, time in enumerate(times))), cadence="1d")

    def values(**wanted: Any) -> list[float]:
        return read_index_values(sofr, **wanted)["value"].tolist()

    def day(number: int) -> dt.datetime:
        return dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=number)

    assert values() == [float(place) for place in range(599, 99, -1)]
    assert values(order="asc", limit=2) == [0.0, 1.0]
    assert values(start=day(3), end=day(5), order="asc") == [3.0, 4.0, 5.0]
    assert values(start=day(3), end=day(3)) == [3.0]
    assert values(cadence="1h") == []
    assert len(values(limit=5000)) == 600


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"start": NAIVE}, "no time zone"),
        ({"end": NAIVE}, "no time zone"),
        (
            {"start": dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "end": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
            "Swap them",
        ),
        ({"order": "up"}, "order="),
        ({"limit": 0}, "from 1 to 5,000"),
        ({"limit": 5001}, "from 1 to 5,000"),
        ({"limit": True}, "from 1 to 5,000"),
        ({"limit": "5"}, "from 1 to 5,000"),
        ({"cadence": "daily"}, "cadence="),
    ],
)
def test_a_wrong_reading_is_refused(sofr: Index, wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_index_values(sofr, **wanted)


def test_reading_nothing_has_the_same_columns(sofr: Index) -> None:
    write_index_values(frame(("SOFR", FIRST, 1.0), metadata_json=[{"a": 1}]), cadence="1d")
    some, none = read_index_values(sofr), read_index_values(sofr, cadence="1y")
    assert none.empty
    assert none.dtypes.to_dict() == some.dtypes.to_dict()
    assert none.index.dtypes.to_dict() == some.index.dtypes.to_dict()
    assert str(some.index.dtypes["time_index"]) == "datetime64[ns, UTC]"


def test_an_index_with_values_stays(sofr: Index) -> None:
    write_index_values(frame(("SOFR", FIRST, 1.0), ("SOFR", SECOND, 2.0)), cadence="1d")
    impact = deletion.delete_impact(sofr)
    values = next(item for item in impact.relationships if item.model == "markets.IndexValue")
    assert (values.count, values.on_delete, values.effect, values.blocks_delete) == (
        2,
        "RESTRICT",
        "blocks_delete",
        True,
    )
    assert not impact.can_delete
    with pytest.raises(ProtectedRow, match="2 of index values"):
        deletion.delete(sofr)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; DELETE FROM markets_index")
    assert delete_index_values(sofr, cadence="1d") == 2
    assert not UpdateStatistic.objects.exists()
    deletion.delete(sofr)
    assert not Index.objects.exists()


def test_deleting_a_range_keeps_the_rest_and_counts_anew(sofr: Index) -> None:
    write_index_values(frame(("SOFR", FIRST, 1.0), ("SOFR", SECOND, 2.0)), cadence="1d")
    write_index_values(frame(("SOFR", FIRST, 7.0)), cadence="1h")
    assert delete_index_values(sofr, cadence="1d", end=dt.datetime(2026, 5, 25, 23, tzinfo=dt.UTC)) == 1
    assert sorted(IndexValue.objects.values_list("cadence", "value")) == [("1d", 2.0), ("1h", 7.0)]
    assert sorted(UpdateStatistic.objects.values_list("identity", "row_count")) == [
        (["1d", "SOFR"], 1),
        (["1h", "SOFR"], 1),
    ]


def test_the_method_of_an_index_with_values_is_fixed(sofr: Index) -> None:
    write_index_values(frame(("SOFR", FIRST, 1.0)), cadence="1d")
    with pytest.raises(Conflict, match="calculation_method cannot change"):
        indices.update_index(sofr, calculation_method="formula")
    assert indices.update_index(sofr, calculation_method="custom", display_name="Same").display_name == "Same"
    assert indices.update_index(factories.index(), calculation_method="formula").calculation_method == "formula"


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": float("nan")},
        {"value": float("inf")},
        {"value": float("-inf")},
        {"cadence": "daily"},
        {"cadence": "1D"},
        {"observation_status": " "},
    ],
)
def test_the_database_keeps_the_rules(sofr: Index, wrong: dict[str, Any]) -> None:
    time = dt.datetime(2026, 5, 25, tzinfo=dt.UTC)
    with pytest.raises(IntegrityError), transaction.atomic():
        IndexValue.objects.create(**{"index": sofr, "cadence": "1d", "time_index": time, "value": 1.0, **wrong})


def test_many_values_are_read_through_the_key(sofr: Index) -> None:
    times = pd.date_range("2000-01-01", periods=20_000, freq="h", tz="UTC")
    index = pd.MultiIndex.from_product([times, ["SOFR"]], names=["time_index", "index_identifier"])
    assert write_index_values(pd.DataFrame({"value": np.arange(20_000.0)}, index=index), cadence="1h") == WrittenValues(
        20_000, 0, 0
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE markets_indexvalue")
    plan = IndexValue.objects.filter(index="SOFR", cadence="1h").order_by("-time_index")[:500].explain()
    assert "Index Scan Backward using markets_indexvalue_pkey" in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("column", ["time_index", "source_as_of"])
def test_nanoseconds_are_refused_instead_of_cut(column: str) -> None:
    # regression: .123456789 was stored as .123456
    factories.index(unique_identifier="FINE")
    coarse = pd.DatetimeIndex(["2026-05-26T21:00:00.123456Z"]).as_unit("ns")
    times = {"time_index": coarse, "source_as_of": coarse}
    fine = times | {column: coarse + pd.Timedelta(1, "ns")}
    with pytest.raises(FrameError, match=rf"{column} in row 0 is 2026-05-26T21:00:00.123456001\+00:00, finer than"):
        write_index_values(pd.DataFrame({**fine, "index_identifier": "FINE", "value": 1.0}), cadence="1d")
    assert not IndexValue.objects.exists()
    whole = pd.DataFrame({**times, "index_identifier": "FINE", "value": 1.0})
    assert write_index_values(whole, cadence="1d").inserted == 1
