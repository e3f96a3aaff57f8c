"""Portfolios: their conventions, and the frames of their weights and values."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any, Self

import pandas as pd

from markets.data_nodes.reads import read_frame
from markets.models import StorageNode
from markets.services.values import UNSET
from msm.api.rows import Row
from portfolios.models import Portfolio as PortfolioModel
from portfolios.models import PortfolioValue, PortfolioWeight
from portfolios.services import portfolios


class Portfolio(Row):
    __model__ = PortfolioModel
    __required_tables__ = ("Portfolio",)
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
    def upsert(
        cls,
        *,
        unique_identifier: str,
        display_name: Any = UNSET,
        description: Any = UNSET,
        calendar_uid: Any = UNSET,
        calendar_name: Any = UNSET,
    ) -> Self:
        """The portfolio with this identifier, made or changed; omitted keeps. A calendar is optional."""
        cls._rows()
        row = portfolios.upsert_portfolio(
            unique_identifier=unique_identifier,
            display_name=display_name,
            description=description,
            calendar=calendar_uid,
            calendar_name=calendar_name,
        )
        return cls._of(row.row)

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

    @classmethod
    def _delete(cls, row: Any) -> None:
        portfolios.delete_portfolio(row)
