"""What a service writes into a table that DataNodes read makes those stale that had read past it, as a run does."""

import datetime as dt
from typing import Any

import pandas as pd
import pytest
from rest_framework.test import APIClient

from markets.data_nodes.access import APIDataNode
from markets.data_nodes.index_values import IndexValues
from markets.data_nodes.prices import ExternalPrices, ExternalPricesConfiguration
from markets.exceptions import DuplicateKeys, InvalidInput
from markets.models import Index, IndexValue, NodeUpdate
from markets.services.index_values import delete_index_values, read_index_values, write_index_values
from markets.services.snapshots import record_snapshots
from tests import factories
from tests.markets.data_nodes.nodes import DAY, START, ByTime, bars, make_assets, stored

pytestmark = pytest.mark.django_db


def values(*rows: tuple[int, str, float], **columns: Any) -> pd.DataFrame:
    """(day number, index, value) rows, and further columns."""
    return bars(rows, columns=["value"], index=["time_index", "index_identifier"]).assign(**columns)


class Total(ByTime):
    """The sum over whatever its source has at a time, of the times that it has not read yet."""

    def __init__(self, name: str, source: Any, column: str) -> None:
        self.source = source
        self.column = column
        super().__init__(name, [source])

    def update(self) -> pd.DataFrame:
        rows = self.source.get_df_between_dates().rename(columns={self.column: "total"})
        sums = rows.groupby(level=0)[["total"]].sum()
        last = self.update_statistics.max_time_index_value
        return sums if last is None else sums[sums.index > pd.Timestamp(last)]


def update_of(node: Any) -> NodeUpdate:
    return NodeUpdate.objects.get(update_hash=node.update_hash)


def stale(*nodes: Any) -> list[dt.datetime | None]:
    return [update_of(node).stale_from for node in nodes]


def totals(node: Any) -> list[float]:
    return [row[-1] for row in stored(node)]


def stored_values() -> list[tuple[str, float]]:
    return list(IndexValue.objects.order_by("index", "time_index").values_list("index", "value"))


@pytest.fixture
def rates() -> tuple[Index, Index]:
    return factories.index(unique_identifier="ESTR"), factories.index(unique_identifier="SOFR")


@pytest.fixture
def readers(rates: tuple[Index, Index]) -> tuple[Total, Total]:
    """Days 0 to 2 of both rates, read by one node, and that by another."""
    write_index_values(values(*((day, name, 1.0) for day in range(3) for name in ("ESTR", "SOFR"))), cadence="1d")
    first = Total("first", APIDataNode.build_from_identifier("IndexValues"), "value")
    second = Total("second", first, "total")
    second.run()
    assert totals(second) == [2.0, 2.0, 2.0]
    return first, second


# --- index values ----------------------------------------------------------------------------------------------------
def test_a_corrected_value_marks_its_readers_and_theirs(readers: tuple[Total, Total]) -> None:
    # when
    write_index_values(values((1, "SOFR", 5.0), (2, "SOFR", 1.0), (3, "SOFR", 1.0)), cadence="1d", mode="upsert")
    # then from the value on that differs, not from the first that was given
    assert stale(*readers) == [START + DAY, START + DAY]
    assert update_of(readers[0]).stale_reason == "IndexValues has late, changed or deleted rows."
    # and what is computed again agrees
    readers[1].run(force_update=True)
    assert totals(readers[1]) == [2.0, 6.0, 2.0, 1.0]
    assert stale(*readers) == [None, None]


def test_a_late_value_marks_its_readers(readers: tuple[Total, Total]) -> None:
    # when a value of another cadence, of a time that was read, is appended
    write_index_values(values((1, "ESTR", 7.0)), cadence="1mo")
    # then
    assert stale(*readers) == [START + DAY, START + DAY]


def test_a_deleted_value_marks_its_readers(readers: tuple[Total, Total], rates: tuple[Index, Index]) -> None:
    # when nothing is deleted, then nobody is told
    assert delete_index_values(rates[0], cadence="1h") == 0
    assert stale(*readers) == [None, None]
    # when
    assert delete_index_values(rates[0], cadence="1d", start=START + 2 * DAY) == 1
    # then
    assert stale(*readers) == [START + 2 * DAY, START + 2 * DAY]


