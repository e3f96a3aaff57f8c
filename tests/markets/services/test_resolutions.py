"""Lists of identifiers become assets: what is known is not asked, what leaves a choice waits for a person."""

from dataclasses import replace

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from markets.exceptions import Conflict, InvalidInput
from markets.models import (
    Asset,
    AssetIdentifier,
    AssetSnapshot,
    FigiAnswer,
    HomeMarketPolicy,
    ItemStatus,
    JobStatus,
    OpenFigiDetails,
    PendingResolution,
    RememberedDecision,
    Resolution,
    ResolutionItem,
)
from markets.openfigi.fake.universe import NOT_FOUND_EVERY, made_figi, rows_for, security, ticker_of
from markets.services import jobs
from markets.services.figi_registration import register_assets_from_figis
from markets.services.resolutions import (
    accept,
    decide_by_rule,
    decline,
    inbox,
    postpone,
    preview_rule,
    resume_resolution,
    submit_resolution,
)
from tests import factories

pytestmark = pytest.mark.django_db

APPLE = "US0378331005"
MICROSOFT = "US5949181045"  # of one composite, in the fake's world
MANY_LISTINGS = [
    isin
    for isin in ("US4592001014", "US02079K3059", "US0231351067", "US88160R1014")
    if len({row["compositeFIGI"] for row in rows_for("ID_ISIN", isin)}) > 1
][:1]


@pytest.fixture
def home() -> HomeMarketPolicy:
    return HomeMarketPolicy.objects.create(source="default", exchange_codes=["US", "GR"])


def resolve(*lines: str, source: str = "") -> Resolution:
    submitted = submit_resolution(lines, title="test", source=source, here=True)
    jobs.execute(str(submitted.job.uid))
    submitted.resolution.refresh_from_db()
    return submitted.resolution


def outcomes(resolution: Resolution) -> list[tuple[str, str, str | None]]:
    rows = resolution.items.select_related("asset").order_by("line")
    return [(row.text, row.status, row.asset.unique_identifier if row.asset else None) for row in rows]


def home_figi(isin: str) -> str:
    """The composite that the policy of these tests prefers."""
    rows = rows_for("ID_ISIN", isin)
    for code in ("US", "GR"):
        found = [row["figi"] for row in rows if row["exchCode"] == code]
        if found:
            return found[0]
    raise AssertionError


def test_an_isin_becomes_an_asset_with_details_identifiers_and_snapshot(openfigi, home):
    resolution = resolve(APPLE)
    figi = home_figi(APPLE)
    assert outcomes(resolution) == [(APPLE, "registered", figi)]
    asset = Asset.objects.get()
    row = next(row for row in rows_for("ID_ISIN", APPLE) if row["figi"] == figi)
    assert (asset.unique_identifier, asset.asset_type, asset.is_custom_by_organization) == (figi, "equity", False)
    details = OpenFigiDetails.objects.get()
    assert (details.figi, details.share_class, details.ticker) == (figi, row["shareClassFIGI"], row["ticker"])
    assert details.raw_payload == row
    assert sorted(AssetIdentifier.objects.values_list("scheme", "value", "source")) == sorted(
        [
            ("figi", figi, "openfigi"),
            ("composite_figi", row["compositeFIGI"], "openfigi"),
            ("share_class_figi", row["shareClassFIGI"], "openfigi"),
            ("isin", APPLE, "openfigi"),
        ]
    )
    evidence = AssetIdentifier.objects.get(scheme="isin").evidence
    assert evidence == {"openfigi_answer": FigiAnswer.objects.get().pk, "asked": [f"isin {APPLE}"]}
    snapshot = AssetSnapshot.objects.get()
    assert (snapshot.asset_identifier, snapshot.ticker, snapshot.name) == (figi, row["ticker"], row["name"])
    assert snapshot.asset_ticker_group_id == row["shareClassFIGI"]
    assert resolution.job.status == JobStatus.SUCCEEDED
    assert resolution.job.counters == {"registered": 1}


def test_each_line_ends_in_exactly_one_outcome_and_repetitions_are_asked_once(openfigi, home):
    unknown = ticker_of(NOT_FOUND_EVERY)
    lines = ["# a list", APPLE, "", APPLE, "US0378331006", f"ticker:{unknown}", "isin:US5949181045", APPLE.lower()]
    resolution = resolve(*lines)
    assert outcomes(resolution) == [
        (APPLE, "registered", home_figi(APPLE)),
        ("US0378331006", "rejected", None),
        (f"ticker:{unknown}", "not_found", None),
        ("isin:US5949181045", "registered", home_figi(MICROSOFT)),
    ]
    assert (resolution.lines, resolution.repeated) == (6, 2)
    [entry] = openfigi.fake.log
    assert entry["id_values"] == [APPLE, unknown, MICROSOFT]


