"""The routes of the API as a table, and the world that they are tried on."""

import dataclasses
import datetime as dt
import json
import re
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from rest_framework.test import APIClient

from markets.data_nodes import registry
from markets.models import (
    Asset,
    AssetCategory,
    AssetIdentifier,
    AssetMerge,
    AssetType,
    Bond,
    Calendar,
    CalendarDate,
    CalendarEvent,
    CurrencySpot,
    Future,
    HomeMarketPolicy,
    ImportRun,
    Index,
    IndexType,
    Issuer,
    Job,
    NodeUpdate,
    PendingResolution,
    RememberedDecision,
    Resolution,
    ResolutionItem,
)
from markets.services.duplicates import decide_distinct
from portfolios.models import (
    Account,
    AccountAllocationModel,
    AccountGroup,
    AccountHoldingsSet,
    AccountTargetAllocation,
    Portfolio,
    PositionSet,
    VirtualFund,
)
from tests import factories
from tests.markets.services.imports import steps
from tests.rest import nodes

ROOT = "/api/v1/"
TABLES = (
    *("markets_asset", "markets_assettype", "markets_openfigidetails", "markets_assetcategory"),
    *("markets_assetcategorymembership", "markets_calendar", "markets_calendarsession", "markets_storagenode"),
    *("markets_backfill", "markets_backfillpart"),
    *("markets_nodeupdate", "markets_noderun", "markets_updatestatistic", "markets_job", "markets_jobmessage"),
    *("portfolios_portfolio", "portfolios_accountgroup", "portfolios_account", "portfolios_accountallocationmodel"),
    *("portfolios_accounttargetallocation", "portfolios_positionset", "portfolios_accountholdingsset"),
    *("portfolios_virtualfund",),
    *("markets_issuer", "markets_index", "markets_indextype", "markets_currencyspot", "markets_bond"),
    *("markets_indexvalue", "markets_future", "markets_calendardate", "markets_calendarevent"),
    "markets_assetsnapshot",
    *("markets_freshnesspolicy", "markets_nodeschedule", "django_celery_beat_periodictask"),
    *("markets_assetmerge", "markets_assetmergestep", "markets_assetmergerows", "markets_distinctassets"),
    *("markets_importrun", "markets_importrow", "markets_importchunk", "markets_pendingresolution"),
    *("markets_resolution", "markets_resolutionitem", "markets_figianswer", "markets_homemarketpolicy"),
    "markets_remembereddecision",
    "markets_assetidentifier",
)


@dataclass(frozen=True)
class Route:
    """A way in: `path` is filled from the world; `body`, or `file` in a form, makes a valid body; it `needs` these.

    `by` names the groups that have these permissions: all to read, the analyst to write, unless said otherwise.
    `effect` says what happens to which table: rows more or fewer, 0 when rows change; by default to the table of the
    first permission that is needed.
    """

    method: str
    path: str
    needs: tuple[str, ...]
    status: int = 200
    body: dict[str, Any] | list[dict[str, Any]] | None = None
    by: str = ""
    effect: dict[str, int] | None = None
    file: str | None = None
    query: str = ""
    is_question: bool = False  # what is asked for stands in the body; nothing is written

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def writes(self) -> bool:
        return self.method != "get" and not self.is_question

    @property
    def shape(self) -> str:
        """The path with {} for each row."""
        return re.sub(r"{[^}]*}", "{}", self.path)


