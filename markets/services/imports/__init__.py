"""Imports of files: uploaded, previewed row by row, applied in a job, and undone."""

from markets.services.imports.files import FileTooLarge, check_size
from markets.services.imports.kinds import (
    KINDS,
    ImportKind,
    identifier_choices,
    kind_of,
    suggestion,
)
from markets.services.imports.rows import FILTERS, KEPT, errors_file, errors_name, refused_rows, result_of, rows_of
from markets.services.imports.runs import (
    change_mapping,
    discard,
    error_of,
    guessed_identifier,
    is_busy,
    job_of,
    request_apply,
    request_undo,
    standing,
    tidy_imports,
    unknown_columns,
    upload_import,
)
from markets.services.imports.work import carry_out

__all__ = [
    "FILTERS",
    "KEPT",
    "KINDS",
    "FileTooLarge",
    "ImportKind",
    "carry_out",
    "change_mapping",
    "check_size",
    "discard",
    "error_of",
    "errors_file",
    "errors_name",
    "guessed_identifier",
    "identifier_choices",
    "is_busy",
    "job_of",
    "kind_of",
    "refused_rows",
    "request_apply",
    "request_undo",
    "result_of",
    "rows_of",
    "standing",
    "suggestion",
    "tidy_imports",
    "unknown_columns",
    "upload_import",
]
