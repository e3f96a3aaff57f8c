"""The market's tables."""

from markets.models.access import AccessToken
from markets.models.assets import Asset, AssetType, OpenFigiDetails
from markets.models.backfills import Backfill, BackfillMode, BackfillPart, PartStatus
from markets.models.base import RegistryRow
from markets.models.calendar_days import CalendarDate, CalendarEvent
from markets.models.calendars import Calendar, CalendarSession
from markets.models.categories import AssetCategory, AssetCategoryMembership, holds_at
from markets.models.changes import Change, Operation
from markets.models.data_nodes import NodeRun, NodeUpdate, RunStatus, StorageNode, UpdateStatistic
from markets.models.details import Bond, CurrencySpot, Future
from markets.models.figi_resolutions import (
    FigiAnswer,
    HomeMarketPolicy,
    ItemStatus,
    RememberedDecision,
    Resolution,
    ResolutionItem,
)
from markets.models.freshness import FreshnessPolicy, FreshnessRule, FreshnessUnit, SessionStamp
from markets.models.identifiers import AssetIdentifier
from markets.models.imports import EmptyCells, ImportChunk, ImportOutcome, ImportRow, ImportRun, ImportStatus
from markets.models.index_values import IndexValue
from markets.models.indices import Index, IndexType
from markets.models.issuers import Issuer
from markets.models.jobs import UNFINISHED_JOBS, Job, JobMessage, JobStatus
from markets.models.merges import AssetMerge, AssetMergeRows, AssetMergeStep, DistinctAssets, RowsChoice
from markets.models.node_steps import DONE_STEPS, UNFINISHED_STEPS, NodeStep, StepStatus, StopReason
from markets.models.resolutions import PendingResolution, ResolutionScheme, ResolutionStatus
from markets.models.schedules import NodeSchedule
from markets.models.sealed import SealedBlock, SealedColumn
from markets.models.snapshots import AssetSnapshot

__all__ = [
    "DONE_STEPS",
    "UNFINISHED_JOBS",
    "UNFINISHED_STEPS",
    "AccessToken",
    "Asset",
    "AssetCategory",
    "AssetCategoryMembership",
    "AssetIdentifier",
    "AssetMerge",
    "AssetMergeRows",
    "AssetMergeStep",
    "AssetSnapshot",
    "AssetType",
    "Backfill",
    "BackfillMode",
    "BackfillPart",
    "Bond",
    "Calendar",
    "CalendarDate",
    "CalendarEvent",
    "CalendarSession",
    "Change",
    "CurrencySpot",
    "DistinctAssets",
    "EmptyCells",
    "FigiAnswer",
    "FreshnessPolicy",
    "FreshnessRule",
    "FreshnessUnit",
    "Future",
    "HomeMarketPolicy",
    "ImportChunk",
    "ImportOutcome",
    "ImportRow",
    "ImportRun",
    "ImportStatus",
    "Index",
    "IndexType",
    "IndexValue",
    "Issuer",
    "ItemStatus",
    "Job",
    "JobMessage",
    "JobStatus",
    "NodeRun",
    "NodeSchedule",
    "NodeStep",
    "NodeUpdate",
    "OpenFigiDetails",
    "Operation",
    "PartStatus",
    "PendingResolution",
    "RegistryRow",
    "RememberedDecision",
    "Resolution",
    "ResolutionItem",
    "ResolutionScheme",
    "ResolutionStatus",
    "RowsChoice",
    "RunStatus",
    "SealedBlock",
    "SealedColumn",
    "SessionStamp",
    "StepStatus",
    "StopReason",
    "StorageNode",
    "UpdateStatistic",
    "holds_at",
]
