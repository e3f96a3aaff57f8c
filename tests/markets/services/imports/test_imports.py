"""Imports: what a preview tells of each row, what applying writes and refuses, and what undoing takes back."""

import csv
import datetime as dt
import io
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from markets.exceptions import Conflict, InvalidInput
from markets.models import (
    Asset,
    AssetCategoryMembership,
    AssetType,
    Change,
    ImportChunk,
    ImportRow,
    ImportRun,
    ImportStatus,
    Job,
    JobStatus,
    OpenFigiDetails,
)
from markets.services import assets, imports, jobs
from tests import factories
from tests.markets.services.imports.steps import apply, done, reasons, rows, undo, upload

pytestmark = pytest.mark.django_db
DATA = Path(__file__).resolve().parents[5] / "shared" / "data"
AAPL, IBM = "BBG000B9XRY4", "BBG000BLNNH6"


def stored() -> list[tuple[Any, ...]]:
    return list(
        Asset.objects.order_by("unique_identifier").values_list(
            "unique_identifier", "asset_type", "openfigi_details__ticker", "openfigi_details__name"
        )
    )


# --- the preview -----------------------------------------------------------------------------------------------------
def test_every_row_is_told_with_its_difference_and_nothing_is_written() -> None:
    for name, ticker in (("A", "OLD"), ("B", "B")):
        factories.details(factories.asset(unique_identifier=name, asset_type="equity"), figi=None, ticker=ticker)
    before = stored()
    run = upload("unique_identifier,Symbol,Sector\nA,NEW,x\nB,B,x\nC,007,x\n,D,x\n")
    assert run.status == ImportStatus.PREVIEWED
    assert run.mapping == {"unique_identifier": "unique_identifier", "Symbol": "ticker"}
    assert run.counts == {"rows": 4, "create": 1, "update": 1, "same": 1, "conflict": 0, "error": 1}
    assert rows(run) == [(2, "A", "update"), (3, "B", "same"), (4, "C", "create"), (5, None, "error")]
    changes = dict(run.rows.values_list("row", "changes"))
    assert changes[2] == {"ticker": ["OLD", "NEW"]}
    assert changes[3] is None
    assert changes[4] == {"ticker": [None, "007"], "is_custom_by_organization": [None, True]}
    assert reasons(run) == {5: [("unique_identifier", "unique_identifier is missing. It names the asset.")]}
    assert run.rows.get(row=5).cells == ["", "D", "x"]
    assert stored() == before
    assert AssetType.objects.count() == 0


def test_the_column_that_names_the_rows_is_proposed_when_it_is_filled_and_different() -> None:
    assert upload(f"figi,ticker\n{AAPL},AAPL\n,IBM\n").identifier_column == "ticker"
    assert upload(f"figi,ticker\n{AAPL},AAPL\n{IBM},IBM\n").identifier_column == "figi"
    undecided = upload("ticker,name\nA,x\nA,y\n")
    assert (undecided.identifier_column, undecided.status, undecided.job) == ("", ImportStatus.UPLOADED, None)
    with pytest.raises(Conflict, match="not previewed yet"):
        imports.request_apply(undecided)
    with pytest.raises(InvalidInput, match="Columns that may: ticker"):
        imports.change_mapping(undecided, identifier_column="name")
    chosen = done(imports.change_mapping(undecided, identifier_column="ticker", start=jobs.record))
    assert [row[2] for row in rows(chosen)] == ["conflict", "conflict"]


def test_duplicates_within_the_file_are_same_when_equal_and_conflicts_when_not() -> None:
    run = upload("unique_identifier,name\nA,x\nB,y\nA,x\nB,z\nB,y\n")
    assert [row[2] for row in rows(run)] == ["create", "conflict", "same", "conflict", "conflict"]
    told = "Rows 3, 5 and 6 name B and differ in name. Keep one."
    assert reasons(run) == {
        3: [("name", told)],
        4: [(None, "Row 2 says the same.")],
        5: [("name", told)],
        6: [("name", told)],
    }
    assert run.rows.get(row=5).cells == ["B", "z"]
    assert apply(run).results == {"created": 1, "updated": 0, "conflicts": 0}
    assert stored() == [("A", None, None, "x")]


