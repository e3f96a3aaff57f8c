"""Merging one asset into another: looked at, done and undone, each in one transaction."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.utils import timezone

from markets.exceptions import Conflict, InvalidInput, NotFound
from markets.models import Asset, AssetCategory, AssetMerge, RowsChoice
from markets.redirects import kept_asset
from markets.services.audit import because, clean_reason, current
from markets.services.merging import series
from markets.services.merging.parts import MergeImpact, Part
from markets.services.merging.references import plan_references
from markets.services.merging.steps import Steps

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def merge_impact(dropped: Asset, kept: Asset, *, rows: str = RowsChoice.REFUSE) -> MergeImpact:
    """What `merge_assets` would do with every table, or why it would refuse. Reads only.

    `rows` says what becomes of time-indexed rows where both have some: "refuse", "leave" or "fill".
    """
    return _plan(dropped, kept, clean_rows(rows))[0]


def merge_assets(
    dropped: Asset, kept: Asset, *, reason: str, rows: str = RowsChoice.REFUSE, user: "User | None" = None
) -> AssetMerge:
    """Make one asset of two: all that refers to `dropped` refers to `kept`, and whoever asks for it is sent there.

    `dropped` stays as a redirect, to which nothing is written any more. All or nothing, recorded with the reason.
    Raises InvalidInput for a bad reason or choice, Conflict telling every reason why the two cannot be merged.
    """
    rows, reason = clean_rows(rows), clean_reason(reason)
    with because(reason), transaction.atomic():
        series.lock_series(dropped, kept)
        stored = _locked(dropped, kept)
        dropped, kept = stored[dropped.pk], stored[kept.pk]
        impact, parts = _plan(dropped, kept, rows)
        if impact.refusals:
            raise Conflict(f"{dropped} cannot be merged into {kept}. {' '.join(impact.refusals)} Nothing was changed.")
        merge = AssetMerge(kept=kept, dropped=dropped, rows=rows, reason=reason, merged_by=user, record=_record(impact))
        try:
            with transaction.atomic():
                merge.save()
                steps = Steps(merge)
                for part in parts:
                    part.apply(steps)
        except IntegrityError as error:
            raise Conflict(
                f"{dropped} cannot be merged into {kept}: rows that were written meanwhile are in the way. Look again. "
                "Nothing was changed."
            ) from error
    return merge


def undo_merge(merge: AssetMerge, *, reason: str, user: "User | None" = None) -> AssetMerge:
    """Take a merge back: every row is as it was; what was written since to the asset that stayed is left to it.

    Raises Conflict telling what makes it impossible: it is undone already, the asset that stayed was merged since, or
    what the merge wrote was changed or deleted.
    """
    reason = clean_reason(reason)
    with because(reason), transaction.atomic():
        series.lock_series(merge.dropped, merge.kept)
        stored = _locked(merge.dropped, merge.kept)
        found = AssetMerge.objects.select_for_update(of=("self",)).filter(pk=merge.pk).first()
        if found is None:
            raise NotFound(f"The merge of {merge} is deleted.")
        found.dropped, found.kept = stored[found.dropped_id], stored[found.kept_id]
        if found.undone_at is not None:
            raise Conflict(f"The merge of {found} was undone on {found.undone_at:%Y-%m-%d %H:%M} UTC already.")
        if found.kept.merged_into_id is not None:
            raise Conflict(
                f"{found.kept} was itself merged into {kept_asset(found.kept)} since. Undo that merge first."
            )
        series.take_back(found)
        Steps(found).take_back()
        dropped = Asset.objects.get(pk=found.dropped_id)
        AssetCategory.objects.filter(memberships__asset=dropped).update(updated_at=timezone.now())
        found.undone_at, found.undone_by, found.undo_reason = timezone.now(), user, reason
        found.save(update_fields=["undone_at", "undone_by", "undo_reason", "updated_at"])
        found.dropped = dropped
    return found


def active_merge(dropped: Asset) -> AssetMerge | None:
    """The merge by which the asset became a redirect."""
    return AssetMerge.objects.filter(dropped=dropped, undone_at__isnull=True).select_related("kept", "dropped").first()


def clean_rows(rows: object) -> str:
    if not isinstance(rows, str) or rows not in RowsChoice.values:
        raise InvalidInput(f"rows={rows!r} is none of {', '.join(RowsChoice.values)}.", field="rows")
    return rows


def _plan(dropped: Asset, kept: Asset, rows: str) -> tuple[MergeImpact, list[Part]]:
    refusals = _identity_refusals(dropped, kept)
    parts: list[Part] = []
    if not refusals:
        parts = [
            *plan_references(kept, dropped),
            series.plan_series(kept, dropped, rows),
            _identity_part(kept, dropped),
        ]
    impact = MergeImpact(
        kept=kept,
        dropped=dropped,
        rows=rows,
        items=[item for part in parts for item in part.items],
        warnings=[text for part in parts for text in part.warnings],
        refusals=[*refusals, *(text for part in parts for text in part.refusals)],
    )
    return impact, parts


def _identity_refusals(dropped: Asset, kept: Asset) -> list[str]:
    if dropped.pk == kept.pk:
        return [f"{dropped} is the same asset. Choose two different ones."]
    found = []
    if dropped.merged_into_id is not None:
        found.append(f"{dropped} was merged into {kept_asset(dropped)} already.")
    if kept.merged_into_id is not None:
        end = kept_asset(kept)
        what = "that merge has to be undone first" if end.pk == dropped.pk else f"merge into {end} instead"
        found.append(f"{kept} was itself merged into {end}: {what}.")
    return found


def _identity_part(kept: Asset, dropped: Asset) -> Part:
    warnings = []
    if kept.asset_type and dropped.asset_type and kept.asset_type != dropped.asset_type:
        warnings.append(f"Their types differ: {kept} is {kept.asset_type}, {dropped} is {dropped.asset_type}.")
    if kept.is_custom_by_organization and not dropped.is_custom_by_organization:
        warnings.append(f"{dropped} belongs to the public master and {kept} is custom. Rather keep {dropped}.")

    def apply(steps: Steps) -> None:
        if dropped.asset_type and not kept.asset_type:
            steps.change(Asset.objects.filter(pk=kept.pk), {"asset_type": dropped.asset_type})
        else:
            Asset.objects.filter(pk=kept.pk).update(updated_at=timezone.now())
        steps.change(Asset.objects.filter(pk=dropped.pk), {"merged_into_id": kept.pk})

    return Part(warnings=warnings, apply=apply)


def _record(impact: MergeImpact) -> dict[str, object]:
    return {
        "items": [asdict(item) for item in impact.items],
        "warnings": list(impact.warnings),
        "source": current().source or "",
    }


def _locked(*assets: Asset) -> dict[int, Asset]:
    """The assets as they are stored, locked against every writer that names one; their categories before them.

    Always in this order, and each kind in the order of its keys.
    """
    pks = [asset.pk for asset in assets]
    categories = AssetCategory.objects.filter(memberships__asset__in=pks).values("pk")
    list(AssetCategory.objects.filter(pk__in=categories).order_by("pk").select_for_update().values_list("pk"))
    rows = Asset.objects.filter(pk__in=pks).order_by("unique_identifier").select_for_update(of=("self",))
    found = {row.pk: row for row in rows}
    for asset in assets:
        if asset.pk not in found:
            raise NotFound(f"The asset {asset} is deleted.")
    return found
