"""Seed 000, Market Workflows: each block in an interpreter of its own, twice where it makes rows."""

import pytest

from tests.scripts import Scripts
from tests.seeds.documents import (
    ACCOUNTS,
    ASSETS,
    BONDS,
    CATEGORIES,
    CURRENCIES,
    NAMESPACE,
    POSITIONS,
    RUNTIME,
    SNAPSHOTS,
)

pytestmark = pytest.mark.xdist_group("processes")

START = "import msm; msm.start_engine()\n"  # "Production code normally initializes the tables during startup"
AN_ACCOUNT = """\
from msm.api.accounts import Account
account = Account.upsert(unique_identifier="acct-main", account_name="Main Account")
"""  # of the block before


def twice(scripts: Scripts, code: str) -> list[str]:
    """What the code prints, the second time the same: the same rows by the same uids."""
    first = scripts.output(code)
    assert scripts.output(code) == first
    return first.splitlines()


def test_runtime(scripts: Scripts) -> None:
    shown = scripts.output(RUNTIME + "print(list(runtime.meta_tables), runtime.meta_table_models)\n")
    assert shown == "['Asset'] {'Asset': <class 'markets.models.assets.Asset'>}\n"


def test_namespace(scripts: Scripts) -> None:
    assert scripts.manage("migrate_namespace", "mainsequence.examples", "--json").returncode == 0
    asked = """
from msm.api.assets import Asset
Asset.upsert(unique_identifier="X")
runtime = msm.start_engine(models=["Asset"])
print(runtime.namespace, runtime.table("Asset").identifier)
"""
    assert scripts.output(NAMESPACE + asked) == "mainsequence.examples mainsequence.examples.Asset\n"
    assert scripts.rows("SELECT count(*) FROM markets_asset") == [(0,)]
    assert scripts.rows('SELECT unique_identifier FROM "mainsequence.examples".markets_asset') == [("X",)]


def test_assets(scripts: Scripts) -> None:
    asked = """
assert btc == btc_by_identifier == btc_by_uid
print(btc.uid, btc.asset_type, btc.is_custom_by_organization, [row.unique_identifier for row in crypto_assets])
"""
    (shown,) = twice(scripts, RUNTIME + ASSETS + asked)
    assert shown.endswith(" crypto True ['example-asset-btc']")


def test_snapshots(scripts: Scripts) -> None:
    asked = """
from msm.services import asset_reference_details
print(len(snapshot_frame), asset_reference_details("example-asset-btc")[0].ticker)
"""
    shown = scripts.output(RUNTIME + ASSETS + SNAPSHOTS + asked)
    assert shown == "1 BTC\n"
    # a second run is a second snapshot
    scripts.output(RUNTIME + SNAPSHOTS)
    assert scripts.rows("SELECT count(*), count(DISTINCT time_index) FROM markets_assetsnapshot") == [(2, 2)]


def test_currencies(scripts: Scripts) -> None:
    asked = """
print(eur_usd.asset_type, eur_usd.uid == eur_usd.asset_uid == Asset.get_by_unique_identifier("BBG0013HGRV5").uid)
print(eur_usd.base_currency_uid == eur.uid, eur_usd.quote_currency_uid == usd.uid, eur_usd.uid)
assert CurrencySpot.filter(base_currency_uid=eur.uid) == [eur_usd] == [CurrencySpot.get_by_uid(eur_usd.uid)]
"""
    shown = twice(scripts, START + CURRENCIES + asked)
    assert shown[0] == "currency_spot True"
    assert shown[1].startswith("True True ")


def test_bonds(scripts: Scripts) -> None:
    asked = """
print(bond.asset_type, bond.status, bond.issue_date, bond.maturity_date, bond.issuer_uid == issuer.uid, bond.uid)
assert bond.currency_asset_uid == usd.uid
assert Bond.get_by_unique_identifier("example-usd-bond-2031") == bond
try:
    Issuer.delete(issuer.uid)
except Exception as error:
    print(type(error).__name__)
"""
    shown = twice(scripts, START + BONDS + asked)
    assert shown[0].startswith("bond ACTIVE 2026-05-27 2031-05-27 True ")
    assert shown[1] == "ProtectedRow"


def test_categories(scripts: Scripts) -> None:
    asked = """
assert {row.asset_uid for row in memberships} == {btc.uid, eth.uid}
assert {row.category_uid for row in memberships} == {category.uid}
print(category.uid, sorted(row.uid for row in memberships))
print([asset.unique_identifier for asset in category.get_assets()])
"""
    assert twice(scripts, START + CATEGORIES + asked)[1] == "['BTC', 'ETH']"


def test_accounts_virtual_funds_and_portfolios(scripts: Scripts) -> None:
    asked = """
assert VirtualFund.get_by_unique_identifier("vf-core") == virtual_fund
assert (virtual_fund.account_uid, virtual_fund.target_portfolio_uid) == (account.uid, portfolio.uid)
assert (account.is_paper, account.account_is_active, account.account_group_uid) == (True, False, None)
assert (portfolio.calendar_uid, portfolio.calendar_name) == (calendar.uid, "CRYPTO_24_7")
print(account.uid, portfolio.uid, virtual_fund.uid)
"""
    twice(scripts, ACCOUNTS + asked)


def test_holdings_and_target_positions(scripts: Scripts) -> None:
    asked = """
assert holdings["quantity"].tolist() == [1.0, 10.0], holdings
assert holdings["direction"].tolist() == [1, -1]
assert holdings.index.get_level_values("asset_identifier").tolist() == ["BTC", "ETH"]
assert set(holdings["holdings_set_uid"]) == {str(holdings_set.uid)}
assert holdings["target_trade_time"].isna().all()
assert holdings["extra_details"].tolist() == [{}, {}]
assert targets.index.get_level_values("target_type").tolist() == ["asset", "portfolio"]
assert targets.index.get_level_values("target_uid").tolist() == [str(btc_asset.uid), str(portfolio_sleeve.uid)]
assert targets["weight_notional_exposure"].tolist() == [0.6, 0.4]
assert targets["asset_uid"].isna().tolist() == [False, True]
assert portfolio_sleeve.calendar_uid is None
assert PositionSet.filter(account_target_allocation_uid=account_target_allocation.uid) == [position_set]
assert AccountHoldingsSet.filter(account_uid=account.uid, time_index="2026-05-25T02:00:00+02:00") == [holdings_set]
print(holdings_set.uid, account_target_allocation.uid, position_set.uid)
"""
    twice(scripts, START + AN_ACCOUNT + POSITIONS + asked)
