"""Few-shot accuracy: fair questions, the method's own rule, and intervals that know how few classes there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t, ttest_ind

from nearkin.components.evaluators.askable import Askable
from nearkin.components.evaluators.episode_draw import Drawn, Pool, draw_episodes
from nearkin.components.evaluators.episodes import Episodes, Result, over_classes, resampled
from nearkin.components.evaluators.options import EpisodesOptions

DRAWERS = 6


def evaluator(**options):
    return Episodes(EpisodesOptions(**{"n_way": 5, "episodes": 200, **options}))


def drawings(make_view, parents=("greek", "latin"), letters="abcdefg", spread=0.0, seed=0, **given):
    """Clusters on a circle, one a letter of each parent, every letter once by each of the parent's drawers."""
    labels = [f"{parent}/{letter}" for parent in parents for letter in letters for _ in range(DRAWERS)]
    groups = tuple(f"{parent} {d}" for parent in parents for _ in letters for d in range(DRAWERS))
    angle = np.array([letters.index(label[-1]) for label in labels]) * 2 * np.pi / len(letters)
    noise = np.random.default_rng(seed).normal(size=(len(labels), 2)) * spread
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) + noise
    return make_view(points, labels, groups=groups, **{"classes": ("x", "y"), **given})


def named(figures, name):
    return next(figure for figure in figures if figure.name == name)


def test_clusters_far_apart_are_all_told_apart_and_each_parent_has_its_figure(make_view):
    figures = evaluator().evaluate(drawings(make_view))
    assert [figure.name for figure in figures] == [
        "episodes_5_way_1_shot",
        "episodes_5_way_1_shot_greek",
        "episodes_5_way_1_shot_latin",
    ]
    assert all(figure.value == 1.0 and 0.9 < figure.low < 1.0 == figure.high for figure in figures)
    assert [figure.n for figure in figures] == [14, 7, 7]
    assert {figure.resampled for figure in figures} == {"classes"}


def test_one_and_the_same_embedding_for_everything_scores_chance(make_view, shuffled):
    view = make_view(np.ones((84, 3)), drawings(make_view).labels, classes=("x", "y"))
    for n_shot in (1, 3):
        for seed in (0, 1):
            for figure in evaluator(n_shot=n_shot).evaluate(shuffled(view, seed)):
                assert figure.value == pytest.approx(0.2)


def test_noise_scores_about_chance(make_view):
    view = make_view(np.random.default_rng(0).normal(size=(84, 3)), drawings(make_view).labels, classes=("x", "y"))
    assert evaluator().evaluate(view)[0].value == pytest.approx(0.2, abs=0.05)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000))
def test_the_order_of_the_items_does_not_matter(make_view, shuffled, seed):
    view = drawings(make_view, spread=0.4)
    assert evaluator().evaluate(view) == evaluator().evaluate(shuffled(view, seed))


def test_another_parent_leaves_the_questions_about_the_others_as_they_were(make_view):
    both, one = drawings(make_view, spread=0.4), drawings(make_view, parents=("greek",), spread=0.4)
    assert evaluator(episodes=400).evaluate(both)[1].value == evaluator(episodes=200).evaluate(one)[0].value


def test_every_episode_asks_by_the_methods_rule_and_never_about_a_group_of_its_support(make_view):
    view = drawings(make_view)
    group_of = {}
    for number, group in enumerate(view.groups):
        group_of[number] = group
    asked = []

    def compare(queries, support, codes):
        asked.append((queries[:, 0].astype(int), support[:, 0].astype(int), codes))
        return np.eye(len(set(codes)))[(queries[:, 0].astype(int) // DRAWERS) % len(set(codes))]

    numbers = np.arange(len(view.labels))
    counted = make_view(numbers, view.labels, groups=view.groups, classes=("x", "y"), compare=compare)
    figure = evaluator(n_shot=2, n_query=3).evaluate(counted)[0]
    assert len(asked) == 200
    for queries, support, codes in asked:
        assert codes.tolist() == np.repeat(range(5), 2).tolist()
        assert len({view.labels[i].split("/")[0] for i in [*queries, *support]}) == 1
        of_code = [{view.labels[i] for i in support[codes == code]} for code in range(5)]
        assert [len(labels) for labels in of_code] == [1] * 5
        assert {view.labels[i] for i in queries} <= set.union(*of_code)
        assert not {group_of[i] for i in queries} & {group_of[i] for i in support}
        assert len(queries) == 15
    assert 0 < figure.value < 1


def test_one_shot_support_is_by_one_drawer_where_drawers_drew_every_class(make_view):
    view = drawings(make_view, parents=("greek",))
    pool = Pool.of("greek", Askable(np.arange(42), np.repeat(range(7), 6), np.tile(range(6), 7), {}), 1)
    drawn = draw_episodes(pool, n_way=5, n_shot=1, n_query=4, episodes=50, rng=np.random.default_rng(0))
    assert drawn.asked.all()
    groups = np.array(view.groups)[pool.items.rows]
    for support, query in zip(drawn.support, drawn.query, strict=True):
        assert len(set(groups[support].ravel())) == 1
        assert len(set(groups[query].ravel())) == 4


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_whatever_the_classes_and_groups_an_episode_is_fair(data):
    n_shot = data.draw(st.integers(1, 3))
    rows = data.draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), min_size=25, max_size=60))
    codes, units = np.array(sorted(rows)).T
    pool = Pool.of("", Askable(np.arange(len(rows)), codes, units, {}), n_shot)
    if pool.n_classes < 2:
        return
    n_way = data.draw(st.integers(2, pool.n_classes))
    drawn = draw_episodes(pool, n_way=n_way, n_shot=n_shot, n_query=3, episodes=20, rng=np.random.default_rng(0))
    of = pool.items
    for support, query, asked in zip(drawn.support, drawn.query, drawn.asked, strict=True):
        assert all(len(set(of.codes[row])) == 1 for row in support)
        assert len(set(of.codes[support[:, 0]])) == n_way
        assert len(set(support.ravel())) == n_way * n_shot
        asked_items = query[asked]
        assert len(set(asked_items)) == len(asked_items)
        assert (of.codes[query] == of.codes[support[:, :1]])[asked].all()
        assert not set(of.units[asked_items]) & set(of.units[support.ravel()])


