"""A quant's script, outside the checkout and outside Django: start the engine, define a node, run it, read it back."""

import getpass
import subprocess
import sys

import pytest

from tests.scripts import Scripts

pytestmark = pytest.mark.xdist_group("processes")


@pytest.fixture
def script(scripts):
    """Runs a script from a directory of its own against a migrated database."""
    return scripts.run


def test_a_script_defines_a_node_runs_it_and_reads_it_back(script):
    ran = script(
        """
        import datetime as dt
        import pandas as pd
        import msm
        from msm.api.assets import Asset, AssetCategory, AssetType
        from msm.constants import ASSET_TYPE_CRYPTO, ASSET_TYPE_CRYPTO_DEFINITION
        from msm.data_nodes import ColumnMetaData, DataNode, TableMetaData

        msm.start_engine(models=["AssetType", "Asset", "AssetCategory"])
        AssetType.upsert(**ASSET_TYPE_CRYPTO_DEFINITION.as_payload())
        btc = Asset.upsert(unique_identifier="BTC", asset_type="Crypto")
        eth = Asset.upsert(unique_identifier="ETH", asset_type=ASSET_TYPE_CRYPTO)
        assert Asset.upsert(unique_identifier="BTC").uid == btc.uid
        assert [a.unique_identifier for a in Asset.filter(asset_type="CRYPTO", unique_identifier_contains="t")] == [
            "BTC", "ETH"
        ]
        majors = AssetCategory.upsert(unique_identifier="crypto-majors", display_name="Crypto Majors")
        memberships = AssetCategory.replace_memberships(category_uid=majors.uid, asset_uids=[btc.uid, eth.uid])
        assert {m.asset_uid for m in memberships} == {btc.uid, eth.uid}
        assert majors.get_assets() == [btc, eth]
        assert majors.get_assets(as_of=memberships[0].valid_from) == [btc, eth]
        assert majors.get_assets(as_of="2020-01-01") == []
        change = majors.register_spells([(btc, "2019-01-01", "2020-06-01"), ("ETH", dt.date(2020, 1, 1), None)])
        assert (change.added, change.changed, change.removed, change.kept) == (2, 0, 2, 0), change
        assert majors.get_assets(as_of="2020-01-01") == [btc, eth]
        assert majors.get_assets() == [eth]
        assert [(m.asset_uid, m.valid_from.year, m.valid_to) for m in majors.get_memberships()][1] == (
            eth.uid, 2020, None
        )
        majors.remove_assets(assets=[eth])
        assert (majors.get_assets(), majors.get_assets(as_of=dt.date(2021, 1, 1))) == ([], [eth])
        majors.append_assets(assets=[btc, eth])
        assert majors.get_assets() == [btc, eth]

        class Flows(DataNode):
            def __init__(self, scale: float, *args, **kwargs):
                self.scale = scale
                super().__init__(*args, **kwargs)

            def get_asset_list(self):
                return majors.get_assets()

            def update(self):
                start = pd.Timestamp("2026-01-01", tz="UTC")
                index = pd.MultiIndex.from_product(
                    [pd.date_range(start, periods=3), self.update_statistics.asset_list],
                    names=["time_index", "asset_identifier"],
                )
                return pd.DataFrame({"flow": [self.scale * n for n in range(6)]}, index=index)

            def get_table_metadata(self):
                return TableMetaData(identifier="flows", data_frequency_id="1d")

            def get_column_metadata(self):
                return [ColumnMetaData(column_name="flow", dtype="float64", label="Flow")]

        persisted = Flows(2.0).run(debug_mode=True, force_update=True)
        assert len(persisted) == 6
        read = Flows(2.0).get_df_between_dates(
            start_date=dt.datetime(2026, 1, 2, tzinfo=dt.UTC), unique_identifier_list=["ETH"]
        )
        assert read["flow"].tolist() == [6.0, 10.0], read
        again = Flows(2.0)
        assert again.run().empty
        print("run", again.last_run.status, again.get_last_observation()["flow"].tolist())
        """
    )
    assert ran.returncode == 0, ran.stderr
    assert "run up_to_date [8.0, 10.0]" in ran.stdout


