"""Which test items a figure may rest on."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.components.evaluators.askable import askable


def asked_digests(view):
    return [view.digests[row] for row in askable(view).rows]


def test_trained_images_two_way_labels_and_second_copies_are_left_out_and_counted(make_view):
    labels = ["a", "a", "a", "b", "b", "a", "?"]
    digests = ("t", "copy", "copy", "two-ways", "own", "two-ways", "far")
    view = make_view(np.zeros(7), labels, digests=digests, seen_digests=frozenset(["t", "never-tested"]))
    assert asked_digests(view) == ["copy", "own", "far"]
    assert askable(view).left_out == {"seen": 1, "labelled_two_ways": 2, "copies": 1}


def test_units_are_groups_where_any_holds_several_images(make_view):
    alone = askable(make_view(np.zeros(3), ["a", "a", "b"], groups=("p", "q", "r")))
    shared = askable(make_view(np.zeros(3), ["a", "a", "b"], groups=("p", "p", "r")))
    assert (alone.resampled, alone.n_units) == ("images", 3)
    assert (shared.resampled, shared.n_units) == ("groups", 2)


def test_images_without_a_group_are_units_of_their_own(make_view):
    found = askable(make_view(np.zeros(4), ["a", "a", "b", "b"], groups=("", "", "", "p")))
    assert (found.resampled, found.n_units) == ("images", 4)


def test_an_empty_view_has_nothing_to_ask_about(make_view):
    found = askable(make_view(np.zeros((0, 2)), [], classes=("a", "b")))
    assert (len(found), found.n_units, found.resampled) == (0, 0, "images")


items = st.lists(st.tuples(st.sampled_from("abc?"), st.integers(0, 9), st.integers(0, 4)), max_size=25)


@settings(deadline=None, max_examples=60)
@given(items=items, trained=st.sets(st.integers(0, 9)), seed=st.integers(0, 99))
def test_every_item_is_asked_about_or_counted_whatever_their_order(make_view, shuffled, items, trained, seed):
    view = make_view(
        np.zeros(len(items)),
        [label for label, _, _ in items],
        classes=("a", "b", "c"),
        digests=tuple(str(digest) for _, digest, _ in items),
        groups=tuple(str(group) for _, _, group in items),
        seen_digests=frozenset(str(digest) for digest in trained),
    )
    found, digests = askable(view), asked_digests(view)
    assert len(found) + sum(found.left_out.values()) == len(items)
    assert len(set(digests)) == len(digests)
    assert not set(digests) & view.seen_digests
    other = askable(shuffled(view, seed))
    assert asked_digests(shuffled(view, seed)) == digests
    assert other.codes.tolist() == found.codes.tolist()
    assert other.units.tolist() == found.units.tolist()
    assert other.left_out == found.left_out
