"""The stable keys of built-in asset and index types, and their definitions."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AssetTypeDefinition:
    """A built-in type; `AssetType.upsert(**definition.as_payload())` registers it."""

    asset_type: str
    display_name: str
    description: str

    def as_payload(self) -> dict[str, Any]:
        return {
            "asset_type": self.asset_type,
            "display_name": self.display_name,
            "description": self.description,
        }


@dataclass(frozen=True)
class IndexTypeDefinition:
    """A built-in type; `IndexType.upsert(**definition.as_payload())` registers it."""

    index_type: str
    display_name: str
    description: str

    def as_payload(self) -> dict[str, Any]:
        return {
            "index_type": self.index_type,
            "display_name": self.display_name,
            "description": self.description,
        }


ASSET_TYPE_CURRENCY = "currency"
ASSET_TYPE_CURRENCY_SPOT = "currency_spot"
ASSET_TYPE_BOND = "bond"
ASSET_TYPE_FUTURE = "future"
ASSET_TYPE_CRYPTO = "crypto"
ASSET_TYPE_EQUITY = "equity"

ASSET_TYPE_CURRENCY_DEFINITION = AssetTypeDefinition(
    ASSET_TYPE_CURRENCY, "Currency", "A single currency, used as denomination, settlement or margin asset."
)
ASSET_TYPE_CURRENCY_SPOT_DEFINITION = AssetTypeDefinition(
    ASSET_TYPE_CURRENCY_SPOT, "Currency Spot", "A spot pair: units of the quote currency for one of the base currency."
)
ASSET_TYPE_BOND_DEFINITION = AssetTypeDefinition(
    ASSET_TYPE_BOND, "Bond", "A debt security of an issuer, denominated in a currency asset."
)
ASSET_TYPE_FUTURE_DEFINITION = AssetTypeDefinition(
    ASSET_TYPE_FUTURE, "Future", "A contract on an index, expiring or perpetual."
)
ASSET_TYPE_CRYPTO_DEFINITION = AssetTypeDefinition(ASSET_TYPE_CRYPTO, "Crypto", "A crypto asset or token.")
ASSET_TYPE_EQUITY_DEFINITION = AssetTypeDefinition(
    ASSET_TYPE_EQUITY, "Equity", "A share or depositary receipt of a company or fund."
)

BUILT_IN_ASSET_TYPE_DEFINITIONS = (
    ASSET_TYPE_CURRENCY_DEFINITION,
    ASSET_TYPE_CURRENCY_SPOT_DEFINITION,
    ASSET_TYPE_BOND_DEFINITION,
    ASSET_TYPE_FUTURE_DEFINITION,
    ASSET_TYPE_CRYPTO_DEFINITION,
    ASSET_TYPE_EQUITY_DEFINITION,
)
BUILT_IN_ASSET_TYPES = tuple(definition.asset_type for definition in BUILT_IN_ASSET_TYPE_DEFINITIONS)

INDEX_TYPE_INTEREST_RATE = "interest_rate"
INDEX_TYPE_EQUITY = "equity"
INDEX_TYPE_CRYPTO = "crypto"
INDEX_TYPE_DERIVED = "derived"

INDEX_TYPE_INTEREST_RATE_DEFINITION = IndexTypeDefinition(
    INDEX_TYPE_INTEREST_RATE, "Interest Rate", "A published rate or a point of a curve, such as SOFR."
)
INDEX_TYPE_EQUITY_DEFINITION = IndexTypeDefinition(
    INDEX_TYPE_EQUITY, "Equity", "A level computed from share prices, such as the S&P 500."
)
INDEX_TYPE_CRYPTO_DEFINITION = IndexTypeDefinition(
    INDEX_TYPE_CRYPTO, "Crypto", "A reference level or price of crypto assets."
)
INDEX_TYPE_DERIVED_DEFINITION = IndexTypeDefinition(
    INDEX_TYPE_DERIVED, "Derived", "A level computed from other indices, assets or portfolios."
)

BUILT_IN_INDEX_TYPE_DEFINITIONS = (
    INDEX_TYPE_INTEREST_RATE_DEFINITION,
    INDEX_TYPE_EQUITY_DEFINITION,
    INDEX_TYPE_CRYPTO_DEFINITION,
    INDEX_TYPE_DERIVED_DEFINITION,
)
BUILT_IN_INDEX_TYPES = tuple(definition.index_type for definition in BUILT_IN_INDEX_TYPE_DEFINITIONS)
