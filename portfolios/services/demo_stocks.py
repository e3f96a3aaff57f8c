"""The demo's four stocks, from their FIGIs: by OpenFIGI, or by one of this machine where no network answers."""

from collections.abc import Callable
from dataclasses import dataclass

from markets.exceptions import Conflict
from markets.models import Asset
from markets.openfigi.answers import FigiRow
from markets.openfigi.errors import OpenFigiError
from markets.openfigi.fake.server import FakeOpenFigi, FakeServer, FakeSettings
from markets.openfigi.fake.universe import Row
from markets.services.openfigi_lookup import query_rows
from markets.services.openfigi_registration import FoundAsset, register_found

TRIES = 2  # somebody waits for the demo


@dataclass(frozen=True)
class Stock:
    """A stock with its ticker at the time of the demo's prices; OpenFIGI may know it by another one today."""

    ticker: str
    figi: str
    name: str


STOCKS = (
    Stock("AAPL", "BBG000B9XRY4", "APPLE INC"),
    Stock("GOOG", "BBG009S39JX6", "ALPHABET INC-CL A"),
    Stock("IBM", "BBG000BLNNH6", "INTL BUSINESS MACHINES CORP"),
    Stock("MSFT", "BBG000BPH459", "MICROSOFT CORP"),
)


def register_stocks(say: Callable[[str], None]) -> list[Asset]:
    """The assets of the four stocks, in order; OpenFIGI is asked when one of them is not there.

    Raises Conflict when one of their FIGIs is a custom asset.
    """
    figis = [stock.figi for stock in STOCKS]
    stored = {asset.unique_identifier: asset for asset in Asset.objects.filter(unique_identifier__in=figis)}
    custom = [figi for figi, asset in stored.items() if asset.is_custom_by_organization]
    if custom:
        raise Conflict(
            f"The demo's asset {custom[0]} exists as a custom asset of yours. Run the demo in an empty database: set "
            "MSM_DATA_DIR to another directory."
        )
    if len(stored) == len(figis):
        told = ""
    else:
        rows, told = _described(figis)
        stored = {figi: found.asset for figi, found in register_found([FoundAsset(row) for row in rows]).items()}
    say(f"assets: {len(STOCKS)} from their FIGIs ({', '.join(stock.ticker for stock in STOCKS)}){told}")
    return [stored[figi] for figi in figis]


def _described(figis: list[str]) -> tuple[list[FigiRow], str]:
    """What OpenFIGI says of the FIGIs, and who said it."""
    try:
        return query_rows(figis, tries=TRIES), ", described by OpenFIGI"
    except OpenFigiError:
        fake = FakeOpenFigi(FakeSettings(rows=tuple(_row(stock) for stock in STOCKS)))
        with FakeServer(fake) as server:
            return query_rows(figis, api_url=server.url), ", described by an OpenFIGI of this machine"


def _row(stock: Stock) -> Row:
    """What is known of a stock, as OpenFIGI writes it."""
    return {
        "figi": stock.figi,
        "name": stock.name,
        "ticker": stock.ticker,
        "exchCode": "US",
        "compositeFIGI": stock.figi,
        "securityType": "Common Stock",
        "marketSector": "Equity",
        "shareClassFIGI": None,
        "securityType2": "Common Stock",
        "securityDescription": stock.ticker,
    }
