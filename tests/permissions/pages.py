"""The pages of the back-office as a table: who may see, add, change and delete what there."""

from dataclasses import dataclass
from typing import Any

from tests.permissions.roles import EVERYONE

SUFFIXES = (
    "",
    "add/",
    "<path:object_id>/",
    "<path:object_id>/history/",
    "<path:object_id>/delete/",
    "<path:object_id>/change/",
)
EXPORTED = (*SUFFIXES, "export/")


@dataclass(frozen=True, eq=False)
class Page:
    """The pages of one model.

    `row` names the row of the world that is opened, changed and deleted. `add` and `change` are what is typed into the
    forms over what stands there already; `{name}` is the key of a row. None: nobody may; an empty one: saved as it is.
    `by` names the groups that write, `sees` those that read; a superuser may do both. `suffixes` are its addresses:
    who may add where "add/" is none of them is told by a Place.
    """

    model: str
    row: str
    add: dict[str, Any] | None = None
    change: dict[str, Any] | None = None
    deletes: bool = True
    by: str = "analyst"
    sees: str = EVERYONE
    suffixes: tuple[str, ...] = EXPORTED

    def __str__(self) -> str:
        return self.model

    @property
    def root(self) -> str:
        return f"admin/{self.model.replace('.', '/')}/"

    @property
    def table(self) -> str:
        return self.model.replace(".", "_")

    def addresses(self) -> list[str]:
        return [self.root + suffix for suffix in self.suffixes]


def shown(model: str, row: str, **options: Any) -> Page:
    """A page to look at: nobody adds, changes or deletes there."""
    return Page(model, row, deletes=False, by="", **{"suffixes": SUFFIXES, **options})


