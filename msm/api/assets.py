"""Assets, their types, identifiers and OpenFIGI details, the categories that collect them, and pairs and bonds."""

from msm.api.asset_rows import Asset, AssetType, OpenFigiDetails
from msm.api.category_rows import AssetCategory, AssetCategoryMembership
from msm.api.identifier_rows import AssetIdentifier
from msm.api.instrument_rows import Bond, CurrencySpot

OpenFigiAssetDetails = OpenFigiDetails

__all__ = [
    "Asset",
    "AssetCategory",
    "AssetCategoryMembership",
    "AssetIdentifier",
    "AssetType",
    "Bond",
    "CurrencySpot",
    "OpenFigiAssetDetails",
    "OpenFigiDetails",
]
