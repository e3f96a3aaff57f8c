"""Every row class under one name: `import msm.client as msc`, then `msc.Asset`, `msc.AssetCategory` …

Importing touches no database; `msc.start_engine()` attaches to it.
"""

from msm import Runtime, start_engine
from msm.api.accounts import (
    Account,
    AccountAllocationModel,
    AccountGroup,
    AccountHoldingsSet,
    AccountTargetAllocation,
    PositionSet,
)
from msm.api.assets import (
    Asset,
    AssetCategory,
    AssetCategoryMembership,
    AssetIdentifier,
    AssetType,
    Bond,
    CurrencySpot,
    OpenFigiAssetDetails,
    OpenFigiDetails,
)
from msm.api.calendars import Calendar, CalendarDate, CalendarEvent, CalendarSession
from msm.api.derivatives import Future
from msm.api.indices import Index, IndexType
from msm.api.issuers import Issuer
from msm.api.portfolios import Portfolio
from msm.api.virtual_funds import VirtualFund

__all__ = [
    "Account",
    "AccountAllocationModel",
    "AccountGroup",
    "AccountHoldingsSet",
    "AccountTargetAllocation",
    "Asset",
    "AssetCategory",
    "AssetCategoryMembership",
    "AssetIdentifier",
    "AssetType",
    "Bond",
    "Calendar",
    "CalendarDate",
    "CalendarEvent",
    "CalendarSession",
    "CurrencySpot",
    "Future",
    "Index",
    "IndexType",
    "Issuer",
    "OpenFigiAssetDetails",
    "OpenFigiDetails",
    "Portfolio",
    "PositionSet",
    "Runtime",
    "VirtualFund",
    "start_engine",
]
