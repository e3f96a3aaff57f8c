"""The lineage of 500 DataNodes: the page, the graph over REST and the service, beside the bare SQL of what they show.

Run as `python -m benchmarks.lineage_page [nodes]`. The graph is artificial and the same each time: layers of 25, each
node reads three of the two layers before; each has a history of runs, most name a calendar, a fifth have a policy. The
floor asks PostgreSQL for the same facts in as few statements and fetches them, without making a page of them. Requests
are made in process; the number of queries is counted, at a tenth of the nodes as well.
"""

import datetime as dt
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks._bars import Claims, alternated
from benchmarks._server import own_server, server_settings, superuser

NODES = 500
LAYER, RUNS, SESSIONS = 25, 20, 2_520
CALENDARS = ("XNYS", "XLON", "XTKS")
FLOOR_GOAL = 10.0  # times bare SQL, for the service: rows of Django's and the judgement of each node's age
PAGE_GOAL, REST_GOAL = 300.0, 150.0  # ms, p95
REPEATS = 25


def load(first: int, last: int, now: dt.datetime) -> None:
    """The nodes `first` to `last`, with edges, runs and policies."""
    from markets.models import Calendar, FreshnessPolicy, NodeRun, NodeUpdate, StorageNode

    places = range(first, last)
    storages = StorageNode.objects.bulk_create(
        StorageNode(
            storage_hash=f"lineage_{place:05d}",
            identifier=f"table.{place:05d}",
            node_class=f"research.nodes.Kind{place % 12}",
            table_name=f"dn_lineage_{place:05d}",
            data_frequency_id="1d",
        )
        for place in places
    )
    updates = NodeUpdate.objects.bulk_create(
        NodeUpdate(
            update_hash=f"kind{place % 12}_{place:032x}",
            storage=storage,
            node_class=storage.node_class,
            build_configuration=configuration(place),
            asset_scope=[f"BBG{number:09d}" for number in range(100)],
            **stale(place, now),
        )
        for place, storage in zip(places, storages, strict=True)
    )
    keys = dict(NodeUpdate.objects.values_list("update_hash", "pk"))
    ordered = [keys[name] for name in sorted(keys, key=lambda name: int(name.partition("_")[2], 16))]
    edge = NodeUpdate.dependencies.through
    edge.objects.bulk_create(
        edge(from_nodeupdate_id=ordered[place], to_nodeupdate_id=ordered[read])
        for place in places
        for read in sorted({place - LAYER, place - LAYER - place % 7, place - 2 * LAYER + place % 5})
        if 0 <= read < place - place % LAYER
    )
    NodeRun.objects.bulk_create(
        NodeRun(
            node_update=update,
            status="failed" if place % 40 == 7 and number == RUNS - 1 else "succeeded",
            started_at=now - dt.timedelta(days=RUNS - number, minutes=1),
            finished_at=now - dt.timedelta(days=RUNS - number),
            last_time_index=now - dt.timedelta(days=RUNS - number + place % 4),
            log="rows written\n" * 20,
        )
        for number in range(RUNS)
        for place, update in zip(places, updates, strict=True)
    )
    calendars = list(Calendar.objects.order_by("pk"))
    FreshnessPolicy.objects.bulk_create(
        FreshnessPolicy(
            node_update=update, rule="after_close", calendar=calendars[place % len(calendars)], delay_minutes=90
        )
        for place, update in zip(places, updates, strict=True)
        if place % 5 == 0
    )


def configuration(place: int) -> dict[str, Any]:
    arguments: dict[str, Any] = {"dataset": f"table.{place:05d}", "window": place % 30, "columns": ["close", "volume"]}
    if place % 3:
        arguments["configuration"] = {"calendar_identifier": CALENDARS[place % len(CALENDARS)]}
    return {"class": f"research.nodes.Kind{place % 12}", "arguments": arguments}


def stale(place: int, now: dt.datetime) -> dict[str, Any]:
    return {} if place % 50 != 3 else {"stale_from": now, "stale_marked_at": now, "stale_reason": "Late rows."}


def calendars(now: dt.datetime) -> None:
    """Ten years of daily sessions each, as far as the end of next month."""
    from markets.models import Calendar, CalendarSession

    days = [now.date() + dt.timedelta(days=31 - number) for number in range(SESSIONS)]
    for name in CALENDARS:
        calendar = Calendar.objects.create(
            unique_identifier=name, display_name=name, valid_from=days[-1], valid_to=days[0]
        )
        CalendarSession.objects.bulk_create(
            CalendarSession(
                calendar=calendar,
                local_date=day,
                opens_at=dt.datetime(day.year, day.month, day.day, 14, 30, tzinfo=dt.UTC),
                closes_at=dt.datetime(day.year, day.month, day.day, 21, tzinfo=dt.UTC),
            )
            for day in days
        )


