"""Portfolios as rows: made, changed and deleted, with the rules that every door keeps."""

import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from markets import locks
from markets.data_nodes import staleness
from markets.data_nodes.reads import read_frame
from markets.data_nodes.sessions import load_sessions
from markets.exceptions import AlreadyRunning, Conflict, InvalidInput, NotFound
from markets.models import Calendar, StorageNode, UpdateStatistic
from markets.services import deletion
from markets.services.stored import insert_or_lock
from markets.services.values import UNSET, Unset, Upserted, clean_identifier, clean_optional_text, clean_text, given
from portfolios.engine.statistics import PerformanceStatistics, performance_statistics
from portfolios.engine.valuation import turnover_basis_of
from portfolios.models import Portfolio, PortfolioValue, PortfolioWeight, WeightsConvention

CONVENTIONS = ("calendar", "weights_between_rebalances", "turnover_basis", "commission_fee", "valuation_column")
DIMENSION = "portfolio_identifier"
SERIES = (PortfolioWeight, PortfolioValue)


@dataclass(frozen=True)
class PortfolioStatistics:
    """The figures, over which sessions they were taken, and what annualises them."""

    figures: PerformanceStatistics
    first_time_index: dt.datetime | None
    last_time_index: dt.datetime | None
    last_close: float | None
    calendar: Calendar
    incomplete_sessions: int


@transaction.atomic
def create_portfolio(
    *,
    unique_identifier: str,
    display_name: str = "",
    description: str = "",
    calendar: uuid.UUID | None = None,
    weights_between_rebalances: str = WeightsConvention.CONSTANT,
    turnover_basis: str | Unset | None = UNSET,
    commission_fee: Decimal = Decimal(0),
    valuation_column: str = "close",
) -> Portfolio:
    """A portfolio with its conventions; its nodes are attached when it is built.

    `turnover_basis` is, unless given, `target` with constant weights and `drifted` with drifting ones. Raises Conflict
    when the identifier is taken.
    """
    identifier = clean_identifier(unique_identifier)
    found = _calendar(calendar)
    candidate = Portfolio(
        unique_identifier=identifier,
        display_name=clean_optional_text(display_name, field="display_name", longest=255) or "",
        description=clean_optional_text(description, field="description") or "",
        calendar=found,
        calendar_name=found.unique_identifier if found else None,
        weights_between_rebalances=_between(weights_between_rebalances),
        turnover_basis=_basis(
            None if isinstance(turnover_basis, Unset) else turnover_basis, weights_between_rebalances
        ),
        commission_fee=_fee(commission_fee),
        valuation_column=clean_text(valuation_column, field="valuation_column", longest=63),
    )
    saved = insert_or_lock(candidate, key="unique_identifier")
    if not saved.created:
        raise Conflict(f"A portfolio {identifier!r} exists already. Change that one, or choose another identifier.")
    return saved.row


@transaction.atomic
def update_portfolio(
    portfolio: Portfolio,
    *,
    display_name: str | Unset = UNSET,
    description: str | Unset = UNSET,
    calendar: uuid.UUID | Unset | None = UNSET,
    weights_between_rebalances: str | Unset = UNSET,
    turnover_basis: str | Unset | None = UNSET,
    commission_fee: Decimal | Unset = UNSET,
    valuation_column: str | Unset = UNSET,
) -> Portfolio:
    """Change the fields that are given. Conventions and calendar are fixed once a node computes the values.

    When only `weights_between_rebalances` is given, the turnover basis follows it. Raises InvalidInput, Conflict.
    """
    row = Portfolio.objects.select_for_update(of=("self",)).select_related("calendar").get(pk=portfolio.pk)
    fields = given(display_name=display_name, description=description)
    for name, longest in (("display_name", 255), ("description", None)):
        if name in fields:
            fields[name] = clean_optional_text(fields[name], field=name, longest=longest) or ""
    if not isinstance(calendar, Unset):
        fields["calendar"] = _calendar(calendar)
        fields["calendar_name"] = fields["calendar"].unique_identifier if fields["calendar"] else None
    if not isinstance(weights_between_rebalances, Unset):
        fields["weights_between_rebalances"] = _between(weights_between_rebalances)
    between = fields.get("weights_between_rebalances", row.weights_between_rebalances)
    if not isinstance(turnover_basis, Unset):
        fields["turnover_basis"] = _basis(turnover_basis, between)
    elif between != row.weights_between_rebalances:
        fields["turnover_basis"] = _basis(None, between)
    if not isinstance(commission_fee, Unset):
        fields["commission_fee"] = _fee(commission_fee)
    if not isinstance(valuation_column, Unset):
        fields["valuation_column"] = clean_text(valuation_column, field="valuation_column", longest=63)
    changed = {name: value for name, value in fields.items() if getattr(row, name) != value}
    fixed = [name for name in CONVENTIONS if name in changed]
    if fixed and row.values_node_id is not None:
        raise Conflict(
            f"{', '.join(fixed)} of {row.unique_identifier} cannot be changed: its values are computed with them."
            " Build another portfolio with the other conventions."
        )
    if changed:
        for name, value in changed.items():
            setattr(row, name, value)
        row.updated_at = timezone.now()
        row.save(update_fields=[*changed, "updated_at"])
    return row


