"""FIGIs become assets: in whole batches, once whoever asks how often, with what is known and nothing else."""

import threading

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from markets.engine.figi_facts import FigiFacts
from markets.exceptions import InvalidInput
from markets.models import Asset, AssetSnapshot, AssetType, NodeRun, OpenFigiDetails, PendingResolution, UpdateStatistic
from markets.services import figi_registration
from markets.services.assets import set_openfigi_details
from markets.services.deletion import delete_impact
from markets.services.figi_registration import register_asset_from_figi, register_assets_from_figis
from tests.factories import figi
from tests.scripts import Scripts

APPLE, IBM = "BBG000B9XRY4", "BBG000BLNNH6"
FACTS = {APPLE: FigiFacts(ticker="AAPL", name="Apple Inc", exchange="Nasdaq", isin="US0378331005", asset_type="equity")}


def outcomes(found) -> list[tuple[str, str]]:
    return [(item.figi, item.outcome) for item in found]


@pytest.mark.django_db
def test_a_missing_figi_is_registered_with_what_the_file_says() -> None:
    # when
    (outcome,) = register_assets_from_figis([APPLE], facts=FACTS, source="master.csv")
    # then
    asset = Asset.objects.get()
    assert (outcome.figi, outcome.outcome, outcome.asset, outcome.reason) == (APPLE, "registered", asset, None)
    assert (asset.unique_identifier, asset.asset_type, asset.is_custom_by_organization) == (APPLE, "equity", False)
    assert AssetType.objects.filter(asset_type="equity").count() == 1
    known = {name: value for name, value in vars(asset.openfigi_details).items() if value is not None}
    assert {name: known[name] for name in known if name not in ("_state", "updated_at", "asset_id")} == {
        "figi": APPLE,
        "ticker": "AAPL",
        "name": "Apple Inc",
        "isin": "US0378331005",
    }, "the exchange is in the file's spelling, not OpenFIGI's, and nothing else is known"
    snapshot = AssetSnapshot.objects.get()
    assert (snapshot.asset_identifier, snapshot.name, snapshot.ticker) == (APPLE, "Apple Inc", "AAPL")
    assert (snapshot.exchange_code, snapshot.asset_ticker_group_id) == ("Nasdaq", "")
    statistic = UpdateStatistic.objects.get()
    assert (statistic.identity, statistic.asset, statistic.row_count) == ([APPLE], asset, 1)
    assert statistic.last_time_index == snapshot.time_index
    waiting = PendingResolution.objects.get()
    assert (waiting.scheme, waiting.value, waiting.asset, waiting.source) == ("figi", APPLE, asset, "master.csv")
    assert (waiting.status, waiting.attempts) == ("pending", 0)
    assert waiting.requested_at == snapshot.time_index
    assert not NodeRun.objects.exists()


@pytest.mark.django_db
def test_of_a_figi_alone_nothing_is_guessed() -> None:
    asset = register_asset_from_figi(f" {APPLE.lower()} ")
    assert (asset.unique_identifier, asset.asset_type) == (APPLE, None)
    assert OpenFigiDetails.objects.values_list("figi", "ticker", "name", "isin").get() == (APPLE, None, None, None)
    assert not AssetSnapshot.objects.exists(), "a snapshot would say nothing"
    assert not AssetType.objects.exists()
    assert PendingResolution.objects.get().value == APPLE


@pytest.mark.django_db
def test_an_asset_is_found_by_identifier_and_by_its_details_and_stays_as_it_is() -> None:
    ibm = Asset.objects.create(unique_identifier="IBM", asset_type="stock")
    set_openfigi_details(ibm, figi=IBM, ticker="IBM")
    apple = Asset.objects.create(unique_identifier=APPLE)
    # when
    facts = FACTS | {IBM: FigiFacts(ticker="OTHER", asset_type="bond")}
    found = register_assets_from_figis([IBM, APPLE, "", None, " ", float("nan"), APPLE], facts=facts)
    # then
    assert [(item.figi, item.outcome, item.asset) for item in found] == [
        (APPLE, "existing", apple),
        (IBM, "existing", ibm),
    ]
    assert Asset.objects.count() == 2
    assert Asset.objects.get(pk=ibm.pk).asset_type == "stock"
    assert OpenFigiDetails.objects.get().ticker == "IBM"
    assert not PendingResolution.objects.exists()
    assert not AssetSnapshot.objects.exists()


@pytest.mark.django_db
def test_a_second_call_writes_nothing() -> None:
    register_assets_from_figis([APPLE, IBM], facts=FACTS)
    with CaptureQueriesContext(connection) as queries:
        again = register_assets_from_figis([APPLE, IBM], facts=FACTS)
    assert outcomes(again) == [(APPLE, "existing"), (IBM, "existing")]
    assert not [
        query["sql"] for query in queries if str(query["sql"]).startswith(("INSERT", "UPDATE", "DELETE", "COPY"))
    ]
    assert (Asset.objects.count(), PendingResolution.objects.count(), AssetSnapshot.objects.count()) == (2, 2, 1)


@pytest.mark.django_db
def test_a_wrong_check_digit_is_refused_with_the_reason_and_the_others_are_registered() -> None:
    found = register_assets_from_figis(["BBG000B9XRY5", APPLE, "x"])
    assert outcomes(found) == [(APPLE, "registered"), ("BBG000B9XRY5", "refused"), ("X", "refused")]
    assert found[1].reason == "'BBG000B9XRY5' is no FIGI: its check digit is 5 where 4 is due."
    assert found[1].asset is None
    assert Asset.objects.count() == 1
    with pytest.raises(InvalidInput, match="its check digit is 5 where 4 is due"):
        register_asset_from_figi("BBG000B9XRY5")
    for nothing in ("", None, 3):
        with pytest.raises(InvalidInput, match="is no FIGI"):
            register_asset_from_figi(nothing)  # type: ignore[arg-type]
    assert Asset.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("size", [0, -1, 10_001, True, 1.5, "500"])
