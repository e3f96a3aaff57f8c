"""The code blocks of the seed documents, as printed, and the lines of those that are not run yet, with the reason."""

MARKET_WORKFLOWS = "000_b6773935843868ec.txt"
ALGOSEEK = "001_43f085ebc2c80e79.txt"
ASSET_CATEGORIES = "002_3277419547b1ee45.txt"
FUTURES = "003_764b65996c5377b3.txt"

RUNTIME = """\
import msm

runtime = msm.start_engine(models=["Asset"])
"""

NAMESPACE = """\
import os

from examples.platform.bootstrap import (
    EXAMPLE_NAMESPACE_ENV,
    EXAMPLE_METATABLE_NAMESPACE,
)

os.environ.setdefault(EXAMPLE_NAMESPACE_ENV, EXAMPLE_METATABLE_NAMESPACE)

import msm

msm.start_engine(models=["Asset"])
"""

ASSETS = """\
from msm.api.assets import Asset
from msm.constants import ASSET_TYPE_CRYPTO

btc = Asset.upsert(
    unique_identifier="example-asset-btc",
    asset_type=ASSET_TYPE_CRYPTO,
)

btc_by_identifier = Asset.get_by_unique_identifier(
    unique_identifier="example-asset-btc",
)
btc_by_uid = Asset.get_by_uid(btc.uid)
crypto_assets = Asset.filter(
    unique_identifier_contains="example-asset-",
    asset_type=ASSET_TYPE_CRYPTO,
    limit=20,
)
# Optional cleanup for temporary custom assets only:
# Asset.delete(btc.uid)
"""

CURRENCIES = """\
from msm.api.assets import Asset, CurrencySpot
from msm.constants import ASSET_TYPE_CURRENCY

USD = {"code": "USD", "currency_name": "US Dollar"}
EUR = {"code": "EUR", "currency_name": "Euro"}

usd = Asset.upsert(unique_identifier=USD["code"], asset_type=ASSET_TYPE_CURRENCY)
eur = Asset.upsert(unique_identifier=EUR["code"], asset_type=ASSET_TYPE_CURRENCY)

eur_usd = CurrencySpot.upsert(
    unique_identifier="BBG0013HGRV5",
    base_currency_uid=eur.uid,
    quote_currency_uid=usd.uid,
)
"""

BONDS = """\
import datetime as dt

from msm.api.assets import Asset, AssetType, Bond
from msm.api.issuers import Issuer
from msm.constants import (
    ASSET_TYPE_BOND_DEFINITION,
    ASSET_TYPE_CURRENCY,
    ASSET_TYPE_CURRENCY_DEFINITION,
)

AssetType.upsert(**ASSET_TYPE_CURRENCY_DEFINITION.as_payload())
AssetType.upsert(**ASSET_TYPE_BOND_DEFINITION.as_payload())

issuer = Issuer.upsert(
    unique_identifier="example-issuer",
    display_name="Example Issuer",
)
usd = Asset.upsert(unique_identifier="USD", asset_type=ASSET_TYPE_CURRENCY)

bond = Bond.upsert(
    unique_identifier="example-usd-bond-2031",
    issuer_uid=issuer.uid,
    currency_asset_uid=usd.uid,
    issue_date=dt.date(2026, 5, 27),
    maturity_date=dt.date(2031, 5, 27),
    status="ACTIVE",
)
"""

SNAPSHOTS = """\
from datetime import datetime, UTC

from msm.data_nodes.assets import AssetSnapshot

snapshot_node = AssetSnapshot().set_snapshots(
    {
        "time_index": datetime.now(UTC),
        "asset_identifier": "example-asset-btc",
        "ticker": "BTC",
    },
)
snapshot_frame = snapshot_node.run(debug_mode=True, force_update=True)
"""

