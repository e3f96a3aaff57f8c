"""US Treasuries from auction files: issuer, currency, bonds, details and CUSIPs, and what OpenFIGI says of them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from markets.constants import ASSET_TYPE_CURRENCY
from markets.engine.identifier_schemes import IdentifierKey
from markets.engine.treasury_auctions import TreasuryIssue
from markets.models import OpenFigiDetails
from markets.openfigi.answers import FigiRow
from markets.openfigi.keys import mapping_job
from markets.services.assets import bulk_upsert_assets, upsert_asset
from markets.services.bonds import bulk_upsert_bonds
from markets.services.identifiers import IdentifierRow, record_identifiers
from markets.services.issuers import upsert_issuer
from markets.services.openfigi_access import openfigi_client
from markets.services.openfigi_registration import details_of
from markets.services.resolutions.answers import hash_of, keep_answers, kept_answers, rows_of

ISSUER = "US_TREASURY"
ISSUER_NAME = "United States Treasury"
CURRENCY = "USD"
SECTOR = "Govt"
SOURCE = "us_treasury_auctions"


@dataclass(frozen=True)
class RegisteredTreasuries:
    """How many bonds there are now of the file, how many of them are new or changed, and auctions that reopened one."""

    bonds: int
    created: int
    updated: int
    reopenings: int


@dataclass(frozen=True)
class DescribedTreasuries:
    """How many got their FIGI, of how many OpenFIGI knows nothing, and how many have several candidates."""

    described: int
    not_found: int
    ambiguous: int
    requests: int


def register_treasuries(issues: Sequence[TreasuryIssue], *, today: dt.date | None = None) -> RegisteredTreasuries:
    """The bonds of auctions, by CUSIP, with issuer and currency; all of them or none. Doing it again changes nothing.

    A bill is a bond, too. Coupon, tenor and auctions go into the details' raw payload: a bond's terms have no place
    for them. What OpenFIGI said before is kept.
    """
    today = today or timezone.now().date()
    with transaction.atomic():
        issuer = upsert_issuer(unique_identifier=ISSUER, display_name=ISSUER_NAME).row
        currency = upsert_asset(unique_identifier=CURRENCY, asset_type=ASSET_TYPE_CURRENCY).row
        outcome = bulk_upsert_bonds(
            [
                {
                    "unique_identifier": issue.cusip,
                    "issuer_uid": issuer.uid,
                    "currency_asset_uid": currency.uid,
                    "issue_date": issue.issue_date,
                    "maturity_date": issue.maturity_date,
                    "status": "MATURED" if issue.maturity_date <= today else "ACTIVE",
                }
                for issue in issues
            ]
        )
        bulk_upsert_assets(_details(issues))
        record_identifiers(
            [IdentifierRow(issue.cusip, IdentifierKey("cusip", issue.cusip)) for issue in issues], source=SOURCE
        )
    reopenings = sum(item.is_reopening for issue in issues for item in issue.auctions)
    return RegisteredTreasuries(len(issues), outcome.created, outcome.updated, reopenings)


def _details(issues: Sequence[TreasuryIssue]) -> list[dict[str, object]]:
    """What the auctions say; names only where OpenFIGI has given none."""
    cusips = [issue.cusip for issue in issues]
    described = set(
        OpenFigiDetails.objects.filter(asset__unique_identifier__in=cusips, figi__isnull=False).values_list(
            "asset__unique_identifier", flat=True
        )
    )
    rows: list[dict[str, object]] = []
    for issue in issues:
        row: dict[str, object] = {"unique_identifier": issue.cusip, "unique_id": issue.cusip}
        row["metadata_text"] = issue.facts_text()
        if issue.cusip not in described:
            row |= {"name": issue.name, "security_description": issue.name, "security_market_sector": SECTOR}
        rows.append(row)
    return rows


def describe_treasuries(cusips: Sequence[str]) -> DescribedTreasuries:
    """Ask OpenFIGI for Treasuries by CUSIP and keep FIGI, ticker and types with their details; batch by batch.

    One that has its FIGI already is not asked for, and neither is one that was asked before. A CUSIP with several
    candidates is left without.
    """
    waiting = list(
        OpenFigiDetails.objects.filter(asset__unique_identifier__in=list(cusips), figi__isnull=True)
        .order_by("asset__unique_identifier")
        .values_list("asset__unique_identifier", flat=True)
    )
    found = {"described": 0, "not_found": 0, "ambiguous": 0}
    with openfigi_client() as client:
        while waiting:
            size = client.limiter.jobs_per_request()
            batch, waiting = waiting[:size], waiting[size:]
            jobs = {cusip: mapping_job(IdentifierKey("cusip", cusip)) for cusip in batch}
            kept = kept_answers(hash_of(job.body()) for job in jobs.values())
            asked = [job for job in jobs.values() if hash_of(job.body()) not in kept]
            answers = client.map(asked)
            with transaction.atomic():
                kept |= keep_answers([(job.body(), answer) for job, answer in zip(asked, answers, strict=True)])
                for cusip, job in jobs.items():
                    answer = kept.get(hash_of(job.body()))
                    rows = rows_of(answer) if answer is not None else ()
                    distinct = {row.figi: row for row in rows}
                    if len(distinct) != 1:
                        found["ambiguous" if distinct else "not_found"] += 1
                        continue
                    is_ours = _describe(cusip, next(iter(distinct.values())))
                    found["described" if is_ours else "ambiguous"] += 1
        return DescribedTreasuries(**found, requests=client.requests_sent)


def _describe(cusip: str, row: FigiRow) -> bool:
    """Keep what OpenFIGI says, beside what the auctions say; False where another asset has the FIGI."""
    fields = details_of(row)
    fields.pop("metadata_text")  # the auctions' facts stand there
    if OpenFigiDetails.objects.filter(figi=row.figi).exclude(asset__unique_identifier=cusip).exists():
        return False
    own = OpenFigiDetails.objects.filter(asset__unique_identifier=cusip)
    return bool(own.update(**fields, updated_at=timezone.now()))