def test_impossible_batch_sizes_and_lists(size: object) -> None:
    with pytest.raises(InvalidInput, match="batch_size="):
        register_assets_from_figis([APPLE], batch_size=size)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="must be a list of FIGIs"):
        register_assets_from_figis(APPLE)
    with pytest.raises(InvalidInput, match=r"figis\[1\] is a int"):
        register_assets_from_figis([APPLE, 7])  # type: ignore[list-item]
    with pytest.raises(InvalidInput, match="NUL"):
        register_assets_from_figis([APPLE], facts={APPLE: FigiFacts(name="a\x00b")})
    assert not Asset.objects.exists()


@pytest.mark.django_db
def test_a_text_that_is_too_long_is_left_out() -> None:
    register_assets_from_figis([APPLE], facts={APPLE: FigiFacts(ticker="T" * 51, name="N" * 256, exchange="NYSE")})
    assert OpenFigiDetails.objects.values_list("figi", "ticker", "name").get() == (APPLE, None, None)
    assert AssetSnapshot.objects.values_list("name", "ticker", "exchange_code").get() == ("", "T" * 51, "NYSE")


@pytest.mark.django_db
def test_the_queries_grow_by_the_batch_and_not_by_the_figi() -> None:
    def queries(number: int, *, batch_size: int) -> int:
        figis = [figi() for _ in range(number)]
        facts = {name: FigiFacts(ticker="T", name="N", asset_type="equity") for name in figis}
        with CaptureQueriesContext(connection) as counted:
            register_assets_from_figis(figis, batch_size=batch_size, facts=facts)
        return len(counted)

    queries(1, batch_size=500)  # the first one registers the table of snapshots
    one = queries(1, batch_size=500)
    assert queries(500, batch_size=500) == one
    assert queries(1_000, batch_size=500) == 2 * one
    assert one <= 25


@pytest.mark.django_db
def test_the_queue_goes_with_its_asset() -> None:
    asset = register_asset_from_figi(APPLE)
    assert "pending" in str(delete_impact(asset).relationships).lower()
    asset.delete()
    assert not PendingResolution.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_callers_at_the_same_time_end_with_one_asset() -> None:
    figis = [figi() for _ in range(60)]
    facts = {name: FigiFacts(ticker="T", name=f"Name {name}", asset_type="equity") for name in figis}
    found: list[list[tuple[str, str]]] = []
    errors: list[BaseException] = []
    barrier = threading.Barrier(4)

    def register(order: list[str]) -> None:
        try:
            barrier.wait()
            found.append(outcomes(register_assets_from_figis(order, batch_size=7, facts=facts)))
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=register, args=(figis[:: 1 if turn % 2 else -1],)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    registered = [name for outcome in found for name, became in outcome if became == "registered"]
    assert sorted(registered) == sorted(figis), "each was made by one caller"
    assert Asset.objects.count() == OpenFigiDetails.objects.count() == PendingResolution.objects.count() == 60
    assert AssetSnapshot.objects.count() == 60


@pytest.mark.django_db(transaction=True)
def test_an_error_in_a_batch_leaves_the_batches_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    figis = sorted(figi() for _ in range(10))
    write, calls = figi_registration.write_first_snapshots, []

    def fail_at_third(rows) -> None:
        calls.append(len(rows))
        write(rows)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(figi_registration, "write_first_snapshots", fail_at_third)
    facts = {name: FigiFacts(name="N") for name in figis}
    with pytest.raises(KeyboardInterrupt):
        register_assets_from_figis(figis, batch_size=3, facts=facts)
    assert sorted(Asset.objects.values_list("unique_identifier", flat=True)) == figis[:6]
    assert PendingResolution.objects.count() == AssetSnapshot.objects.count() == 6
    monkeypatch.undo()
    again = register_assets_from_figis(figis, batch_size=3, facts=facts)
    assert [item.outcome for item in again] == ["existing"] * 6 + ["registered"] * 4
    assert AssetSnapshot.objects.count() == 10


KILLED = """
import os, sys
import msm
msm.start_engine()
from markets.engine.figi_facts import FigiFacts
from markets.services import figi_registration
from tests.factories import figi
from msm.api.assets import Asset

figis = [figi(number) for number in range(1, 11)]
write, calls = figi_registration.write_first_snapshots, []

def killed(rows):
    write(rows)
    calls.append(1)
    if len(calls) == 3 and "kill" in os.environ.get("HOW", ""):
        os.kill(os.getpid(), 9)

figi_registration.write_first_snapshots = killed
found = Asset.register_assets_from_figis(figis, batch_size=3, facts={name: FigiFacts(name="N") for name in figis})
first = Asset.register_asset_from_figi(figi=figis[0])
print([item.outcome for item in found].count("registered"), first.unique_identifier)
"""


@pytest.mark.xdist_group("processes")
def test_a_process_that_is_killed_leaves_whole_batches_and_may_run_again(scripts: Scripts) -> None:
    ran = scripts.run(KILLED, HOW="kill")
    assert ran.returncode == -9
    tables = ("markets_asset", "markets_openfigidetails", "markets_pendingresolution", "markets_assetsnapshot")
    counts = [scripts.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables]
    assert counts == [6, 6, 6, 6]
    assert scripts.output(KILLED).startswith("4 BBG00000001")
    counts = [scripts.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables]
    assert counts == [10, 10, 10, 10]