CATEGORIES = """\
from msm.api.assets import Asset, AssetCategory, AssetType
from msm.constants import ASSET_TYPE_CRYPTO, ASSET_TYPE_CRYPTO_DEFINITION

AssetType.upsert(**ASSET_TYPE_CRYPTO_DEFINITION.as_payload())

btc = Asset.upsert(unique_identifier="BTC", asset_type=ASSET_TYPE_CRYPTO)
eth = Asset.upsert(unique_identifier="ETH", asset_type=ASSET_TYPE_CRYPTO)
category = AssetCategory.upsert(
    unique_identifier="crypto-majors",
    display_name="Crypto Majors",
)
memberships = AssetCategory.replace_memberships(
    category_uid=category.uid,
    asset_uids=[btc.uid, eth.uid],
)
"""

ACCOUNTS = """\
import msm

from msm.api.accounts import Account
from msm.api.calendars import Calendar
from msm.api.portfolios import Portfolio
from msm.api.virtual_funds import VirtualFund

msm.start_engine(
    models=["Account", "Calendar", "CalendarDate", "CalendarSession", "Portfolio", "VirtualFund"]
)

account = Account.upsert(
    unique_identifier="acct-main",
    account_name="Main Account",
)
calendar = Calendar.create_from_pandas_calendar(
    source_identifier="24/7",
    unique_identifier="CRYPTO_24_7",
    display_name="Crypto 24/7",
    valid_from="2026-05-25",
    valid_to="2026-05-25",
    timezone="UTC",
)
portfolio = Portfolio.upsert(
    unique_identifier="btc-eth-target",
    calendar_uid=calendar.uid,
    calendar_name=calendar.unique_identifier,
)
virtual_fund = VirtualFund.upsert(
    unique_identifier="vf-core",
    account_uid=account.uid,
    target_portfolio_uid=portfolio.uid,
)
"""

POSITIONS = """\
from msm.api.accounts import (
    AccountAllocationModel,
    AccountHoldingsSet,
    AccountTargetAllocation,
    PositionSet,
)
from msm.api.assets import Asset
from msm.api.portfolios import Portfolio
from msm.services import build_account_holdings_frame
from msm.services import build_target_positions_frame

holdings_set = AccountHoldingsSet.upsert(
    account_uid=account.uid,
    time_index="2026-05-25T00:00:00Z",
)
holdings = build_account_holdings_frame(
    holdings_date="2026-05-25T00:00:00Z",
    account_uid=account.uid,
    holdings_set_uid=holdings_set.uid,
    positions=[
        {"asset_identifier": "BTC", "quantity": 1.0, "direction": 1},
        {"asset_identifier": "ETH", "quantity": 10.0, "direction": -1},
    ],
)

allocation_model = AccountAllocationModel.upsert(
    allocation_model_name="balanced-allocation-model"
)
account_target_allocation = AccountTargetAllocation.upsert(
    unique_identifier="account-main-balanced-target",
    account_uid=account.uid,
    account_allocation_model_uid=allocation_model.uid,
)
position_set = PositionSet.upsert(
    account_target_allocation_uid=account_target_allocation.uid,
    position_set_time="2026-05-25T00:00:00Z",
)
btc_asset = Asset.upsert(unique_identifier="BTC", asset_type="crypto")
portfolio_sleeve = Portfolio.upsert(unique_identifier="account-main-sleeve")

targets = build_target_positions_frame(
    target_positions_date="2026-05-25T00:00:00Z",
    position_set_uid=position_set.uid,
    positions=[
        {"asset_uid": btc_asset.uid, "weight_notional_exposure": 0.6},
        {"portfolio_uid": portfolio_sleeve.uid, "weight_notional_exposure": 0.4},
    ],
)
"""

CLIENT = """\
import mainsequence.client as msc
"""

MASTER_ASSETS = """\
 def get_asset_list(self) -> List[msc.Asset]:
        mapping = _load_security_master_mapping_figi_rows(self.csv_path)
        figis = mapping["unique_identifier"].tolist()
        self.mapping=mapping
        return _get_or_register_assets_from_figis(figis)
"""