def test_identifiers_stay_text_and_what_a_spreadsheet_changed_is_refused() -> None:
    run = upload("unique_identifier,ticker,name\n000123,0700,360\n9.19E+109,A,x\nB,1.2e+05,x\nC,#N/A,x\n")
    assert [row[2] for row in rows(run)] == ["create", "error", "error", "error"]
    found = reasons(run)
    assert found[3][0] == (
        "unique_identifier",
        "9.19E+109 is a number in scientific notation: the spreadsheet has replaced the identifier. Format the column "
        "as text in the spreadsheet and enter the value anew.",
    )
    assert found[4][0][0] == "ticker"
    assert found[5][0] == (
        "ticker",
        "The cell holds the spreadsheet's error #N/A. Correct the cell, or leave it empty.",
    )
    apply(run)
    assert stored() == [("000123", None, "0700", "360")]


def test_empty_cells_keep_unless_they_are_to_clear() -> None:
    factories.details(factories.asset(unique_identifier="A", asset_type="bond"), figi=AAPL, ticker="T", name="N")
    text = "unique_identifier,asset_type,ticker,name,custom\nA,, ,M,\n"
    kept = apply(upload(text))
    assert kept.results == {"created": 0, "updated": 1, "conflicts": 0}
    assert stored() == [("A", "bond", "T", "M")]
    cleared = apply(upload(text, empty_cells="clear"))
    assert stored() == [("A", None, None, "M")]
    undo(cleared)
    assert stored() == [("A", "bond", "T", "M")]
    assert OpenFigiDetails.objects.get().figi == AAPL


def test_a_default_type_is_for_new_rows_without_one() -> None:
    factories.asset(unique_identifier="OLD", asset_type="fund")
    run = upload("unique_identifier,type\nOLD,\nNEW,\nOTHER,Bond\n", asset_type="Preferred Stock")
    assert apply(run).results == {"created": 2, "updated": 0, "conflicts": 0}
    assert [row[:2] for row in stored()] == [("NEW", "preferred_stock"), ("OLD", "fund"), ("OTHER", "bond")]
    assert set(AssetType.objects.values_list("asset_type", flat=True)) == {"preferred_stock", "bond"}


def test_rules_of_the_bulk_call_hold() -> None:
    taken = factories.asset(unique_identifier="OWNER")
    factories.details(taken, figi=AAPL)
    factories.bond()
    bond = Asset.objects.get(bond__isnull=False)
    run = upload(
        f"unique_identifier,figi,asset_type,isin\nA,{AAPL},,\nB,BBG000B9XRY5,,\n{bond.unique_identifier},,equity,\n"
        f"C,,,{'x' * 13}\nD,{IBM.lower()},,\n"
    )
    assert [row[2] for row in rows(run)] == ["conflict", "error", "conflict", "error", "create"]
    found = reasons(run)
    assert found[2] == [("figi", f"The FIGI {AAPL} belongs to the asset OWNER. One FIGI names one asset.")]
    assert "check digit" in found[3][0][1]
    assert "has the terms of a bond" in found[4][0][1]
    assert found[5][0][0] == "isin"


