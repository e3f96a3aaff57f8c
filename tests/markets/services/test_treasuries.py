"""US Treasuries from the auction file: a CUSIP is one bond, however often it was reopened."""

import csv
import datetime as dt
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import call_command

from markets.engine.treasury_auctions import read_auctions
from markets.exceptions import InvalidInput
from markets.models import Asset, AssetIdentifier, Bond, Issuer, OpenFigiDetails
from markets.openfigi.fake.universe import rows_for
from markets.services.treasuries import describe_treasuries, register_treasuries

FILE = Path(__file__).resolve().parents[4] / "shared" / "data" / "us_treasury_auctions_2008_2015.csv.gz"
HEADER = "cusip,issueDate,maturityDate,type,securityTerm,interestRate,reopening,originalIssueDate,datedDate"
FIRST = "912810RP5,2015-11-16T00:00:00,2045-11-15T00:00:00,Bond,30-Year,3.0,No,,2015-11-15T00:00:00"
AGAIN = "912810RP5,2015-12-15T00:00:00,2045-11-15T00:00:00,Bond,29-Year 11-Month,3.000,Yes,2015-11-16T00:00:00,"


@pytest.fixture
def auctions() -> list[dict[str, str]]:
    if not FILE.is_file():
        pytest.skip("the auctions (../shared/data/us_treasury_auctions_2008_2015.csv.gz) are not here")
    with gzip.open(FILE, "rt") as file:
        return list(csv.DictReader(file))


def test_a_reopening_is_no_second_bond():
    [issue] = read_auctions([HEADER, AGAIN, FIRST])
    assert (issue.cusip, issue.kind, issue.term) == ("912810RP5", "Bond", "30-Year")
    assert (issue.issue_date, issue.maturity_date) == (dt.date(2015, 11, 16), dt.date(2045, 11, 15))
    assert (issue.coupon, issue.name) == (Decimal("0.03"), "T 3 11/15/45")
    assert [item.is_reopening for item in issue.auctions] == [False, True]


def test_a_bond_of_which_only_a_reopening_is_in_the_file_keeps_its_original_date():
    [issue] = read_auctions([HEADER, AGAIN])
    assert issue.issue_date == dt.date(2015, 11, 16)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,b"], "lacks the columns cusip, issueDate"),
        ([HEADER, FIRST.replace("912810RP5", "912810RP6")], "Row 2: '912810RP6' is no CUSIP: its check digit is wrong"),
        ([HEADER, FIRST.replace("Bond", "Share")], "Row 2: type='Share' is none of Bill, Note"),
        ([HEADER, FIRST.replace("3.0", "nan")], "Row 2: interestRate='nan' is no rate in per cent"),
        ([HEADER, FIRST.replace("3.0", "x")], "Row 2: interestRate='x' is no number"),
        (
            [HEADER, FIRST.replace("2045-11-15", "2015-11-16")],
            "maturityDate=2015-11-16 is not after issueDate=2015-11-16",
        ),
        ([HEADER, FIRST.replace("2045-11-15", "15/11/45")], "is no date such as 2015-11-16"),
        ([HEADER, FIRST, AGAIN.replace("3.000", "3.5")], r"Rows 2 and 3: 912810RP5 has coupon 0.03 and 0.035"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_rows(rows, message):
    with pytest.raises(InvalidInput, match=message):
        read_auctions(rows)


@pytest.mark.django_db
def test_the_whole_file(auctions):
    """Every CUSIP is one bond with the dates that the file itself gives; a second time changes nothing."""
    with gzip.open(FILE, "rt") as file:
        issues = read_auctions(file)
    by_cusip: dict[str, list[dict[str, str]]] = {}
    for row in auctions:
        by_cusip.setdefault(row["cusip"], []).append(row)
    done = register_treasuries(issues, today=dt.date(2020, 1, 1))
    assert (done.bonds, done.created, done.updated, done.reopenings) == (477, 477, 0, 277)
    assert len(auctions) == 537
    stored = {bond.asset.unique_identifier: bond for bond in Bond.objects.select_related("issuer", "currency_asset")}
    assert stored.keys() == by_cusip.keys()
    for cusip, rows in by_cusip.items():
        bond = stored[cusip]
        dates = [row["originalIssueDate"] or row["issueDate"] for row in rows]
        assert bond.issue_date.isoformat() == min(dates)[:10]
        assert bond.maturity_date.isoformat() == rows[0]["maturityDate"][:10]
        assert bond.status == ("MATURED" if bond.maturity_date <= dt.date(2020, 1, 1) else "ACTIVE")
    assert Issuer.objects.get().unique_identifier == "US_TREASURY"
    assert {bond.currency_asset.unique_identifier for bond in stored.values()} == {"USD"}
    assert AssetIdentifier.objects.filter(scheme="cusip").count() == 477
    facts = json.loads(OpenFigiDetails.objects.get(asset__unique_identifier="912810RP5").metadata_text)
    assert (facts["coupon"], facts["tenor"], facts["security_type"]) == ("0.03", "30-Year", "Bond")
    again = register_treasuries(issues, today=dt.date(2020, 1, 1))
    assert (again.created, again.updated) == (0, 0)
    assert Asset.objects.count() == 478


@pytest.mark.django_db
def test_openfigi_gives_each_its_figi_and_is_asked_once(openfigi):
    issues = read_auctions([HEADER, FIRST, AGAIN])
    register_treasuries(issues)
    done = describe_treasuries(["912810RP5"])
    assert (done.described, done.not_found, done.ambiguous, done.requests) == (1, 0, 0, 1)
    [row] = rows_for("ID_CUSIP", "912810RP5")
    details = OpenFigiDetails.objects.get()
    assert (details.figi, details.ticker, details.unique_id) == (row["figi"], row["ticker"], "912810RP5")
    assert json.loads(details.metadata_text)["coupon"] == "0.03"
    again = register_treasuries(issues)
    assert (again.created, again.updated) == (0, 0)
    assert OpenFigiDetails.objects.get().name == row["name"]
    assert describe_treasuries(["912810RP5"]).requests == 0
    assert [entry["id_values"] for entry in openfigi.fake.log] == [["912810RP5"]]


@pytest.mark.django_db
def test_the_command_counts_what_it_did(openfigi, tmp_path, capsys):
    path = tmp_path / "auctions.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("\n".join([HEADER, FIRST, AGAIN]))
    call_command("register_treasuries", str(path))
    assert capsys.readouterr().out.splitlines() == [
        "1 bonds (1 new, 0 changed), 1 reopenings",
        "OpenFIGI: 1 described, 0 not found, 0 ambiguous, 1 requests",
    ]
    path.write_bytes(b"no gzip")
    with pytest.raises(InvalidInput, match="cannot be read"):
        call_command("register_treasuries", str(path))