@dataclass(frozen=True)
class World:
    """One row of everything; what the paths and bodies of the routes name."""

    asset: Asset
    spare: Asset
    asset_type: AssetType
    category: AssetCategory
    calendar: Calendar
    market_calendar: Calendar
    node: NodeUpdate
    job: Job
    portfolio: Portfolio
    issuer: Issuer
    spare_issuer: Issuer
    index: Index
    spare_index: Index
    valued_index: Index
    index_type: IndexType
    base: Asset
    quote: Asset
    currency_spot: CurrencySpot
    bond: Bond
    future: Future
    calendar_date: CalendarDate
    calendar_event: CalendarEvent
    account_group: AccountGroup
    account: Account
    allocation_model: AccountAllocationModel
    target_allocation: AccountTargetAllocation
    position_set: PositionSet
    holdings_set: AccountHoldingsSet
    virtual_fund: VirtualFund
    waiting_import: ImportRun
    applied_import: ImportRun
    pending: PendingResolution
    resolution: Resolution
    review: ResolutionItem
    declined: ResolutionItem
    home_market: HomeMarketPolicy
    remembered: RememberedDecision
    asset_identifier: AssetIdentifier
    merge: AssetMerge

    def fill(self, text: str) -> str:
        rows = {name: getattr(self, name) for name in self.__dataclass_fields__}
        names = {name: str(getattr(row, "uid", row.pk)) for name, row in rows.items()}
        names["calendar_name"] = self.calendar.unique_identifier
        return text.format(
            **names, identifier=self.node.storage.identifier, hash=self.node.update_hash, line=self.review.line
        )

    def body(self, body: Any) -> Any:
        """The body with `{name}` replaced by uids."""
        if isinstance(body, dict):
            return {name: self.body(value) for name, value in body.items()}
        if isinstance(body, list):
            return [self.body(value) for value in body]
        return self.fill(body) if isinstance(body, str) else body


def make_world() -> World:
    registry.register_module("tests.rest.nodes")
    for name in nodes.NAMES:
        factories.asset(unique_identifier=name)
    node = nodes.Bars(f"bars-{factories.number()}")
    node.run()
    factories.freshness_policy(node.get_node_update())
    node.set_schedule("30 22 * * 1-5", zone="America/New_York")
    asset = factories.asset()
    factories.details(asset)
    calendar = factories.calendar(dt.date(2026, 1, 2), dt.date(2026, 1, 5))
    group = factories.account_group()
    account = factories.account(account_group=group)
    allocation = factories.target_allocation(account=account)
    resolution = factories.resolution()
    factories.resolution_item(resolution, status="pending")
    review = factories.resolution_item(resolution, status="review")
    declined = factories.resolution_item(resolution, status="declined", answer=review.answer)
    base, quote = factories.currency(), factories.currency()
    decide_distinct([base, quote], reason="Two currencies.")
    return World(
        asset=asset,
        spare=factories.asset(),
        asset_type=factories.asset_type(),
        category=factories.category(asset),
        calendar=calendar,
        market_calendar=factories.market_calendar(),
        node=node.get_node_update(),
        job=factories.job(),
        portfolio=factories.portfolio(calendar=calendar, calendar_name=calendar.unique_identifier),
        issuer=factories.issuer(),
        spare_issuer=factories.issuer(),
        index=factories.index(),
        spare_index=factories.index(),
        valued_index=factories.index_values(),
        index_type=_index_types(),
        base=base,
        quote=quote,
        currency_spot=factories.currency_spot(),
        bond=factories.bond(),
        future=factories.future(),
        calendar_date=factories.calendar_date(calendar),
        calendar_event=factories.calendar_event(calendar),
        account_group=group,
        account=account,
        allocation_model=factories.allocation_model(),
        target_allocation=allocation,
        position_set=factories.position_set(account_target_allocation=allocation),
        holdings_set=factories.holdings_set(account=account),
        virtual_fund=factories.virtual_fund(account=account, account_target_allocation=allocation),
        waiting_import=steps.upload("unique_identifier,label\nIMPORTED,x\n,y\n"),
        applied_import=steps.apply(steps.upload("unique_identifier\nAPPLIED\n")),
        pending=factories.pending_resolution(),
        resolution=resolution,
        review=review,
        declined=declined,
        home_market=factories.home_market(),
        remembered=factories.remembered_decision(value=declined.value),
        asset_identifier=factories.asset_identifier(asset),
        merge=factories.merge(),
    )


def _index_types() -> IndexType:
    """The type of the indices, and one that none has."""
    factories.index_type(index_type="equity")
    return factories.index_type()


