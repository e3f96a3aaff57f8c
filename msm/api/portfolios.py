"""Portfolios: their conventions, and the frames of their weights and values."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any, Self, TypedDict, Unpack

import pandas as pd

from markets.data_nodes.reads import read_frame
from markets.models import StorageNode
from msm.api.payloads import Payload, Services
from msm.api.rows import Row, Uid
from portfolios.models import Portfolio as PortfolioModel
from portfolios.models import PortfolioValue, PortfolioWeight
from portfolios.services import portfolios


class PortfolioFields(TypedDict, total=False):
    unique_identifier: str
    display_name: str
    description: str
    calendar_uid: Uid | None
    calendar_name: str | None
    weights_between_rebalances: str
    turnover_basis: str | None
    commission_fee: Decimal | str
    valuation_column: str


class Portfolio(Row):
    """A portfolio and its conventions. `upsert` takes its names and calendar, `create` and `update` the rest, too."""

    __model__ = PortfolioModel
    __required_tables__ = ("Portfolio",)
    __writable__ = PortfolioFields
    __renamed__ = {"calendar_uid": "calendar"}
    __services__ = Services(
        create=portfolios.create_portfolio,
        upsert=portfolios.upsert_portfolio,
        update=portfolios.update_portfolio,
        delete=portfolios.delete_portfolio,
    )
    __lookups__ = {"calendar_uid": "calendar__uid"}

    unique_identifier: str
    display_name: str
    description: str
    calendar_uid: uuid.UUID | None
    calendar_name: str | None
    weights_between_rebalances: str
    turnover_basis: str
    commission_fee: Decimal
    valuation_column: str
    signal_uid: str | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[PortfolioFields]) -> Self:
        """A new portfolio with its conventions. Raises Conflict when the identifier is taken."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[PortfolioFields]) -> Self:
        """The portfolio with this identifier, made or changed; omitted keeps. A calendar is optional."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[PortfolioFields]) -> Self:
        """Change a portfolio; its conventions are fixed once its values are computed. Raises NotFound, Conflict."""
        return cls._update(uid, payload, fields)

    def values(self, start: dt.datetime | None = None, end: dt.datetime | None = None) -> pd.DataFrame:
        """Stored values by (time_index, portfolio_identifier), between two aware instants."""
        return self._series(PortfolioValue, start, end)

    def weights(self, start: dt.datetime | None = None, end: dt.datetime | None = None) -> pd.DataFrame:
        """Stored weights by (time_index, portfolio_identifier, asset_identifier), between two aware instants."""
        return self._series(PortfolioWeight, start, end)

    def _series(self, model: Any, start: dt.datetime | None, end: dt.datetime | None) -> pd.DataFrame:
        storage = StorageNode.objects.filter(storage_hash=model._meta.db_table).first()
        if storage is None:
            return pd.DataFrame()
        return read_frame(
            storage,
            start_date=start,
            end_date=end,
            dimension_filters={"portfolio_identifier": [self.unique_identifier]},
        )

    @classmethod
    def _rows(cls) -> Any:
        return super()._rows().select_related("calendar")

    @classmethod
    def _of(cls, row: Any) -> Self:
        fields = {name: getattr(row, name) for name in cls.model_fields if name != "calendar_uid"}
        return cls(calendar_uid=row.calendar.uid if row.calendar is not None else None, **fields)
