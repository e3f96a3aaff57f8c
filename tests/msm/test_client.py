"""msm.client: every row class under one name, and the category's verbs on the instance, as of seed 002."""

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

import msm
import msm.client as msc
from markets.exceptions import InvalidInput, NotFound, UnknownIdentifiers
from msm import runtime
from tests import factories
from tests.scripts import CHECKOUT

pytestmark = pytest.mark.django_db

SCRIPT = """
import datetime as dt

import msm
import msm.client as msc
from msm.api.assets import Asset, AssetCategory
from msm.constants import ASSET_TYPE_CRYPTO, ASSET_TYPE_CRYPTO_DEFINITION

runtime = msm.start_engine(models=["Asset", AssetCategory], namespace="mine", timeout=5)
table: str = runtime.table(Asset)
msc.AssetType.upsert(**ASSET_TYPE_CRYPTO_DEFINITION.as_payload())
btc = Asset.upsert(unique_identifier="BTC", asset_type=ASSET_TYPE_CRYPTO)
eth = msc.Asset.upsert({"unique_identifier": "ETH", "asset_type": None})
again: Asset = Asset.create(btc)
found: Asset | None = Asset.get_by_uid(btc.uid)
everything: list[Asset] = Asset.query(id__in=[btc.id], per_page=100)
category = msc.AssetCategory.get_or_create(display_name="Core", unique_identifier="core")
category.append_assets(assets=[btc, eth])
category.update_assets(asset_ids=[btc.id, eth.uid])
names: list[str] = [asset.unique_identifier for asset in category.get_assets(as_of=dt.date(2026, 1, 1))]
outcome = Asset.bulk_upsert([{"unique_identifier": "SOL"}], on_error="skip")
made: int = outcome.created
bond = msc.Bond.upsert(unique_identifier="B", issuer_uid=btc.uid, issue_date=dt.date(2026, 1, 1), status="ACTIVE")
msc.Bond.update(bond.uid, maturity_date=None)
deleted: int = Asset.delete(eth.uid)
"""
MISTAKES = """
import msm.client as msc

msc.Asset.upsert(unique_identifier=5)
msc.Asset.upsert(unique_identifier="A", colour="red")
msc.Asset.get_by_uid("x").unique_identifier
category: int = msc.AssetCategory.get_or_create(display_name="Core", unique_identifier="core")
"""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    monkeypatch.setattr(runtime, "_runtime", None)
    msm.start_engine()


@pytest.fixture
def core(engine: None) -> msc.AssetCategory:
    return msc.AssetCategory.get_or_create(display_name="Core", unique_identifier="core", description="Ours")


def assets(*identifiers: str) -> list[msc.Asset]:
    return [msc.Asset.upsert(unique_identifier=identifier) for identifier in identifiers]


def test_get_or_create_keeps_what_is_stored(core: msc.AssetCategory) -> None:
    again = msc.AssetCategory.get_or_create(display_name="Other", unique_identifier="core")
    assert again == core
    assert (again.display_name, again.description) == ("Core", "Ours")


def test_rows_ids_and_uids_mean_the_same(core: msc.AssetCategory) -> None:
    a, b, c, d = assets("A", "B", "C", "D")
    core.append_assets(assets=[a, b.uid, "C"])
    assert core.assets == core.get_assets() == [a, b, c]
    core.append_assets(asset_ids=[d.id, str(a.uid), b])
    assert core.assets == [a, b, c, d], "those that belong are kept"
    core.remove_assets(asset_ids=[a.id, b.uid])
    core.remove_assets(assets=[a])
    assert core.assets == [c, d]
    core.update_assets(asset_ids=[b.id, a.uid, b])
    assert core.assets == [a, b]
    core.update_assets(assets=[])
    assert core.assets == []
    assert {row.unique_identifier for row in msc.Asset.query()} == {"A", "B", "C", "D"}


def test_a_model_row_is_an_asset_too(core: msc.AssetCategory) -> None:
    core.append_assets(assets=[factories.asset(unique_identifier="M")])
    assert [asset.unique_identifier for asset in core.assets] == ["M"]


@pytest.mark.parametrize("verb", ["append_assets", "remove_assets", "update_assets"])
def test_an_unknown_asset_changes_nothing(core: msc.AssetCategory, verb: str) -> None:
    a, b = assets("A", "B")
    core.append_assets(assets=[a])
    for unknown in (9_999_999, uuid.uuid4(), "no such", uuid.uuid4().hex):
        with pytest.raises(UnknownIdentifiers, match="nothing was changed"):
            getattr(core, verb)(asset_ids=[b.id, unknown])
    assert core.assets == [a]
    for wrong in ({}, {"assets": [a], "asset_ids": [a.id]}):
        with pytest.raises(InvalidInput, match="Give one of assets and asset_ids"):
            getattr(core, verb)(**wrong)
    for member in (None, True, 1.5, -1, b"A", [a], {}):
        with pytest.raises(InvalidInput):
            getattr(core, verb)(asset_ids=[member])
    for given in ("A", a, 5, b"A"):
        with pytest.raises(InvalidInput, match="must be a list of assets"):
            getattr(core, verb)(assets=given)
    assert core.assets == [a]


def test_a_category_that_is_gone_says_so(core: msc.AssetCategory) -> None:
    assert msc.AssetCategory.delete(core.uid) == 1
    for call in (core.get_assets, lambda: core.assets, lambda: core.append_assets(asset_ids=[])):
        with pytest.raises(NotFound, match="There is no AssetCategory with uid"):
            call()


def test_more_than_500_members_are_all_told(core: msc.AssetCategory) -> None:
    msc.Asset.bulk_upsert([{"unique_identifier": f"A{number}"} for number in range(503)])
    core.append_assets(assets=msc.Asset.query())
    assert len(core.assets) == 503


def mypy(directory: Path, text: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """mypy as a user runs it who has MSM's checkout on the path and no plugin."""
    (directory / "script.py").write_text(text)
    (directory / "mypy.ini").write_text(f"[mypy]\nmypy_path = {CHECKOUT}\n")
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", *options, "script.py"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_a_users_script_passes_mypy_and_its_mistakes_do_not(tmp_path: Path) -> None:
    assert (CHECKOUT / "msm" / "py.typed").exists()
    passed = mypy(tmp_path, SCRIPT)
    assert passed.returncode == 0, passed.stdout
    refused = mypy(tmp_path, MISTAKES)
    said: list[Any] = [line for line in refused.stdout.splitlines() if "error:" in line]
    assert [line.split(":")[1] for line in said] == ["4", "5", "6", "7"], refused.stdout
