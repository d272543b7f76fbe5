"""At the default budget no attack gains 1 % over guessing; without the noise, each finds the house."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from geodispatch import band
from geodispatch.histogram import DRAWING_COUNT, SUM_W2, WEIGHT, advantage_bound, can_draw
from geodispatch.settings import Settings
from tests.attacker import attacks
from tests.attacker.trials import BAND_STARTS, SEED, Attack, View, advantage, draw_series, known_others, view_of

TRIAL_COUNT = 30_000
RHO = Settings().preview_year_rho

ALWAYS = np.ones(DRAWING_COUNT, bool)
FROM_ARRIVAL = np.arange(DRAWING_COUNT) >= attacks.ARRIVAL
FOR_A_WHILE = (np.arange(DRAWING_COUNT) >= 2) & (np.arange(DRAWING_COUNT) < 8)

BY_BANDS = [
    (attacks.slide_an_edge, ALWAYS),
    (attacks.clone_up_to_a_band, ALWAYS),
    (attacks.average_over_fences, ALWAYS),
    (attacks.average_over_epochs, ALWAYS),
    (attacks.watch_a_registration, FROM_ARRIVAL),
    (attacks.watch_all_epochs_around_a_registration, FROM_ARRIVAL),
    (attacks.collude, ALWAYS),
]
ALL = [
    *((attack.__name__, attack, there) for attack, there in BY_BANDS),
    ("take_the_series_apart", attacks.take_the_series_apart(ALWAYS), ALWAYS),
    ("take_an_arrival_apart", attacks.take_the_series_apart(FROM_ARRIVAL), FROM_ARRIVAL),
    ("take_a_coming_and_going_apart", attacks.take_the_series_apart(FOR_A_WHILE), FOR_A_WHILE),
]
each_attack = pytest.mark.parametrize(
    ("attack", "there"), [(attack, there) for _, attack, there in ALL], ids=[name for name, _, _ in ALL]
)
NOBODY = np.zeros(DRAWING_COUNT, bool)


@pytest.fixture(scope="module")
def noise() -> NDArray[np.int64]:
    if not can_draw():
        pytest.skip("OpenDP, an optional extra, is not installed")
    return draw_series(TRIAL_COUNT, RHO)


@pytest.fixture(scope="module")
def without(noise: NDArray[np.int64]) -> View:
    return view_of(noise, known_others(TRIAL_COUNT), NOBODY)


@each_attack
def test_no_attack_gains_one_percent(
    noise: NDArray[np.int64], without: View, attack: Attack, there: NDArray[np.bool_]
) -> None:
    found = advantage(attack, view_of(noise, without.others, there), without)
    print(f"seed {SEED}, {TRIAL_COUNT} trials: advantage {found.seen:.3%}, at most {found.at_most:.3%}")
    assert found.at_most < 0.01


@each_attack
def test_without_noise_every_attack_finds_the_house(attack: Attack, there: NDArray[np.bool_]) -> None:
    exact = np.zeros((DRAWING_COUNT, 2000), np.int64)
    others = known_others(2000)
    found = advantage(attack, view_of(exact, others, there), view_of(exact, others, NOBODY))
    print(f"seed {SEED}, exact counts: advantage {found.seen:.3%}")
    assert found.seen > 0.99


def test_noise_that_is_kept_only_where_nothing_changed_gives_a_registration_away(without: View) -> None:
    """Why a series' noise is of one piece: the attack on the obvious way of reusing it."""
    random = np.random.default_rng(SEED)
    kept = random.normal(0, 200, TRIAL_COUNT)
    anew = random.normal(0, 200, TRIAL_COUNT)

    def reused(there: NDArray[np.bool_]) -> View:
        shown = [np.rint(without.others + is_there + (anew if is_there else kept)) for is_there in there]
        return View(np.array(shown, np.int64), without.others)

    def has_moved(view: View) -> NDArray[np.bool_]:
        return attacks.read_count(view, attacks.ARRIVAL) != attacks.read_count(view, attacks.ARRIVAL - 1)

    assert advantage(has_moved, reused(FROM_ARRIVAL), reused(NOBODY)).seen > 0.98


def test_the_budget_bounds_whatever_an_owner_does() -> None:
    """Exactly, not by trials: the longest steps that an owner makes in a series, over all ways to come and go."""
    apart = np.array([[WEIGHT[t - k] if t >= k else 0.0 for k in range(DRAWING_COUNT)] for t in range(DRAWING_COUNT)])
    ways = (np.arange(2**DRAWING_COUNT)[:, None] >> np.arange(DRAWING_COUNT) & 1).astype(float)
    change_count = np.abs(np.diff(ways, axis=1, prepend=0)).sum(1)
    spent = RHO / SUM_W2 * np.sum(np.linalg.solve(apart, ways.T) ** 2, axis=0)
    for what, rows in (
        ("comes", change_count == 1),
        ("comes and goes", change_count == 2),
        ("does anything", change_count >= 0),
    ):
        worst = float(spent[rows].max())
        print(f"who {what} spends {worst:.3g}: an advantage of at most {advantage_bound(worst):.3%}")
        assert advantage_bound(worst) < 0.01
    assert spent[change_count == 1].max() == pytest.approx(RHO)


def test_the_bands_are_those_of_previews() -> None:
    starts = [count for count in range(1, 20_000) if band.Band.of(count) != band.Band.of(count - 1)]
    assert starts == BAND_STARTS.tolist()