def test_a_second_run_of_the_same_list_sends_no_request(openfigi, home):
    lines = [APPLE, MICROSOFT, f"ticker:{ticker_of(NOT_FOUND_EVERY)}", "ticker:B", "US0378331006"]
    first = resolve(*lines)
    assert first.requests_sent == 1
    openfigi.fake.log.clear()
    second = resolve(*lines)
    assert openfigi.fake.log == []
    assert second.requests_sent == 0
    assert [status for _, status, _ in outcomes(second)] == ["known", "known", "not_found", "known", "rejected"]
    assert [asset for *_, asset in outcomes(second)] == [asset for *_, asset in outcomes(first)]


def test_what_was_not_found_is_asked_again_when_that_may_have_changed(openfigi, home, settings):
    resolve(f"ticker:{ticker_of(NOT_FOUND_EVERY)}")
    FigiAnswer.objects.update(expires_at="2020-01-01T00:00:00Z")
    openfigi.fake.log.clear()
    resolve(f"ticker:{ticker_of(NOT_FOUND_EVERY)}")
    assert len(openfigi.fake.log) == 1


def test_without_a_home_market_what_has_many_listings_waits_for_a_person(openfigi):
    resolution = resolve(APPLE)
    assert [status for _, status, _ in outcomes(resolution)] == ["review"]
    assert not Asset.objects.exists()
    [item] = inbox()
    assert item.message.startswith("16 candidates: ")
    assert item.answer is not None


def test_the_home_market_of_the_source_goes_before_the_default(openfigi, home):
    HomeMarketPolicy.objects.create(source="frankfurt_desk", exchange_codes=["GR"])
    number = next(n for n in range(1, 10_000) if n % NOT_FOUND_EVERY
                  and {"US", "GR"} <= {row["exchCode"] for row in security(n)})  # fmt: skip
    line = f"ticker:{ticker_of(number)}"
    rows = list(security(number))
    by_code = {row["exchCode"]: row["figi"] for row in rows}
    assert outcomes(resolve(line))[0][2] == by_code["US"]
    assert outcomes(resolve(line, source="frankfurt_desk"))[0][2] == by_code["GR"]
    assert Asset.objects.count() == 2


def test_an_accepted_candidate_is_registered_and_remembered(openfigi):
    user = factories.user()
    [item] = resolve(APPLE).items.all()
    figi = rows_for("ID_ISIN", APPLE)[0]["figi"]
    done = accept(item, figi, user=user, reason="the primary listing")
    assert (done.status, done.asset.unique_identifier, done.decided_by) == ("registered", figi, user)
    assert not inbox().exists()
    decision = RememberedDecision.objects.get()
    assert (decision.scheme, decision.value, decision.figi, decision.reason) == (
        "isin",
        APPLE,
        figi,
        "the primary listing",
    )
    with pytest.raises(Conflict, match="was decided meanwhile"):
        accept(item, figi, user=user)
    openfigi.fake.log.clear()
    assert outcomes(resolve(APPLE)) == [(APPLE, "known", figi)]
    assert openfigi.fake.log == []


def test_a_figi_that_is_no_candidate_is_refused(openfigi):
    [item] = resolve(APPLE).items.all()
    with pytest.raises(InvalidInput, match="is none of the candidates"):
        accept(item, "BBG000B9XRY4", user=None)
    assert inbox().count() == 1
    assert not Asset.objects.exists()


def test_a_declined_identifier_is_not_put_to_anybody_again(openfigi):
    [item] = resolve(APPLE).items.all()
    assert decline(item, user=None, reason="a fund, not a share").status == ItemStatus.DECLINED
    again = resolve(APPLE)
    assert [status for _, status, _ in outcomes(again)] == ["declined"]
    assert again.items.get().message == "Declined before. a fund, not a share"
    assert not Asset.objects.exists()
    assert [status for _, status, _ in outcomes(resolve(APPLE, source="other"))] == ["review"]


def test_what_is_put_off_comes_last(openfigi):
    resolution = resolve(APPLE, *MANY_LISTINGS)
    first, second = resolution.items.all()
    postpone(first)
    assert [item.text for item in inbox()] == [second.text, first.text]


