"""Single questions to OpenFIGI: a FIGI, an ISIN on an exchange, tickers, a search. Nothing is stored."""

from collections.abc import Sequence

from markets.engine.identifier_schemes import identifier_key
from markets.exceptions import InvalidInput, NotFound
from markets.openfigi.answers import Answer, FigiRow, Outcome
from markets.openfigi.client import MOST_TRIES
from markets.openfigi.errors import OpenFigiUnavailable
from markets.openfigi.requests import FIGI, Filters, MappingJob
from markets.services.openfigi_access import openfigi_client

MOST_TICKERS = 10_000


class FigiNotFound(NotFound):
    """OpenFIGI knows no such identifier."""

    code = "figi_not_found"


class AmbiguousIdentifier(InvalidInput):
    """OpenFIGI knows several instruments where one was asked for; `rows` has them."""

    code = "ambiguous_identifier"

    def __init__(self, message: str, rows: Sequence[FigiRow]) -> None:
        super().__init__(message, field="figi")
        self.rows = list(rows)


def query_by_figi(figi: str, *, api_key: str | None = None, api_url: str | None = None) -> FigiRow:
    """The instrument of a FIGI. Raises InvalidInput for a wrong one, FigiNotFound, AmbiguousIdentifier."""
    key = identifier_key("figi", figi)
    return _one([MappingJob(id_type=FIGI, id_value=key.value)], f"FIGI {key.value}", api_key, api_url)


def query_by_isin(isin: str, exchange_code: str, *, api_key: str | None = None, api_url: str | None = None) -> FigiRow:
    """The instrument that an ISIN names on an exchange, by OpenFIGI's code of it. Errors as `query_by_figi`."""
    key = identifier_key("isin", isin)
    job = MappingJob(id_type="ID_ISIN", id_value=key.value, exchange_code=exchange_code)
    return _one([job], f"ISIN {key.value} on {exchange_code}", api_key, api_url)


def query_figi(
    tickers: Sequence[str],
    *,
    market_sector: str,
    exchange_code: str | None = None,
    security_type: str | None = None,
    security_type_2: str | None = None,
    api_key: str | None = None,
    api_url: str | None = None,
) -> list[FigiRow]:
    """All instruments of tickers in a market sector, in the tickers' order; none for a ticker without any."""
    if isinstance(tickers, str) or len(tickers) > MOST_TICKERS:
        raise InvalidInput(f"tickers takes a list of at most {MOST_TICKERS:,}.", field="tickers")
    jobs = [
        MappingJob(
            id_type="TICKER",
            id_value=ticker,
            market_sector=market_sector,
            exchange_code=exchange_code,
            security_type=security_type,
            security_type_2=security_type_2,
        )
        for ticker in tickers
    ]
    with openfigi_client(api_key=api_key, base_url=api_url) as client:
        answers = client.map(jobs)
    for ticker, answer in zip(tickers, answers, strict=True):
        _refuse_unusable(answer, f"ticker {ticker}")
    return [row for answer in answers for row in answer.rows]


def search_figi(
    query: str,
    market_sector: str = "All",
    *,
    exchange_code: str | None = None,
    security_type: str | None = None,
    security_type_2: str | None = None,
    include_unlisted_equities: bool = False,
    most: int = 15_000,
    api_key: str | None = None,
    api_url: str | None = None,
) -> list[FigiRow]:
    """Instruments whose name or ticker matches, all pages, at most `most`; market_sector="All" searches every one."""
    filters = Filters(
        market_sector=None if market_sector == "All" else market_sector,
        exchange_code=exchange_code,
        security_type=security_type,
        security_type_2=security_type_2,
        include_unlisted_equities=include_unlisted_equities,
    )
    if not isinstance(query, str) or not query.strip():
        raise InvalidInput("query is blank. Give words of a name, or a ticker.", field="query")
    with openfigi_client(api_key=api_key, base_url=api_url) as client:
        return list(client.search(query.strip(), filters, most=most))


def query_rows(
    figis: Sequence[str], *, api_key: str | None = None, api_url: str | None = None, tries: int = MOST_TRIES
) -> list[FigiRow]:
    """The instrument of each FIGI, in order; all of them or an error as of `query_by_figi`."""
    keys = [identifier_key("figi", figi) for figi in figis]
    with openfigi_client(api_key=api_key, base_url=api_url, tries=tries) as client:
        answers = client.map([MappingJob(id_type=FIGI, id_value=key.value) for key in keys])
    return [_only(answer, f"FIGI {key.value}") for key, answer in zip(keys, answers, strict=True)]


def _one(jobs: Sequence[MappingJob], what: str, api_key: str | None, api_url: str | None) -> FigiRow:
    with openfigi_client(api_key=api_key, base_url=api_url) as client:
        return _only(client.map(jobs)[0], what)


def _only(answer: Answer, what: str) -> FigiRow:
    _refuse_unusable(answer, what)
    if answer.outcome == Outcome.NOT_FOUND:
        raise FigiNotFound(f"OpenFIGI knows no {what}. Check it, or register the asset by hand.")
    rows = list({row.figi: row for row in answer.rows}.values())
    if len(rows) != 1:
        raise AmbiguousIdentifier(
            f"OpenFIGI knows {len(rows)} instruments for {what}, where one was expected. Name the exchange, or one of "
            "their FIGIs.",
            rows,
        )
    return rows[0]


def _refuse_unusable(answer: Answer, what: str) -> None:
    if answer.outcome == Outcome.REJECTED:
        raise InvalidInput(f"OpenFIGI refuses {what}: {answer.message}", field="figi")
    if answer.outcome in (Outcome.ERROR, Outcome.MALFORMED):
        raise OpenFigiUnavailable(f"OpenFIGI's answer to {what} could not be used: {answer.message} Try again later.")