def test_ragged_rows_and_hostile_characters_are_errors_of_their_rows() -> None:
    run = upload('unique_identifier,name\nA,x\nB\nC,y,z\nD\x00,x\nE,"a\nb"\n\nF,x,,\n')
    assert rows(run) == [
        (2, "A", "create"),
        (3, None, "error"),
        (4, None, "error"),
        (5, None, "error"),
        (6, "E", "create"),
        (8, "F", "create"),
    ]
    found = reasons(run)
    assert found[3][0][1].startswith("The row has 1 cells where the header has 2.")
    assert found[5] == [("unique_identifier", "unique_identifier holds a NUL character. Remove it.")]
    assert run.rows.get(row=5).cells == ["D\N{REPLACEMENT CHARACTER}", "x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n", "no rows"),
        (b"name,name\nx,y\n", "stands 2 times"),
        (b'ticker,name\nA,"x\n', "never closed"),
        ("ticker,name\nA,é\n".encode("latin-1"), "not UTF-8"),
        ("ticker\nA\n".encode("utf-16"), "UTF-16"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600, "old .xls"),
        (b"PK\x03\x04garbage", "workbook cannot be read"),
        (b"PAR1garbage", "Parquet file cannot be read"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"<!DOCTYPE html><table>", "web page"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_and_not_kept(content: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        upload(content)
    assert ImportRun.objects.count() == ImportChunk.objects.count() == Job.objects.count() == 0


def test_a_fault_beyond_the_first_rows_fails_the_preview_and_can_be_discarded() -> None:
    text = "unique_identifier,name\n" + "".join(f"A{n},x\n" for n in range(1_500)) + 'B,"open\n'
    run = upload(text)
    assert run.status == ImportStatus.FAILED
    assert run.error == (
        "Row 1502 cannot be read: a quote that opens in it is never closed. Close it, or double the quotes within a "
        "cell."
    )
    assert run.rows.count() == 0
    assert run.job is not None
    assert run.job.status == JobStatus.FAILED
    imports.discard(run)
    assert ImportRun.objects.count() == ImportChunk.objects.count() == 0


def test_the_size_limit_is_told_with_its_setting(settings: Any) -> None:
    settings.IMPORT_MAX_BYTES = 10
    with pytest.raises(imports.FileTooLarge, match="MSM_IMPORT_MAX_MIB"):
        upload("unique_identifier\nABCDEF\n")


# --- the mapping -----------------------------------------------------------------------------------------------------
def test_a_changed_mapping_gives_a_new_preview() -> None:
    run = upload("unique_identifier,label\nA,x\n")
    assert run.mapping == {"unique_identifier": "unique_identifier"}
    assert run.rows.get().changes == {"is_custom_by_organization": [None, True]}
    mapping = {"unique_identifier": "unique_identifier", "label": "name"}
    run = done(imports.change_mapping(run, mapping=mapping, start=jobs.record))
    assert run.rows.get().changes["name"] == [None, "x"]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ([], "must be an object"),
        ({"nothing": "name"}, "no column 'nothing'"),
        ({"label": "uid"}, "is no field of assets"),
        ({"label": 3}, "is no field of assets"),
        ({"label": "name", "other": "name"}, "both fill name"),
        ({"label": "name"}, "Say which column|cannot name"),
    ],
)
def test_a_wrong_mapping_is_refused_and_changes_nothing(mapping: Any, message: str) -> None:
    run = upload("unique_identifier,label,other\nA,x,y\n")
    before = ImportRun.objects.values().get()
    with pytest.raises(InvalidInput, match=message):
        imports.change_mapping(run, mapping=mapping)
    assert ImportRun.objects.values().get() == before


# --- applying --------------------------------------------------------------------------------------------------------
def test_applying_writes_what_was_previewed_and_drops_the_file() -> None:
    run = apply(upload(f"unique_identifier,type,figi,symbol\nB,Equity,{IBM},IBM\nA,Equity,{AAPL},AAPL\n"), reason="New")
    assert (run.status, run.reason) == (ImportStatus.APPLIED, "New")
    assert run.results == {"created": 2, "updated": 0, "conflicts": 0}
    assert stored() == [("A", "equity", "AAPL", None), ("B", "equity", "IBM", None)]
    assert set(Asset.objects.values_list("uid", flat=True)) == set(run.rows.values_list("target", flat=True))
    assert list(Asset.objects.values_list("updated_at", flat=True)) == [run.applied_at] * 2
    assert ImportChunk.objects.count() == 0


def test_nothing_is_applied_twice() -> None:
    run = apply(upload("unique_identifier,name\nA,x\n"))
    assets.set_openfigi_details(Asset.objects.get(), name="mine")
    with pytest.raises(Conflict, match="applied already"):
        imports.request_apply(run)
    with pytest.raises(Conflict, match="applied already"):
        imports.change_mapping(run, mapping=run.mapping)
    Job.objects.filter(pk=run.job_id).update(status=JobStatus.QUEUED, finished_at=None)
    jobs.execute(str(run.job.uid))  # its worker died before it could say that it was done
    assert Job.objects.get(pk=run.job_id).status == JobStatus.SUCCEEDED
    assert stored() == [("A", None, None, "mine")]
    for status in ("previewed", "applying", "uploaded", "undone"):
        with pytest.raises(IntegrityError), transaction.atomic():
            ImportRun.objects.filter(pk=run.pk).update(status=status)


def test_of_two_who_apply_at_once_one_does() -> None:
    run = upload("unique_identifier\nA\n")
    first = imports.request_apply(run, start=jobs.record)
    with pytest.raises(Conflict, match="being applied"):
        imports.request_apply(run, start=jobs.record)
    with pytest.raises(Conflict, match="being worked on"):
        imports.discard(run)
    assert done(first).status == ImportStatus.APPLIED
    assert Job.objects.filter(kind="apply_import").count() == 1