def test_a_rule_decides_what_is_plain_and_leaves_the_rest(openfigi):
    numbers = [n for n in range(1, 200) if n % NOT_FOUND_EVERY][:20]
    resolution = resolve(*(f"ticker:{ticker_of(n)}" for n in numbers))
    waiting = list(inbox())
    plain = [item for item in waiting if any(row["exchCode"] == "US" for row in item.answer.rows)]
    done = decide_by_rule(waiting, ["us"], user=None)
    assert (done.accepted, done.left) == (len(plain), len(waiting) - len(plain))
    assert done.left > 0
    assert {item.pk for item in inbox()} == {item.pk for item in waiting} - {item.pk for item in plain}
    assert RememberedDecision.objects.count() == done.accepted
    assert resolution.items.filter(status="registered").count() == done.accepted + 20 - len(waiting)
    with pytest.raises(InvalidInput, match="at least one home market"):
        decide_by_rule(waiting, [" "], user=None)


def test_an_index_is_no_asset(openfigi, home):
    figi = made_figi(123, 1)
    FigiAnswer.objects.create(
        job_hash=_hash(figi),
        job={"idType": "ID_BB_GLOBAL", "idValue": figi},
        outcome="found",
        rows=[{"figi": figi, "marketSector": "Index", "name": "X"}],
        asked_at="2026-01-01T00:00:00Z",
    )
    [item] = resolve(figi).items.all()
    assert (item.status, item.message) == (
        "rejected",
        "It is an index, not an asset. Register it with register_index_from_figi.",
    )
    assert not Asset.objects.exists()


def _hash(figi: str) -> str:
    from markets.services.resolutions.answers import hash_of

    return hash_of({"idType": "ID_BB_GLOBAL", "idValue": figi})


def test_assets_that_wait_for_openfigi_get_what_it_says(openfigi, settings):
    # given two that were registered while OpenFIGI could not be asked
    known, unknown = made_figi(5, 1), made_figi(NOT_FOUND_EVERY * 3, 60)
    url, settings.OPENFIGI_BASE_URL = settings.OPENFIGI_BASE_URL, ""
    register_assets_from_figis([known, unknown], source="a file")
    assert PendingResolution.objects.filter(status="pending").count() == 2
    # when
    settings.OPENFIGI_BASE_URL = url
    resolution = resolve(known, unknown)
    # then
    assert outcomes(resolution) == [(known, "known", known), (unknown, "not_found", None)]
    assert OpenFigiDetails.objects.get(figi=known).name == "SYNTHETIC GRANITE SOFTWARE 5"
    assert Asset.objects.get(unique_identifier=known).asset_type == "equity"
    rows = PendingResolution.objects.values_list("value", "status", "attempts")
    assert set(rows) == {(known, "resolved", 1), (unknown, "refused", 1)}
    openfigi.fake.log.clear()
    assert outcomes(resolve(known)) == [(known, "known", known)]
    assert openfigi.fake.log == []


@pytest.mark.parametrize("fault", ["short_array", "extra_null"])
def test_an_answer_that_cannot_be_used_is_asked_for_again_and_then_fails(openfigi, home, fault, monkeypatch):
    monkeypatch.setattr("markets.services.resolutions.execution.PAUSE", 0)
    openfigi.fake.plan.replace([{"fault": fault, "times": 1}])
    assert [status for _, status, _ in outcomes(resolve(APPLE, MICROSOFT))] == ["registered", "registered"]
    assert len(openfigi.fake.log) == 2
    openfigi.fake.plan.replace([{"fault": fault}])
    resolution = resolve("ticker:B", "ticker:C")
    assert [status for _, status, _ in outcomes(resolution)] == ["failed", "failed"]
    assert Asset.objects.count() == 2
    openfigi.fake.plan.replace([])
    job = resume_resolution(resolution)
    jobs.execute(str(job.uid))
    assert [status for _, status, _ in outcomes(resolution)] == ["registered", "registered"]
    with pytest.raises(Conflict, match="Every identifier of test has its outcome"):
        resume_resolution(resolution)


def test_a_provider_that_is_down_ends_the_job_and_loses_nothing(openfigi, home, monkeypatch):
    monkeypatch.setattr("markets.openfigi.client.FIRST_PAUSE", 0)
    openfigi.fake.plan.replace([{"match": {"id_value": MICROSOFT}, "fault": "server_error", "status": 503}])
    lines = [APPLE, *(f"ticker:{ticker_of(n)}" for n in range(18, 27)), MICROSOFT]
    resolution = resolve(*lines)
    resolution.job.refresh_from_db()
    assert resolution.job.status == JobStatus.FAILED
    assert "did not answer after 5 tries: it answered 503" in resolution.job.error
    assert [status for _, status, _ in outcomes(resolution)][:1] == ["registered"]
    assert outcomes(resolution)[-1] == (MICROSOFT, "pending", None)
    openfigi.fake.plan.replace([])
    jobs.execute(str(resume_resolution(resolution).uid))
    assert outcomes(resolution)[-1][1] == "registered"


