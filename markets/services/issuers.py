"""Issuers: made and changed. One that a bond names cannot be deleted."""

from typing import Any

from django.db import transaction

from markets.exceptions import Conflict
from markets.models import Issuer
from markets.services.bulk import BulkOutcome, OnError, Rows, bulk_upsert
from markets.services.bulk_stage import Entity, by_name
from markets.services.registry_rows import change, insert_once, require
from markets.services.values import UNSET, Unset, Upserted, clean_identifier, clean_object, clean_text, given


@transaction.atomic
def create_issuer(*, unique_identifier: str, display_name: str, metadata_json: dict | None = None) -> Issuer:
    """A new issuer. Raises Conflict when the identifier is taken."""
    fields = _cleaned(display_name=display_name, metadata_json=metadata_json)
    saved = insert_once(Issuer, {"unique_identifier": clean_identifier(unique_identifier)}, fields)
    if not saved.created:
        raise Conflict(
            f"An issuer {saved.row.unique_identifier!r} exists already. Change that one, or choose another identifier."
        )
    return saved.row


@transaction.atomic
def upsert_issuer(
    *, unique_identifier: str, display_name: str | Unset = UNSET, metadata_json: dict | Unset | None = UNSET
) -> Upserted[Issuer]:
    """Create the issuer, or change the fields that are given. A new one needs a name."""
    identifier = clean_identifier(unique_identifier)
    fields = _cleaned(**given(display_name=display_name, metadata_json=metadata_json))
    found = Issuer.objects.select_for_update().filter(unique_identifier=identifier).first()
    if found is None:
        require(fields, ["display_name"], subject="issuer")
        saved = insert_once(Issuer, {"unique_identifier": identifier}, fields)
        if saved.created:
            return saved
        found = saved.row
    return Upserted(change(found, fields), created=False)


@transaction.atomic
def update_issuer(
    row: Issuer, *, display_name: str | Unset = UNSET, metadata_json: dict | Unset | None = UNSET
) -> Issuer:
    """Change the fields that are given; the identifier never changes."""
    return change(row, _cleaned(**given(display_name=display_name, metadata_json=metadata_json)))


def bulk_upsert_issuers(rows: Rows, *, on_error: OnError = "refuse") -> BulkOutcome:
    """Many issuers at once, by `unique_identifier`; see `markets.services.bulk`."""
    return bulk_upsert(ISSUERS, rows, on_error=on_error)


def _cleaned(**fields: Any) -> dict[str, Any]:
    cleaned = dict(fields)
    if "display_name" in fields:
        name = " ".join(clean_text(fields["display_name"], field="display_name").split())
        cleaned["display_name"] = clean_text(name, field="display_name", longest=255)
    if "metadata_json" in fields:
        cleaned["metadata_json"] = clean_object(fields["metadata_json"], field="metadata_json")
    return cleaned


ISSUERS = Entity(
    noun="issuer",
    model=Issuer,
    key="unique_identifier",
    clean_key=clean_identifier,
    clean=by_name(_cleaned, ("display_name", "metadata_json")),
    defaults={},
    read_only={name: name for name in ("uid", "id", "created_at", "updated_at")},
    required=("display_name",),
)
