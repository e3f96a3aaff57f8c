"""The review inbox as forms: shown, decided, put off, reopened and decided by rule; and what it never does unasked."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from markets.models import Asset, HomeMarketPolicy, ItemStatus, RememberedDecision, ResolutionItem
from tests import factories
from tests.admin import rows
from tests.factories import CANDIDATE, OTHER_CANDIDATE

INBOX, RULE = reverse("admin:markets_resolutionitem_changelist"), reverse("admin:review_rule")
pytestmark = pytest.mark.django_db


def shown(client: Client, query: str = "") -> str:
    response = client.get(INBOX + query)
    assert response.status_code == 200
    text = response.content.decode()
    assert rows.HOSTILE not in text
    return text


def decide(client: Client, item: ResolutionItem, decision: str, **fields: str) -> Any:
    return client.post(reverse("admin:review_decide", args=(item.pk,)), {"decision": decision, **fields})


def test_an_empty_inbox_says_what_comes_here(boss: Client) -> None:
    assert "Nothing waits for a decision" in shown(boss)
    factories.resolution_item(status="registered")
    assert "Nothing waits for a decision" in shown(boss)
    assert "Nothing waits here" in shown(boss, "?q=x")


def test_candidates_are_a_tree_and_none_is_chosen_beforehand(boss: Client) -> None:
    venue = {"figi": "BBG000BPH459", "compositeFIGI": CANDIDATE, "exchCode": "UW", "shareClassFIGI": "BBG001S5N8V8"}
    index = {"figi": "BBG000BVPV84", "exchCode": "US", "marketSector": "Index", "name": rows.HOSTILE}
    usual = factories.figi_answer().rows
    item = factories.resolution_item(status="review", answer=factories.figi_answer(rows=[*usual, venue, index]))
    text = shown(boss)
    assert text.count('type="radio"') == 3  # an index is no asset
    assert " checked" not in text.partition("data-decide")[2]
    assert text.index("BBG001S5N8V8") < text.index(CANDIDATE) < text.index("1 venue") < text.index("BBG000BPH459")
    assert "<details data-venues>" in text
    assert text.index("BBG000BPH459") < text.index(OTHER_CANDIDATE)
    assert item.text in text
    assert 'type="radio"' not in shown(_reader())


def test_what_the_home_markets_choose_now_is_marked_and_nothing_is_decided_by_looking(boss: Client) -> None:
    factories.resolution_item(status="review")
    HomeMarketPolicy.objects.create(source="desk", exchange_codes=["GR"])
    text = shown(boss)
    assert f'value="{OTHER_CANDIDATE}" checked' in text
    assert "GR is the home market" in text
    assert not Asset.objects.exists()
    assert ResolutionItem.objects.get().status == ItemStatus.REVIEW


def test_one_is_accepted_and_the_next_one_comes(boss: Client) -> None:
    first, second, third = (factories.resolution_item(status="review") for _ in range(3))
    answer = decide(boss, first, "accept", figi=CANDIDATE, reason="The primary listing")
    assert answer.headers["Location"] == f"{INBOX}?item={second.pk}"
    first.refresh_from_db()
    assert (first.status, first.asset.unique_identifier, first.decided_by.username) == ("registered", CANDIDATE, "boss")
    assert RememberedDecision.objects.get().reason == "The primary listing"
    assert "is accepted, and remembered. Registered." in boss.get(answer.headers["Location"]).content.decode()

    assert decide(boss, second, "postpone").headers["Location"] == f"{INBOX}?item={third.pk}"
    answer = decide(boss, third, "decline", reason="A fund")
    assert answer.headers["Location"] == f"{INBOX}?item={second.pk}"
    assert "put off" in shown(boss)
    late = boss.post(reverse("admin:review_decide", args=(first.pk,)), {"decision": "decline"}, follow=True)
    assert "was decided meanwhile: registered" in late.content.decode()
    assert Asset.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"decision": "accept"}, "Choose one of the candidates, or decline them all."),
        ({"decision": "accept", "figi": "BBG000BPH459"}, "is none of the candidates"),
        ({"decision": "accept", "figi": "\x00"}, "is none of the candidates"),
        ({"decision": "accept", "figi": CANDIDATE, "reason": "x" * 1_001}, "reason takes text of at most"),
        ({"decision": "decline", "reason": "a\x00b"}, "reason takes text of at most"),
        ({"decision": "first"}, "Say what is decided"),
        ({}, "Say what is decided"),
    ],
    ids=range(7),
)
def test_what_is_no_decision_is_told_and_decides_nothing(boss: Client, fields: dict[str, str], said: str) -> None:
    item = factories.resolution_item(status="review")
    answer = boss.post(reverse("admin:review_decide", args=(item.pk,)), fields)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    item.refresh_from_db()
    assert (item.status, Asset.objects.count(), RememberedDecision.objects.count()) == ("review", 0, 0)


def test_addresses_that_nobody_made_open_the_inbox(boss: Client) -> None:
    factories.resolution_item(status="review", text=rows.HOSTILE)
    for query in ("?item=junk", f"?item={'9' * 30}", "?resolution=%00&scheme=x", "?inbox_page=-1", "?inbox_page=999999",
                  "?q=%00", f"?resolution={'9' * 18}", "?source=%00", "?item=0"):  # fmt: skip
        shown(boss, query)
    for pk in ("9" * 18, "9" * 19, "9" * 40):
        assert boss.post(f"{INBOX}{pk}/decide/", {"decision": "decline"}).status_code == 404
    assert boss.get(f"{INBOX}%00/change/").status_code == 302


def test_filters_are_kept_from_one_item_to_the_next(boss: Client) -> None:
    mine = factories.resolution(source="mine")
    first, second = (factories.resolution_item(mine, status="review") for _ in range(2))
    between = factories.resolution_item(factories.resolution(source=""), status="review")
    assert between.text not in shown(boss, "?source=mine")
    assert first.text not in shown(boss, "?source=-")
    url = f"{reverse('admin:review_decide', args=(first.pk,))}?resolution={mine.pk}"
    answer = boss.post(url, {"decision": "decline"})
    assert answer.headers["Location"] == f"{INBOX}?resolution={mine.pk}&item={second.pk}"


def test_the_list_opens_where_the_item_stands(boss: Client) -> None:
    owner = factories.resolution()
    items = [factories.resolution_item(owner, status="review") for _ in range(33)]
    text = shown(boss, f"?item={items[31].pk}").partition("What waits")[2]
    assert 'aria-current="true"><span>' + items[31].text in text
    assert "31 to 33" in text


def test_what_was_declined_is_reopened(boss: Client) -> None:
    item = factories.resolution_item(status="review")
    decide(boss, item, "decline")
    evidence = reverse("admin:markets_resolutionitem_change", args=(item.pk,))
    assert "Reopen" in boss.get(evidence).content.decode()
    assert boss.post(reverse("admin:review_reopen", args=(item.pk,))).headers["Location"] == evidence
    item.refresh_from_db()
    assert (item.status, item.decided_by, RememberedDecision.objects.count()) == ("review", None, 0)
    assert (
        "Only what was declined"
        in boss.post(reverse("admin:review_reopen", args=(item.pk,)), follow=True).content.decode()
    )


def test_a_rule_is_previewed_and_confirmed(boss: Client) -> None:
    owner = factories.resolution(title="One")
    items = [factories.resolution_item(owner, status="review") for _ in range(2)]
    plain = {"resolution": str(owner.pk), "exchange_codes": "ln us", "reason": "Listed at home"}
    text = boss.post(RULE, plain).content.decode()
    assert "Would be accepted</span><strong>2" in text
    assert f"{CANDIDATE} (US)" in text
    assert not Asset.objects.exists()
    changed = boss.post(RULE, {**plain, "confirm": "1", "shown": "1"})
    assert "What waits changed meanwhile. Look again." in changed.content.decode()
    assert not Asset.objects.exists()
    assert boss.post(RULE, {**plain, "confirm": "1", "shown": "2"}).status_code == 302
    assert set(ResolutionItem.objects.values_list("figi", flat=True)) == {CANDIDATE}
    assert set(RememberedDecision.objects.values_list("reason", flat=True)) == {"Listed at home"}
    assert len(items) == RememberedDecision.objects.count()


@pytest.mark.parametrize("codes", ["", " , ", "U-S", "ABCDEFGHI", "Ü", "\x00"])
def test_a_rule_without_a_market_is_told(boss: Client, codes: str) -> None:
    factories.resolution_item(status="review")
    answer = boss.post(RULE, {"exchange_codes": codes, "confirm": "1", "shown": "1"})
    assert answer.status_code == 200
    assert 'role="alert"' in answer.content.decode()
    assert not Asset.objects.exists()


def test_home_markets_are_kept_with_their_history(boss: Client) -> None:
    add = reverse("admin:markets_homemarketpolicy_add")
    for codes in ("", "U-S", "ABCDEFGHI"):
        assert boss.post(add, {"source": "desk", "exchange_codes": codes, "note": ""}).status_code == 200
    assert not HomeMarketPolicy.objects.exists()
    assert boss.post(add, {"source": "desk", "exchange_codes": "us; gr us", "note": ""}).status_code == 302
    row = HomeMarketPolicy.objects.get()
    assert row.exchange_codes == ["US", "GR"]
    assert "already exists" in boss.post(add, {"source": "desk", "exchange_codes": "LN", "note": ""}).content.decode()
    change = reverse("admin:markets_homemarketpolicy_change", args=(row.pk,))
    assert 'value="US, GR"' in boss.get(change).content.decode()
    assert boss.post(change, {"exchange_codes": "FP", "note": "Paris"}).status_code == 302
    row.refresh_from_db()
    assert (row.source, row.exchange_codes, row.note) == ("desk", ["FP"], "Paris")
    history = boss.get(reverse("admin:markets_homemarketpolicy_history", args=(row.pk,))).content.decode()
    assert "boss" in history
    assert "Paris" in history


def test_what_is_remembered_is_changed_and_forgotten(boss: Client) -> None:
    row = factories.remembered_decision()
    change = reverse("admin:markets_remembereddecision_change", args=(row.pk,))
    assert "is no FIGI" in boss.post(change, {"figi": "BBG000B9XRY5", "reason": ""}).content.decode()
    assert boss.post(change, {"figi": OTHER_CANDIDATE.lower(), "reason": "Better"}).status_code == 302
    row.refresh_from_db()
    assert (row.figi, row.reason, row.decided_by.username) == (OTHER_CANDIDATE, "Better", "boss")
    assert boss.post(change, {"figi": "", "reason": "None"}).status_code == 302
    assert "none of the candidates" in boss.get(reverse("admin:markets_remembereddecision_changelist")).content.decode()
    delete = reverse("admin:markets_remembereddecision_delete", args=(row.pk,))
    assert boss.post(delete, {"post": "yes", "reason": "Wrong"}).status_code == 302
    assert not RememberedDecision.objects.exists()


def _reader() -> Client:
    client = Client()
    client.force_login(factories.person("viewer"))
    return client