def test_what_is_new_equal_or_unread_marks_nobody(readers: tuple[Total, Total]) -> None:
    # when a value after the last is appended
    write_index_values(values((3, "SOFR", 1.0)), cadence="1d")
    # and values are given again as they are, or differ in what no DataNode reads
    write_index_values(values((0, "SOFR", 1.0)), cadence="1d", mode="upsert")
    told = values((0, "SOFR", 1.0), metadata_json=[{"source": "fed"}])
    assert write_index_values(told, cadence="1d", mode="upsert").updated == 1
    # and a write is refused
    with pytest.raises(DuplicateKeys):
        write_index_values(values((0, "ESTR", 9.0), (0, "SOFR", 9.0)), cadence="1d")
    # then
    assert stale(*readers) == [None, None]
    assert read_index_values("SOFR", end=START)["metadata_json"].tolist() == [{"source": "fed"}]
    # but a column that was left out before counts once it differs
    write_index_values(values((2, "SOFR", 1.0), observation_status=["corrected"]), cadence="1d", mode="upsert")
    assert stale(*readers) == [START + 2 * DAY, START + 2 * DAY]


def test_a_value_that_is_corrected_over_rest_marks_its_readers(
    readers: tuple[Total, Total], rates: tuple[Index, Index], admin_user: Any
) -> None:
    client = APIClient()
    client.force_authenticate(admin_user)
    address = f"/api/v1/index/{rates[1].uid}/values/"
    correction = {"cadence": "1d", "values": [{"time_index": (START + DAY).isoformat(), "value": 3.0}]}
    assert client.post(address, correction, format="json").status_code == 400
    assert stale(*readers) == [None, None]
    assert client.put(address, correction, format="json").status_code == 200
    assert stale(*readers) == [START + DAY, START + DAY]


def test_a_value_that_is_corrected_while_a_reader_computes_marks_it(readers: tuple[Total, Total]) -> None:
    # given a run that has read the values and not written yet
    first, _ = readers
    read = first.update
    write_index_values(values((3, "SOFR", 1.0)), cadence="1d")

    def read_and_be_overtaken() -> pd.DataFrame:
        frame = read()
        write_index_values(values((3, "SOFR", 9.0)), cadence="1d", mode="upsert")
        return frame

    first.update = read_and_be_overtaken  # type: ignore[method-assign]
    # when
    first.run()
    # then it has written what it read, and is stale
    assert totals(first) == [2.0, 2.0, 2.0, 1.0]
    assert stale(*readers) == [START + 3 * DAY, None]
    # and is mended
    first.update = read  # type: ignore[method-assign]
    first.run(force_update=True)
    assert totals(first) == [2.0, 2.0, 2.0, 9.0]
    assert stale(*readers) == [None, None]


class Spread(IndexValues):
    """An index that follows from another one, in the same table."""

    write_mode = "append"

    def dependencies(self) -> dict[str, Any]:
        return {"rates": APIDataNode("IndexValues")}

    def update(self) -> pd.DataFrame:
        read = self.dependencies()["rates"].get_df_between_dates(unique_identifier_list=["SOFR"])
        read = read.rename({"SOFR": "SPREAD"}, level="index_identifier")[["value"]] * 2.0
        read = read.assign(observation_status=None, source_as_of=None)
        last = self.update_statistics.index_progress
        return read[[(cadence, name) not in last or time > last[cadence, name] for time, cadence, name in read.index]]


class OwnSpread(Spread):
    def statistics_scope(self) -> dict[str, str]:
        return {"index_identifier": "SPREAD"}


