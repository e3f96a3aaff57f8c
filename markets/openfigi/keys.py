"""How OpenFIGI is asked for an identifier of ours."""

from markets.engine.identifier_schemes import IdentifierKey
from markets.exceptions import InvalidInput
from markets.openfigi.requests import COMPOSITE_FIGI, FIGI, SHARE_CLASS_FIGI, MappingJob

ID_TYPES = {
    "figi": FIGI,
    "composite_figi": COMPOSITE_FIGI,
    "share_class_figi": SHARE_CLASS_FIGI,
    "isin": "ID_ISIN",
    "sedol": "ID_SEDOL",
    "ticker": "TICKER",
}
# OpenFIGI finds no share of these markets by its MIC; all of them are its composite US.
US_VENUES = frozenset(
    {
        *("XNYS", "XNAS", "XASE", "ARCX", "BATS", "BATY", "EDGA", "EDGX", "IEXG", "XBOS", "XCHI", "XCIS", "XPHL"),
        *("XNGS", "XNMS", "XNCM", "MEMX", "EPRL", "LTSE", "OTCM", "PINX", "XOTC"),
    }
)


def mapping_job(key: IdentifierKey) -> MappingJob:
    """The job that maps a key. Raises InvalidInput for a scheme that OpenFIGI does not know."""
    if key.scheme == "cusip":  # the shape decides: a leading letter makes it a CINS
        return MappingJob(id_type="ID_CINS" if key.value[0].isalpha() else "ID_CUSIP", id_value=key.value)
    if key.scheme not in ID_TYPES:
        raise InvalidInput(
            f"OpenFIGI knows no {key.scheme}. Register the asset by one that it knows ({', '.join(ID_TYPES)}, cusip), "
            "then add this one to it.",
            field="scheme",
        )
    if key.scheme == "ticker" and key.venue:
        if key.venue in US_VENUES:
            return MappingJob(id_type="TICKER", id_value=key.value, exchange_code="US")
        return MappingJob(id_type="TICKER", id_value=key.value, mic_code=key.venue)
    return MappingJob(id_type=ID_TYPES[key.scheme], id_value=key.value)
