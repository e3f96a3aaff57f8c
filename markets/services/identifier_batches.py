"""Many identifiers at once, as files and programs send them: every fault is told, by the row that has it."""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from django.db import transaction

from markets.exceptions import InvalidInput, RejectedRows, Rejection, clipped
from markets.models import Asset
from markets.services import identifier_clashes as clashes
from markets.services.bulk import BulkOutcome, OnError
from markets.services.identifiers import IdentifierRow, clean_source, identifier_row, locked_assets, write
from markets.services.values import as_uid, listed

FIELDS = ("scheme", "value", "venue", "valid_from", "valid_to", "source", "evidence")
NAMES = ("asset_identifier", "asset_uid")
STAMPS = ("uid", "created_at", "updated_at")  # of rows that are sent back as they were read


def bulk_add_identifiers(
    rows: Iterable[Mapping[str, Any]], *, source: str = "", on_error: OnError = "refuse"
) -> BulkOutcome:
    """Add identifiers of assets named by `asset_identifier` or `asset_uid`, in one transaction.

    Each row is created, unchanged when it is stored already to the day, or rejected. Of rows that exclude each other
    the first counts. Raises RejectedRows with every fault when a row is rejected and `on_error` is not "skip"; then
    nothing was written.
    """
    if on_error not in get_args(OnError):
        raise InvalidInput(f"on_error={on_error!r} must be refuse or skip.", field="on_error")
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise InvalidInput("rows must be a list of rows.", field="rows")
    given = list(rows)
    source = clean_source(source)
    rejections: list[Rejection] = []
    found: dict[int, IdentifierRow] = {}
    uids = _identifiers_by_uid(given)
    for place, item in enumerate(given):
        try:
            found[place] = _read(item, uids)
        except InvalidInput as error:
            rejections.append(Rejection(place, error.field, str(error)))
    outcomes = dict.fromkeys(range(len(given)), "rejected")
    with transaction.atomic():
        assets = locked_assets(row.asset_identifier for row in found.values())
        for place in [place for place, row in found.items() if row.asset_identifier not in assets]:
            name = clipped(found.pop(place).asset_identifier)
            reason = f"There is no asset {name!r}. Register it first."
            rejections.append(Rejection(place, "asset_identifier", reason))
        clashes.lock(row.key for row in found.values())
        places, wanted = list(found), list(found.values())
        is_stored = clashes.stored_already(wanted, assets)
        seen: set[Any] = set()
        fresh: list[int] = []
        for place, row, stored in zip(places, wanted, is_stored, strict=True):
            key = (row.asset_identifier, row.key, row.valid_from, row.valid_to)
            if stored or key in seen:
                outcomes[place] = "unchanged"
            elif given[place].get("uid") is not None:
                reason = "A row with a uid is one that is stored, and it is not as it was. Leave uid out to add it."
                rejections.append(Rejection(place, "uid", reason))
            else:
                seen.add(key)
                fresh.append(place)
        told = clashes.of_rows([found[place] for place in fresh], assets)
        for at, place in enumerate(fresh):
            if at in told:
                rejections.append(Rejection(place, "valid_from", f"{told[at]}."))
            else:
                outcomes[place] = "created"
        rejections.sort(key=lambda fault: fault.row)
        if rejections and on_error == "refuse":
            raise RejectedRows(rejections, rows=len(given), noun="identifier")
        write([found[place] for place in fresh if outcomes[place] == "created"], assets, source=source)
    keys = {place: f"{row.asset_identifier} {row.key}" for place, row in found.items()}
    return BulkOutcome.of([(keys.get(place), outcomes[place]) for place in range(len(given))], rejections)


def _read(item: object, uids: Mapping[object, str]) -> IdentifierRow:
    if not isinstance(item, Mapping):
        raise InvalidInput("A row must be an object with scheme, value and the asset that has it.")
    unknown = [str(name) for name in item if name not in (*FIELDS, *NAMES, *STAMPS)]
    if unknown:
        told = f"Unknown field {listed(unknown)}. It takes {', '.join((*NAMES, *FIELDS))}."
        raise InvalidInput(told, field=unknown[0])
    missing = [name for name in ("scheme", "value") if item.get(name) is None]
    if missing:
        raise InvalidInput(f"A row needs {' and '.join(missing)}.", field=missing[0])
    name, uid = item.get("asset_identifier"), item.get("asset_uid")
    if name is None and uid is None:
        raise InvalidInput("A row needs asset_identifier or asset_uid.", field="asset_identifier")
    if uid is not None:
        named = uids.get(as_uid(uid))
        if named is None:
            raise InvalidInput(f"There is no asset with the uid {str(uid)[:60]!r}.", field="asset_uid")
        if name not in (None, named):
            raise InvalidInput(f"asset_uid is that of {named}, not of {str(name)[:60]}.", field="asset_uid")
        name = named
    fields = {field: item[field] for field in FIELDS[2:] if item.get(field) is not None}
    return identifier_row(name, item["scheme"], item["value"], **fields)


def _identifiers_by_uid(rows: list[Any]) -> dict[object, str]:
    given = [as_uid(row.get("asset_uid")) for row in rows if isinstance(row, Mapping)]
    uids = {uid for uid in given if uid is not None}
    return dict(Asset.objects.filter(uid__in=uids).values_list("uid", "unique_identifier")) if uids else {}
