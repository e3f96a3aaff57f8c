"""What a deletion would take along or be blocked by, counted on the real graph of foreign keys; and the deletion."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, models, transaction
from django.db.models.deletion import ProtectedError, RestrictedError

from markets.exceptions import ProtectedRow

BLOCKING = ("RESTRICT", "NO ACTION")


@dataclass(frozen=True)
class Relationship:
    """Rows of one column that point at what would be deleted."""

    key: str
    label: str
    model: str
    column: str
    relationship_type: str
    on_delete: str
    count: int
    count_accuracy: str
    effect: str
    severity: str
    blocks_delete: bool
    description: str


@dataclass(frozen=True)
class DeleteImpact:
    """`blocking_count` sums the blockers' rows, `affected_count` all rows that point at the row or go with it."""

    resource_type: str
    uid: str
    identifier: str
    display_name: str
    can_delete: bool
    blocking_count: int
    affected_count: int
    relationships: Sequence[Relationship] = field(default_factory=tuple)
    warnings: Sequence[str] = field(default_factory=tuple)


def delete_impact(
    row: models.Model, *more: models.Model, derived: Sequence[Relationship] = (), refusals: Sequence[str] = ()
) -> DeleteImpact:
    """Count what points at a row, directly and through what its deletion would take along. Reads only.

    `more` rows of the same model are counted together with it, in as many queries; then the impact has no uid and its
    identifier says how many rows there are. `derived` adds relationships that no foreign key states; `refusals` are
    further reasons why it cannot be deleted.
    """
    relationships = [*_relationships([row, *more]), *derived]
    blocking = sum(item.count for item in relationships if item.blocks_delete)
    options = row._meta
    together = f"{len(more) + 1:,} {options.verbose_name_plural}" if more else ""
    return DeleteImpact(
        resource_type=options.verbose_name_raw.lower().replace(" ", "-"),
        uid="" if more else str(getattr(row, "uid", row.pk)),
        identifier=together or identifier_of(row),
        display_name=together or getattr(row, "display_name", None) or str(row),
        can_delete=not refusals and not any(item.blocks_delete for item in relationships),
        blocking_count=blocking,
        affected_count=sum(item.count for item in relationships),
        relationships=relationships,
        warnings=list(refusals),
    )


def relationship(
    *, key: str, label: str, model: str, column: str, on_delete: str, count: int, kind: str, subject: str
) -> Relationship:
    """A relationship with its effect: the table of `spec/accounts_and_api.md` 5.8."""
    if count == 0:
        effect, severity = "informational", "info"
    elif on_delete in BLOCKING:
        effect, severity = ("blocks_delete" if kind != "indirect" else "blocks_cascade"), "blocking"
    elif on_delete == "CASCADE":
        effect, severity = "cascade_delete", "destructive"
    elif on_delete == "SET NULL":
        effect, severity = "set_null", "mutating"
    else:
        effect, severity = "informational", "warning"
    outcome = {
        "informational": "point" + ("s" if count == 1 else "") + " at it",
        "blocks_delete": "keep" + ("s" if count == 1 else "") + " it from being deleted",
        "blocks_cascade": "keep" + ("s" if count == 1 else "") + " what would go along from being deleted",
        "cascade_delete": "would be deleted too",
        "set_null": "would lose the reference",
    }[effect]
    return Relationship(
        key=key,
        label=label,
        model=model,
        column=column,
        relationship_type=kind,
        on_delete=on_delete,
        count=count,
        count_accuracy="exact",
        effect=effect,
        severity=severity,
        blocks_delete=severity == "blocking",
        description=f"{count:,} row{'' if count == 1 else 's'} of {subject} {outcome}.",
    )


def delete(row: models.Model) -> dict[str, int]:
    """Delete a row with what goes along; returns the number of deleted rows by model.

    Raises ProtectedRow listing the blockers; then nothing was deleted.
    """
    try:
        with transaction.atomic():
            type(row)._default_manager.select_for_update().filter(pk=row.pk).first()
            refuse_if_blocked(delete_impact(row))
            _, counts = row.delete()
            return counts
    except (ProtectedError, RestrictedError, IntegrityError) as error:
        raise ProtectedRow(
            f"{identifier_of(row)} cannot be deleted: a row that points at it was written meanwhile. Look again."
        ) from error


def refuse_if_blocked(impact: DeleteImpact) -> None:
    """Raise ProtectedRow naming each blocker with its count."""
    if impact.can_delete:
        return
    blockers = [f"{item.count:,} of {item.label}" for item in impact.relationships if item.blocks_delete]
    reasons = [*impact.warnings]
    if blockers:
        reasons.append(f"it is used by {', '.join(blockers)}. Delete or change those first")
    raise ProtectedRow(f"{impact.identifier} cannot be deleted: {'; '.join(reasons)}.")


def identifier_of(row: models.Model) -> str:
    names = (
        *("unique_identifier", "asset_type", "index_type", "group_name", "allocation_model_name"),
        *("update_hash", "storage_hash"),
    )
    for name in names:
        value = getattr(row, name, None)
        if value:
            return str(value)
    return str(getattr(row, "uid", row.pk))


def _relationships(rows: Sequence[models.Model]) -> list[Relationship]:
    model = type(rows[0])
    chosen = model._base_manager.filter(pk__in=[row.pk for row in rows])
    return list(_walk(chosen, model, kind="direct", path=(model,)))


def _walk(
    rows: "models.QuerySet[Any]", model: type[models.Model], *, kind: str, path: tuple[type[models.Model], ...]
) -> Iterator[Relationship]:
    for relation in incoming(model):
        related = relation.related_model
        column = relation.field
        pointing = related._base_manager.filter(**{f"{column.name}__in": rows})
        count = pointing.count()
        on_delete = _on_delete(relation)
        yield relationship(
            key=f"{related._meta.label_lower}.{column.name}",
            label=str(related._meta.verbose_name_plural),
            model=related._meta.label,
            column=column.column,
            on_delete=on_delete,
            count=count,
            kind=kind,
            subject=str(related._meta.verbose_name_plural),
        )
        if on_delete == "CASCADE" and count and related not in path:
            yield from _walk(pointing, related, kind="indirect", path=(*path, related))


def incoming(model: type[models.Model]) -> list[Any]:
    """Every foreign key that points at the model, hidden ones and those of many-to-many tables included."""
    return [
        field
        for field in model._meta.get_fields(include_hidden=True)
        if field.auto_created and not field.concrete and (field.one_to_many or field.one_to_one)
    ]


def _on_delete(relation: Any) -> str:
    return {
        models.CASCADE: "CASCADE",
        models.PROTECT: "RESTRICT",
        models.RESTRICT: "RESTRICT",
        models.DO_NOTHING: "NO ACTION",
        models.SET_NULL: "SET NULL",
    }.get(relation.on_delete, "APPLICATION")