def _terms(path: str, name: str, create: dict[str, Any], change: dict[str, Any]) -> list[Route]:
    """Routes of an asset's terms; making them makes the asset too, so it needs those permissions as well."""
    model = name.replace("_", "")
    body = {key: value for key, value in create.items() if key != "unique_identifier"} | change
    routes = _crud(path, name, f"markets.{model}", create, change)
    return [
        dataclasses.replace(route, needs=(*route.needs, "markets.add_asset", "markets.change_asset"))
        if route.method == "post"
        else dataclasses.replace(route, body=body)
        if route.method == "put"
        else route
        for route in routes
    ]


def _crud(path: str, name: str, model: str, create: dict[str, Any], change: dict[str, Any]) -> list[Route]:
    app, _, label = model.partition(".")
    row = f"{path}{{{name}}}/"

    def needs(verb: str) -> tuple[str, ...]:
        return (f"{app}.{verb}_{label}",)

    return [
        Route("get", path, needs("view")),
        Route("post", path, needs("add"), 201, create),
        Route("get", row, needs("view")),
        Route("put", row, needs("change"), 200, {**change}),
        Route("patch", row, needs("change"), 200, change),
        Route("delete", row, needs("delete"), 204),
        Route("get", f"{row}delete-impact/", needs("view")),
        Route("get", f"{row}history/", needs("view")),
    ]


PANDAS_CALENDAR = {
    "source_identifier": "24/7",
    "unique_identifier": "always",
    "display_name": "Always",
    "valid_from": "2026-05-25",
    "valid_to": "2026-05-26",
}
CALENDAR = {
    "unique_identifier": "mine",
    "display_name": "Mine",
    "valid_from": "2026-01-01",
    "valid_to": "2026-12-31",
}
BOND = {
    "unique_identifier": "new-bond",
    "issuer_uid": "{issuer}",
    "currency_asset_uid": "{base}",
    "issue_date": "2026-05-27",
    "maturity_date": "2031-05-27",
    "status": "ACTIVE",
}
FUTURE = {
    "unique_identifier": "new-future",
    "kind": "EXPIRING",
    "underlying_index_uid": "{index}",
    "quote_unit": "INDEX_POINT",
    "settlement_asset": "{base}",
    "margin_asset": "{quote}",
    "settlement_model": "LINEAR",
    "settlement_method": "CASH",
    "contract_size": "50",
    "contract_unit": "INDEX_POINT",
    "expires_at": "2026-12-18T22:00:00Z",
    "settles_at": "2026-12-18T22:00:00Z",
}
VIEW_NODE = ("markets.view_nodeupdate",)


def _of_node(path: str, model: str, body: dict[str, Any], removed: dict[str, int] | None = None) -> list[Route]:
    """What is set and removed of a DataNode."""
    path, table = f"data-node/{{node}}/{path}", f"markets_{model}"

    def needs(verb: str) -> tuple[str, ...]:
        return *VIEW_NODE, f"markets.{verb}_{model}"

    return [
        Route("get", path, needs("view")),
        Route("put", path, needs("change"), 200, body, by="operator", effect={table: 0}),
        Route("delete", path, needs("delete"), 204, by="operator", effect={table: -1, **(removed or {})}),
    ]


