"""Exports: of the selection, or of everything that a list finds; safe to open, and text stays text."""

import csv
import io
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from markets.admin import exporting
from markets.admin.exporting import ExportingAdmin
from markets.models import Asset
from markets.services.exports import csv_stream, write_sheet
from tests import factories
from tests.admin import rows

URL = "/admin/markets/asset/export/"


def table(response: Any) -> list[dict[str, str]]:
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def sheet(response: Any) -> list[list[Any]]:
    book = openpyxl.load_workbook(io.BytesIO(b"".join(response.streaming_content)))
    return [list(row) for row in book.active.iter_rows()]


@pytest.fixture
def known(boss: Client) -> Client:
    rows.assets(3)
    hostile = factories.asset(unique_identifier="0012", asset_type="fund")
    factories.details(hostile, ticker="=1+1", name="@SUM(A1)\tÜber", figi=None)
    return boss


def test_everything_that_the_list_finds_is_exported(known: Client) -> None:
    page = known.get(URL, {"type": "equity"})
    assert page.context["question"].title == "Export 3 assets"
    found = table(known.post(f"{URL}?type=equity", {"file_format": "csv"}))
    assert [row["unique_identifier"] for row in found] == [f"BBG00000000{n}" for n in range(3)]
    assert {row["asset_type"] for row in found} == {"equity"}
    assert len(table(known.post(URL, {"file_format": "csv"}))) == 4
    assert table(known.post(f"{URL}?q=TCK1", {"file_format": "csv"}))[0]["ticker"] == "TCK1"


def test_the_selection_is_exported(known: Client) -> None:
    chosen = Asset.objects.order_by("unique_identifier")[1:3]
    said = {"action": "export_rows", "_selected_action": [row.pk for row in chosen]}
    page = known.post("/admin/markets/asset/", {**said, "index": "0"})
    assert page.context["question"].title == "Export 2 assets"
    found = table(known.post("/admin/markets/asset/", {**said, "file_format": "csv"}))
    assert [row["uid"] for row in found] == [str(row.uid) for row in chosen]


def test_cells_that_would_be_formulas_are_harmless_and_text_stays_text(known: Client) -> None:
    (row,) = table(known.post(f"{URL}?type=fund", {"file_format": "csv"}))
    assert (row["unique_identifier"], row["ticker"], row["name"]) == ("0012", "'=1+1", "'@SUM(A1)\tÜber")
    response = known.post(f"{URL}?type=fund", {"file_format": "xlsx"})
    header, cells = sheet(response)
    by_name = {name.value: cell for name, cell in zip(header, cells, strict=True)}
    assert by_name["unique_identifier"].value == "0012"
    assert {by_name[name].data_type for name in ("unique_identifier", "ticker", "name")} == {"s"}
    assert by_name["ticker"].value == "=1+1"
    assert by_name["figi"].value is None
    assert response["Content-Disposition"].endswith('.xlsx"')


def test_a_sheet_has_a_limit_and_csv_is_the_remedy(known: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MOST_SHEET_ROWS", 2)
    response = known.post(URL, {"file_format": "xlsx"})
    assert "A sheet takes at most 2 rows here, and these are 4. Choose CSV" in response.content.decode()
    assert len(table(known.post(URL, {"file_format": "csv"}))) == 4


@pytest.mark.parametrize("file_format", ["", "exe", "\x00", "csv "])
def test_a_format_that_is_none_is_asked_again(known: Client, file_format: str) -> None:
    response = known.post(URL, {"file_format": file_format})
    assert response.status_code == 200
    assert not response.streaming


def test_a_filter_that_cannot_be_read_goes_back_to_the_list(known: Client) -> None:
    assert known.get(f"{URL}?id__exact=x").status_code in (302, 200)
    assert known.get(f"{URL}?category=%00").status_code == 302


def test_every_registry_list_exports(boss: Client, viewer: Client) -> None:
    made = [factories.issuer(), factories.index_type(), factories.index(), factories.currency_spot()]
    made += [factories.bond(), factories.future(contract_size=Decimal("0.001")), factories.calendar_date()]
    made += [factories.calendar_event(), factories.account(), factories.target_allocation(), factories.position_set()]
    made += [factories.holdings_set(), factories.virtual_fund(), factories.account_group(), factories.portfolio()]
    pages = {model for model, page in admin.site._registry.items() if isinstance(page, ExportingAdmin)}
    assert {type(row) for row in made} <= pages
    for row in made:
        name = f"admin:{row._meta.app_label}_{row._meta.model_name}_export"
        for client in (boss, viewer):
            found = table(client.post(reverse(name), {"file_format": "csv"}))
            assert found, name
            assert len(sheet(client.post(reverse(name), {"file_format": "xlsx"}))) == len(found) + 1
    future = table(boss.post(reverse("admin:markets_future_export"), {"file_format": "csv"}))[0]
    assert future["contract_size"] == "0.001"
    assert future["expires_at"] == "2026-12-18T22:00:00Z"
    assert future["settlement_asset"].startswith("ASSET-")


def test_whoever_may_not_look_may_not_export(client: Client, boss: Client) -> None:
    nobody = factories.user("markets.view_asset", is_staff=True)
    client.force_login(nobody)
    assert client.get(reverse("admin:markets_issuer_export")).status_code == 403
    assert client.post(reverse("admin:markets_issuer_export"), {"file_format": "csv"}).status_code == 403
    assert client.get(URL).status_code == 200


def test_a_million_lines_are_streamed_in_small_pieces() -> None:
    pieces = csv_stream(["a"], ((number,) for number in range(1_000_000)))
    longest, total = 0, 0
    for piece in pieces:
        longest, total = max(longest, len(piece)), total + piece.count(b"\n")
    assert total == 1_000_001
    assert longest < 10_000


def test_cells_that_a_sheet_cannot_hold(tmp_path: Any) -> None:
    path = tmp_path / "x.xlsx"
    long, digits = "x" * 40_000, Decimal("1.000000000000000001")
    with path.open("wb") as file:
        assert (
            write_sheet(
                file, ["a", "b", "c", "d", "e"], [("a\x0bb", long, digits, Decimal("50.0"), {"k": 1})], title="a/b"
            )
            == 1
        )
    cells = next(openpyxl.load_workbook(path).active.iter_rows(min_row=2, values_only=True))
    assert cells[0] == "a\ufffdb"
    assert cells[1] == "(40,000 characters: too long for a cell of a sheet. Export CSV.)"
    assert cells[2] == "1.000000000000000001"
    assert cells[3] == 50
    assert cells[4] == '{"k": 1}'
