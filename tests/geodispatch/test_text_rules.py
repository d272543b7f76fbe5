"""The lint of texts: the corpus' bad texts are caught, each by its rule, its good ones pass, and findings say where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodispatch.rules.rule import Rule
from geodispatch.rules.text import check_text
from tests.geodispatch.request_texts import BAD, GOOD

BAD_TEXTS = [(rule, text) for rule, texts in BAD.items() for text in texts]


def test_the_corpus_is_large_enough() -> None:
    assert len(BAD_TEXTS) >= 60
    assert len(GOOD) >= 60
    assert set(BAD) == {rule for rule in Rule if rule.startswith("text-")}


@pytest.mark.parametrize(("rule", "text"), BAD_TEXTS)
def test_a_bad_text_is_caught_by_its_rule(rule: str, text: str) -> None:
    assert rule in [breach.rule for breach in check_text(text)]


@pytest.mark.parametrize("text", GOOD)
def test_a_good_text_passes(text: str) -> None:
    assert check_text(text) == ()


@pytest.mark.parametrize(("rule", "text"), BAD_TEXTS)
def test_a_finding_says_where_and_what_to_write(rule: str, text: str) -> None:
    for breach in check_text(text):
        assert breach.span is not None
        assert breach.pointer == "/text"
        assert breach.seen == text[breach.span.start : breach.span.stop]
        assert breach.seen in breach.detail or repr(breach.seen)[1:-1] in breach.detail
        assert breach.remedy in breach.detail


def test_findings_are_all_told_in_the_order_of_the_text() -> None:
    text = "You must share it. The victim, Maria Lopez, saw plate ABC 1234. Call 555-203-4417."
    breaches = check_text(text)
    assert [breach.rule for breach in breaches] == [
        Rule.TEXT_PRESSURE,
        Rule.TEXT_VICTIM,
        Rule.TEXT_PERSONAL_DATA,
        Rule.TEXT_PERSONAL_DATA,
    ]
    starts = [breach.span.start for breach in breaches if breach.span]
    assert starts == sorted(starts)


@pytest.mark.parametrize(("rule", "text"), BAD_TEXTS)
def test_typographic_apostrophes_and_broken_lines_hide_nothing(rule: str, text: str) -> None:
    disguised = text.replace("'", "\u2019").replace(" ", "\n")
    assert rule in [breach.rule for breach in check_text(disguised)]


def test_an_age_is_no_secret_from_eighteen_on() -> None:
    for age, count in ((17, 1), (18, 0)):
        assert len(check_text(f"A {age}-year-old girl was assaulted near the pool on Monday.")) == count


def test_race_needs_two_kinds_of_particulars() -> None:
    for particulars, count in (("", 1), (" in a red jacket", 1), (" in a red jacket and boots", 0)):
        assert len(check_text(f"We look for a white man{particulars}.")) == count


@given(st.text(max_size=2000))
def test_any_text_at_all_is_read(text: str) -> None:
    for breach in check_text(text):
        assert breach.span is not None
        assert 0 <= breach.span.start < breach.span.stop <= len(text)


@pytest.mark.parametrize(
    "unit", ["the victim ", "a", "1 ", "[", "you must ", "555-", "Aa ", " ", "Black ", "will be noted "]
)
def test_no_text_is_too_much(unit: str) -> None:
    """A pattern that tried all ways to split a text would not come back."""
    text = (unit * 2000)[:2000]
    assert all(breach.span is not None for breach in check_text(text))