def floor(now: dt.datetime) -> int:
    """Edges; nodes with their latest run, how far they have come and their policy; recent sessions. Rows fetched."""
    from django.db import connection

    statements: list[tuple[str, list[Any]]] = [
        ("SELECT to_nodeupdate_id, from_nodeupdate_id FROM markets_nodeupdate_dependencies ORDER BY 1, 2", []),
        (
            "SELECT u.id, u.uid, u.update_hash, u.node_class, u.build_configuration, u.stale_from, u.stale_reason, "
            "s.identifier, s.data_frequency_id, last.status, wrote.last_time_index, p.rule, p.calendar_id, "
            "p.delay_minutes, p.is_active FROM markets_nodeupdate u JOIN markets_storagenode s ON s.id = u.storage_id "
            "LEFT JOIN markets_freshnesspolicy p ON p.node_update_id = u.id "
            "LEFT JOIN LATERAL (SELECT status FROM markets_noderun r WHERE r.node_update_id = u.id "
            "ORDER BY id DESC LIMIT 1) last ON true "
            "LEFT JOIN LATERAL (SELECT last_time_index FROM markets_noderun r WHERE r.node_update_id = u.id "
            "AND last_time_index IS NOT NULL ORDER BY id DESC LIMIT 1) wrote ON true ORDER BY s.identifier",
            [],
        ),
        (
            "SELECT calendar_id, closes_at, local_date FROM markets_calendarsession WHERE is_primary "
            "AND closes_at BETWEEN %s AND %s ORDER BY closes_at",
            [now - dt.timedelta(days=20), now + dt.timedelta(days=31)],
        ),
    ]
    rows = 0
    with connection.cursor() as cursor:
        for statement, values in statements:
            cursor.execute(statement, values)
            rows += len(cursor.fetchall())
    return rows


def client_of_a_superuser() -> Any:
    from django.contrib.auth import get_user_model
    from django.test import Client

    client = Client(SERVER_NAME="localhost")
    client.force_login(get_user_model().objects.create_superuser("benchmark"))
    return client


def queries(action: Callable[[], object]) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    action()
    with CaptureQueriesContext(connection) as captured:
        action()
    return len(captured)


def p95(action: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1_000)
    return statistics.quantiles(times, n=20)[-1]


def main() -> int:
    nodes = max(50, int(sys.argv[1])) if len(sys.argv) > 1 else NODES
    claims = Claims()
    with own_server() as directory:
        with superuser(directory) as server:
            print(server_settings(server))
        from django.db import connection
        from django.urls import reverse
        from django.utils import timezone

        import msm_project.wsgi  # noqa: F401  (as the web server has it: what is loaded is out of the collector's way)
        from markets.engine.lineage import layout
        from markets.services import lineage

        now = timezone.now()
        client = client_of_a_superuser()

        def asked(path: str) -> Callable[[], bytes]:
            def answer() -> bytes:
                response = client.get(path)
                assert response.status_code == 200, response.content[:300]
                return bytes(response.content)

            return answer

        address = reverse("admin:markets_nodeupdate_lineage")
        calendars(now)
        load(0, nodes // 10, now)
        middle = f"{address}?node=kind{nodes // 20 % 12}_{nodes // 20:032x}"
        pages = {
            "the page": asked(address),
            "the page of one node's lineage": asked(middle),
            "the graph over REST": asked("/api/v1/data-node/graph/"),
        }
        few = {name: queries(page) for name, page in pages.items()}
        load(nodes // 10, nodes, now)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        found = lineage.graph()
        keys = [node.update.pk for node in found.nodes]
        drawing = layout(keys, found.edges)
        assert len(keys) == len(drawing.boxes) == nodes
        assert pages["the page"]().count(b'class="msm-node ') == nodes
        print(f"{nodes:,} DataNodes, {len(found.edges):,} edges, {nodes * RUNS:,} runs; {floor(now):,} rows fetched")
        taken = alternated(
            REPEATS,
            {
                "bare SQL": lambda: floor(now),
                "the service": lineage.graph,
                "the picture's layout": lambda: layout(keys, found.edges),
                **pages,
            },
        )
        claims.times(f"the lineage of {nodes:,} DataNodes, median", taken)
        many = {name: queries(page) for name, page in pages.items()}
        print()
        claims.at_most("the service against bare SQL", taken["the service"] / taken["bare SQL"], FLOOR_GOAL)
        for name in pages:
            claims.at_most(
                f"queries of {name} ({many[name]}) against a tenth of the nodes", many[name] / few[name], 1.0
            )
        slowest = {name: p95(page) for name, page in pages.items()}
        for name, value in slowest.items():
            goal = REST_GOAL if "REST" in name else PAGE_GOAL
            claims.at_most(f"p95 of {name}, {value:.0f} ms, against {goal:.0f} ms", value / goal, 1.0)
    return claims.exit_code()


if __name__ == "__main__":
    sys.exit(main())
