"""Tables: their columns, who writes them, and their first and last rows."""

from typing import Any

from django.contrib import admin
from django.db import connection
from django.db.models import Count, Max, QuerySet, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from psycopg import sql
from unfold.decorators import display

from markets.admin.base import ReadOnlyAdmin, command
from markets.admin.formatting import NOTHING, cell, code, count, link, utc
from markets.admin.tables import Column, Fact, Table
from markets.data_nodes import sealing
from markets.data_nodes.storage import table_exists
from markets.models import SealedBlock, StorageNode

ROWS_SHOWN = 10
TIMES = ("time_index", "timestamp with time zone")
NUMBERS = ("float64", "float32", "int64", "int32", "int16")


@admin.register(StorageNode)
class StorageNodeAdmin(ReadOnlyAdmin):
    list_display = ("name", "frequency", "num_columns", "num_updates", "table_of", "description_start")
    search_fields = ("identifier__icontains", "table_name__startswith")
    search_help_text = "Identifier, or beginning of the table's name"
    sortable_by = ("name",)
    change_form_template = "admin/msm/storage.html"
    empty_help = format_html(
        "A table appears here when its DataNode is registered or first run. The demo makes some: {}",
        command("make demo"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[StorageNode]:
        return super().get_queryset(request).annotate(number_of_updates=Count("updates"))

    @display(description="identifier", ordering="identifier")
    def name(self, storage: StorageNode) -> str:
        return str(storage)

    @display(description="frequency")
    def frequency(self, storage: StorageNode) -> str:
        return storage.data_frequency_id or NOTHING

    @display(description="columns")
    def num_columns(self, storage: StorageNode) -> str:
        return count(len(storage.columns))

    @display(description="DataNodes")
    def num_updates(self, storage: StorageNode) -> str:
        return count(storage.number_of_updates)  # type: ignore[attr-defined]

    @display(description="table")
    def table_of(self, storage: StorageNode) -> str:
        return format_html('<code class="msm-clip">{}</code>', storage.table_name)

    @display(description="description")
    def description_start(self, storage: StorageNode) -> str:
        return format_html('<span class="msm-clip" title="{0}">{0}</span>', storage.description)

    def page_context(self, request: HttpRequest, obj: StorageNode) -> dict[str, Any]:
        head, tail = _first_and_last_rows(obj)
        return {
            "facts": [
                Fact("Table", code(obj.table_name)),
                Fact("Class", code(obj.node_class)),
                Fact("Frequency", obj.data_frequency_id or NOTHING),
                Fact("Index", ", ".join(obj.index_names)),
                Fact("Key", ", ".join(obj.key_columns)),
                Fact("Made by", "the engine" if obj.is_engine_table else "a migration"),
                Fact("Storage hash", code(obj.storage_hash)),
                *([Fact("Sealed history", _sealed(obj))] if obj.is_engine_table else []),
                *([Fact("Description", obj.description, wide=True)] if obj.description else []),
            ],
            "columns_table": Table(
                label="Columns",
                columns=[Column("Column"), Column("Type"), Column("Label"), Column("Description")],
                rows=[
                    (code(item["column_name"]), item["dtype"], item.get("label", ""), item.get("description", ""))
                    for item in obj.columns
                ],
                empty="The columns are known after the first run.",
            ),
            "updates_table": Table(
                label="DataNodes that write it",
                columns=[Column("DataNode"), Column("Class"), Column("Update hash")],
                rows=[
                    (
                        link(reverse("admin:markets_nodeupdate_change", args=(update.pk,)), obj),
                        update.class_name,
                        code(update.update_hash),
                    )
                    for update in obj.updates.order_by("update_hash")[:100]
                ],
                empty="No DataNode is registered that writes it.",
            ),
            "head": head,
            "tail": tail,
        }


def _sealed(storage: StorageNode) -> str:
    told = SealedBlock.objects.filter(storage=storage).aggregate(
        blocks=Count("id"), rows=Sum("row_count"), until=Max("covers_until")
    )
    if not told["blocks"]:
        return f"None; tables of {count(sealing.FEWEST_ROWS)} rows or more are sealed every night"
    return f"{count(told['rows'])} rows, up to {utc(told['until'])}"


def _first_and_last_rows(storage: StorageNode) -> tuple[Table, Table]:
    """Rows at both ends of the key: what the table's one index gives at once, whatever its size."""
    names = [*storage.key_columns, *(item["column_name"] for item in storage.columns)]
    tokens = {item["column_name"]: item["dtype"] for item in storage.columns}
    columns = [
        Column(f"{name} (UTC)" if tokens.get(name, name) in TIMES else name, numeric=tokens.get(name) in NUMBERS)
        for name in names
    ]
    empty = "The table is made with its first rows: run its DataNode."
    if not storage.columns or not table_exists(storage.table_name):
        return Table(columns, label="First rows", empty=empty), Table(columns, label="Last rows", empty=empty)
    return (
        Table(columns, _rows(storage, names, "ASC"), label="First rows", empty=empty),
        Table(columns, _rows(storage, names, "DESC")[::-1], label="Last rows", empty=empty),
    )


def _rows(storage: StorageNode, names: list[str], direction: str) -> list[list[str]]:
    order = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(direction)) for name in storage.key_columns
    )
    query = sql.SQL("SELECT {} FROM {} ORDER BY {} LIMIT {}").format(
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.Identifier(storage.table_name),
        order,
        sql.Literal(ROWS_SHOWN),
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [[cell(value) for value in row] for row in cursor.fetchall()]
