"""Which keys a mapping of a document may have, read off the models."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from config.tree import TAGS, Path, Tree, descend


def known_keys(model: type[BaseModel], path: Path, tree: Tree) -> list[str]:
    """Return the keys that the mapping at the path may have.

    Parameters
    ----------
    model : type of BaseModel
        Of the whole document.
    path : tuple of str or int
        Where the mapping stands; empty for the document itself.
    tree : Tree
        The document, whose tags say which of several shapes a mapping has.
    """
    shapes: list[type[BaseModel]] = _models(model)
    annotations: list[Any] = [model]
    for index, step in enumerate(path):
        annotations = [inner for outer in annotations for inner in _inside(outer, step)]
        shapes = _tagged(annotations, descend(tree, path[: index + 1])[0])
        annotations = [*shapes, *(a for a in annotations if not _models(a))]
    return [name for shape in shapes for name in shape.model_fields]


def _tagged(annotations: list[Any], tree: Tree) -> list[type[BaseModel]]:
    """Return the models among the annotations, only the one that the tag names if it names one."""
    models = [model for annotation in annotations for model in _models(annotation)]
    if isinstance(tree.value, dict):
        for tag in TAGS:
            if tag in tree.value:
                named = [
                    model
                    for model in models
                    if tag in model.model_fields
                    and model.model_fields[tag].default == tree.value[tag].value
                ]
                return named or models
    return models


def _inside(annotation: Any, step: str | int) -> list[Any]:
    """Return what the annotation says of the value one step inside."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(step))
        return _options(field.annotation) if field is not None else []
    if get_origin(annotation) is dict:
        return _options(get_args(annotation)[1])
    if get_origin(annotation) in (tuple, list):
        return _options(get_args(annotation)[0])
    return []


def _options(annotation: Any) -> list[Any]:
    """Return the members of a union, or the annotation itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _options(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [option for part in get_args(annotation) for option in _options(part)]
    return [annotation]


def _models(annotation: Any) -> list[type[BaseModel]]:
    return (
        [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
    )
