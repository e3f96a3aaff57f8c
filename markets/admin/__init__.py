"""The back-office of the market: one module per concept."""

from markets.admin import access, assets, calendars, categories, data_nodes, jobs, node_runs, schedules, storage, users

__all__ = [
    "access",
    "assets",
    "calendars",
    "categories",
    "data_nodes",
    "jobs",
    "node_runs",
    "schedules",
    "storage",
    "users",
]