def test_importing_the_api_touches_no_server_and_a_row_call_tells_the_remedy(environment, data_directory, tmp_path):
    # given no server and no migrated database
    text = """
import msm.client, msm.constants, msm.data_nodes, msm.services
import msm.api.accounts, msm.api.assets, msm.api.calendars, msm.api.derivatives, msm.api.indices, msm.api.issuers
import msm.api.portfolios, msm.api.virtual_funds
assert msm.client.Asset is msm.api.assets.Asset
try:
    msm.api.assets.Asset.filter()
except RuntimeError as error:
    print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", text], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == (
        "Asset needs the engine, which is not started. Call once at start-up: import msm; "
        'msm.start_engine(models=["Asset"])'
    )
    assert not (data_directory / "pg").exists()


@pytest.mark.parametrize(
    ("call", "message"),
    [  # each call follows `start = msm.start_engine`
        ('start(models=["Aset"])', "There is no model 'Aset'. Did you mean Asset or AssetType"),
        ('start(management_mode="x")', "management_mode='x'; use platform_managed or external_registered."),
        (
            'msm.start_engine(models=["Calendar"]); Asset.filter()',
            'Add it: import msm; msm.start_engine(models=["Asset"])',
        ),
        (
            'msm.start_engine(models=["Asset"]); Asset.filter(isin="x")',
            "Asset has no field 'isin'. It has asset_type, ",
        ),
        ('start(models=["Asset"]); Asset.get_by_uid("x")', "uid='x' is not a UUID."),
        (
            'msm.start_engine(models=["Asset"]); Asset.upsert(unique_identifier=" ")',
            "unique_identifier must not be blank.",
        ),
    ],
)
def test_every_mistake_is_answered_by_one_clear_error(script, call, message):
    ran = script(f"import msm\nfrom msm.api.assets import Asset\nstart = msm.start_engine\n{call}\n")
    assert ran.returncode == 1
    assert message in ran.stderr.strip().splitlines()[-1]


def test_the_engine_never_creates_a_table(environment, data_directory, tmp_path):
    text = 'import msm; msm.start_engine(models=["Asset"])'
    ran = subprocess.run(
        [sys.executable, "-c", text], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 1
    assert (
        ran.stderr.strip()
        .splitlines()[-1]
        .endswith("The database has no table markets_asset. Create them: .venv/bin/python manage.py migrate")
    )


def test_references_are_attached_and_the_same_engine_is_returned(script):
    ran = script(
        """
        import msm
        first = msm.start_engine(models=["AssetCategoryMembership", "Asset"])
        assert list(first.meta_tables) == ["Asset", "AssetCategory", "AssetCategoryMembership"], first.meta_tables
        assert msm.start_engine(models=["Asset", "AssetCategoryMembership"]) is first
        assert msm.start_engine(models=["Portfolio"]) is first
        assert list(first.meta_tables) == [
            "Asset", "AssetCategory", "AssetCategoryMembership", "Calendar", "Portfolio"
        ], first.meta_tables
        """
    )
    assert ran.returncode == 0, ran.stderr


def test_what_a_script_writes_is_recorded_with_its_user_and_its_reason(script):
    ran = script(
        """
        import getpass
        import msm
        from msm.api.assets import Asset

        msm.start_engine(models=["Asset"])
        with msm.because("delisted on 2026-05-22"):
            Asset.upsert(unique_identifier="BTC")
        Asset.bulk_upsert([{"unique_identifier": "BTC", "asset_type": "crypto"}])

        from markets.models import Change

        changes = Change.objects.order_by("id").filter(table_name="markets_asset")
        found = [(c.operation, c.source, c.actor, c.reason) for c in changes]
        me = getpass.getuser()
        assert found == [("I", "Python", me, "delisted on 2026-05-22"), ("U", "Python", me, None)], found
        print("done")
        """
    )
    assert ran.stdout.strip() == "done", ran.stderr


def test_what_a_command_writes_is_recorded_as_its_doing(scripts: Scripts) -> None:
    scripts.output(
        """
        import msm
        from django.contrib.auth.models import User
        User.objects.create_user("ann", password="correct horse battery")
        """
    )
    assert scripts.manage("create_token", "ann").returncode == 0
    recorded = scripts.rows("SELECT source, actor FROM markets_change WHERE table_name = 'markets_accesstoken'")
    assert recorded == [("command", getpass.getuser())]
