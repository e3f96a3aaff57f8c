"""What is refused before anything is sent."""

import datetime as dt

import pytest

from markets.exceptions import InvalidInput
from markets.openfigi.requests import Filters, MappingJob, mapping_bodies


def test_a_job_is_written_in_the_names_of_the_provider():
    job = MappingJob(
        id_type="BASE_TICKER",
        id_value="IBM",
        market_sector="Equity",
        security_type_2="Option",
        option_type="Call",
        strike=(100, None),
        expiration=(dt.date(2026, 1, 1), dt.date(2026, 12, 31)),
        include_unlisted_equities=True,
    )
    assert job.body() == {
        "idType": "BASE_TICKER",
        "idValue": "IBM",
        "marketSecDes": "Equity",
        "securityType2": "Option",
        "optionType": "Call",
        "strike": [100, None],
        "expiration": ["2026-01-01", "2026-12-31"],
        "includeUnlistedEquities": True,
    }


def test_whole_numbers_are_identifiers_too():
    assert MappingJob(id_type="ID_WERTPAPIER", id_value=851399).body() == {"idType": "ID_WERTPAPIER", "idValue": 851399}


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"id_value": ""}, "id_value", "id_value='' is no text, or blank."),
        ({"id_value": True}, "id_value", "id_value=True is neither text nor a whole number."),
        ({"id_value": 1.5}, "id_value", "id_value=1.5 is neither text nor a whole number."),
        ({"id_value": "A\x00"}, "id_value", "id_value='A\\x00' takes at most 255 printable characters."),
        (
            {"id_type": "ID_BB_GLOBAL", "id_value": "BBG00FNFPQH5"},
            "id_value",
            "'BBG00FNFPQH5' is no FIGI: its check digit is 5 where 4 is due.",
        ),
        (
            {"exchange_code": "US", "mic_code": "XNYS"},
            "mic_code",
            "exchange_code and mic_code exclude each other. Give one of them.",
        ),
        ({"id_type": "BASE_TICKER"}, "security_type_2", "BASE_TICKER needs security_type_2 or market_sector."),
        ({"security_type_2": "Warrant"}, "expiration", "A search for Warrants needs expiration=(from, to)."),
        ({"security_type_2": "Pool"}, "maturity", "A search for Pools needs maturity=(from, to)."),
        ({"option_type": "call"}, "option_type", "option_type='call'; use Put or Call."),
        ({"strike": (2, 1)}, "strike", "strike=(2, 1) ends before it begins."),
        ({"strike": (float("nan"), 1)}, "strike", "strike holds nan, which is no finite number."),
        ({"coupon": (None, None)}, "coupon", "coupon=(None, None); give (from, to), one of which may be None."),
        (
            {"expiration": (dt.date(2026, 1, 1), dt.date(2027, 1, 3))},
            "expiration",
            "expiration spans 367 days; OpenFIGI takes a year at most.",
        ),
        (
            {"maturity": (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None)},
            "maturity",
            "maturity holds datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezone.utc), which is no date.",
        ),
    ],
)
def test_what_the_provider_would_refuse_is_refused_here(fields, field, message):
    job = MappingJob(**({"id_type": "TICKER", "id_value": "IBM"} | fields))
    with pytest.raises(InvalidInput) as caught:
        job.body()
    assert (caught.value.field, str(caught.value)) == (field, message)


def test_the_position_of_a_wrong_job_is_told():
    jobs = [MappingJob(id_type="TICKER", id_value="IBM"), MappingJob(id_type="TICKER", id_value=" ")]
    with pytest.raises(InvalidInput, match=r"^Job 1: id_value=' ' is no text, or blank\.$"):
        mapping_bodies(jobs)


def test_filters_alone_need_no_identifier():
    assert Filters(exchange_code="US", coupon=(0.5, 2.25)).body() == {"exchCode": "US", "coupon": [0.5, 2.25]}
