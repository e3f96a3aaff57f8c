"""The code blocks of seed 000 on accounts, virtual funds, holdings and targets, as printed, each in an interpreter."""

import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.xdist_group("processes")

ACCOUNTS_AND_FUNDS = """
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

HOLDINGS_AND_TARGETS = """
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

# The seed starts the engine and makes the account in the block before.
AN_ACCOUNT = """
import msm
from msm.api.accounts import Account

msm.start_engine()
account = Account.upsert(unique_identifier="acct-main", account_name="Main Account")
"""

Script = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def script(environment, manage, tmp_path) -> Script:
    """Runs a script in an interpreter of its own against a migrated database."""
    assert manage("migrate", "--verbosity", "0").returncode == 0

    def run(text: str) -> "subprocess.CompletedProcess[str]":
        path = tmp_path / "script.py"
        path.write_text(text)
        return subprocess.run(
            [sys.executable, str(path)], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    return run


def test_accounts_virtual_funds_and_portfolios(script: Script) -> None:
    check = """
    assert VirtualFund.get_by_unique_identifier("vf-core") == virtual_fund
    assert (virtual_fund.account_uid, virtual_fund.target_portfolio_uid) == (account.uid, portfolio.uid)
    assert (account.is_paper, account.account_is_active, account.account_group_uid) == (True, False, None)
    assert (portfolio.calendar_uid, portfolio.calendar_name) == (calendar.uid, "CRYPTO_24_7")
    print(account.uid, portfolio.uid, virtual_fund.uid)
    """
    first = script(ACCOUNTS_AND_FUNDS + textwrap.dedent(check))
    assert first.returncode == 0, first.stderr
    again = script(ACCOUNTS_AND_FUNDS + textwrap.dedent(check))
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout  # the same rows, by the same uids


def test_holdings_and_target_positions(script: Script) -> None:
    check = """
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
    first = script(AN_ACCOUNT + HOLDINGS_AND_TARGETS + textwrap.dedent(check))
    assert first.returncode == 0, first.stderr
    again = script(AN_ACCOUNT + HOLDINGS_AND_TARGETS + textwrap.dedent(check))
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
