"""The back-office of the market: one module per concept."""

from markets.admin import (
    access,
    assets,
    calendar_days,
    calendars,
    categories,
    changes,
    data_nodes,
    details,
    imports,
    indices,
    issuers,
    jobs,
    node_runs,
    schedules,
    storage,
    users,
)

__all__ = [
    "access",
    "assets",
    "calendar_days",
    "calendars",
    "categories",
    "changes",
    "data_nodes",
    "details",
    "imports",
    "indices",
    "issuers",
    "jobs",
    "node_runs",
    "schedules",
    "storage",
    "users",
]