def test_a_parent_with_fewer_classes_is_asked_about_all_of_them(make_view):
    figure = evaluator(n_way=20).evaluate(drawings(make_view))[1]
    assert (figure.details["n_way"], figure.chance) == (7, 1 / 7)
    assert (
        named(evaluator(n_way=20, within="all").evaluate(drawings(make_view)), "episodes_20_way_1_shot").details[
            "n_way"
        ]
        == 14
    )


def test_known_classes_are_asked_about_where_there_are_no_new_ones_and_their_images_are_resampled(make_view):
    view = make_view(np.repeat([0, 5, 9], 8), [*"aaaaaaaabbbbbbbbcccccccc"])
    figure = evaluator(n_way=3).evaluate(view)[0]
    assert (figure.value, figure.resampled, figure.n) == (1.0, "images", 24)
    assert named(evaluator(ask="unknown").evaluate(view), "episodes_5_way_1_shot").value is None


def test_classes_that_cannot_be_asked_about_are_counted_and_a_lack_of_them_is_told(make_view):
    view = make_view(range(7), [*"aaabbbc"])
    assert evaluator(n_way=2).evaluate(view)[0].details["classes_too_small"] == 1
    none = evaluator(n_shot=3).evaluate(view)[0]
    assert (none.value, none.better) == (None, "higher")
    assert "Fewer than two classes have 4 usable test images" in none.note


def test_images_that_trained_the_model_are_never_asked_about(make_view):
    view = make_view(range(12), [*"aaaaaabbbbbb"], seen_digests=frozenset({"image-0", "image-7"}))
    assert evaluator(n_way=2).evaluate(view)[0].details["images"] == 10
    assert evaluator(n_way=2).evaluate(view)[0].details["left_out"]["seen"] == 2


# ------------------------------------------------------------------------------------------------- intervals


def pool_and_marks(of_class, of_unit, rng):
    """Every class drawn by every unit; each question right with the chance of its class plus that of its unit."""
    n_classes, n_units = len(of_class), len(of_unit)
    codes, units = np.repeat(range(n_classes), n_units), np.tile(range(n_units), n_classes)
    pool = Pool.of("", Askable(np.arange(len(codes)), codes, units, {}), 1)
    drawn = draw_episodes(pool, n_way=n_classes, n_shot=1, n_query=n_units - 1, episodes=400, rng=rng)
    chance = of_class[codes[drawn.query]] + of_unit[units[drawn.query]]
    return pool, drawn, chance


def test_new_classes_give_students_interval_of_the_class_means():
    of_class, rng = np.random.default_rng(3).uniform(0.5, 1.0, 12), np.random.default_rng(0)
    pool, drawn, marks = pool_and_marks(of_class, np.zeros(8), rng)
    value = marks[drawn.asked].mean()
    replicates = resampled(pool, drawn, marks, value, 20_000, rng, new_classes=True)
    low, high = np.percentile(replicates, [2.5, 97.5])
    expected = t.interval(0.95, 11, of_class.mean(), of_class.std(ddof=1) / np.sqrt(12))
    assert (low, high) == pytest.approx(expected, abs=0.01)