@transaction.atomic
def upsert_portfolio(
    *,
    unique_identifier: str,
    display_name: str | Unset = UNSET,
    description: str | Unset = UNSET,
    calendar: uuid.UUID | Unset | None = UNSET,
    calendar_name: str | Unset | None = UNSET,
) -> Upserted[Portfolio]:
    """The portfolio with this identifier, made or changed; omitted keeps.

    `calendar_name` is a label for a portfolio without a calendar of its own; given together with `calendar` it must
    be that calendar's identifier.
    """
    identifier = clean_identifier(unique_identifier)
    try:
        found, created = create_portfolio(unique_identifier=identifier), True
    except Conflict:
        found, created = Portfolio.objects.get(unique_identifier=identifier), False
    row = update_portfolio(found, display_name=display_name, description=description, calendar=calendar)
    if isinstance(calendar_name, Unset):
        return Upserted(row, created)
    name = clean_optional_text(calendar_name, field="calendar_name", longest=255)
    if row.calendar is not None and name is not None and name != row.calendar.unique_identifier:
        raise InvalidInput(
            f"calendar_name={name!r} is not the portfolio's calendar, {row.calendar.unique_identifier}. Leave one out.",
            field="calendar_name",
        )
    if row.calendar is None and row.calendar_name != name:
        row.calendar_name, row.updated_at = name, timezone.now()
        row.save(update_fields=["calendar_name", "updated_at"])
    return Upserted(row, created)


@transaction.atomic
def delete_portfolio(portfolio: Portfolio) -> None:
    """Delete a portfolio, its stored weights and values, and the node that computes them. Assets and signal stay.

    Raises AlreadyRunning while its node runs, ProtectedRow when another row needs it.
    """
    node = portfolio.values_node
    if node is not None and not locks.try_lock_for_transaction(locks.LockSpace.NODE_UPDATE, node.pk):
        raise AlreadyRunning(f"{portfolio.unique_identifier} is being computed. Wait for its run to end.")
    _delete(portfolio)
    if node is not None:
        node.delete()


def portfolio_delete_impact(portfolio: Portfolio, *more: Portfolio) -> deletion.DeleteImpact:
    """The rows of weights and values that would go along, and what blocks the deletion."""
    identifiers = [row.unique_identifier for row in (portfolio, *more)]
    series = [
        deletion.relationship(
            key=f"{model._meta.label_lower}.{DIMENSION}",
            label=str(model._meta.verbose_name_plural),
            model=model._meta.label,
            column=DIMENSION,
            on_delete="CASCADE",
            count=model.objects.filter(portfolio_identifier__in=identifiers).count(),
            kind="derived",
            subject=str(model._meta.verbose_name_plural),
        )
        for model in SERIES
    ]
    return deletion.delete_impact(portfolio, *more, derived=series)