REGISTER = '''\
def _get_or_register_assets_from_figis(figis: List[str], batch_size: int = 500) -> List[msc.Asset]:
    """
    1) Find existing via Asset.filter(unique_identifier__in=...)
    2) Register missing via Asset.register_figi_as_asset_in_main_sequence_venue(figi)
    Returns msc.Asset objects (existing + newly registered).
    """
    figis = sorted(set([f for f in figis if f]))


    # Find existing in batches (avoid unknown per_page arg)

    existing_assets = msc.Asset.query(unique_identifier__in=figis, per_page=batch_size)
    existing_figis = {a.unique_identifier: a for a in existing_assets}

    # Register missing
    missing = [f for f in figis if f not in existing_figis]
    newly_registered: List[msc.Asset] = []
    for figi in missing:
        try:
            a = msc.Asset.register_asset_from_figi(figi=figi)
            newly_registered.append(a)

        except Exception as e:
            # Asset may already exist or FIGI invalid – continue with others.
            raise e

    return existing_assets + newly_registered
'''  # noqa: RUF001

QUERY = """\
 existing_assets = msc.Asset.query(unique_identifier__in=figis, per_page=batch_size)
"""

REGISTER_ONE = """\
msc.Asset.register_asset_from_figi(figi=figi)
"""

DAILY_CONSTRUCTOR = """\
def __init__(self, daily_dir: str, security_master_path, is_demo: bool, *args, **kwargs):
        self.daily_dir = daily_dir
        self.security_master_node = AlgoSeekSecMasDEM(csv_path=security_master_path,is_demo=is_demo)
        self.is_demo = is_demo
        super().__init__(*args, **kwargs)

def dependencies(self) -> Dict[str, "DataNode"]:
    # Ensure master runs first
    return {"security_master_node": self.security_master_node}
"""

DAILY_ASSETS = """\
    # ---- Asset universe (SecId -> FIGIs) ----
    def get_asset_list(self) -> List[msc.Asset]:
        master_list = self.security_master_node.get_df_between_dates()
        all_sec_ids = []
        for df_path in self._iter_minute_gz_files():
            secid =self._secid_from_path(df_path)
            all_sec_ids.append(secid)

        # this will repeat all the figis with the same secid so we have duplicated data per figi, this is better as we can query per figi the full story taht corresponds to the sec id
        available_assets = master_list[master_list.secid.isin(all_sec_ids)].index.get_level_values(
            "unique_identifier").to_list()
        self.security_master_df = master_list
        asset_list = _get_or_register_assets_from_figis(figis=available_assets)

        self.sec_id_to_figi_map = (
            self.security_master_df
            .reset_index()
            .groupby("secid", sort=False)["unique_identifier"]
            .apply(lambda s: list(dict.fromkeys(s.dropna())))
            .to_dict()
        )

        return asset_list
"""  # noqa: E501

READ = """\
def get_df_between_dates(
        self,
        start_date: datetime.datetime | None = None,
        end_date: datetime.datetime | None = None,
        unique_identifier_list: list | None = None,
        great_or_equal: bool = True,
        less_or_equal: bool = True,
        unique_identifier_range_map: UniqueIdentifierRangeMap | None = None,
        columns: list[str] | None = None,
    ) -> pd.DataFrame:
"""

RANGE_MAP = """\
range_descriptor = update_statistics.get_update_range_map_great_or_equal()
last_observation = self.get_ranged_data_per_asset(range_descriptor=range_descriptor)
"""

FIGI_MAP = """\
self.sec_id_to_figi_map = ( self.security_master_df .reset_index() .groupby("secid", sort=False)["unique_identifier"] .apply(lambda s: list(dict.fromkeys(s.dropna()))) .to_dict() )
"""  # noqa: E501

GET_OR_CREATE = """\
asset_category = msc.AssetCategory.get_or_create(
display_name="Mock Category Assets Tutorial",
unique_identifier="mock_category_assets_tutorial",
description="Tutorial asset universe for mock fixed-income examples.",
)
"""

APPEND = """\
asset_category.append_assets(assets=assets)
"""

APPEND_IDS = """\
asset_category.append_assets(asset_ids=[101, 102, 103])
"""

GET = """\
category_assets = asset_category.get_assets()
"""

REMOVE = """\
asset_category.remove_assets(asset_ids=[101, 102])
"""

UPDATE = """\
asset_category.update_assets(asset_ids=[201, 202, 203])
"""

PRACTICE = """\
assets = ensure_test_assets()
asset_category = msc.AssetCategory.get_or_create(
display_name="Mock Category Assets Tutorial",
unique_identifier="mock_category_assets_tutorial",
)
asset_category.append_assets(assets=assets)
"""

