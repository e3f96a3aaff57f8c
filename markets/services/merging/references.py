"""Rows that refer to an asset by a foreign key: a rule for each, so that a merge forgets none.

`RULES` names every foreign key to Asset. An app above registers its own with `add_rule`; a merge is refused where rows
refer to the dropped asset by a key that nobody has ruled on.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from django.db import models
from django.utils import timezone

from markets.engine.identifiers import figi_fault
from markets.engine.spells import Joining, Spell, join_spells
from markets.models import Asset, AssetCategory, AssetCategoryMembership, AssetIdentifier, CurrencySpot, OpenFigiDetails
from markets.models.details import CURRENCY_TYPES
from markets.redirects import MERGE
from markets.services.deletion import incoming
from markets.services.merging.parts import ImpactItem, Part
from markets.services.merging.steps import Steps
from markets.services.values import listed

Rule = Callable[[Asset, Asset, type[models.Model], str], Part]
_NOT_TERMS = ("asset", "created_at", "updated_at")


def key_of(model: type[models.Model], field: str) -> str:
    return f"{model._meta.label_lower}.{field}"


def plan_references(kept: Asset, dropped: Asset) -> list[Part]:
    """A part for each foreign key to Asset. Reads only."""
    parts = []
    for relation in incoming(Asset):
        model, field = relation.related_model, relation.field.name
        rule = RULES.get(key_of(model, field), _unruled)
        parts.append(rule(kept, dropped, model, field))
    return parts


def unruled_references() -> list[str]:
    """Foreign keys to Asset that no rule is given for; a test keeps the list empty."""
    keys = [key_of(relation.related_model, relation.field.name) for relation in incoming(Asset)]
    return [key for key in keys if key not in RULES]


def add_rule(key: str, rule: Rule) -> None:
    """Say what becomes of the rows of a foreign key to Asset, written `app.model.field`."""
    RULES[key] = rule


# --- rules ------------------------------------------------------------------------------------------------------------
def move(kept: Asset, dropped: Asset, model: type[models.Model], field: str) -> Part:
    """Each row refers to the kept asset instead."""
    rows = model._base_manager.filter(**{field: dropped})
    number = rows.count()
    column: Any = model._meta.get_field(field).column  # type: ignore[union-attr]

    def apply(steps: Steps) -> None:
        steps.change(rows, {column: kept.pk})

    return Part([_item(model, field, moved=number)] if number else [], apply=apply)


def move_currency(kept: Asset, dropped: Asset, model: type[models.Model], field: str) -> Part:
    """As `move`, where the asset that stays can be a currency."""
    part = move(kept, dropped, model, field)
    kept_type = kept.asset_type or dropped.asset_type
    if part.items and kept_type not in CURRENCY_TYPES:
        part.refusals.append(
            f"{dropped} is the {_title(model, field)} of {part.items[0].moved:,} {model._meta.verbose_name_plural}, "
            f"and {kept} is no currency: its type is {kept_type or 'empty'}. Keep {dropped}, or change the type first."
        )
    return part


def move_pair(kept: Asset, dropped: Asset, model: type[models.Model], field: str) -> Part:
    """As `move_currency`, where no two spots become one pair and none a pair of one currency."""
    part = move_currency(kept, dropped, model, field)
    both = {kept.pk, dropped.pk}
    other = "quote_currency" if field == "base_currency" else "base_currency"
    for spot in CurrencySpot._base_manager.filter(**{field: dropped}).select_related("asset"):
        across = getattr(spot, f"{other}_id")
        if across in both:
            part.refusals.append(f"The currency spot {spot} would be a pair of {kept} with itself. Delete it first.")
            continue
        twin = CurrencySpot._base_manager.filter(**{field: kept, f"{other}_id": across}).select_related("asset").first()
        if twin is not None:
            part.refusals.append(
                f"The currency spots {spot} and {twin} would be one pair. Merge {spot} into {twin} first."
            )
    return part


def move_terms(kept: Asset, dropped: Asset, model: type[models.Model], field: str) -> Part:
    """The terms go to the asset that stays, unless it has terms: equal ones are joined, others refused."""
    manager: Any = model._base_manager
    theirs = manager.filter(pk=dropped.pk).first()
    if theirs is None:
        return Part()
    noun = str(model._meta.verbose_name)
    ours = manager.filter(pk=kept.pk).first()
    if ours is not None:
        columns = [item for item in model._meta.concrete_fields if item.name not in _NOT_TERMS]
        differing = [
            str(item.verbose_name) for item in columns if getattr(ours, item.attname) != getattr(theirs, item.attname)
        ]
        if differing:
            fault = f"Both have the terms of a {noun}, which differ in {listed(differing)}. Correct one of them first."
            return Part([_item(model, field, joined=1)], refusals=[fault])
        rows = manager.filter(pk=dropped.pk)
        return Part([_item(model, field, joined=1)], apply=lambda steps: steps.remove(rows))
    wanted = model._meta.model_name
    refusals = []
    kept_type = kept.asset_type or dropped.asset_type
    if kept_type != dropped.asset_type:
        refusals.append(
            f"{dropped} has the terms of a {noun}, which {kept}, of the type {kept_type}, cannot have. Keep {dropped} "
            "instead, or change the type first."
        )
    for relation in incoming(Asset):
        other = relation.related_model
        is_terms = RULES.get(key_of(other, relation.field.name)) is move_terms
        if is_terms and other._meta.model_name != wanted and other._base_manager.filter(pk=kept.pk).exists():
            refusals.append(f"{kept} has the terms of a {other._meta.verbose_name}, {dropped} those of a {noun}.")
    rows = manager.filter(pk=dropped.pk)
    return Part(
        [_item(model, field, moved=1)],
        refusals=refusals,
        apply=lambda steps: steps.change(rows, {"asset_id": kept.pk}) and None,
    )


def join_memberships(kept: Asset, dropped: Asset, model: type[models.Model], field: str) -> Part:
    rows = AssetCategoryMembership.objects.filter(asset__in=[kept, dropped]).order_by("pk")
    part = _spells(kept, dropped, list(rows), lambda row: (row.category_id,), model, field)
    categories = sorted({row.category_id for row in rows if row.asset_id == dropped.pk})
    inner = part.apply

    def apply(steps: Steps) -> None:
        inner(steps)
        AssetCategory.objects.filter(pk__in=categories).update(updated_at=timezone.now())  # as after each change

    part.apply = apply
    return part


def join_identifiers(kept: Asset, dropped: Asset, model: type[models.Model], field: str) -> Part:
    rows = AssetIdentifier.objects.filter(asset__in=[kept, dropped]).order_by("pk")
    return _spells(kept, dropped, list(rows), lambda row: (row.scheme, row.value, row.venue), model, field)


def join_details(kept: Asset, dropped: Asset, model: type[models.Model], field: str) -> Part:
    """The kept one's values win and its gaps are filled; every FIGI of the dropped one stays known as an identifier."""
    ours = OpenFigiDetails.objects.filter(pk=kept.pk).first()
    theirs = OpenFigiDetails.objects.filter(pk=dropped.pk).first()
    figi = (ours.figi if ours else None) or (theirs.figi if theirs else None)
    names = [theirs.figi if theirs else None, dropped.unique_identifier]
    extra = list(dict.fromkeys(name for name in names if name and name != figi and figi_fault(name) is None))
    known = set(AssetIdentifier.objects.filter(scheme="figi", value__in=extra).values_list("value", flat=True))
    extra = [name for name in extra if name not in known and name != kept.unique_identifier]
    filled: dict[str, Any] = {}
    if ours and theirs:
        for item in OpenFigiDetails._meta.concrete_fields:
            ourselves, value = getattr(ours, item.attname), getattr(theirs, item.attname)
            if item.name not in ("asset", "updated_at") and ourselves in (None, "") and value not in (None, ""):
                filled[str(item.column)] = value
    gone = OpenFigiDetails.objects.filter(pk=dropped.pk)

    def apply(steps: Steps) -> None:
        if theirs and not ours:
            steps.change(gone, {"asset_id": kept.pk})
        elif theirs:
            steps.remove(gone)
            if filled:
                steps.change(OpenFigiDetails.objects.filter(pk=kept.pk), filled)
        for name in extra:
            evidence = {"merged": dropped.unique_identifier, "uid": str(dropped.uid)}
            steps.add(AssetIdentifier(asset=kept, scheme="figi", value=name, source=MERGE, evidence=evidence))

    items = []
    if theirs:
        note = f"Filled: {', '.join(filled)}." if filled else ""
        items.append(_item(model, field, moved=0 if ours else 1, joined=1 if ours else 0, note=note))
    if extra:
        label = str(AssetIdentifier._meta.verbose_name_plural)
        items.append(
            ImpactItem("markets.assetidentifier.new", label, moved=len(extra), note=f"New: FIGI {', '.join(extra)}.")
        )
    return Part(items, apply=apply)