ADMINISTRATORS: dict[str, Any] = {"by": "", "sees": "", "suffixes": SUFFIXES}
OPERATORS: dict[str, Any] = {"by": "operator", "suffixes": SUFFIXES}
TERMS = {"issue_date": "2026-05-27", "maturity_date": "2031-05-27", "status": "ACTIVE"}
FUTURE = {
    "unique_identifier": "new-future",
    "underlying_index": "{index}",
    "kind": "PERPETUAL",
    "quote_unit": "INDEX_POINT",
    "contract_size": "50",
    "contract_unit": "INDEX_POINT",
    "settlement_asset": "{base}",
    "margin_asset": "{quote}",
    "settlement_model": "LINEAR",
    "settlement_method": "CASH",
}
HORIZON = {"valid_from": "2026-01-01", "valid_to": "2026-12-31"}
NAMED = {"display_name": "Renamed"}
PAGES = [
    Page("markets.asset", "spare", {"unique_identifier": "NEW"}, {"is_custom_by_organization": ""}),
    Page(
        "markets.assetidentifier",
        "asset_identifier",
        {"asset": "{asset}", "scheme": "ticker", "value": "NEW", "venue": "XNYS"},
        {"valid_to": "2026-05-26"},
    ),
    Page("markets.assettype", "asset_type", {"asset_type": "new"}, NAMED),
    Page("markets.assetcategory", "category", {"unique_identifier": "new", "display_name": "New"}, NAMED),
    Page("markets.calendar", "market_calendar", {"unique_identifier": "new", **NAMED, **HORIZON}, NAMED),
    Page(
        "markets.calendardate",
        "calendar_date",
        {"calendar": "{calendar}", "local_date": "2026-07-03"},
        {"holiday_name": "Mine"},
    ),
    Page(
        "markets.calendarevent",
        "calendar_event",
        {"calendar": "{calendar}", "event_date": "2026-03-20", "event_type": "ROLL"},
        {"event_time_0": "2026-12-18", "event_time_1": "14:30:00"},
    ),
    Page("markets.issuer", "spare_issuer", {"unique_identifier": "new", **NAMED}, NAMED),
    Page("markets.indextype", "index_type", {"index_type": "new"}, NAMED),
    Page("markets.index", "spare_index", {"unique_identifier": "NEW", "index_type": "equity", **NAMED}, NAMED),
    Page(
        "markets.currencyspot",
        "currency_spot",
        {"unique_identifier": "new-pair", "base_currency": "{base}", "quote_currency": "{quote}"},
        {"base_currency": "{base}"},
    ),
    Page(
        "markets.bond",
        "bond",
        {"unique_identifier": "new-bond", "issuer": "{issuer}", "currency_asset": "{base}", **TERMS},
        {"status": "MATURED"},
    ),
    Page("markets.future", "future", FUTURE, {"contract_size": "5"}),
    shown("markets.storagenode", "storage"),
    shown("markets.nodeupdate", "node", suffixes=tuple(name for name in SUFFIXES if name != "add/")),
    shown("markets.noderun", "node_run"),
    shown("markets.job", "job"),
    shown("markets.change", "change", sees="analyst operator"),
    shown("markets.pendingresolution", "pending"),
    shown("markets.resolution", "resolution", suffixes=tuple(name for name in SUFFIXES if name != "add/")),
    shown("markets.resolutionitem", "review"),
    Page(
        "markets.homemarketpolicy",
        "home_market",
        {"source": "new", "exchange_codes": "us, gr"},
        {"exchange_codes": "LN"},
    ),
    Page("markets.remembereddecision", "remembered", change={"figi": "", "reason": "Another"}),
    shown("markets.importrun", "waiting_import", suffixes=tuple(name for name in SUFFIXES if name != "add/")),
    Page(
        "django_celery_beat.intervalschedule", "interval", {"every": "7", "period": "days"}, {"every": "8"}, **OPERATORS
    ),
    Page("django_celery_beat.crontabschedule", "crontab", {"minute": "7"}, {"minute": "8"}, **OPERATORS),
    Page(
        "django_celery_beat.clockedschedule",
        "clocked",
        {"clocked_time_0": "2031-01-01", "clocked_time_1": "00:00:00"},
        {"clocked_time_0": "2032-01-01"},
        **OPERATORS,
    ),
    Page(
        "django_celery_beat.solarschedule",
        "solar",
        {"event": "sunrise", "latitude": "10", "longitude": "10"},
        {"latitude": "11"},
        **OPERATORS,
    ),
    Page(
        "django_celery_beat.periodictask",
        "periodic_task",
        {"name": "new", "regtask": "markets.recover_interrupted_jobs", "interval": "{interval}"},
        {"description": "Why"},
        **OPERATORS,
    ),
    Page("portfolios.accountgroup", "account_group", {"group_name": "New"}, {"group_description": "Why"}),
    Page(
        "portfolios.account", "account", {"unique_identifier": "new", "account_name": "New"}, {"account_name": "Mine"}
    ),
    Page(
        "portfolios.accountallocationmodel",
        "allocation_model",
        {"allocation_model_name": "New"},
        {"allocation_model_description": "Why"},
    ),
    Page(
        "portfolios.accounttargetallocation",
        "target_allocation",
        {"unique_identifier": "new", "account": "{account}", "account_allocation_model": "{allocation_model}"},
        {"source": "Mine"},
    ),
    Page(
        "portfolios.positionset",
        "position_set",
        {
            "account_target_allocation": "{target_allocation}",
            "position_set_time_0": "2026-05-26",
            "position_set_time_1": "00:00:00",
        },
        {"source": "Mine"},
    ),
    Page(
        "portfolios.accountholdingsset",
        "holdings_set",
        {"account": "{account}", "time_index_0": "2026-05-26", "time_index_1": "00:00:00"},
        {"source_data_node_uid": "{node.uid}"},
    ),
    Page("portfolios.portfolio", "portfolio", {"unique_identifier": "new", "calendar": "{calendar}"}, NAMED),
    Page(
        "portfolios.virtualfund",
        "virtual_fund",
        {"unique_identifier": "new", "account": "{account}", "target_portfolio": "{portfolio}"},
        {"account_target_allocation": ""},
    ),
    Page(
        "auth.user",
        "person",
        {"username": "new", "usable_password": "false"},
        {"first_name": "Ada"},
        **ADMINISTRATORS,
    ),
    Page("auth.group", "group", {"name": "New"}, {"name": "Renamed"}, **ADMINISTRATORS),
    Page("axes.accessattempt", "access_attempt", change={}, **ADMINISTRATORS),
    Page("axes.accesslog", "access_log", change={}, **ADMINISTRATORS),
    Page("axes.accessfailurelog", "access_failure", change={}, **ADMINISTRATORS),
]