@pytest.mark.parametrize(
    ("lines", "source", "field"),
    [([], "", "identifiers"), (["# nothing", ""], "", "identifiers"), ([APPLE], "x" * 65, "source"),
     ([APPLE], "a\x00", "source")],
)  # fmt: skip
def test_a_list_that_is_none_is_refused_and_leaves_nothing(lines, source, field):
    with pytest.raises(InvalidInput) as caught:
        submit_resolution(lines, source=source)
    assert caught.value.field == field
    assert not Resolution.objects.exists()
    assert not ResolutionItem.objects.exists()


def test_the_number_of_queries_does_not_grow_with_the_batch(openfigi, home, settings):
    settings.OPENFIGI_JOBS_PER_REQUEST = 100
    openfigi.fake.settings.without_key = replace(openfigi.fake.settings.without_key, jobs=100)
    known = [n for n in range(1, 300) if n % NOT_FOUND_EVERY]
    resolve(f"ticker:{ticker_of(known[0])}")  # registers the type
    counts = []
    for numbers in (known[1:11], known[11:101]):
        with CaptureQueriesContext(connection) as queries:
            resolve(*(f"ticker:{ticker_of(n)}" for n in numbers))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_command_prints_a_table_and_its_counts(openfigi, home, tmp_path, capsys):
    path = tmp_path / "list.txt"
    path.write_text(f"{APPLE}\nUS0378331006\n")
    call_command("resolve_figis", str(path))
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "line\tidentifier\toutcome\tasset\tmessage"
    assert printed[1].startswith(f"1\t{APPLE}\tregistered\t{home_figi(APPLE)}\t{home_figi(APPLE)}: ")
    assert printed[2].startswith("2\tUS0378331006\trejected\t\t'US0378331006' is no ISIN")
    assert printed[3] == "2 lines, 1 requests: 1 registered, 1 rejected"
    with pytest.raises(InvalidInput, match="cannot be read"):
        call_command("resolve_figis", str(tmp_path / "nothing"))
    (tmp_path / "latin").write_bytes("Größe".encode("latin-1"))
    with pytest.raises(InvalidInput, match="is no text in UTF-8"):
        call_command("resolve_figis", str(tmp_path / "latin"))


def test_the_command_takes_all_that_waits_in_place_of_a_list(openfigi, settings, capsys):
    with pytest.raises(Conflict, match="Nothing waits for OpenFIGI"):
        call_command("resolve_figis", "--pending")
    figi = made_figi(5, 1)
    url, settings.OPENFIGI_BASE_URL = settings.OPENFIGI_BASE_URL, ""
    register_assets_from_figis([figi], source="a file")
    settings.OPENFIGI_BASE_URL = url
    call_command("resolve_figis", "--pending")
    assert PendingResolution.objects.get().status == "resolved"
    assert capsys.readouterr().out.splitlines()[1].startswith(f"1\tfigi:{figi}\tknown\t{figi}\t")
    assert Resolution.objects.get().source == "pending"
    for options in ([], ["list.txt", "--pending"]):
        with pytest.raises(InvalidInput, match="one of them"):
            call_command("resolve_figis", *options)
    assert Resolution.objects.count() == 1


def test_a_preview_counts_as_the_rule_decides_and_two_lists_with_one_identifier_are_remembered_once(openfigi):
    resolve(APPLE, source="desk")
    resolve(APPLE, MICROSOFT, source="desk")
    told = preview_rule(inbox(source="desk"), "us")
    assert (told.accepted, told.left, len(told.examples)) == (2, 0, 2)
    assert [proposal.row.figi for proposal in told.examples] == [home_figi(APPLE)] * 2
    assert not RememberedDecision.objects.exists()
    done = decide_by_rule(inbox(source="desk"), "us", user=None)
    assert (done.accepted, done.left) == (2, 0)
    assert RememberedDecision.objects.get().figi == home_figi(APPLE)
    assert sorted(ResolutionItem.objects.filter(value=APPLE).values_list("status", flat=True)) == [
        "known",
        "registered",
    ]
