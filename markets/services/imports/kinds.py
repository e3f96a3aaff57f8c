"""What can be imported from a file: the fields that a column may fill, and the names by which columns are known."""

import dataclasses
import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from markets.engine.import_cells import Kind
from markets.exceptions import InvalidInput, NotFound, clipped
from markets.services.assets import ASSETS
from markets.services.bulk_stage import Entity
from markets.services.values import listed, normalise_type_key


@dataclass(frozen=True)
class ImportField:
    """A field that a column may fill. `aliases` are other names of its column, in lower case, words joined by _."""

    name: str
    kind: Kind
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportKind:
    """`identifiers` are the fields whose column may name the rows when the file has no column of the natural key."""

    name: str
    plural: str
    entity: Entity
    fields: tuple[ImportField, ...]
    identifiers: tuple[str, ...]

    @property
    def key(self) -> str:
        return self.entity.key

    @property
    def permissions(self) -> tuple[str, str]:
        """What importing needs."""
        model = self.entity.model._meta
        return (f"{model.app_label}.add_{model.model_name}", f"{model.app_label}.change_{model.model_name}")

    @property
    def undo_permissions(self) -> tuple[str, str, str]:
        model = self.entity.model._meta
        return (*self.permissions, f"{model.app_label}.delete_{model.model_name}")

    def field(self, name: str) -> ImportField:
        return next(field for field in self.fields if field.name == name)


ASSET_IMPORT = ImportKind(
    name="asset",
    plural="assets",
    entity=ASSETS,
    fields=(
        ImportField("unique_identifier", "identifier", ("identifier", "asset_identifier", "asset")),
        ImportField("asset_type", "text", ("type", "asset_class")),
        ImportField("is_custom_by_organization", "flag", ("is_custom", "custom")),
        ImportField("figi", "identifier"),
        ImportField("composite", "identifier", ("composite_figi", "compositefigi")),
        ImportField("share_class", "identifier", ("share_class_figi", "shareclass_figi", "shareclassfigi")),
        ImportField("isin", "identifier", ("isin_code",)),
        ImportField("ticker", "identifier", ("symbol", "ticker_symbol")),
        ImportField("name", "text", ("security_name", "security", "company", "company_name", "long_name")),
        ImportField("exchange_code", "identifier", ("exchange", "exch_code", "exchcode")),
        ImportField("security_type", "text", ("securitytype",)),
        ImportField("security_type_2", "text", ("security_type2", "securitytype2")),
        ImportField("security_market_sector", "text", ("market_sector", "marketsector")),
        ImportField("security_description", "text", ("securitydescription",)),
        ImportField("unique_id", "identifier", ("uniqueid",)),
        ImportField("unique_id_fut_opt", "identifier", ("uniqueidfutopt",)),
        ImportField("metadata_text", "text"),
    ),
    identifiers=("figi", "isin", "ticker"),
)
KINDS = {kind.name: kind for kind in (ASSET_IMPORT,)}


def kind_of(name: object) -> ImportKind:
    """Raises NotFound naming what can be imported."""
    if isinstance(name, str) and name in KINDS:
        return KINDS[name]
    raise NotFound(f"There is no import of {clipped(str(name))!r}. Known: {', '.join(KINDS)}.")


def propose_mapping(kind: ImportKind, columns: Sequence[str], unusable: Collection[str] = ()) -> dict[str, str]:
    """Column → field, by name in any spelling; a field's own name goes before its aliases, an earlier column first."""
    mapping: dict[str, str] = {}
    by_name = {column: _normalised(column) for column in columns if column not in unusable}
    for field in kind.fields:
        for name in (field.name, *field.aliases):
            column = next(
                (column for column, known in by_name.items() if known == name and column not in mapping), None
            )
            if column is not None:
                mapping[column] = field.name
                break
    return {column: mapping[column] for column in columns if column in mapping}


def suggestion(kind: ImportKind, column: str) -> str | None:
    """The field whose name is nearest to an unknown column's."""
    names = {name: field.name for field in kind.fields for name in (field.name, *field.aliases)}
    near = difflib.get_close_matches(_normalised(column), list(names), n=1, cutoff=0.8)
    return names[near[0]] if near else None


def check_mapping(
    kind: ImportKind, mapping: object, columns: Sequence[str], unusable: Mapping[str, str]
) -> dict[str, str]:
    """The mapping without the columns that fill nothing. Raises InvalidInput for an unknown column or field, or a field
    that two columns fill.
    """
    if not isinstance(mapping, Mapping):
        raise InvalidInput("mapping must be an object of column to field.", field="mapping")
    known = {field.name for field in kind.fields}
    chosen: dict[str, str] = {}
    for column, name in mapping.items():
        if name is None or name == "":
            continue
        if column not in columns:
            raise InvalidInput(f"The file has no column {clipped(str(column))!r}.", field="mapping")
        if not isinstance(name, str) or name not in known:
            raise InvalidInput(
                f"{clipped(str(name))!r} is no field of {kind.plural}. They have {', '.join(sorted(known))}.",
                field="mapping",
            )
        if column in unusable:
            raise InvalidInput(f"The column {clipped(column)!r} cannot be read: {unusable[column]}", field="mapping")
        if name in chosen.values():
            other = next(column for column, taken in chosen.items() if taken == name)
            raise InvalidInput(
                f"The columns {clipped(other)!r} and {clipped(column)!r} both fill {name}. Keep one.", field="mapping"
            )
        chosen[column] = name
    return {column: chosen[column] for column in columns if column in chosen}


def check_identifier_column(kind: ImportKind, column: object, mapping: Mapping[str, str]) -> str:
    """The column that names each row. Raises InvalidInput telling which columns may."""
    choices = identifier_choices(kind, mapping)
    if column in choices:
        return str(column)
    may = listed(choices) if choices else "none: map one to " + ", ".join((kind.key, *kind.identifiers))
    if not column:
        raise InvalidInput(
            f"The file has no column {kind.key}. Say which column names each {kind.entity.noun} instead: {may}.",
            field="identifier_column",
        )
    raise InvalidInput(
        f"{clipped(str(column))!r} cannot name each {kind.entity.noun}. Columns that may: {may}.",
        field="identifier_column",
    )


def identifier_choices(kind: ImportKind, mapping: Mapping[str, str]) -> list[str]:
    """The columns that may name the rows: that of the natural key alone, where there is one."""
    own = [column for column, name in mapping.items() if name == kind.key]
    if own:
        return own
    by_field = {name: column for column, name in mapping.items()}
    return [by_field[name] for name in kind.identifiers if name in by_field]


def with_default_type(kind: ImportKind, asset_type: str | None) -> Entity:
    """The entity, whose new rows have this type where the file says none."""
    key = normalise_type_key(asset_type or None, field="asset_type")
    if key is None or "asset_type" not in kind.entity.clean:
        return kind.entity
    defaults = {**kind.entity.defaults, "asset_type": lambda _: key}
    return dataclasses.replace(kind.entity, defaults=defaults)


def _normalised(column: str) -> str:
    for prefix in ("openfigi_details.", "openfigi_details__"):
        column = column.removeprefix(prefix)
    return re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
