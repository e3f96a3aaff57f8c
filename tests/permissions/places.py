"""Addresses that are no page of a model: who may come there, and what it does."""

from dataclasses import dataclass, field
from typing import Any

from tests.factories import CANDIDATE
from tests.permissions.roles import EVERYONE

STAFF = f"nobody {EVERYONE}"
ANYBODY = f"anonymous {STAFF}"


@dataclass(frozen=True)
class Place:
    """`url` is asked by `method`; `{name}` is the key of a row, `{name.field}` another field of it.

    Those in `by` get `status`, and so does a superuser; others of the staff get one of `refused`, strangers are sent to
    the login or get `stranger`.
    """

    address: str
    url: str
    by: str = EVERYONE
    status: int = 200
    refused: tuple[int, ...] = (403,)
    stranger: int | None = None
    method: str = "get"
    data: dict[str, Any] = field(default_factory=dict)
    effect: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


def _token(suffix: str, status: int = 200, **options: Any) -> Place:
    return Place(
        f"admin/markets/accesstoken/{suffix}", f"/admin/markets/accesstoken/{suffix}", status=status, **options
    )


def _import(step: str, run: str = "waiting_import", **options: Any) -> Place:
    return Place(f"admin/markets/importrun/<int:pk>/{step}/", f"/admin/markets/importrun/{{{run}}}/{step}/", **options)


def _step(step: str, run: str = "waiting_import", **effect: int) -> list[Place]:
    """The page that asks, and the answer."""
    said = {"reason": "The test asks for it."}
    return [
        _import(step, run, by="analyst"),
        _import(step, run, by="analyst", status=302, method="post", data=said, effect=effect),
    ]


def _action(action: str, row: str, data: dict[str, str], **effect: int) -> Place:
    """What is done to selected assets. An action that is not theirs is no choice of the list."""
    picked = {"_selected_action": row, "action": action, "reason": "Why", "confirm": "yes", "shown": "1", **data}
    return Place(
        "admin/markets/asset/",
        "/admin/markets/asset/",
        "analyst",
        302,
        (403, 302, 200),
        method="post",
        data=picked,
        effect=effect,
    )


def _of_node(step: str, data: dict[str, str] | None = None, **effect: int) -> list[Place]:
    """The page that asks, and the answer."""
    address, url = f"admin/markets/nodeupdate/<int:pk>/{step}/", f"/admin/markets/nodeupdate/{{node}}/{step}/"
    return [
        Place(address, url, "operator"),
        Place(address, url, "operator", 302, method="post", data=data or {}, effect=effect),
    ]


def _resolution(step: str, by: str = EVERYONE, status: int = 200, **options: Any) -> Place:
    url = f"/admin/markets/resolution/{{resolution}}/{step}/"
    return Place(f"admin/markets/resolution/<int:pk>/{step}/", url, by, status, **options)


def _review(step: str, row: str, data: dict[str, str], **effect: int) -> list[Place]:
    """A decision, which takes a form that is sent."""
    address, url = f"admin/markets/resolutionitem/<int:pk>/{step}/", f"/admin/markets/resolutionitem/{row}/{step}/"
    return [
        Place(address, url, STAFF, 405),
        Place(address, url, "analyst", 302, method="post", data=data, effect=effect),
    ]


def _of_identifier(step: str, data: dict[str, str], **effect: int) -> list[Place]:
    """The page that asks, and the answer."""
    address = f"admin/markets/assetidentifier/<int:pk>/{step}/"
    url = f"/admin/markets/assetidentifier/{{asset_identifier}}/{step}/"
    return [
        Place(address, url, "analyst"),
        Place(address, url, "analyst", 302, method="post", data=data, effect=effect),
    ]


BOTH = "analyst operator"
RULE = "admin/markets/resolutionitem/rule/"


def _asked(address: str, url: str, data: dict[str, str] | None = None, **effect: int) -> list[Place]:
    """A page of the assets that asks, and the answer."""
    root = "admin/markets/asset/"
    said = {"reason": "The test asks for it.", **(data or {})}
    return [
        Place(root + address, f"/{root}{url}", "analyst"),
        Place(root + address, f"/{root}{url}", "analyst", 302, method="post", data=said, effect=effect),
    ]


