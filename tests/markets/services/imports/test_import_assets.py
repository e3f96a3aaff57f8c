"""The command `import_assets`: previews, writes when asked, tells what it could not take."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from markets.exceptions import InvalidInput
from markets.models import Asset, ImportRun
from tests import factories

pytestmark = pytest.mark.django_db
CONTENT = "unique_identifier,symbol,sector\nA,007,x\n,B,x\n"


def run(path: Path, *options: str) -> str:
    out = io.StringIO()
    call_command("import_assets", str(path), *options, stdout=out)
    return out.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "assets.csv"
    path.write_text(CONTENT)
    return path


def test_a_preview_is_printed_and_waits(file: Path) -> None:
    told = run(file).splitlines()
    waiting = ImportRun.objects.get()
    assert told == [
        "columns not imported: sector",
        "row 3: error: unique_identifier is missing. It names the asset.",
        "assets.csv: 2 rows: 1 create, 0 update, 0 same, 0 conflict, 1 error; nothing written; apply it in the "
        f"back-office, or with --apply (import {waiting.uid})",
    ]
    assert not Asset.objects.exists()


def test_apply_writes_and_json_tells_all(file: Path, tmp_path: Path) -> None:
    errors = tmp_path / "errors.csv"
    told = json.loads(run(file, "--apply", "--json", "--asset-type", "equity", "--errors", str(errors)))
    stored = ImportRun.objects.get()
    assert told == {
        "uid": str(stored.uid),
        "file": "assets.csv",
        "status": "applied",
        "identifier_column": "unique_identifier",
        "mapping": {"unique_identifier": "unique_identifier", "symbol": "ticker"},
        "unknown_columns": ["sector"],
        "counts": {"rows": 2, "create": 1, "update": 0, "same": 0, "conflict": 0, "error": 1},
        "results": {"created": 1, "updated": 0, "conflicts": 0},
    }
    assert Asset.objects.values_list("unique_identifier", "asset_type", "openfigi_details__ticker").get() == (
        *("A", "equity", "007"),
    )
    assert errors.read_text(encoding="utf-8-sig").splitlines()[1].startswith("3,error,unique_identifier,")
    assert run(file, "--apply").splitlines()[-1].endswith("1 same, 0 conflict, 1 error; nothing to write")


def test_a_guessed_identifier_is_not_written_unless_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "listings.csv"
    path.write_text("symbol,name\nA,x\n")
    with pytest.raises(CommandError, match="--identifier symbol"):
        run(path, "--apply")
    assert not Asset.objects.exists()
    assert run(path).splitlines()[0] == "assets are named by the column symbol"
    run(path, "--apply", "--identifier", "symbol")
    assert Asset.objects.get().unique_identifier == "A"


@pytest.mark.parametrize(
    ("content", "options", "error", "message"),
    [
        (None, (), InvalidInput, "does not exist"),
        ("name\nx\n", (), CommandError, "none of its columns may"),
        ("ticker,name\nA,x\nA,y\n", (), CommandError, "--identifier ticker"),
        ("unique_identifier\n" + "A\n" * 1_200 + '"', (), CommandError, "never closed"),
        (CONTENT, ("--identifier", "sector"), InvalidInput, "cannot name each asset"),
    ],
)
def test_what_cannot_be_imported_is_told_and_not_kept(
    tmp_path: Path, content: str | None, options: tuple[str, ...], error: Any, message: str
) -> None:
    factories.asset(unique_identifier="A")
    path = tmp_path / "assets.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(error, match=message):
        run(path, *options)
    assert not ImportRun.objects.exists()