def stay(kept: Asset, dropped: Asset, model: type[models.Model], field: str) -> Part:
    """The rows go on referring to the dropped asset: they tell what it was, or that it was merged."""
    return Part()


def _unruled(kept: Asset, dropped: Asset, model: type[models.Model], field: str) -> Part:
    number = model._base_manager.filter(**{field: dropped}).count()
    if not number:
        return Part()
    fault = f"{number:,} {model._meta.verbose_name_plural} refer to {dropped}, and nothing says how to merge those."
    return Part([_item(model, field, left=number)], refusals=[fault])


def _spells(
    kept: Asset,
    dropped: Asset,
    rows: list[Any],
    key: Callable[[Any], tuple[Any, ...]],
    model: type[models.Model],
    field: str,
) -> Part:
    by_key: dict[tuple[Any, ...], tuple[list[Spell], list[Spell]]] = defaultdict(lambda: ([], []))
    for row in rows:
        by_key[key(row)][row.asset_id == dropped.pk].append(Spell(row.pk, row.valid_from, row.valid_to))
    joined = Joining()
    for ours, theirs in by_key.values():
        if theirs:
            found = join_spells(ours, theirs)
            joined.moved += found.moved
            joined.removed += found.removed
            joined.widened |= found.widened
    number = sum(row.asset_id == dropped.pk for row in rows)
    manager: Any = model._base_manager

    def apply(steps: Steps) -> None:
        steps.remove(manager.filter(pk__in=joined.removed))
        for pk, (first, last) in sorted(joined.widened.items()):
            steps.change(manager.filter(pk=pk), {"valid_from": first, "valid_to": last})
        steps.change(manager.filter(pk__in=joined.moved), {"asset_id": kept.pk})

    moved = len(joined.moved)
    return Part([_item(model, field, moved=moved, joined=number - moved)] if number else [], apply=apply)


