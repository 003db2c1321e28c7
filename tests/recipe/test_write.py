"""A recipe written out in full reads back to itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.recipe import Recipe, parse_recipe, resolved, to_yaml
from nearkin.recipe.shipped import recipes_folder
from nearkin.recipe.yaml_text import write_yaml
from nearkin.registry import Registries

texts = st.text(st.characters(codec="utf-8"), max_size=8)
labels = st.lists(texts, min_size=2, max_size=5, unique=True)
positive = st.floats(1e-12, 1e12)


def section(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=optional)


recipes = section(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
        "data": section(
            {"source": st.just("folder"), "path": texts},
            known=labels,
            shots=st.integers(1, 10**12),
            seed=st.none() | st.integers(0, 2**63 - 1),
        ),
        "backbone": section(
            {"type": st.sampled_from(["conv4", "nearkin:conv2"])},
            title=texts,
            dropout=st.just("auto") | st.floats(0, 0.99),
        ),
        "train": section(
            {"epochs": st.integers(1, 9)},
            optimizer=section({"lr": positive, "type": st.sampled_from(["adam", "sgd"])}),
            early_stopping=st.none() | st.just({"patience": 3}),
            clip_norm=st.none() | positive,
            augment=st.none() | section({"degrees": st.floats(0, 180)}),
        ),
        "evaluate": st.lists(st.sampled_from([{"type": "exam", "n_way": 5}, {"type": "clusters"}]), max_size=3),
    },
    seed=st.integers(0, 2**63 - 1),
    index=section({"alpha": st.floats(0.001, 0.999)}),
)
methods = st.sampled_from(
    [
        {"method": {"type": "twins"}, "sampler": {"type": "balanced_pairs"}},
        {"method": {"type": "embedding"}, "sampler": {"type": "m_per_class"}, "loss": {"type": "triplet_margin"}},
    ]
)


@settings(deadline=None, max_examples=120)
@given(written=recipes, method=methods)
def test_a_recipe_written_in_full_reads_back_to_the_same_recipe(
    written: dict[str, Any], method: dict[str, Any], shared_registries: Registries
) -> None:
    recipe = parse_recipe(write_yaml({**written, **method}), shared_registries, name="r.yaml")
    again = parse_recipe(to_yaml(recipe), shared_registries, name="again.yaml")
    assert again == recipe
    assert to_yaml(again) == to_yaml(recipe)


def test_every_default_is_written_out(parse: Callable[..., Recipe]) -> None:
    written = resolved(parse())
    sections = ["data", "backbone", "method", "sampler", "train", "embed", "index", "unknown", "evaluate"]
    assert list(written) == ["name", "seed", *sections]
    assert written["backbone"] == {
        "type": "conv4",
        "width": 32,
        "channels": 1,
        "size": [28, 28],
        "dropout": "auto",
        "title": "",
    }
    assert written["index"] == {"alpha": 0.1, "operating_points": {}, "metric": None, "engine": {"type": "auto"}}
    unknown = {"score": {"type": "knn", "k": 1}, "way": "held_out", "folds": None, "space": {"type": "embedding"}}
    assert written["unknown"] == unknown
    assert written["data"]["path"] is None
    assert "known: ['3', '007', 'no']" in to_yaml(parse())


def test_shipped_recipes_open_with_the_command_that_runs_them() -> None:
    for path in sorted(Path(recipes_folder()).glob("*.yaml")):
        assert path.read_text(encoding="utf-8").splitlines()[0] == f"# nearkin train {path.stem}"
