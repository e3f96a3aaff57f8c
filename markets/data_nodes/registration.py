"""Registers a node's table, its update and its metadata: steps 1, 2, 7 and 8 of a run."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, models, transaction
from django.db.models import Q

from markets import namespaces
from markets.data_nodes.access import APIDataNode
from markets.data_nodes.circles import closes_circle, refuse_circle
from markets.data_nodes.configuration import encode_node
from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.plain_rows import plain_row, prepared_cursor
from markets.data_nodes.published_views import publish_view
from markets.engine.frames import TIME_INDEX
from markets.engine.hashing import class_path
from markets.engine.namespaces import qualified
from markets.exceptions import Conflict, DependencyDriftError, InvalidInput, clipped
from markets.models import NodeUpdate, StorageNode

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode

LONGEST_IDENTIFIER = 255
_FIELD_TOKENS: dict[type[models.Field], str] = {
    models.FloatField: "float64",
    models.BooleanField: "bool",
    models.BigIntegerField: "int64",
    models.SmallIntegerField: "int16",
    models.IntegerField: "int32",
    models.DateTimeField: "timestamp with time zone",
    models.DateField: "date",
    models.CharField: "string",
    models.TextField: "string",
}


def ensure_storage(node: "DataNode") -> StorageNode:
    """The node's table registration; made when absent. The table itself is made with its first rows."""
    index_names = list(node.index_names)
    if not index_names or index_names[0] != TIME_INDEX or len(set(index_names)) != len(index_names):
        raise InvalidInput(f"{type(node).__name__}.index_names is {index_names}; {TIME_INDEX} comes first, each once.")
    key_columns = list(node.key_columns or [*index_names[1:], TIME_INDEX])
    if sorted(key_columns) != sorted(index_names):
        raise InvalidInput(f"{type(node).__name__}.key_columns must hold the index names in another order.")
    known = plain_row(StorageNode, "storage_hash", node.storage_hash)
    if known is not None:
        return known
    storage, _ = StorageNode.objects.get_or_create(
        storage_hash=node.storage_hash,
        defaults={
            "node_class": class_path(type(node)),
            "table_name": node.model._meta.db_table if node.model is not None else f"dn_{node.storage_hash}",
            "is_engine_table": node.model is None,
            "index_names": index_names,
            "key_columns": key_columns,
            "columns": _columns_of_model(node.model, index_names) if node.model is not None else [],
        },
    )
    return storage


def ensure_update(node: "DataNode", storage: StorageNode | None = None) -> NodeUpdate:
    """The node's update registration, with its edges to the nodes that it reads; made when absent."""
    storage = storage or ensure_storage(node)
    known, created = plain_row(NodeUpdate, "update_hash", node.update_hash), False
    if known is None:
        known, created = NodeUpdate.objects.get_or_create(
            update_hash=node.update_hash,
            defaults={
                "storage": storage,
                "node_class": class_path(type(node)),
                "build_configuration": encode_node(node),
            },
        )
    update = known
    _link(node, update, linked=set() if created else _linked(update))
    if update.storage_id != storage.pk:  # the class now puts this configuration's rows elsewhere
        update.storage = storage
        update.save(update_fields=["storage", "updated_at"])
    update.storage = storage
    return update


def _linked(update: NodeUpdate) -> set[str]:
    """The update hashes of the stored edges; in plain SQL, because every run asks for them."""
    edges = NodeUpdate.dependencies.through._meta.db_table
    with prepared_cursor() as cursor:
        cursor.execute(
            f'SELECT u.update_hash FROM "{edges}" AS e JOIN "{NodeUpdate._meta.db_table}" AS u '
            "ON u.id = e.to_nodeupdate_id WHERE e.from_nodeupdate_id = %s",
            [update.pk],
        )
        return {name for (name,) in cursor.fetchall()}


def _link(node: "DataNode", update: NodeUpdate, *, linked: set[str]) -> None:
    """Make the stored edges those that `dependencies()` tells now. One read by identifier stands for its writers.

    Raises DependencyCycleError when they would close a circle, and DependencyDriftError when it tells others each time
    it is asked; then they stay as they were.
    """
    upstream, read = _told(node)
    # Whoever reads the table that it writes has no dependency, but its own past.
    others = NodeUpdate.objects.exclude(Q(pk=update.pk) | Q(storage=update.storage_id, storage__is_engine_table=True))
    reading = others.filter(Q(storage__storage_hash__in=read) | Q(companion_tables__overlap=read))
    writers = {item.update_hash: item for item in reading} if read else {}
    if linked != {*upstream, *writers}:
        again, _ = _told(node)
        if again.keys() != upstream.keys():
            raise DependencyDriftError(
                f"{type(node).__name__}.dependencies() tells other nodes each time it is asked ("
                f"{', '.join(sorted({*upstream} ^ {*again}))}). Make them in the constructor, from its arguments alone."
            )
        known = {item.update_hash: item for item in NodeUpdate.objects.filter(update_hash__in=upstream)} | writers
        wanted = [known.get(name) or ensure_update(upstream[name]) for name in {**upstream, **writers}]
        if wanted and closes_circle(update, wanted):
            for dependency in upstream.values():  # an edge on the way may be one that its node has given up
                ensure_update(dependency)
            refuse_circle(update, wanted)
        update.dependencies.set(wanted)
    if update.tables_read != read:
        update.tables_read = read
        update.save(update_fields=["tables_read", "updated_at"])


