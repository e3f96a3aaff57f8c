"""The errors of MSM. Each message says what was wrong, which value, and what to do next."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

LONGEST_SHOWN = 80  # characters of one value in a message: whoever pasted a whole file knows it by its beginning


class MSMError(Exception):
    """Base of every error that a user can cause and mend; `code` is its stable name over REST."""

    is_msm_error = True
    code = "error"


class InvalidInput(MSMError, ValueError):
    """A value that a caller gave is wrong; nothing was written. `field` names the culprit when there is one."""

    code = "invalid"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NotFound(MSMError, LookupError):
    """Something that was named does not exist."""

    code = "not_found"


class Conflict(MSMError):
    """The request is well formed but the stored state forbids it."""

    code = "conflict"


class ProtectedRow(Conflict):
    """A row cannot be deleted because others rest on it."""

    code = "protected"


class MergedAsset(Conflict):
    """Assets that were merged into others: nothing is written to them; the message names those that stay."""

    code = "merged"

    def __init__(self, into: Mapping[str, str]) -> None:
        self.into = dict(into)
        shown = [f"{clipped(dropped)} was merged into {clipped(kept)}" for dropped, kept in list(self.into.items())[:5]]
        more = f"; … and {len(self.into) - 5} more" if len(self.into) > 5 else ""
        what = "the asset that stays" if len(self.into) == 1 else "the assets that stay"
        super().__init__(f"{'; '.join(shown)}{more}. Nothing was written; name {what}, or undo the merge.")


class QualityError(MSMError):
    """A critical quality check of a DataNode failed; nothing was written."""

    code = "quality"


class UnknownIdentifiers(InvalidInput):
    """Identifiers that name no asset, or no row of another `kind`."""

    code = "unknown_identifier"

    def __init__(
        self, identifiers: Iterable[str], *, remedy: str = "Register them first.", kind: str = "assets"
    ) -> None:
        self.identifiers = sorted(set(identifiers))
        super().__init__(f"{named(self.identifiers, 'identifier')} not registered as {kind}. {remedy}")


class WrongType(InvalidInput, TypeError):
    """A value of a kind that is not taken here."""

    code = "wrong_type"


class UnknownFields(InvalidInput, TypeError):
    """Fields that a row does not have, or that cannot be given here."""

    code = "unknown_field"


class MissingFields(InvalidInput, TypeError):
    """Fields without which a row cannot be made or found."""

    code = "missing_field"


class InvalidFields(InvalidInput):
    """Several fields are wrong, each told at once; `by_field` has the fault of each, by its name or dotted path."""

    def __init__(self, by_field: Mapping[str, str]) -> None:
        self.by_field = dict(by_field)
        super().__init__(f"{' '.join(self.by_field.values())} Nothing was written.", field=next(iter(self.by_field)))


class InvalidReferences(InvalidFields):
    """Fields that name another row, and name one of the wrong kind; `by_field` has the fault of each."""

    code = "invalid_reference"


class MissingReferences(InvalidReferences, LookupError):
    """Fields that name rows which do not exist; all of them are told at once."""

    code = "missing_reference"


@dataclass(frozen=True)
class Rejection:
    """A fault of one row of a bulk call, by its position in the input; `field` is None when it is the row's."""

    row: int
    field: str | None
    reason: str


class RejectedRows(InvalidInput):
    """Rows of a bulk call are wrong and the caller did not ask to skip them; `rejections` has every fault."""

    code = "rejected_rows"

    def __init__(self, rejections: Sequence[Rejection], *, rows: int, noun: str, shown: int = 5) -> None:
        self.rejections = list(rejections)
        number = len({fault.row for fault in self.rejections})
        faults = " ".join(f"Row {fault.row}: {fault.reason}" for fault in self.rejections[:shown])
        more = f" … and {len(self.rejections) - shown} more faults." if len(self.rejections) > shown else ""
        super().__init__(
            f"{number} of {rows} {noun} rows are refused, and nothing was written. {faults}{more} Mend them, or write "
            'the others with on_error="skip".',
            field=self.rejections[0].field,
        )


class FrameError(InvalidInput):
    """A DataNode returned a frame that its storage cannot take; the whole frame is refused."""

    code = "invalid_frame"


class ColumnContractError(FrameError):
    """The frame's columns are not the columns of the table."""

    code = "column_contract"

    def __init__(self, *, missing: Sequence[str], extra: Sequence[str], table: str) -> None:
        self.missing = list(missing)
        self.extra = list(extra)
        parts = []
        if self.missing:
            parts.append(f"missing {', '.join(self.missing)}")
        if self.extra:
            parts.append(f"not in the table: {', '.join(self.extra)}")
        super().__init__(
            f"The frame's columns differ from those of {table} ({'; '.join(parts)}). A DataNode must return the same "
            "columns on every run; change its configuration to write another table, or restore the columns."
        )


class DuplicateKeys(FrameError):
    """The frame, or the frame and the table, hold one key twice.

    `keys` has those that a table held already (10,000 at most), as the texts of the key's columns in the table's order.
    """

    code = "duplicate_key"

    def __init__(self, message: str, *, keys: Sequence[tuple[str, ...]] = (), field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.keys = list(keys)


class AlreadyRunning(Conflict):
    """Another process is running this update."""

    code = "already_running"


class BackfillFailed(MSMError):
    """Parts of a backfill failed; the others are done and stay."""

    code = "backfill_failed"


class NamespaceInUse(Conflict, RuntimeError):
    """This process works in one namespace and is asked for another."""

    code = "namespace_in_use"


class RunSuperseded(Conflict):
    """This run lost its claim on the update (its connection was cut and another run took over)."""

    code = "run_superseded"


class StorageFull(MSMError):
    """The disk of the database server is full; nothing was written."""

    code = "storage_full"


class DependencyCycleError(InvalidInput):
    """DataNodes that depend on each other in a circle."""

    code = "dependency_cycle"


class DependencyDriftError(InvalidInput):
    """A DataNode whose `dependencies()` tells other nodes each time it is asked."""

    code = "dependency_drift"


class UnknownNodeClass(InvalidInput):
    """A DataNode class that is not registered."""

    code = "unknown_node_class"


def named(values: Sequence[str], noun: str, shown: int = 10) -> str:
    """'1 identifier (A) is' or '12 identifiers (A, B, … and 2 more) are', for the subject of a message."""
    listed = ", ".join(clipped(value) for value in values[:shown])
    if len(values) > shown:
        listed += f", … and {len(values) - shown} more"
    return f"{len(values)} {noun}{'' if len(values) == 1 else 's'} ({listed}) {'is' if len(values) == 1 else 'are'}"


def clipped(text: str) -> str:
    """The text, or its beginning when it is too long to be shown whole."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