VIEW_PORTFOLIO = ("portfolios.view_portfolio",)
ROUTES = [
    *_crud("asset/", "spare", "markets.asset", {"unique_identifier": "NEW"}, {"asset_type": "bond"}),
    *_crud("asset-type/", "asset_type", "markets.assettype", {"asset_type": "New"}, {"display_name": "Named"}),
    *_crud(
        "asset-category/",
        "category",
        "markets.assetcategory",
        {"display_name": "New", "assets": ["{asset}"]},
        {"display_name": "Renamed", "assets": []},
    ),
    Route(
        "put",
        "asset/",
        ("markets.add_asset", "markets.change_asset"),
        200,
        [{"unique_identifier": "BULK", "asset_type": "bond", "openfigi_details": {"ticker": "T"}}],
        effect={"markets_asset": 1, "markets_openfigidetails": 1},
    ),
    Route(
        "put",
        "asset-type/",
        ("markets.add_assettype", "markets.change_assettype"),
        200,
        [{"asset_type": "bulk", "display_name": "Bulk"}],
        effect={"markets_assettype": 1},
    ),
    Route(
        "post",
        "asset-category/{category}/append-assets/",
        ("markets.change_assetcategory",),
        200,
        {"assets": ["{spare}"]},
        effect={"markets_assetcategorymembership": 1},
    ),
    Route(
        "post",
        "asset-category/{category}/remove-assets/",
        ("markets.change_assetcategory",),
        200,
        {"assets": ["{asset}"]},
        effect={"markets_assetcategorymembership": 0},
    ),
    *[
        route
        for route in _crud(
            "calendar/",
            "calendar",
            "markets.calendar",
            CALENDAR,
            {"display_name": "Renamed", "valid_from": "2026-01-01", "valid_to": "2026-12-31"},
        )
        if route.method != "delete"
    ],
    Route("delete", "calendar/{market_calendar}/", ("markets.delete_calendar",), 204),
    Route("get", "calendar/{calendar}/sessions/", ("markets.view_calendar",)),
    Route(
        "post",
        "calendar/create-from-pandas-calendar/",
        ("markets.add_calendar", "markets.change_calendar"),
        201,
        PANDAS_CALENDAR,
    ),
    Route(
        "post",
        "calendar/{market_calendar}/refresh-sessions/",
        ("markets.view_calendar", "markets.refresh_calendar"),
        200,
        {"valid_to": "2026-05-27"},
        by="operator",
        effect={"markets_calendarsession": 2, "markets_calendardate": 2, "markets_calendar": 0},
    ),
    Route("get", "data-node/", VIEW_NODE),
    Route("get", "data-node-class/", VIEW_NODE),
    Route(
        "post",
        "data-node/",
        ("markets.view_nodeupdate", "markets.add_nodeupdate"),
        201,
        {"node_class": "tests.rest.nodes.Bars", "arguments": {"identifier": "new-bars"}},
        by="operator",
        effect={"markets_nodeupdate": 1, "markets_storagenode": 1},
    ),
    Route("get", "data-node/{node}/", VIEW_NODE),
    Route("get", "data-node/{identifier}/data/", VIEW_NODE),
    Route("get", "data-node/{identifier}/statistics/", VIEW_NODE),
    Route("get", "data-node/{hash}/runs/", VIEW_NODE),
    Route(
        "post",
        "data-node/{hash}/run/",
        ("markets.view_nodeupdate", "markets.run_nodeupdate"),
        202,
        {},
        by="operator",
        effect={"markets_job": 1},
    ),
    Route("get", "data-node/graph/", VIEW_NODE),
    *_of_node("freshness-policy/", "freshnesspolicy", {"rule": "every", "every": 3, "every_unit": "hours"}),
    *_of_node("schedule/", "nodeschedule", {"cron": "5 5 * * *"}, {"django_celery_beat_periodictask": -1}),
    Route("get", "data-node/{hash}/gaps/", VIEW_NODE, query="?calendar={calendar_name}"),
    Route(
        "post",
        "data-node/{hash}/backfill/",
        ("markets.view_nodeupdate", "markets.run_nodeupdate"),
        202,
        {"start": "2026-01-02", "end": "2026-01-05T21:00:00Z", "assets": ["AAA"], "failed_only": False, "calendar": ""},
        by="operator",
        effect={"markets_job": 1, "markets_backfill": 1},
    ),
    Route("get", "job/", ("markets.view_job",)),
    Route("get", "job/{job}/", ("markets.view_job",)),
    Route(
        "post",
        "job/{job}/cancel/",
        ("markets.view_job", "markets.change_job"),
        200,
        {},
        by="operator",
        effect={"markets_job": 0, "markets_jobmessage": 1},
    ),
    *_crud(
        "portfolio/",
        "portfolio",
        "portfolios.portfolio",
        {"unique_identifier": "new", "calendar_uid": "{calendar}"},
        {"display_name": "Renamed", "description": "Why"},
    ),
    Route("get", "portfolio/{portfolio}/weights/", VIEW_PORTFOLIO),
    Route("get", "portfolio/{portfolio}/values/", VIEW_PORTFOLIO),
    Route("get", "portfolio/{portfolio}/statistics/", VIEW_PORTFOLIO),
    *_crud(
        "account-group/",
        "account_group",
        "portfolios.accountgroup",
        {"group_name": "New"},
        {"group_description": "Why", "metadata_json": {"a": 1}},
    ),
    *_crud(
        "account/",
        "account",
        "portfolios.account",
        {"unique_identifier": "new", "account_name": "New", "account_group_uid": "{account_group}"},
        {"account_name": "Renamed", "is_paper": False, "account_is_active": True, "account_group_uid": None},
    ),
    *_crud(
        "account-allocation-model/",
        "allocation_model",
        "portfolios.accountallocationmodel",
        {"allocation_model_name": "New"},
        {"allocation_model_description": "Why"},
    ),
    *_crud(
        "account-target-allocation/",
        "target_allocation",
        "portfolios.accounttargetallocation",
        {"unique_identifier": "new", "account_uid": "{account}", "account_allocation_model_uid": "{allocation_model}"},
        {"account_allocation_model_uid": "{allocation_model}", "is_active": False, "source": "Mine"},
    ),
    *_crud(
        "position-set/",
        "position_set",
        "portfolios.positionset",
        {"account_target_allocation_uid": "{target_allocation}", "position_set_time": "2026-05-26T00:00:00Z"},
        {"source": "Mine"},
    ),
    *_crud(
        "account-holdings-set/",
        "holdings_set",
        "portfolios.accountholdingsset",
        {"account_uid": "{account}", "time_index": "2026-05-26T00:00:00Z"},
        {"source_data_node_uid": "{node}"},
    ),
    *_crud(
        "virtualfund/",
        "virtual_fund",
        "portfolios.virtualfund",
        {"unique_identifier": "new", "account_uid": "{account}", "target_portfolio_uid": "{portfolio}"},
        {"account_uid": "{account}", "target_portfolio_uid": "{portfolio}", "account_target_allocation_uid": None},
    ),
]
ROUTES += [
    *_crud(
        "issuer/",
        "spare_issuer",
        "markets.issuer",
        {"unique_identifier": "new", "display_name": "New"},
        {"display_name": "Renamed"},
    ),
    *_crud("index-type/", "index_type", "markets.indextype", {"index_type": "New"}, {"display_name": "Named"}),
    *_crud(
        "index/",
        "spare_index",
        "markets.index",
        {"unique_identifier": "NEW", "index_type": "Interest Rate", "display_name": "New", "provider": "example"},
        {"index_type": "equity", "display_name": "Renamed"},
    ),
    *_terms(
        "currency-spot/",
        "currency_spot",
        {"unique_identifier": "new-pair", "base_currency_uid": "{base}", "quote_currency_uid": "{quote}"},
        {"base_currency_uid": "{base}"},
    ),
    *_terms("bond/", "bond", BOND, {"status": "MATURED"}),
    *_terms("future/", "future", FUTURE, {"contract_size": "5"}),
    *_crud(
        "calendar/{calendar}/dates/",
        "calendar_date",
        "markets.calendardate",
        {"local_date": "2026-07-03", "is_holiday": True, "holiday_name": "July 4th"},
        {"holiday_name": "New Year"},
    ),
    *_crud(
        "calendar/{calendar}/events/",
        "calendar_event",
        "markets.calendarevent",
        {"event_date": "2026-03-20", "event_type": "last trade"},
        {"event_time": "2026-12-18T14:30:00Z"},
    ),
]
SEES_VALUES = ("markets.view_index", "markets.view_indexvalue")
VALUES = {"cadence": "1d", "values": [{"time_index": "2026-05-26T21:00:00Z", "value": 5.31}]}
ROUTES += [
    Route("get", "index/{index}/values/", SEES_VALUES),
    Route(
        "post",
        "index/{index}/values/",
        ("markets.view_index", "markets.add_indexvalue"),
        201,
        VALUES,
        effect={"markets_indexvalue": 1, "markets_updatestatistic": 1},
    ),
    Route(
        "put",
        "index/{index}/values/",
        ("markets.view_index", "markets.add_indexvalue", "markets.change_indexvalue"),
        200,
        VALUES,
        effect={"markets_indexvalue": 1},
    ),
    Route(
        "delete",
        "index/{valued_index}/values/",
        ("markets.view_index", "markets.delete_indexvalue"),
        query="?cadence=1d",
        effect={"markets_indexvalue": -2},
    ),
]