def test_an_import_without_anything_to_write_is_not_applied() -> None:
    factories.asset(unique_identifier="A")
    with pytest.raises(Conflict, match="nothing to apply"):
        imports.request_apply(upload("unique_identifier\nA\n"))


def test_what_changed_since_the_preview_is_a_conflict_and_not_overwritten() -> None:
    for name in ("CHANGED", "DELETED", "RAW", "SAME", "FREE"):
        factories.details(factories.asset(unique_identifier=name), figi=None, name="old")
    run = upload(
        "unique_identifier,name\nCHANGED,new\nDELETED,new\nRAW,new\nSAME,old\nFREE,new\nMADE,new\nMISSING,new\n"
    )
    assets.set_openfigi_details(Asset.objects.get(unique_identifier="CHANGED"), ticker="T")
    assets.delete_asset(Asset.objects.get(unique_identifier="DELETED"))
    OpenFigiDetails.objects.filter(asset__unique_identifier="RAW").update(name="by hand")
    assets.set_openfigi_details(Asset.objects.get(unique_identifier="SAME"), name="other")
    factories.asset(unique_identifier="MADE")
    run = apply(run)
    assert run.results == {"created": 1, "updated": 1, "conflicts": 5}
    assert run.counts == {"rows": 7, "create": 1, "update": 1, "same": 0, "conflict": 5, "error": 0}
    assert {row: told[0][1] for row, told in reasons(run).items()} == {
        2: "The asset was changed since the preview.",
        3: "The asset was deleted since the preview.",
        4: "name changed since the preview.",
        5: "The asset was changed since the preview.",
        7: "The asset was made by somebody else since the preview.",
    }
    assert {name: text for name, _, _, text in stored()} == {
        "CHANGED": "old",
        "RAW": "by hand",
        "SAME": "other",
        "FREE": "new",
        "MADE": None,
        "MISSING": "new",
    }
    assert run.rows.get(row=4).cells == ["RAW", "new"]


def test_a_refused_apply_puts_the_import_back(monkeypatch: pytest.MonkeyPatch) -> None:
    run = imports.request_apply(upload("unique_identifier\nA\n"), start=jobs.record)
    ImportRun.objects.filter(pk=run.pk).update(counts={})  # the step meets what nobody foresaw
    run = done(run)
    assert run.status == ImportStatus.PREVIEWED
    assert run.error
    assert stored() == []


def test_an_import_whose_job_never_came_is_free_again() -> None:
    run = imports.request_apply(upload("unique_identifier\nA\n"), start=jobs.record)
    Job.objects.filter(pk=run.job_id).update(
        status=JobStatus.FAILED, error="The broker cannot be reached.", finished_at=timezone.now()
    )
    run.refresh_from_db()
    assert imports.standing(run) == ImportStatus.PREVIEWED
    assert apply(run).status == ImportStatus.APPLIED
    assert stored() == [("A", None, None, None)]


