"""The five outcomes of a job stay apart."""

import pytest

from markets.openfigi.answers import Outcome, read_mapping

ROW = {
    "figi": "BBG000B9XRY4",
    "name": "APPLE INC",
    "ticker": "AAPL",
    "exchCode": "US",
    "compositeFIGI": "BBG000B9XRY4",
    "securityType": "Common Stock",
    "marketSector": "Equity",
    "shareClassFIGI": "BBG001S5N8V8",
    "securityType2": "Common Stock",
    "securityDescription": "AAPL",
}


def only(entry: object) -> tuple[Outcome, str]:
    [answer] = read_mapping([entry], 1)
    assert bool(answer.rows) == (answer.outcome == Outcome.FOUND)
    return answer.outcome, answer.message


def test_a_found_row_comes_under_our_names_with_the_row_as_it_was():
    [answer] = read_mapping([{"data": [ROW | {"newField": "x"}]}], 1)
    assert answer.outcome == Outcome.FOUND
    [row] = answer.rows
    assert (row.figi, row.composite, row.share_class) == ("BBG000B9XRY4", "BBG000B9XRY4", "BBG001S5N8V8")
    assert (row.ticker, row.name, row.exchange_code) == ("AAPL", "APPLE INC", "US")
    assert (row.security_type, row.security_type_2, row.security_market_sector) == (
        "Common Stock",
        "Common Stock",
        "Equity",
    )
    assert (row.security_description, row.metadata) == ("AAPL", None)
    assert row.raw == ROW | {"newField": "x"}


def test_keys_that_are_missing_are_none():
    [answer] = read_mapping([{"data": [{"figi": "BBG000B9XRY4"}]}], 1)
    assert (answer.rows[0].ticker, answer.rows[0].composite) == (None, None)


@pytest.mark.parametrize(
    ("entry", "outcome"),
    [
        ({"warning": "No identifier found."}, Outcome.NOT_FOUND),
        ({"error": "No identifier found."}, Outcome.NOT_FOUND),
        ({"error": "Invalid idValue format."}, Outcome.REJECTED),
        ({"error": "Invalid value for idType."}, Outcome.REJECTED),
        ({"error": "Something new."}, Outcome.ERROR),
        ({"warning": "Something new."}, Outcome.ERROR),
        ({"warning": "Invalid idValue format."}, Outcome.ERROR),
        ({}, Outcome.MALFORMED),
        (None, Outcome.MALFORMED),
        ("data", Outcome.MALFORMED),
        ({"data": []}, Outcome.MALFORMED),
        ({"data": "x"}, Outcome.MALFORMED),
        ({"data": [ROW], "error": "x"}, Outcome.MALFORMED),
        ({"error": 5}, Outcome.MALFORMED),
        ({"data": [None]}, Outcome.MALFORMED),
        ({"data": [ROW | {"figi": None}]}, Outcome.MALFORMED),
        ({"data": [ROW | {"figi": "BBG000B9XRY5"}]}, Outcome.MALFORMED),
        ({"data": [ROW | {"shareClassFIGI": "x"}]}, Outcome.MALFORMED),
        ({"data": [ROW | {"ticker": 5}]}, Outcome.MALFORMED),
        ({"data": [ROW | {"name": "A\x00"}]}, Outcome.MALFORMED),
    ],
)
def test_each_answer_has_one_outcome(entry, outcome):
    assert only(entry)[0] == outcome


@pytest.mark.parametrize("body", [[{"data": [ROW]}], [{"data": [ROW]}] * 3, {"data": [ROW]}, None, "x"])
def test_answers_that_cannot_be_paired_with_their_jobs_are_all_malformed(body):
    answers = read_mapping(body, 2)
    assert [answer.outcome for answer in answers] == [Outcome.MALFORMED] * 2
    assert all("none can be paired with its job" in answer.message for answer in answers)
