"""AlgoSeek's security master, daily bars and minute bars."""

import msm  # noqa: F401  (sets Django up)
from markets.data_nodes.algoseek.daily import AlgoSeekDailyBars, AlgoSeekDailyConfiguration
from markets.data_nodes.algoseek.master import (
    AlgoSeekSecMasDEM,
    AlgoSeekSecurityMaster,
    AlgoSeekSecurityMasterConfiguration,
    load_security_master,
)
from markets.data_nodes.algoseek.minute import AlgoSeekMinuteBars, AlgoSeekMinuteConfiguration
from markets.engine.algoseek_lookups import DatedLookup, read_figi_lookup, read_ticker_lookup
from markets.engine.algoseek_master import SecurityMaster, read_security_master

__all__ = [
    "AlgoSeekDailyBars",
    "AlgoSeekDailyConfiguration",
    "AlgoSeekMinuteBars",
    "AlgoSeekMinuteConfiguration",
    "AlgoSeekSecMasDEM",
    "AlgoSeekSecurityMaster",
    "AlgoSeekSecurityMasterConfiguration",
    "DatedLookup",
    "SecurityMaster",
    "load_security_master",
    "read_figi_lookup",
    "read_security_master",
    "read_ticker_lookup",
]