def test_the_planner_knows_the_rows_of_a_new_preview() -> None:
    """Else applying 100,000 of them joins each with each."""
    upload("unique_identifier\n" + "".join(f"A{n}\n" for n in range(3_000)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = 'markets_importrow'")
        assert cursor.fetchone()[0] >= 3_000


def test_slices_write_every_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from markets.services.imports import apply as module

    monkeypatch.setattr(module, "ROWS_IN_SLICE", 3)
    run = upload("unique_identifier,name\n" + "".join(f"A{n},x\n" for n in range(10)))
    assert apply(run).results == {"created": 10, "updated": 0, "conflicts": 0}
    again = upload("unique_identifier,name\n" + "".join(f"A{n},{'x' if n % 2 else 'y'}\n" for n in range(12)))
    assert apply(again).results == {"created": 2, "updated": 5, "conflicts": 0}
    assert undo(again).results["restored"] == 5
    assert undo(run).results["deleted"] == 10
    assert stored() == []


# --- undoing ---------------------------------------------------------------------------------------------------------
def test_undo_deletes_what_was_made_and_puts_back_what_was_changed() -> None:
    plain = factories.asset(unique_identifier="PLAIN", asset_type="bond")
    factories.details(factories.asset(unique_identifier="NAMED"), figi=None, name="old")
    before = stored()
    run = apply(upload("unique_identifier,type,name,ticker\nPLAIN,fund,new,T\nNAMED,,new,\nMADE,fund,new,\n"))
    assert len(stored()) == 3
    run = undo(run, reason="The wrong file")
    assert (run.status, run.undo_reason) == (ImportStatus.UNDONE, "The wrong file")
    assert run.results == {"created": 1, "updated": 2, "conflicts": 0, "deleted": 1, "restored": 2, "kept": 0}
    assert stored() == before
    assert not OpenFigiDetails.objects.filter(asset=plain).exists()
    with pytest.raises(Conflict, match="it was undone"):
        imports.request_undo(run, reason="again")


def test_the_history_of_a_row_names_the_file_the_person_and_the_reason() -> None:
    ann = factories.person("analyst")
    run = apply(upload("unique_identifier\nMADE\n", name="new.csv", user=ann), user=ann, reason="New listings")
    undo(run, user=ann, reason="The wrong file")
    told = Change.objects.filter(table_name="markets_asset").order_by("id")
    made, deleted = told.values_list("operation", "source", "actor", "reason")
    assert made[:3] == ("I", "task", ann.username)
    assert "new.csv" in made[3]
    assert made[3].endswith(": New listings")
    assert deleted[:3] == ("D", "task", ann.username)
    assert deleted[3].endswith(": The wrong file")


def test_what_was_touched_since_is_kept_and_told() -> None:
    for name in ("CHANGED", "GONE"):
        factories.details(factories.asset(unique_identifier=name), figi=None, name="old")
    run = apply(
        upload("unique_identifier,name,custom\nCHANGED,new,\nGONE,new,\nUSED,x,\nEDITED,x,\nPUBLIC,x,no\nFREE,x,\n")
    )
    assets.set_openfigi_details(Asset.objects.get(unique_identifier="CHANGED"), name="mine")
    assets.delete_asset(Asset.objects.get(unique_identifier="GONE"))
    factories.category(Asset.objects.get(unique_identifier="USED"))
    assets.set_openfigi_details(Asset.objects.get(unique_identifier="EDITED"), ticker="T")
    run = undo(run)
    assert run.results == {"created": 4, "updated": 2, "conflicts": 0, "deleted": 1, "restored": 0, "kept": 5}
    assert dict(run.rows.filter(kept__isnull=False).values_list("key", "kept")) == {
        "CHANGED": "name changed since.",
        "GONE": "The asset was deleted since.",
        "USED": "Category memberships rest on it.",
        "EDITED": "ticker changed since.",
        "PUBLIC": "The asset belongs to the public master, which you may not delete from.",
    }
    assert [row[0] for row in stored()] == ["CHANGED", "EDITED", "PUBLIC", "USED"]
    assert AssetCategoryMembership.objects.count() == 1


def test_the_public_master_is_undone_with_force() -> None:
    run = apply(upload("unique_identifier,custom\nPUBLIC,no\n"))
    assert undo(run, force=True).results["deleted"] == 1


def test_undo_wants_a_reason() -> None:
    run = apply(upload("unique_identifier\nA\n"))
    for reason in ("", "  ", "x" * 1_001, "a\x00", None):
        with pytest.raises(InvalidInput, match=r"reason|Say why"):
            imports.request_undo(run, reason=reason)  # type: ignore[arg-type]
    run.refresh_from_db()
    assert run.status == ImportStatus.APPLIED


def test_a_figi_that_went_elsewhere_is_not_put_back() -> None:
    factories.details(factories.asset(unique_identifier="A"), figi=AAPL)
    run = apply(upload(f"unique_identifier,figi\nA,{IBM}\n"))
    factories.details(factories.asset(unique_identifier="B"), figi=AAPL)
    run = undo(run)
    assert run.results["kept"] == 1
    assert run.rows.get().kept == f"The FIGI {AAPL} belongs to the asset B. One FIGI names one asset."
    assert OpenFigiDetails.objects.get(asset__unique_identifier="A").figi == IBM


# --- the file of errors, and cleaning up ---------------------------------------------------------------------------
def test_the_errors_file_has_the_cells_and_no_formula() -> None:
    run = upload('unique_identifier,name,note\n=HYPERLINK("x"),x,@a\n,+1,-2\nA,x,y\nA,z,y\n'.replace('"x"', "x"))
    text = b"".join(imports.errors_file(run)).decode("utf-8-sig")
    lines = list(csv.reader(io.StringIO(text)))
    assert lines[0] == ["row", "outcome", "field", "reason", "unique_identifier", "name", "note"]
    assert lines[1][:3] + lines[1][4:] == ["3", "error", "unique_identifier", "", "'+1", "'-2"]
    assert [line[0] for line in lines[1:]] == ["3", "4", "5"]
    assert run.rows.get(row=2).outcome == "create"
    kept = apply(run)
    assets.set_openfigi_details(Asset.objects.get(), ticker="T")
    lines = list(csv.reader(io.StringIO(b"".join(imports.errors_file(undo(kept))).decode("utf-8-sig"))))
    assert lines[1][:4] == ["2", "kept", "", "ticker changed since."]


def test_what_nobody_applied_is_tidied_away_after_a_while() -> None:
    old, young = upload("unique_identifier\nA\n"), upload("unique_identifier\nB\n")
    applied = apply(upload("unique_identifier\nC\n"))
    long_ago = timezone.now() - dt.timedelta(days=31)
    ImportRun.objects.filter(pk__in=[old.pk, applied.pk]).update(updated_at=long_ago)
    assert imports.tidy_imports() == 1
    assert set(ImportRun.objects.values_list("pk", flat=True)) == {young.pk, applied.pk}
    assert not ImportRow.objects.filter(run_id=old.pk).exists()


def test_a_job_of_a_deleted_import_fails_plainly() -> None:
    job = jobs.record("apply_import", "Apply", {"import": str(uuid.uuid4())})
    jobs.execute(str(job.uid))
    job.refresh_from_db()
    assert job.error == "NotFound: The import of this job was deleted."


# --- real files ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "number"), [("ASE", 1_115), ("NCM", 958), ("NGM", 271)])
def test_real_listings_are_imported_by_their_symbol(name: str, number: int) -> None:
    file = DATA / f"financedatabase_equities_{name}.csv"
    if not file.exists():
        pytest.skip(f"the listings of FinanceDatabase are not in {DATA}")
    with file.open(newline="", encoding="utf-8") as stream:
        listings = list(csv.DictReader(stream))
    run = upload(file.read_bytes(), file.name, asset_type="equity")
    assert run.identifier_column == "symbol"
    assert run.mapping == {
        "symbol": "ticker",
        "name": "name",
        "exchange": "exchange_code",
        "isin": "isin",
        "figi": "figi",
        "composite_figi": "composite",
        "shareclass_figi": "share_class",
    }
    assert run.counts == {"rows": number, "create": number, "update": 0, "same": 0, "conflict": 0, "error": 0}
    assert apply(run).results == {"created": number, "updated": 0, "conflicts": 0}
    wanted = {
        row["symbol"].strip(): tuple(row[column].strip() or None for column in ("figi", "isin", "name", "exchange"))
        for row in listings
    }
    found = Asset.objects.values_list(
        "unique_identifier", *(f"openfigi_details__{field}" for field in ("figi", "isin", "name", "exchange_code"))
    )
    assert {key: tuple(values) for key, *values in found} == wanted
    again = upload(file.read_bytes(), file.name, asset_type="equity")
    assert (again.counts["same"], again.counts["rows"]) == (number, number)
    assert undo(run).results["deleted"] == number
    assert not Asset.objects.exists()
    assert not OpenFigiDetails.objects.exists()


def test_real_listings_by_figi_tell_the_rows_without_one() -> None:
    file = DATA / "financedatabase_equities_ASE.csv"
    if not file.exists():
        pytest.skip(f"the listings of FinanceDatabase are not in {DATA}")
    run = upload(file.read_bytes(), file.name, identifier_column="figi")
    assert (run.counts["create"], run.counts["error"]) == (255, 860)
    assert {told[0] for told in reasons(run).values()} == {("unique_identifier", "figi is empty. It names the asset.")}
    text = b"".join(imports.errors_file(run)).decode("utf-8-sig")
    assert len(list(csv.reader(io.StringIO(text)))) == 861


def test_an_asset_made_anew_is_not_put_back() -> None:
    asset = factories.asset(unique_identifier="A", asset_type="bond")
    run = apply(upload("unique_identifier,type\nA,fund\n"))
    asset.refresh_from_db()
    asset.delete()
    factories.asset(unique_identifier="A", asset_type="fund")
    run = undo(run)
    assert (run.results["restored"], run.results["kept"]) == (0, 1)
    assert Asset.objects.get().asset_type == "fund"
