"""Seed 001, AlgoSeek: its code in a module of nodes, run by a script; `mainsequence.client` is `msm.client`.

The document prints parts of a module. What it leaves out is in PRELUDE and in the classes around the parts; the files
are generated in the documented shape, over real FIGIs.
"""

import datetime as dt
import textwrap
from pathlib import Path

import pytest

from markets.engine.algoseek_sample import SECURITIES, daily_frame, write_daily, write_master
from tests.scripts import Scripts
from tests.seeds.documents import (
    CLIENT,
    DAILY_ASSETS,
    DAILY_CONSTRUCTOR,
    FIGI_MAP,
    MASTER_ASSETS,
    QUERY,
    RANGE_MAP,
    READ,
    REGISTER,
    REGISTER_ONE,
)

pytestmark = pytest.mark.xdist_group("processes")
DAYS = [dt.date(2022, 1, 3), dt.date(2022, 7, 1)]
PRELUDE = CLIENT.replace("mainsequence.client", "msm.client") + (
    """
import datetime
from pathlib import Path
from typing import Dict, List

import pandas as pd

from markets.data_nodes.reads import RangeMap as UniqueIdentifierRangeMap
from msm.data_nodes import DataNode, TableMetaData
from msm.data_nodes.algoseek import AlgoSeekSecMasDEM as BaseMaster
from msm.data_nodes.algoseek import load_security_master as _load_security_master_mapping_figi_rows
"""
)
MODULE = (
    PRELUDE
    + REGISTER
    + "\n\nclass AlgoSeekSecMasDEM(BaseMaster):\n"
    + textwrap.indent(textwrap.dedent(MASTER_ASSETS), "    ")
    + "\n\nclass Daily(DataNode):\n    OFFSET_START = datetime.datetime(1900, 1, 1, tzinfo=datetime.UTC)\n\n"
    + textwrap.indent(DAILY_CONSTRUCTOR, "    ")
    + "\n"
    + DAILY_ASSETS
    + """
    def _iter_minute_gz_files(self):
        return sorted(Path(self.daily_dir).glob("*.csv"))

    def _secid_from_path(self, path):
        return path.stem

    def update(self):
        parts = []
        for path in self._iter_minute_gz_files():
            rows = pd.read_csv(path, dtype={"TradeDate": str})
            local = pd.to_datetime(rows.TradeDate + " " + rows.CloseTime).dt.tz_localize("America/New_York")
            for figi in self.sec_id_to_figi_map[self._secid_from_path(path)]:
                bars = pd.DataFrame({"time_index": local.dt.tz_convert("UTC"), "close": rows.ClosePrice})
                parts.append(bars.assign(unique_identifier=figi))
        return pd.concat(parts).set_index(["time_index", "unique_identifier"])

    def get_table_metadata(self):
        return TableMetaData(identifier="tutorial_daily")
"""
)
LAUNCH = """
import inspect, sys
sys.path.insert(0, {directory!r})
import msm.client as msc
msc.start_engine()
from nodes import *

node = Daily(daily_dir={daily!r}, security_master_path={master!r}, is_demo=True)
frame = node.run()
print(len(frame), node.sec_id_to_figi_map["33008"], node.security_master_node.mapping.shape[0])
"""


@pytest.fixture
def files(scripts: Scripts) -> dict[str, str]:
    directory = scripts.directory
    (directory / "nodes.py").write_text(MODULE)
    master = write_master(directory / "master.csv", SECURITIES)
    for secid in (33008, 33449):
        frame = daily_frame(secid, "T", DAYS, seed=secid)
        write_daily(directory / "daily" / f"{secid}.csv", frame, "adjusted")
    return {"directory": str(directory), "daily": str(directory / "daily"), "master": str(master)}


def test_the_tutorials_nodes_register_run_and_replicate(scripts: Scripts, files: dict[str, str]) -> None:
    """Twice: the second run finds every asset and adds no bar."""
    launch = LAUNCH.format(**files)
    assert scripts.output(launch) == "6 ['BBG000B9WH86', 'BBG00DYNJGH9'] 21\n"
    assert scripts.output(launch).startswith("0 ['BBG000B9WH86', 'BBG00DYNJGH9']")
    assert scripts.rows("SELECT count(*) FROM markets_asset WHERE NOT is_custom_by_organization") == [(21,)]
    assert scripts.rows('SELECT count(*) FROM "algoseek_security_master_DEMO"') == [(21,)]
    assert scripts.rows(
        "SELECT asset_identifier, time_index FROM tutorial_daily WHERE asset_identifier LIKE 'BBG00DY%%' ORDER BY 2"
    ) == [
        ("BBG00DYNJGH9", dt.datetime(2022, 1, 3, 21, tzinfo=dt.UTC)),
        ("BBG00DYNJGH9", dt.datetime(2022, 7, 1, 20, tzinfo=dt.UTC)),
    ]


def test_the_lines_that_the_document_looks_at_one_by_one(scripts: Scripts, files: dict[str, str]) -> None:
    ask = (
        "figis, batch_size, figi = ['BBG000B9XRY4', 'BBG00DYNJGH9'], 500, 'BBG000BLNNH6'\n"
        + QUERY.strip()
        + "\nasset = "
        + REGISTER_ONE
        + "print([row.unique_identifier for row in existing_assets], asset.unique_identifier)\n"
        + "self, update_statistics = node, node.update_statistics\n"
        + RANGE_MAP
        + "print(len(last_observation), last_observation['close'].notna().all())\n"
        + FIGI_MAP
        + "print(self.sec_id_to_figi_map['1140088'])\n"
        + READ
        + "    pass\n"
        + "names = lambda call: [(item.name, item.default) for item in inspect.signature(call).parameters.values()]\n"
        + "told, ours = names(get_df_between_dates), names(DataNode.get_df_between_dates)\n"
        + "print(told == ours[: len(told)])\n"
        + "more = list(inspect.signature(DataNode.get_df_between_dates).parameters.values())[len(told) :]\n"
        + "print([(item.name, item.kind.name, item.default) for item in more])\n"
    )
    printed = scripts.output(LAUNCH.format(**files) + ask).splitlines()[1:]
    assert printed == [
        "['BBG000B9XRY4', 'BBG00DYNJGH9'] BBG000BLNNH6",
        "6 True",
        "['BBG000C0D2G9', 'BBG007SRSSN7']",
        "True",
        # what the document does not have is given by name, and left out it changes nothing
        "[('dimension_filters', 'KEYWORD_ONLY', None), ('index_coordinates', 'KEYWORD_ONLY', None), "
        "('dimension_range_map', 'KEYWORD_ONLY', None)]",
    ]


def test_a_figi_with_a_wrong_check_digit_stops_the_registration(scripts: Scripts, files: dict[str, str]) -> None:
    text = Path(files["master"]).read_text()
    Path(files["master"]).write_text(text.replace("BBG000B9XRY4", "BBG000B9XRY5"))
    error = scripts.last_error(LAUNCH.format(**files))
    assert "line 3: FIGI='BBG000B9XRY5' is no FIGI: its check digit is 5 where 4 is due" in error
    assert scripts.rows("SELECT count(*) FROM markets_asset") == [(0,)]