def latest_cross_section(portfolio: Portfolio, as_of: dt.datetime | None = None) -> dt.datetime | None:
    """The time of the last stored weights, at or before `as_of` when it is given."""
    rows = PortfolioWeight.objects.filter(portfolio_identifier=portfolio.unique_identifier)
    if as_of is not None:
        rows = rows.filter(time_index__lte=as_of)
    return rows.aggregate(last=Max("time_index"))["last"]


def portfolio_statistics(
    portfolio: Portfolio, *, start: dt.datetime | None = None, end: dt.datetime | None = None
) -> PortfolioStatistics:
    """The performance of the stored values from start to end, both included; the first close is the base.

    Raises Conflict when the portfolio has no calendar with sessions, or when its closes allow no figures.
    """
    if portfolio.calendar is None:
        raise Conflict(
            f"{portfolio.unique_identifier} has no calendar, so nothing can be annualised. Give it a calendar first."
        )
    try:
        a_year = load_sessions(portfolio.calendar.unique_identifier).sessions_a_year
    except (InvalidInput, NotFound) as error:
        raise Conflict(str(error)) from error
    storage = StorageNode.objects.filter(storage_hash=PortfolioValue._meta.db_table).first()
    times, closes, incomplete = np.empty(0, np.int64), np.empty(0), 0
    if storage is not None:
        frame = read_frame(
            storage,
            start_date=start,
            end_date=end,
            dimension_filters={DIMENSION: [portfolio.unique_identifier]},
            columns=["close", "is_incomplete"],
        )
        times = frame.index.get_level_values("time_index").asi8
        closes = frame["close"].to_numpy()
        incomplete = int(frame["is_incomplete"].sum())
    try:
        figures = performance_statistics(times, closes, sessions_a_year=a_year)
    except ValueError as error:
        raise Conflict(f"{portfolio.unique_identifier}: {error}") from error
    return PortfolioStatistics(
        figures=figures,
        first_time_index=instant(times[0]) if len(times) else None,
        last_time_index=instant(times[-1]) if len(times) else None,
        last_close=float(closes[-1]) if len(closes) else None,
        calendar=portfolio.calendar,
        incomplete_sessions=incomplete,
    )


def instant(nanoseconds: int | np.int64) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=int(nanoseconds) // 1_000)


@transaction.atomic
def _delete(portfolio: Portfolio) -> None:
    identifier = portfolio.unique_identifier
    Portfolio.objects.select_for_update().filter(pk=portfolio.pk).first()
    deletion.refuse_if_blocked(deletion.delete_impact(portfolio))
    for model in SERIES:
        model._default_manager.filter(portfolio_identifier=identifier).delete()
        storage = StorageNode.objects.filter(storage_hash=model._meta.db_table).first()
        if storage is not None:
            position = storage.index_names[1:].index(DIMENSION)
            rows = UpdateStatistic.objects.filter(storage=storage, **{f"identity__{position}": identifier})
            gone = {tuple(identity): first for identity, first in rows.values_list("identity", "first_time_index")}
            rows.delete()
            reason = f"{storage} has lost the rows of {identifier}, which was deleted."
            staleness.mark_dependents(storage, gone, reason=reason, writer=portfolio.values_node)
    deletion.delete(portfolio)


def _calendar(uid: uuid.UUID | None) -> Calendar | None:
    if uid is None:
        return None
    found = Calendar.objects.filter(uid=uid).first()
    if found is None:
        raise InvalidInput(f"There is no calendar with the uid {uid}. Create it first.", field="calendar_uid")
    return found


def _between(value: str) -> str:
    if value not in WeightsConvention.values:
        raise InvalidInput(
            f"weights_between_rebalances={value!r}; use {' or '.join(WeightsConvention.values)}.",
            field="weights_between_rebalances",
        )
    return value


def _basis(given_basis: str | None, between: str) -> str:
    try:
        return turnover_basis_of(given_basis, between)
    except ValueError as error:
        raise InvalidInput(str(error), field="turnover_basis") from error


def _fee(value: Decimal) -> Decimal:
    if not 0 <= value < 1:
        raise InvalidInput(
            f"commission_fee={value} must be a fraction of the traded value, at least 0 and below 1: 0.00018 is 1.8 "
            "basis points.",
            field="commission_fee",
        )
    return value
