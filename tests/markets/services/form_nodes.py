"""DataNodes with every kind of argument, and such as a careless person writes; found by MSM_NODE_MODULES."""

import datetime as dt
import enum
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import pandas as pd
from pydantic import AwareDatetime, BaseModel, Field

from markets.data_nodes.access import APIDataNode
from markets.data_nodes.metadata import TableMetaData
from markets.data_nodes.node import DataNode
from markets.models import AssetType


class Side(enum.Enum):
    BUY = "buy"
    SELL = "sell"


class Window(BaseModel):
    length: int = Field(ge=1, le=250, description="Sessions in the window.")
    weights: list[float] = []


class Settings(BaseModel):
    dataset: str = Field(min_length=1)
    side: Side
    since: AwareDatetime
    is_live: bool
    window: Window
    mode: Literal["fast", "exact"] = "fast"
    fee: Decimal = Decimal("0.001")
    day: dt.date | None = None
    asset_list: list[str] = []
    other: Window | None = None
    extra: dict[str, float] = {}


class Base(DataNode):
    """Without update() it is a base for others."""


class Averages(Base):
    """Averages of another node's closes. Weighted where weights are given.

    More on it.
    """

    def __init__(
        self,
        configuration: Settings,
        prices: DataNode,
        table: APIDataNode | None = None,
        lag: int = 0,
        *,
        hash_namespace: str = "",
    ) -> None:
        self.configuration, self.prices = configuration, prices
        super().__init__(hash_namespace=hash_namespace)

    def dependencies(self) -> Mapping[str, DataNode]:
        return {"prices": self.prices}

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(identifier=self.configuration.dataset)

    def update(self) -> pd.DataFrame:
        return pd.DataFrame()


class AveragesOfAverages(Averages):
    """Takes averages only."""

    def __init__(self, source: Averages, **rest: Any) -> None:
        super().__init__(prices=source, **rest)


class Plain(DataNode):
    """Takes a text."""

    def __init__(self, text: str, trouble: str = "", count: int = 1) -> None:
        self.text, self.trouble = text, trouble
        if trouble == "raise":
            AssetType.objects.create(asset_type="written-by-a-constructor", display_name="No")
            raise ZeroDivisionError("no such window")
        if trouble == "exit":
            raise SystemExit(3)
        super().__init__()

    def dependencies(self) -> Mapping[str, DataNode]:
        return {"self": self} if self.trouble == "circle" else {}

    def get_table_metadata(self) -> TableMetaData | None:
        if self.trouble == "describe":
            return TableMetaData(identifier="plain", description="a\x00b")
        return TableMetaData(identifier=self.text) if self.trouble == "publish" else None

    def update(self) -> pd.DataFrame:
        return pd.DataFrame()


class Forgetful(Plain):
    """Hands on another text than it was given, and does not remember which."""

    calls = 0

    def __init__(self, text: str) -> None:
        super().__init__(text)
        type(self).calls += 1
        self.arguments = {"text": f"{text}{type(self).calls}"}


class Unreadable(DataNode):
    """Takes what no text can give."""

    def __init__(self, reader: pd.DataFrame) -> None:
        super().__init__()

    def update(self) -> pd.DataFrame:
        return pd.DataFrame()


class _Private(Plain):
    pass
