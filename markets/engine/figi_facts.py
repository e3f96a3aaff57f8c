"""What a file tells of the instrument that a FIGI names."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FigiFacts:
    """Only what the file says; None where it says nothing. `exchange` is in the file's own spelling."""

    ticker: str | None = None
    name: str | None = None
    exchange: str | None = None
    isin: str | None = None
    asset_type: str | None = None
