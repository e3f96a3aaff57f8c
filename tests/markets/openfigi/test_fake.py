"""The fake says what the provider said: every recorded answer is replayed against it."""

import json
from pathlib import Path

import httpx
import pytest

from markets.engine.identifiers import figi_fault
from markets.openfigi.fake.universe import MARK, rows_for, security

LIMIT_HEADERS = {"ratelimit-limit", "ratelimit-policy", "ratelimit-remaining", "ratelimit-reset", "retry-after"}


def ask(server, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
    return httpx.request(method, f"{server.url}{path}", json=body, headers=headers)


def exchanges(folder: Path) -> list[tuple[str, dict]]:
    found = []
    for path in sorted(folder.glob("*.json")):
        item = json.loads(path.read_text())
        if isinstance(item, dict) and isinstance(item.get("response"), dict) and item.get("request"):
            found.append((path.stem, item))
    return found


def test_every_recording_is_answered_as_it_was(serve, recordings):
    """Status, headers and body; where a recording keeps no request body, there is nothing to replay."""
    replayed = []
    for name, item in exchanges(recordings):
        request, response = item["request"], item["response"]
        url = str(request.get("url") or "https://api.openfigi.com/v3/mapping")
        body = request.get("body", [{"idType": "TICKER", "idValue": "IBM"}] * request.get("jobs", 1))
        if body is None and "values" not in url and "invalid-endpoint" not in url:
            continue
        server = serve(recordings=recordings)
        key = (request.get("headers") or {}).get("x-openfigi-apikey")
        path = "/v3/" + url.partition("/v3/")[2]
        method = request.get("method", "POST")
        if response["status"] == 429:
            for _ in range(25):
                ask(server, method, path, body)
        answer = ask(server, method, path, body, **({"X-OPENFIGI-APIKEY": key} if key else {}))
        assert answer.status_code == response["status"], name
        recorded = {header.lower(): value for header, value in response["headers"].items()}
        if recorded:
            assert answer.headers["content-type"] == recorded["content-type"], name
            given = LIMIT_HEADERS & set(answer.headers)
            told = LIMIT_HEADERS & set(recorded)
            assert told <= given, name  # 2023's answers had no policy
            assert given - told <= {"ratelimit-policy"}, name
        if isinstance(response["body"], str):
            assert answer.text == response["body"], name
        else:
            assert answer.json() == response["body"], name
        replayed.append(name)
    assert len(replayed) >= 15, replayed


def test_the_rows_of_every_recorded_figi_can_be_asked_for(serve, recordings):
    server = serve(recordings=recordings)
    rows = server.fake.recordings.rows
    assert len(rows) > 130
    assert not [row["figi"] for row in rows if figi_fault(row["figi"])]
    asked = [{"idType": "ID_BB_GLOBAL", "idValue": row["figi"]} for row in rows[:10]]
    assert ask(server, "POST", "/v3/mapping", asked).json() == [{"data": [row]} for row in rows[:10]]


@pytest.mark.parametrize(
    ("job", "answer"),
    [
        ({"idType": "ID_LEI", "idValue": "x"}, {"error": "Invalid value for idType."}),
        ({"idType": "ID_CUSIP", "idValue": "037833101"}, {"error": "Invalid idValue format."}),
        ({"idType": "ID_CUSIP", "idValue": "G0176J109"}, {"error": "Invalid idValue format."}),
        ({"idType": "ID_CINS", "idValue": "037833100"}, {"error": "Invalid idValue format."}),
        ({"idType": "ID_ISIN", "idValue": "US0378331006"}, {"error": "Invalid idValue format."}),
        ({"idType": "ID_BB_GLOBAL", "idValue": "BBG00FNFPQH5"}, {"error": "Invalid idValue format."}),
        ({"idType": "TICKER", "idValue": "NOT THERE"}, {"warning": "No identifier found."}),
        ({"idType": "TICKER", "idValue": "A"}, {"warning": "No identifier found."}),
        (
            {"idType": "TICKER", "idValue": "B", "exchCode": "US", "micCode": "XNYS"},
            {"error": "exchCode and micCode cannot both be set."},
        ),
        ({"idType": "BASE_TICKER", "idValue": "B"}, {"error": "Missing securityType2."}),
        ({"idType": "TICKER", "idValue": "B", "securityType2": "Option"}, {"error": "Missing expiration."}),
        ({"idType": "TICKER", "idValue": "B", "strike": [2, 1]}, {"error": "Invalid value for strike."}),
        (
            {"idType": "TICKER", "idValue": "B", "expiration": ["2026-01-01", "2028-01-01"]},
            {"error": "Invalid value for expiration."},
        ),
        ({"idType": "TICKER", "idValue": "B", "marketSecDes": "Stocks"}, {"error": "Invalid value for marketSecDes."}),
        (7, {"error": "Invalid mapping job."}),
    ],
)
def test_the_rules_of_a_job(serve, job, answer):
    assert ask(serve(), "POST", "/v3/mapping", [job]).json() == [answer]


def test_a_us_share_is_found_by_its_composite_code_but_not_by_a_mic(serve):
    isin = "US5949181045"
    server = serve()
    job = {"idType": "ID_ISIN", "idValue": isin}
    by_code, by_mic = ask(server, "POST", "/v3/mapping", [job | {"exchCode": "US"}, job | {"micCode": "XNAS"}]).json()
    assert [row["exchCode"] for row in by_code["data"]] == ["US"]
    assert by_mic == {"warning": "No identifier found."}


def test_made_up_rows_agree_with_each_other_and_say_what_they_are():
    rows = list(security(123_456_789))
    assert len({row["shareClassFIGI"] for row in rows}) == 1
    composites = {row["compositeFIGI"] for row in rows}
    assert {row["figi"] for row in rows} >= composites
    assert len({row["figi"] for row in rows}) == len(rows) > len(composites)
    assert all(row["name"].startswith(MARK) for row in rows)
    assert not [row for row in rows for key in ("figi", "compositeFIGI", "shareClassFIGI") if figi_fault(row[key])]
    for row in rows:
        assert rows_for("ID_BB_GLOBAL", row["figi"]) == [row]
    assert rows_for("ID_BB_GLOBAL_SHARE_CLASS_LEVEL", rows[0]["shareClassFIGI"]) == rows
    assert all(set(row) == set(rows[0]) for row in rows)
    assert len(rows[0]) == 10


def test_an_isin_and_its_cusip_are_one_security():
    assert rows_for("ID_ISIN", "US0378331005") == rows_for("ID_CUSIP", "037833100")


def test_a_treasury_is_one_row():
    [row] = rows_for("ID_CUSIP", "912828WJ5")
    assert (row["marketSector"], row["compositeFIGI"], row["shareClassFIGI"]) == ("Govt", None, None)
    assert figi_fault(row["figi"]) is None


def test_the_window_begins_with_the_first_request_and_its_headers_count_down(serve):
    server = serve()
    seen = []
    for _ in range(26):
        answer = ask(server, "POST", "/v3/mapping", [{"idType": "TICKER", "idValue": "B"}])
        seen.append((answer.status_code, answer.headers["ratelimit-remaining"]))
    assert seen == [(200, str(left)) for left in range(24, -1, -1)] + [(429, "0")]
    assert answer.text == "Too many requests, please try again later."
    assert answer.headers["retry-after"] == answer.headers["ratelimit-reset"] == "60"
    httpx.post(f"{server.url}/__fake__/clock", json={"advance": 59})
    assert ask(server, "POST", "/v3/mapping", []).status_code == 429
    httpx.post(f"{server.url}/__fake__/clock", json={"advance": 1})
    assert ask(server, "POST", "/v3/mapping", [{"idType": "TICKER", "idValue": "B"}]).status_code == 200


def test_what_is_wrong_with_a_request_is_said_in_text(serve):
    server = serve()
    assert (ask(server, "GET", "/v3/nowhere").status_code, ask(server, "GET", "/v3/nowhere").text) == (
        404,
        "Invalid url.",
    )
    assert ask(server, "GET", "/v3/mapping").status_code == 405
    assert ask(server, "POST", "/v3/mapping", {}).status_code == 400
    assert httpx.post(f"{server.url}/v3/mapping", content=b"{").status_code == 400
    assert ask(server, "POST", "/v3/mapping", [{"idType": "TICKER", "idValue": "B"}] * 11).status_code == 413
    assert ask(server, "POST", "/v3/search", {"query": "X", "start": "forged"}).json() == {
        "error": "Invalid value for start."
    }


def test_a_wrong_plan_is_refused_and_changes_nothing(serve):
    server = serve()
    answer = httpx.post(f"{server.url}/__fake__/plan", json=[{"fault": "earthquake"}])
    assert answer.status_code == 400
    assert "a rule names a fault of too_many_requests" in answer.json()["error"]
    assert ask(server, "POST", "/v3/mapping", [{"idType": "TICKER", "idValue": "B"}]).status_code == 200


def test_the_log_tells_every_request_and_no_key(serve):
    server = serve()
    ask(server, "POST", "/v3/mapping", [{"idType": "TICKER", "idValue": "B"}], **{"X-OPENFIGI-APIKEY": "wrong"})
    [entry] = httpx.get(f"{server.url}/__fake__/log").json()["requests"]
    assert (entry["path"], entry["status"], entry["keyed"]) == ("/v3/mapping", 401, True)
    assert "wrong" not in json.dumps(entry)