def test_a_node_that_computes_an_index_again_deletes_no_other(rates: tuple[Index, Index]) -> None:
    factories.index(unique_identifier="SPREAD")
    write_index_values(values((0, "SOFR", 1.0), (1, "SOFR", 1.0), (1, "ESTR", 1.0)), cadence="1d")
    node = OwnSpread()
    node.run()
    write_index_values(values((1, "SOFR", 5.0)), cadence="1d", mode="upsert")
    assert stale(node) == [START + DAY]
    node.run(force_update=True)
    assert stale(node) == [None]
    assert stored_values() == [("ESTR", 1.0), ("SOFR", 1.0), ("SOFR", 5.0), ("SPREAD", 2.0), ("SPREAD", 10.0)]


def test_a_node_that_does_not_tell_its_indices_is_not_computed_again(rates: tuple[Index, Index]) -> None:
    # regression: it deleted the values of all other indices along with its own
    factories.index(unique_identifier="SPREAD")
    write_index_values(values((0, "SOFR", 1.0), (1, "SOFR", 1.0), (1, "ESTR", 1.0)), cadence="1d")
    node = Spread()
    node.run()
    write_index_values(values((1, "SOFR", 5.0)), cadence="1d", mode="upsert")
    # when
    with pytest.raises(InvalidInput) as caught:
        node.run(force_update=True)
    # then
    assert str(caught.value) == (
        "Spread shares the table markets_indexvalue with other writers and does not tell which rows are its own, so "
        "they cannot be deleted and computed again. Let Spread.statistics_scope() tell, such as {'index_identifier': "
        "…}. Nothing was deleted."
    )
    assert stale(node) == [START + DAY]
    assert stored_values() == [("ESTR", 1.0), ("SOFR", 1.0), ("SOFR", 5.0), ("SPREAD", 2.0), ("SPREAD", 2.0)]


# --- snapshots and prices --------------------------------------------------------------------------------------------
class Named(ByTime):
    """How many assets had been named by a day."""

    def __init__(self, source: Any) -> None:
        self.source = source
        super().__init__("named", [source])

    def update(self) -> pd.DataFrame:
        rows = self.source.get_df_between_dates()
        counts = rows.groupby(level=0)[["name"]].count()
        last = self.update_statistics.max_time_index_value
        return counts if last is None else counts[counts.index > pd.Timestamp(last)]


def snapshot(day: int, asset: str) -> dict[str, Any]:
    return {"time_index": START + day * DAY, "asset_identifier": asset, "name": asset.lower()}


def test_a_batch_of_snapshots_marks_who_had_gone_past_it() -> None:
    make_assets("A", "B")
    record_snapshots([snapshot(0, "A"), snapshot(2, "A")])
    reader = Named(APIDataNode.build_from_identifier("AssetSnapshotsTS"))
    reader.run()
    # when a batch is refused, and one comes that is later
    with pytest.raises(DuplicateKeys):
        record_snapshots([snapshot(1, "B"), snapshot(2, "A")])
    record_snapshots([snapshot(3, "A")])
    # then
    assert stale(reader) == [None]
    # when one comes late
    record_snapshots([snapshot(1, "B"), snapshot(4, "B")])
    # then
    assert stale(reader) == [START + DAY]


def test_imported_prices_of_an_asset_that_comes_late_mark_who_had_gone_past_them(tmp_path: Any) -> None:
    make_assets("A", "B")
    path = tmp_path / "prices.csv"
    header = "time_index,asset_identifier,price\n"
    path.write_text(header + "2026-01-02T21:00Z,A,1\n2026-01-03T21:00Z,A,1\n")
    prices = ExternalPrices(ExternalPricesConfiguration(dataset="prices", path=str(path)))
    total = Total("total", prices, "close")
    total.run()
    # when the same file is imported again, and a longer one
    prices.run()
    path.write_text(path.read_text() + "2026-01-04T21:00Z,A,1\n")
    prices.run()
    # then
    assert stale(total) == [None]
    # when
    path.write_text(path.read_text() + "2026-01-03T21:00Z,B,5\n")
    prices.run()
    # then
    assert stale(total) == [START + DAY]
    total.run(force_update=True)
    assert totals(total) == [1.0, 6.0, 1.0]