def _item(model: type[models.Model], field: str, **counts: Any) -> ImpactItem:
    label = str(model._meta.verbose_name_plural)
    title = _title(model, field)
    return ImpactItem(key_of(model, field), label if title == "asset" else f"{label}: {title}", **counts)


def _title(model: type[models.Model], field: str) -> str:
    return str(getattr(model._meta.get_field(field), "verbose_name", field))


RULES: dict[str, Rule] = {
    "markets.asset.merged_into": stay,  # a chain: it is followed
    "markets.assetmerge.kept": stay,
    "markets.assetmerge.dropped": stay,
    "markets.distinctassets.first": stay,
    "markets.distinctassets.second": stay,
    "markets.updatestatistic.asset": stay,  # goes with the rows that it counts
    "markets.openfigidetails.asset": join_details,
    "markets.assetidentifier.asset": join_identifiers,
    "markets.assetcategorymembership.asset": join_memberships,
    "markets.pendingresolution.asset": move,
    "markets.resolutionitem.asset": move,
    "markets.currencyspot.asset": move_terms,
    "markets.bond.asset": move_terms,
    "markets.future.asset": move_terms,
    "markets.currencyspot.base_currency": move_pair,
    "markets.currencyspot.quote_currency": move_pair,
    "markets.bond.currency_asset": move_currency,
    "markets.future.settlement_asset": move,
    "markets.future.margin_asset": move,
}
