"""What the page of a DataNode shows of its schedule, its freshness policy and its lineage; and their addresses."""

from typing import Any

from django.http import HttpRequest
from django.urls import URLPattern

from markets.admin import freshness_policies, lineage, node_schedules
from markets.models import NodeUpdate


def watch_urls(model_admin: Any) -> list[URLPattern]:
    return [
        *node_schedules.urls(model_admin),
        *freshness_policies.urls(model_admin),
        *lineage.urls(model_admin),
    ]


def watch_context(request: HttpRequest, update: NodeUpdate) -> dict[str, Any]:
    return {
        "schedule": node_schedules.panel(request, update),
        "freshness_policy": freshness_policies.panel(request, update),
        "neighbourhood": lineage.panel(update),
    }
