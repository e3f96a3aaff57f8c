"""Accounts in a quant's script: references by uid, filters, None against nothing, and clear refusals."""

import pytest

pytestmark = pytest.mark.xdist_group("processes")


@pytest.fixture
def script(scripts):
    return scripts.run


def test_rows_of_accounts(script):
    ran = script(
        """
        import msm
        from markets.exceptions import Conflict, InvalidInput, NotFound, ProtectedRow
        from msm.api.accounts import (
            Account, AccountAllocationModel, AccountGroup, AccountHoldingsSet, AccountTargetAllocation, PositionSet,
        )
        from msm.api.portfolios import Portfolio
        from msm.api.virtual_funds import VirtualFund

        runtime = msm.start_engine(models=["VirtualFund", "PositionSet", "AccountHoldingsSet"])
        ours = ("Portfolio", "Account", "Position", "VirtualFund")
        assert [name for name in runtime.meta_tables if name.startswith(ours)] == [  # with what they refer to, before
            "Portfolio", "AccountGroup", "Account", "AccountAllocationModel", "AccountTargetAllocation",
            "PositionSet", "AccountHoldingsSet", "VirtualFund",
        ], runtime.meta_tables

        def refused(kind, text, call, *arguments, **fields):
            try:
                call(*arguments, **fields)
            except kind as error:
                assert text in str(error), error
            else:
                raise AssertionError(text)

        group = AccountGroup.upsert(group_name="Desk", group_description="Why")
        assert AccountGroup.upsert(group_name="Desk") == group
        assert AccountGroup.update(group.uid, group_description=None).group_description is None
        refused(InvalidInput, "AccountGroup has no field 'unique_identifier'", group.get_by_unique_identifier, "x")

        main = Account.create(unique_identifier="main", account_name="Main", account_group_uid=group.uid)
        other = Account.upsert(unique_identifier="other", account_name="Other", account_is_active=True)
        assert (main.is_paper, main.account_is_active, main.account_group_uid) == (True, False, group.uid)
        assert Account.upsert(unique_identifier="other", account_name="Second").account_is_active is True
        assert Account.filter(account_group_uid=group.uid) == [main]
        assert Account.filter(account_group_uid=str(group.uid)) == [main]
        assert [row.unique_identifier for row in Account.filter(account_group_uid=None)] == ["other"]
        assert Account.filter(account_group_uid_in=[group.uid], account_name_contains="MAI") == [main]
        assert Account.filter(unique_identifier_contains="zzz") == []
        assert Account.get_by_unique_identifier("main") == Account.get_by_uid(str(main.uid)) == main
        assert set(Account.get_many_by_unique_identifier(["main", "other", "none"])) == {"main", "other"}
        refused(Conflict, "already", Account.create, unique_identifier="main", account_name="x")
        refused(InvalidInput, "account_name is needed", Account.upsert, unique_identifier="new")
        refused(InvalidInput, "no field 'account_group'", Account.filter, account_group="x")
        refused(InvalidInput, "'junk' is not a UUID", Account.filter, account_group_uid="junk")
        refused(TypeError, "holder", Account.upsert, unique_identifier="main", holder="x")
        refused(NotFound, "There is no Account", Account.update, group.uid, account_name="x")
        assert Account.update(main.uid, account_group_uid=None).account_group_uid is None

        model = AccountAllocationModel.upsert(allocation_model_name="Balanced")
        target = AccountTargetAllocation.upsert(
            unique_identifier="t", account_uid=main.uid, account_allocation_model_uid=model.uid
        )
        assert (target.account_uid, target.account_allocation_model_uid, target.is_active) == (
            main.uid, model.uid, True
        )
        assert AccountTargetAllocation.filter(account_uid=main.uid, is_active=True) == [target]
        refused(Conflict, "never moves", AccountTargetAllocation.upsert, unique_identifier="t", account_uid=other.uid)
        refused(ProtectedRow, "Balanced cannot be deleted", AccountAllocationModel.delete, model.uid)

        first = PositionSet.upsert(account_target_allocation_uid=target.uid, position_set_time="2026-05-25T00:00:00Z")
        later = PositionSet.create(account_target_allocation_uid=target.uid, position_set_time="2026-05-26T00:00:00Z")
        assert PositionSet.filter(position_set_time="2026-05-25T02:00:00+02:00") == [first]
        assert PositionSet.filter(order_by="position_set_time") == [first, later]
        assert PositionSet.filter(order_by="-account_target_allocation_uid", limit=1, offset=1) == [later]
        assert PositionSet.update(later.uid, source="mine", metadata_json={"a": 1}).source == "mine"
        refused(
            InvalidInput, "has no time zone", PositionSet.upsert,
            account_target_allocation_uid=target.uid, position_set_time="2026-05-25T00:00:00",
        )
        held = AccountHoldingsSet.upsert(account_uid=main.uid, time_index="2026-05-25T00:00:00Z")
        assert AccountHoldingsSet.upsert(account_uid=main.uid, time_index="2026-05-24T19:00:00-05:00") == held
        assert AccountHoldingsSet.update(held.uid, source_data_node_uid=main.uid).source_data_node_uid == main.uid

        portfolio = Portfolio.upsert(unique_identifier="p")
        fund = VirtualFund.upsert(
            unique_identifier="f", account_uid=main.uid, target_portfolio_uid=portfolio.uid,
            account_target_allocation_uid=target.uid,
        )
        assert VirtualFund.upsert(unique_identifier="f") == fund
        assert VirtualFund.filter(target_portfolio_uid=portfolio.uid) == [fund]
        assert VirtualFund.update(fund.uid, account_target_allocation_uid=None).account_target_allocation_uid is None
        refused(ProtectedRow, "virtual funds", Portfolio.delete, portfolio.uid)
        assert (Account.delete(main.uid), Account.delete(main.uid)) == (1, 0)
        assert VirtualFund.filter() == PositionSet.filter() == AccountHoldingsSet.filter() == []
        print("done")
        """
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "done\n"