REVOKE = "admin/markets/accesstoken/revoke/<str:token_key>/"
NODE = "admin/markets/nodeupdate/<int:pk>/"
OTHERS_TOKEN = "admin/markets/accesstoken/<path:object_id>/"
PLACES = [
    Place("", "/", ANYBODY, 302),
    Place("health", "/health", ANYBODY),
    Place("ready", "/ready", ANYBODY),
    Place("openapi.json", "/openapi.json", ANYBODY),
    Place("docs", "/docs", ANYBODY),
    Place("redoc", "/redoc", ANYBODY),
    Place("admin/", "/admin/", STAFF),
    Place("admin/search/", "/admin/search/?s=asset", STAFF),
    Place("admin/login/", "/admin/login/", STAFF, 302, stranger=200),
    Place("admin/password_change/", "/admin/password_change/", STAFF),
    Place("admin/password_change/done/", "/admin/password_change/done/", STAFF),
    Place(
        "admin/autocomplete/",
        "/admin/autocomplete/?app_label=markets&model_name=bond&field_name=issuer&term=",
    ),
    Place(
        "admin/autocomplete/",
        "/admin/autocomplete/?app_label=markets&model_name=accesstoken&field_name=user&term=",
        "",
    ),
    Place("admin/jsi18n/", "/admin/jsi18n/", STAFF),
    Place("admin/r/<path:content_type_id>/<path:object_id>/", "/admin/r/1/1/", STAFF, 404),
    Place(
        "admin/^(?P<app_label>axes|markets|django_celery_beat|auth|portfolios)/$",
        "/admin/markets/",
        EVERYONE,
        200,
        (404,),
    ),
    Place("admin/^(?P<app_label>axes|markets|django_celery_beat|auth|portfolios)/$", "/admin/auth/", "", 200, (404,)),
    Place("admin/(?P<url>.*)$", "/admin/no/such/page", STAFF, 404),
    Place("admin/auth/user/<id>/password/", "/admin/auth/user/{person}/password/", ""),
    Place(
        "admin/auth/user/<id>/password/",
        "/admin/auth/user/{person}/password/",
        "",
        302,
        method="post",
        data={"password1": "correct horse battery", "password2": "correct horse battery", "usable_password": "true"},
        effect={"auth_user": 0},
    ),
    Place("admin/markets/job/<uuid:uid>/progress/", "/admin/markets/job/{job.uid}/progress/"),
    Place("admin/markets/job/<int:pk>/cancel/", "/admin/markets/job/{job}/cancel/", STAFF, 405),
    Place(
        "admin/markets/job/<int:pk>/cancel/",
        "/admin/markets/job/{job}/cancel/",
        "operator",
        302,
        method="post",
        effect={"markets_job": 0, "markets_jobmessage": 1},
    ),
    Place("admin/markets/nodeupdate/<int:pk>/run/", "/admin/markets/nodeupdate/{node}/run/", STAFF, 405),
    Place(
        "admin/markets/nodeupdate/<int:pk>/run/",
        "/admin/markets/nodeupdate/{node}/run/",
        "operator",
        302,
        method="post",
        effect={"markets_job": 1},
    ),
    Place("admin/markets/nodeupdate/add/", "/admin/markets/nodeupdate/add/", "operator"),
    Place(
        "admin/markets/nodeupdate/add/",
        "/admin/markets/nodeupdate/add/?node_class=tests.rest.nodes.Bars",
        "operator",
        302,
        method="post",
        data={"identifier": "new-bars", "save": "1"},
        effect={"markets_nodeupdate": 1, "markets_storagenode": 1},
    ),
    Place("admin/markets/nodeupdate/<int:pk>/chart/", "/admin/markets/nodeupdate/{node}/chart/?column=close"),
    Place("admin/markets/nodeupdate/<int:pk>/identities/", "/admin/markets/nodeupdate/{node}/identities/"),
    Place("admin/markets/nodeupdate/<int:pk>/rows/", "/admin/markets/nodeupdate/{node}/rows/"),
    Place("admin/markets/nodeupdate/lineage/", "/admin/markets/nodeupdate/lineage/?node={node.uid}"),
    *_of_node("schedule", {"cron": "5 5 * * *", "timezone": "UTC"}, markets_nodeschedule=0),
    *_of_node("schedule/remove", markets_nodeschedule=-1, django_celery_beat_periodictask=-1),
    *_of_node(
        "freshness", {"rule": "every", "every": "3", "every_unit": "hours", "stamp": "close"}, markets_freshnesspolicy=0
    ),
    *_of_node("freshness/remove", markets_freshnesspolicy=-1),
    Place(f"{NODE}gaps/", "/admin/markets/nodeupdate/{node}/gaps/"),
    Place(f"{NODE}gaps/export/", "/admin/markets/nodeupdate/{node}/gaps/export/?calendar={calendar.unique_identifier}"),
    Place(f"{NODE}backfill/", "/admin/markets/nodeupdate/{node}/backfill/", "operator"),
    Place(
        f"{NODE}backfill/",
        "/admin/markets/nodeupdate/{node}/backfill/",
        "operator",
        200,
        method="post",
        data={"start": "2026-01-02", "end": "2026-01-05"},
        effect={},
    ),
    Place(
        "admin/markets/calendar/<int:pk>/refresh/",
        "/admin/markets/calendar/{market_calendar}/refresh/",
        "operator",
        302,
        method="post",
        data={"valid_from": "2026-05-25", "valid_to": "2026-05-27"},
        effect={"markets_calendarsession": 2, "markets_calendar": 0},
    ),
    Place(
        "admin/markets/asset/<int:asset_id>/prices/<int:storage_id>/<str:column>/",
        "/admin/markets/asset/{asset}/prices/{storage}/close/",
    ),
    Place("admin/markets/asset/<int:pk>/snapshots/", "/admin/markets/asset/{asset}/snapshots/"),
    Place(
        "admin/markets/asset/<int:pk>/snapshots/",
        "/admin/markets/asset/{asset}/snapshots/",
        "analyst",
        302,
        method="post",
        data={"time_index_0": "2026-05-25", "time_index_1": "12:00:00", "ticker": "T", "reason": "Why"},
        effect={"markets_assetsnapshot": 1, "markets_updatestatistic": 1},
    ),
    Place("admin/markets/asset/<int:pk>/identifiers/", "/admin/markets/asset/{asset}/identifiers/"),
    Place(
        "admin/markets/asset/<int:pk>/identifiers/",
        "/admin/markets/asset/{asset}/identifiers/",
        "analyst",
        302,
        method="post",
        data={"scheme": "ticker", "value": "NEW", "venue": "XNYS", "reason": "Why"},
        effect={"markets_assetidentifier": 1},
    ),
    Place("admin/markets/assetidentifier/resolve/", "/admin/markets/assetidentifier/resolve/?scheme=ticker&value=T"),
    *_of_identifier("rename", {"value": "NEW", "effective": "2025-06-01", "reason": "Why"}, markets_assetidentifier=1),
    *_of_identifier("close", {"valid_to": "2025-06-01", "reason": "Why"}, markets_assetidentifier=0),
    Place("admin/markets/assettype/choices/", "/admin/markets/assettype/choices/?term="),
    Place("admin/markets/indextype/choices/", "/admin/markets/indextype/choices/?term="),
    _action("add_to_category", "{spare}", {"category": "{category}"}, markets_assetcategorymembership=1),
    _action("add_to_category", "{spare}", {"new_category": "Mine"}, markets_assetcategory=1),
    _action("remove_from_category", "{asset}", {"category": "{category}"}, markets_assetcategorymembership=0),
    _action("change_type", "{spare}", {"asset_type": "{asset_type.asset_type}"}, markets_asset=0),
    Place("admin/markets/importrun/add/", "/admin/markets/importrun/add/", "analyst"),
    Place(
        "admin/markets/importrun/add/",
        "/admin/markets/importrun/add/",
        "analyst",
        302,
        method="post",
        data={"file": b"unique_identifier\nNEW\n", "empty_cells": "keep"},
        effect={"markets_importrun": 1, "markets_importchunk": 1, "markets_job": 1},
    ),
    _import("progress"),
    _import("errors"),
    _import("mapping", by=STAFF, status=405),
    _import(
        "mapping",
        by="analyst",
        status=302,
        method="post",
        data={"column-0": "unique_identifier", "empty_cells": "clear"},
        effect={"markets_importrun": 0, "markets_job": 1},
    ),
    *_step("apply", markets_importrun=0, markets_job=1),
    *_step("undo", "applied_import", markets_importrun=0, markets_job=1),
    *_step("discard", markets_importrun=-1),
    Place("admin/markets/resolution/add/", "/admin/markets/resolution/add/", BOTH),
    Place(
        "admin/markets/resolution/add/",
        "/admin/markets/resolution/add/",
        BOTH,
        302,
        method="post",
        data={"identifiers": "US0378331005", "source": "desk"},
        effect={"markets_resolution": 1, "markets_resolutionitem": 1, "markets_job": 1},
    ),
    _resolution("progress", status=404),  # the list has no job
    _resolution("outcomes"),
    _resolution("resume", by=STAFF, status=405),
    _resolution("resume", BOTH, 302, method="post", effect={"markets_resolution": 0, "markets_job": 1}),
    Place("admin/markets/pendingresolution/resolve/", "/admin/markets/pendingresolution/resolve/", STAFF, 405),
    Place(
        "admin/markets/pendingresolution/resolve/",
        "/admin/markets/pendingresolution/resolve/",
        BOTH,
        302,
        method="post",
        effect={"markets_resolution": 1, "markets_job": 1},
    ),
    *_review(
        "decide",
        "{review}",
        {"decision": "accept", "figi": CANDIDATE, "reason": "Why"},
        markets_resolutionitem=0,
        markets_asset=1,
        markets_remembereddecision=1,
    ),
    *_review("reopen", "{declined}", {}, markets_resolutionitem=0, markets_remembereddecision=-1),
    Place(RULE, f"/{RULE}", "analyst"),
    Place(
        RULE,
        f"/{RULE}",
        "analyst",
        302,
        method="post",
        data={"exchange_codes": "US", "confirm": "1", "shown": "1"},
        effect={"markets_resolutionitem": 0, "markets_asset": 1, "markets_remembereddecision": 1},
    ),
    Place("admin/markets/asset/duplicates/", "/admin/markets/asset/duplicates/"),
    *_asked("duplicates/distinct/", "duplicates/distinct/?assets={asset},{spare}", markets_distinctassets=1),
    *_asked(
        "<int:pk>/merge/<int:into>/",
        "{spare}/merge/{asset}/",
        {"rows": "refuse", "confirm": "1"},
        markets_assetmerge=1,
        markets_asset=0,
    ),
    *_asked("merges/<int:pk>/undo/", "merges/{merge}/undo/", markets_assetmerge=0, markets_asset=0),
    Place("admin/markets/index/<int:pk>/values/<str:cadence>/", "/admin/markets/index/{valued_index}/values/1d/"),
    Place("admin/portfolios/portfolio/<int:pk>/values/", "/admin/portfolios/portfolio/{portfolio}/values/"),
    Place("admin/portfolios/portfolio/<int:pk>/weights/", "/admin/portfolios/portfolio/{portfolio}/weights/"),
    # Tokens: everybody has their own; another's is not there, except for a superuser.
    _token(""),
    _token("add/"),
    _token(
        "add/",
        method="post",
        data={"name": "mine", "expiry_0": "", "expiry_1": "", "user": "{person}"},
        effect={"markets_accesstoken": 1},
    ),
    Place(OTHERS_TOKEN, "/admin/markets/accesstoken/{others_token}/", STAFF, 302),
    Place(f"{OTHERS_TOKEN}change/", "/admin/markets/accesstoken/{others_token}/change/", "", 200, (302, 403)),
    Place(f"{OTHERS_TOKEN}history/", "/admin/markets/accesstoken/{others_token}/history/", "", 200, (302, 403)),
    Place(f"{OTHERS_TOKEN}delete/", "/admin/markets/accesstoken/{others_token}/delete/", "", 200, (302, 403)),
    Place(
        f"{OTHERS_TOKEN}delete/",
        "/admin/markets/accesstoken/{others_token}/delete/",
        "",
        302,
        (302, 403),
        method="post",
        data={"post": "yes"},
        effect={"markets_accesstoken": -1},
    ),
    Place(REVOKE, "/admin/markets/accesstoken/revoke/{others_token.token_key}/", "", 200, (404, 403)),
    Place(
        REVOKE,
        "/admin/markets/accesstoken/revoke/{others_token.token_key}/",
        "",
        302,
        (404, 403),
        method="post",
        effect={"markets_accesstoken": -1},
    ),
    # The last one: it ends the session.
    Place("admin/logout/", "/admin/logout/", STAFF, stranger=302, method="post", effect={"django_session": -1}),
]