def _bulk(path: str, model: str, row: dict[str, Any]) -> Route:
    app, _, label = model.partition(".")
    return Route("put", path, (f"{app}.add_{label}", f"{app}.change_{label}"), 200, [row], effect={f"{app}_{label}": 1})


def _bulk_terms(path: str, model: str, row: dict[str, Any]) -> Route:
    """Making terms makes the assets too."""
    assets = ("markets.add_asset", "markets.change_asset")
    route = _bulk(path, f"markets.{model}", {**row, "unique_identifier": "BULK"})
    effect = {f"markets_{model}": 1, "markets_asset": 1, "markets_assettype": 1}
    return dataclasses.replace(route, needs=(*route.needs, *assets), effect=effect)


ROUTES += [
    _bulk_terms("bond/", "bond", BOND),
    _bulk_terms("future/", "future", FUTURE),
    _bulk_terms("currency-spot/", "currencyspot", {"base_currency_uid": "{base}", "quote_currency_uid": "{quote}"}),
    _bulk("asset-category/", "markets.assetcategory", {"unique_identifier": "bulk", "display_name": "Bulk"}),
    _bulk("calendar/", "markets.calendar", {**CALENDAR, "unique_identifier": "bulk"}),
    _bulk("issuer/", "markets.issuer", {"unique_identifier": "bulk", "display_name": "Bulk"}),
    _bulk("index-type/", "markets.indextype", {"index_type": "bulk", "display_name": "Bulk"}),
    _bulk("index/", "markets.index", {"unique_identifier": "BULK", "index_type": "equity", "display_name": "Bulk"}),
    _bulk("account-group/", "portfolios.accountgroup", {"group_name": "Bulk"}),
    _bulk("account-allocation-model/", "portfolios.accountallocationmodel", {"allocation_model_name": "Bulk"}),
]
VIEW_IMPORT = "markets.view_importrun"
IMPORT = (VIEW_IMPORT, "markets.add_asset", "markets.change_asset")
UPLOADS = {"markets_importrun": 1, "markets_importchunk": 1, "markets_job": 1}
ASKS = {"markets_importrun": 0, "markets_job": 1}  # a worker does it
ROUTES += [
    Route("get", "import/", (VIEW_IMPORT,)),
    Route("get", "import/{waiting_import}/", (VIEW_IMPORT,)),
    Route("get", "import/{waiting_import}/rows/", (VIEW_IMPORT,)),
    Route("get", "import/{waiting_import}/errors/", (VIEW_IMPORT,)),
    Route("post", "import/", IMPORT[1:], 201, file="unique_identifier\nNEW\n", effect=UPLOADS),
    Route("post", "import/{waiting_import}/mapping/", IMPORT, 200, {"empty_cells": "clear"}, effect=ASKS),
    Route("post", "import/{waiting_import}/apply/", IMPORT, 202, {"reason": "Why"}, effect=ASKS),
    Route(
        "post",
        "import/{applied_import}/undo/",
        (*IMPORT, "markets.delete_asset"),
        202,
        {"reason": "Why"},
        effect=ASKS,
    ),
]
VIEW_SNAPSHOT = "markets.view_assetsnapshot"
ROUTES += [
    Route("get", "asset-snapshot/", (VIEW_SNAPSHOT,)),
    Route("get", "asset-snapshot/data/", (VIEW_SNAPSHOT,)),
    Route(
        "post",
        "asset-snapshot/",
        ("markets.add_assetsnapshot",),
        201,
        {"snapshots": [{"time_index": "2026-05-25T12:00:00Z", "asset_identifier": "AAA", "ticker": "T"}]},
        effect={"markets_assetsnapshot": 1, "markets_updatestatistic": 1, "markets_noderun": 1},
    ),
    Route("get", "asset/{asset}/latest-snapshot/", ("markets.view_asset", VIEW_SNAPSHOT)),
]
PENDING = "markets.view_pendingresolution"
VIEW_LIST, RESOLVES = "markets.view_resolution", "markets.resolve_identifiers"
REVIEWS = ("markets.view_resolutionitem", "markets.decide_resolutions")
BOTH = {"by": "analyst operator"}
SUBMITS = {"markets_resolution": 1, "markets_resolutionitem": 1, "markets_job": 1}
DECIDES = {"markets_resolutionitem": 0, "markets_remembereddecision": 1}
ACCEPTS = {**DECIDES, "markets_asset": 1, "markets_openfigidetails": 1}
ROUTES += [
    Route("get", "openfigi/pending/", (PENDING,)),
    Route("get", "openfigi/pending/{pending}/", (PENDING,)),
    Route("post", "openfigi/pending/resolve/", (PENDING, RESOLVES), 202, {}, effect=SUBMITS, **BOTH),
    Route("post", "openfigi/resolve/", (RESOLVES,), 202, {"identifiers": ["US0378331005"]}, effect=SUBMITS, **BOTH),
    Route("get", "openfigi/resolution/", (VIEW_LIST,)),
    Route("get", "openfigi/resolution/{resolution}/", (VIEW_LIST,)),
    Route("get", "openfigi/resolution/{resolution}/items/", (VIEW_LIST, REVIEWS[0])),
    Route("get", "openfigi/resolution/{resolution}/items/{line}/", (VIEW_LIST, REVIEWS[0])),
    Route(
        "post",
        "openfigi/resolution/{resolution}/resume/",
        (VIEW_LIST, RESOLVES),
        202,
        {},
        effect={"markets_resolution": 0, "markets_job": 1},
        **BOTH,
    ),
    Route("get", "openfigi/review/", REVIEWS[:1]),
    Route("get", "openfigi/review/{review}/", REVIEWS[:1]),
    Route("post", "openfigi/review/{review}/accept/", REVIEWS, 200, {"figi": factories.CANDIDATE}, effect=ACCEPTS),
    Route("post", "openfigi/review/{review}/decline/", REVIEWS, 200, {"reason": "Why"}, effect=DECIDES),
    Route("post", "openfigi/review/{review}/postpone/", REVIEWS, 200, {}, effect={"markets_resolutionitem": 0}),
    Route(
        "post",
        "openfigi/review/{declined}/reopen/",
        REVIEWS,
        200,
        {},
        effect={"markets_resolutionitem": 0, "markets_remembereddecision": -1},
    ),
    Route("post", "openfigi/review/decide/", REVIEWS, 200, {"exchange_codes": ["US"]}, effect=ACCEPTS),
    *_crud(
        "openfigi/home-market/",
        "home_market",
        "markets.homemarketpolicy",
        {"source": "new", "exchange_codes": ["US", "GR"]},
        {"exchange_codes": ["LN"], "note": "London first"},
    ),
]
IDENTIFIER = {"scheme": "ticker", "value": "NEW", "venue": "XNYS", "valid_from": "2026-05-25"}
QUESTIONS = {"identifiers": [{"scheme": "ticker", "value": "NEW"}]}
ADD_IDENTIFIER, VIEW_IDENTIFIER = ("markets.add_assetidentifier",), ("markets.view_assetidentifier",)
ROUTES += [
    *_crud(
        "asset-identifier/",
        "asset_identifier",
        "markets.assetidentifier",
        {"asset_uid": "{asset}", **IDENTIFIER},
        {"valid_to": "2026-05-26"},
    ),
    Route(
        "put",
        "asset-identifier/",
        ADD_IDENTIFIER,
        200,
        [{"asset_uid": "{asset}", **IDENTIFIER}],
        effect={"markets_assetidentifier": 1},
    ),
    Route("get", "asset-identifier/resolve/", VIEW_IDENTIFIER, query="?scheme=ticker&value=NEW"),
    Route("post", "asset-identifier/resolve/", VIEW_IDENTIFIER, 200, QUESTIONS, is_question=True),
]
SEE_MERGES = ("markets.view_asset", "markets.view_assetmerge")
MERGES = ("markets.view_asset", "markets.merge_asset")
PAIR = {"assets": ["{asset}", "{spare}"], "reason": "Why"}
ROUTES += [
    Route("get", "asset/{spare}/merge-impact/", SEE_MERGES, query="?into={asset}"),
    Route(
        "post",
        "asset/{spare}/merge/",
        MERGES,
        201,
        {"into": "{asset}", "reason": "Why"},
        effect={"markets_assetmerge": 1, "markets_asset": 0},
    ),
    Route("get", "asset-merge/", ("markets.view_assetmerge",)),
    Route("get", "asset-merge/{merge}/", ("markets.view_assetmerge",)),
    Route(
        "post",
        "asset-merge/{merge}/undo/",
        ("markets.view_assetmerge", "markets.merge_asset"),
        200,
        {"reason": "Why"},
        effect={"markets_assetmerge": 0, "markets_asset": 0},
    ),
    Route("get", "asset-duplicate/", ("markets.view_asset",)),
    Route("post", "asset-duplicate/not-duplicates/", MERGES, 200, PAIR, effect={"markets_distinctassets": 1}),
    Route(
        "post",
        "asset-duplicate/maybe-duplicates/",
        MERGES,
        200,
        {"assets": ["{base}", "{quote}"], "reason": "Why"},
        effect={"markets_distinctassets": -1},
    ),
]
READS = [route for route in ROUTES if not route.writes]
# A graph is no list; snapshots have a time in place of a uid, duplicates no count; each has tests of its own.
NO_USUAL_LISTS = {"data-node/graph/", "asset-snapshot/", "asset-duplicate/"}
LISTS = [
    route
    for route in READS
    if "{" not in route.path and not route.path.endswith(("/data/", "/resolve/")) and route.path not in NO_USUAL_LISTS
]
WRITES = [route for route in ROUTES if route.writes]
BODIES = [route for route in ROUTES if route.body is not None]
VIEWS = sorted({name for route in READS for name in route.needs})
ALL = sorted({name for route in ROUTES for name in route.needs})


def call(client: APIClient, route: Route, world: World, *, query: str = "", **options: Any) -> Any:
    path = ROOT + world.fill(route.path) + (query or world.fill(route.query))
    if route.body is not None and "data" not in options:
        options = {"data": json.dumps(world.body(route.body)), "content_type": "application/json", **options}
    if route.file is not None and "data" not in options:
        file = SimpleUploadedFile("assets.csv", route.file.encode())
        options = {"data": {"file": file}, "format": "multipart", **options}
    return getattr(client, route.method)(path, **options)


def stored() -> dict[str, str]:
    """A fingerprint of every table that the API could write."""
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{table}', md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} AS t"
                for table in TABLES
            )
        )
        return dict(cursor.fetchall())


def body_of(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def is_error(response: Any, status: int | None = None) -> bool:
    """Whether the answer has the shape of an error, and this status."""
    if status is not None and response.status_code != status:
        return False
    body = response.json()
    shape = set(body) == {"type", "errors"} and body["type"] in ("validation_error", "client_error")
    return shape and all(set(item) == {"code", "detail", "attr"} and item["detail"] for item in body["errors"])