def result_of(of_class, rng):
    """What episodes of known classes came to, each class right with a chance of its own."""
    pool, drawn, marks = pool_and_marks(np.array(of_class), np.zeros(8), rng)
    return Result(pool, drawn, marks, float(marks[drawn.asked].mean()), np.zeros(0), new_classes=False)


def test_known_classes_have_students_interval_of_their_means_too():
    of_class, rng = np.random.default_rng(3).uniform(0.0, 1.0, 12), np.random.default_rng(0)
    over = over_classes([result_of(of_class, rng)])
    expected = t.interval(0.95, 11, of_class.mean(), of_class.std(ddof=1) / np.sqrt(12))
    assert (over["low"], over["high"]) == pytest.approx(expected)
    assert over["classes"] == 12


def test_over_the_classes_of_several_parents_it_is_welchs_interval_of_their_mean():
    rng = np.random.default_rng(0)
    greek, latin = [0.2, 0.9, 0.4, 0.6], [0.5, 0.7, 0.9, 0.2, 0.3, 0.8]
    over = over_classes([result_of(greek, rng), result_of(latin, rng)])
    welch = ttest_ind(greek, latin, equal_var=False).confidence_interval()
    half, value = (welch.high - welch.low) / 4, (np.mean(greek) + np.mean(latin)) / 2  # of a mean, not of a difference
    assert (over["low"], over["high"]) == pytest.approx((value - half, value + half))
    assert over["classes"] == 10


def test_two_classes_have_no_interval_over_classes_and_equal_ones_are_not_certain():
    rng = np.random.default_rng(0)
    assert over_classes([result_of([0.6, 0.8], rng)]) == {"low": None, "high": None, "classes": 2}
    alike = over_classes([result_of([1.0, 1.0, 1.0], rng)])
    assert (0.8 < alike["low"] < 1.0, alike["high"]) == (True, 1.0)


def test_every_figure_has_intervals_over_episodes_and_over_classes_where_accuracies_can_lie(make_view):
    for classes in (("x", "y"), tuple(sorted({*drawings(make_view).labels}))):
        for figure in evaluator(episodes=4).evaluate(drawings(make_view, spread=0.3, classes=classes)):
            for over in (figure.details["over_episodes"], figure.details["over_classes"]):
                assert 0 <= over["low"] < figure.value < over["high"] <= 1
        assert figure.details["over_classes"]["classes"] == 7


def test_groups_that_span_classes_add_their_own_share():
    of_unit, rng = np.random.default_rng(4).uniform(0.2, 0.9, 15), np.random.default_rng(0)
    pool, drawn, marks = pool_and_marks(np.zeros(10), of_unit, rng)
    value = marks[drawn.asked].mean()
    replicates = resampled(pool, drawn, marks, value, 20_000, rng, new_classes=True)
    low, high = np.percentile(replicates, [2.5, 97.5])
    student = np.diff(t.interval(0.95, 14, 0, of_unit.std(ddof=1) / np.sqrt(15)))[0]
    assert student * 0.9 < high - low < student * 1.25


def test_an_image_counts_as_support_too():
    """Queries are all alike, and only which image is support decides: the interval must not call that certain."""
    codes = np.repeat(range(3), 20)
    pool = Pool.of("", Askable(np.arange(60), codes, np.arange(60), {}), 1)
    rng = np.random.default_rng(0)
    drawn = draw_episodes(pool, n_way=3, n_shot=1, n_query=5, episodes=2000, rng=rng)
    good = np.random.default_rng(1).random(60) < 0.5
    marks = np.broadcast_to(good[drawn.support], drawn.query.shape).astype(float)
    value = marks.mean()
    replicates = resampled(pool, drawn, marks, value, 5000, rng, new_classes=False)
    # Three classes of 20 supports each: the mean of three shares, of which each has the variance p (1 - p) / 20.
    expected = np.sqrt(sum(good[codes == c].mean() * (1 - good[codes == c].mean()) / 20 for c in range(3))) / 3
    assert expected * 0.9 < replicates.std() < expected * 1.4


def test_drawn_says_how_many_support_images_share_a_group():
    pool = Pool.of("", Askable(np.arange(8), np.repeat([0, 1], 4), np.tile(range(4), 2), {}), 2)
    drawn = draw_episodes(pool, n_way=2, n_shot=2, n_query=1, episodes=10, rng=np.random.default_rng(0))
    assert isinstance(drawn, Drawn)
    assert (drawn.sharing == 2).all()


def test_more_parents_than_episodes_still_have_an_interval(make_view):
    parents = [f"alphabet {i:02d}" for i in range(12)]
    figures = evaluator(episodes=10).evaluate(drawings(make_view, parents=parents, spread=0.5))
    assert all(np.isfinite(list(figure.details["over_episodes"].values())).all() for figure in figures)
    assert figures[0].details["over_episodes"]["episodes"] == 24, "two of each"