def _told(node: "DataNode") -> tuple[dict[str, "DataNode"], list[str]]:
    """The nodes that it reads by their update hashes, and the storage hashes of tables that it reads as they are."""
    upstream: dict[str, DataNode] = {}
    read: set[str] = set()
    for dependency in node.upstream().values():
        if isinstance(dependency, APIDataNode):
            read.add(dependency.storage_hash)
        else:
            upstream[dependency.update_hash] = dependency
    return upstream, sorted(read)


def record_companions(update: NodeUpdate, companions: "Iterable[StorageNode]") -> None:
    """Keep which tables the update writes beside its own, so that their readers are known to rest on it."""
    tables = sorted({*update.companion_tables, *(table.storage_hash for table in companions)})
    if tables != update.companion_tables:
        update.companion_tables = tables
        update.save(update_fields=["companion_tables", "updated_at"])


def record_metadata(
    node: "DataNode", storage: StorageNode, tokens: dict[str, str], columns: Sequence[ColumnMetaData]
) -> None:
    """Keep the column contract with labels, and publish the table's identifier; in the run's transaction.

    Raises Conflict naming the owner when the identifier belongs to another table.
    """
    described = {column.column_name: column for column in columns}
    contract = tokens or {column["column_name"]: column["dtype"] for column in storage.columns}
    stored = {column["column_name"]: column for column in storage.columns}
    fresh: list[dict[str, Any]] = []
    for name, token in contract.items():
        said = described[name].model_dump() if name in described else stored.get(name, {})
        texts = {key: said.get(key, "") for key in ("label", "description")}
        unit = {"unit": said["unit"]} if said.get("unit") else {}
        fresh.append({"column_name": name, "dtype": token, **texts, **unit})
    changes: dict[str, Any] = {"columns": fresh} if fresh != storage.columns else {}
    table = node.get_table_metadata()
    if table is not None:
        published = table.model_dump() | {"identifier": published_identifier(node, table)}
        changes |= {name: value for name, value in published.items() if getattr(storage, name) != value}
    if not changes:
        return
    for name, value in changes.items():
        setattr(storage, name, value)
    try:
        with transaction.atomic():
            # Locked: two processes that rename it at once must not leave a view under a name that is no more.
            locked = StorageNode.objects.select_for_update().values_list("identifier", flat=True)
            previous_identifier = locked.get(pk=storage.pk)
            storage.save(update_fields=[*changes, "updated_at"])
            if changes.keys() & {"identifier", "columns"}:
                publish_view(storage, previous_identifier=previous_identifier)
    except IntegrityError as error:
        owner = StorageNode.objects.filter(identifier=storage.identifier).exclude(pk=storage.pk).first()
        if owner is None:
            raise
        raise Conflict(
            f"The identifier {storage.identifier!r} already names the table {owner.storage_hash} of "
            f"{owner.node_class}. Give this node another identifier."
        ) from error


def published_identifier(node: "DataNode", table: TableMetaData) -> str:
    """The name by which the table is found; an experiment's begins with its namespace and so hides no other."""
    name = qualified(table.identifier, node.hash_namespace if node.model is None else namespaces.current())
    if len(name) > LONGEST_IDENTIFIER:
        raise InvalidInput(
            f"The identifier {clipped(name)!r} has {len(name)} characters with its namespace; {LONGEST_IDENTIFIER} is "
            "the most. Shorten it.",
            field="identifier",
        )
    return name


def _columns_of_model(model: type[models.Model], index_names: list[str]) -> list[dict[str, str]]:
    columns = []
    for field in model._meta.concrete_fields:
        if isinstance(field, models.CompositePrimaryKey) or field.column in index_names:
            continue
        if isinstance(field, models.JSONField) and field.null:  # no frame carries it: a node leaves it null
            continue
        token = next((token for kind, token in _FIELD_TOKENS.items() if isinstance(field, kind)), None)
        if token is None:
            raise InvalidInput(f"{model.__name__}.{field.name} is a {type(field).__name__}, which no DataNode writes.")
        columns.append(
            {
                "column_name": str(field.column),
                "dtype": token,
                "label": str(field.verbose_name).capitalize(),
                "description": str(field.help_text or ""),
            }
        )
    return columns
