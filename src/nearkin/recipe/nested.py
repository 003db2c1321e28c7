"""Sections inside a section: the models that its annotations allow, and the parts that it names by `type`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from nearkin.contracts import PartOptions
from nearkin.errors import did_you_mean, listing
from nearkin.recipe.problems import KeyPath

TAG = "type"
"""The key by which a section names one of several parts: `distance: {type: cosine}`."""


def annotations_at(model: type[BaseModel], path: KeyPath, data: Any) -> list[Any]:
    """What the value at `path`, or the list it is in, may be; of several models, those that `data` names on the way."""
    annotations: list[Any] = [model]
    for part in path:
        if isinstance(part, str):
            models = [found for annotation in annotations for found in named_in(annotation, data)]
            annotations = [fields[part] for one in models if part in (fields := fields_of(one))]
        data = data[part] if has(data, part) else None
    return annotations


def keys_at(model: type[BaseModel], path: KeyPath, data: Any) -> list[str]:
    """The keys of the section at `path`."""
    section = value_at(data, path)
    models = [found for annotation in annotations_at(model, path, data) for found in named_in(annotation, section)]
    return list(dict.fromkeys(key for one in models for key in fields_of(one)))


def tags_at(model: type[BaseModel], path: KeyPath, data: Any) -> list[str]:
    """The names that a section at `path` may give as its type; none where it is no section that names a part."""
    models = [found for annotation in annotations_at(model, path, data) for found in models_in(annotation)]
    return list(dict.fromkeys(tag for one in models for tag in tags_of(one)))


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Every model of an annotation such as `Annotated[Lp | Cosine, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in models_in(argument)]


def named_in(annotation: Any, section: Any) -> list[type[BaseModel]]:
    """Those of the annotation's models that the section's own type names; all where it names none of them."""
    models = models_in(annotation)
    tag = section.get(TAG) if isinstance(section, dict) else None
    return [one for one in models if tag in tags_of(one)] or models


def parts_of(model: type[BaseModel]) -> Iterator[type[PartOptions]]:
    """Every part that its sections may name, the parts' own included."""
    for annotation in fields_of(model).values():
        for found in models_in(annotation):
            if issubclass(found, PartOptions):
                yield found
            yield from parts_of(found)


def tags_of(model: type[BaseModel]) -> tuple[Any, ...]:
    """The names that a part's model bears: `type: Literal["cosine"]`."""
    return get_args(fields_of(model).get(TAG))


def missing_part(path: KeyPath, names: Sequence[str]) -> str:
    """What to say where the type is missing at `(..., key, "type")`."""
    example = f", as in {{type: {names[0]}}}" if names else ""
    return f"missing: name the {_noun(path)}{example}. There are {listing(names, most=20)}."


def unknown_part(path: KeyPath, name: object, names: Sequence[str]) -> str:
    """What to say of a type that is none of `names`."""
    near = did_you_mean(name, names) if isinstance(name, str) else ""
    there_are = f" There are {listing(names, most=20)}."
    return f"no {_noun(path)} here is called {name!r}.{near or there_are}"


def _noun(path: KeyPath) -> str:
    """`("loss", "embedding_regularizer", "type")` -> `embedding regularizer`."""
    words = [part for part in path[:-1] if isinstance(part, str)]
    return words[-1].replace("_", " ") if words else "part"


def fields_of(model: type[BaseModel]) -> dict[str, Any]:
    """Key in a recipe -> annotation."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def value_at(data: Any, path: KeyPath) -> Any:
    """What stands at `path`; `None` where nothing does."""
    for part in path:
        data = data[part] if has(data, part) else None
    return data


def has(data: Any, part: str | int) -> bool:
    """Whether a section has this key, or a list this position."""
    if isinstance(data, list):
        return isinstance(part, int) and 0 <= part < len(data)
    return isinstance(data, dict) and part in data