FUTURE = """\
from decimal import Decimal

from msm.api.assets import Asset
from msm.api.derivatives import Future
from msm.api.indices import Index, IndexType
from msm.constants import (
    ASSET_TYPE_CURRENCY,
    INDEX_TYPE_EQUITY,
    INDEX_TYPE_EQUITY_DEFINITION,
)

IndexType.upsert(**INDEX_TYPE_EQUITY_DEFINITION.as_payload())
spx = Index.upsert(
    unique_identifier="SPX",
    index_type=INDEX_TYPE_EQUITY,
    display_name="S&P 500 Index",
    provider="example",
)
usd = Asset.upsert(unique_identifier="USD", asset_type=ASSET_TYPE_CURRENCY)

future = Future.upsert(
    unique_identifier="CME:ESZ6",
    kind="EXPIRING",
    underlying_index_uid=spx.uid,
    quote_unit="INDEX_POINT",
    settlement_asset=usd.uid,
    margin_asset=usd.uid,
    settlement_model="LINEAR",
    settlement_method="CASH",
    contract_size=Decimal("50"),
    contract_unit="INDEX_POINT",
    expires_at="2026-12-18T22:00:00Z",
    settles_at="2026-12-18T22:00:00Z",
    metadata={"venue": "CME", "root": "ES"},
)
"""

INDEX_FUTURE = """\
from decimal import Decimal

from msm.api.assets import Asset
from msm.api.indices import IndexType
from msm.constants import INDEX_TYPE_EQUITY, INDEX_TYPE_EQUITY_DEFINITION
from msm.services import register_index_future_from_figis

IndexType.upsert(**INDEX_TYPE_EQUITY_DEFINITION.as_payload())
usd = Asset.upsert(unique_identifier="USD", asset_type="currency")
future = register_index_future_from_figis(
    "BBG01SWCTHK4",
    underlying_index_figi="BBG000KKFC45",
    underlying_index_type=INDEX_TYPE_EQUITY,
    settlement_asset_uid=usd.uid,
    margin_asset_uid=usd.uid,
    kind="EXPIRING",
    quote_unit="INDEX_POINT",
    settlement_model="LINEAR",
    settlement_method="CASH",
    contract_size=Decimal("50"),
    contract_unit="INDEX_POINT",
    expires_at="2026-12-18T22:00:00Z",
    settles_at="2026-12-18T22:00:00Z",
)
"""

ENGINE = """\
import msm

msm.start_engine(models=["AssetType", "Asset", "IndexType", "Index", "FutureAssetDetails"])
"""

# A line of each block that is left out, and why.
EXCEPTED = {
    MARKET_WORKFLOWS: {
        "python examples/msm_portfolios/portfolio_equal_weights_prepare_schema.py": "a shell command of upstream",
        "python examples/msm_portfolios/portfolio_equal_weights_run.py": "a shell command of upstream",
    },
    ALGOSEEK: {
        f"python {FIGI_MAP}".strip(): "the language's name stands before the code; FIGI_MAP is run without it",
    },
    ASSET_CATEGORIES: {},
    FUTURES: {},
}

BLOCKS = {
    MARKET_WORKFLOWS: (
        RUNTIME,
        NAMESPACE,
        ASSETS,
        CURRENCIES,
        BONDS,
        SNAPSHOTS,
        CATEGORIES,
        ACCOUNTS,
        POSITIONS,
    ),
    ALGOSEEK: (
        CLIENT,
        MASTER_ASSETS,
        REGISTER,
        QUERY,
        REGISTER_ONE,
        DAILY_CONSTRUCTOR,
        DAILY_ASSETS,
        READ,
        RANGE_MAP,
        FIGI_MAP,
    ),
    ASSET_CATEGORIES: (
        CLIENT,
        GET_OR_CREATE,
        APPEND,
        APPEND_IDS,
        GET,
        REMOVE,
        UPDATE,
        PRACTICE,
    ),
    FUTURES: (
        FUTURE,
        INDEX_FUTURE,
        ENGINE,
    ),
}
