"""Objects as plain data: a class's name and the arguments that would make the object again.

Every class of `konv.nn` that has a place in a file keeps each argument of its constructor as an attribute of the same
name, so that this is said here once. Files name classes and functions, never code: what is made from them is a class of
`konv.nn`, or what the caller passes under that name.
"""

from __future__ import annotations

import inspect
from collections.abc import Container, Mapping
from typing import Any

import numpy as np

Config = dict[str, Any]
CustomObjects = Mapping[str, Any]


def arguments_of(instance: object, without: Container[str] = ()) -> Config:
    """Return the constructor's arguments but those `without`, read from the attributes of the same names.

    Raises
    ------
    ValueError
        If an argument is something that no file can hold, such as a function without a name.
    """
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(type(instance)).parameters.values()
    named = [p.name for p in parameters if p.kind not in kinds and p.name not in without]
    return {name: plain(getattr(instance, name), f"{name} of {type(instance).__name__}") for name in named}


def serialize(instance: object) -> Config:
    """Return {"class_name": ..., "config": ...} of a layer, an initializer, an optimizer, ..."""
    get_config = getattr(instance, "get_config", None)
    config = arguments_of(instance) if get_config is None else get_config()
    return {"class_name": type(instance).__name__, "config": config}


def plain(value: Any, what: str) -> Any:
    """Return a value as JSON has it; `what` names it in the error."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.integer, np.floating)):
        return value.item()
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, (tuple, list)):
        return [plain(item, what) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item, what) for key, item in value.items()}
    if isinstance(value, _kinds()):
        return serialize(value)
    if inspect.isfunction(value) and value.__name__.isidentifier():  # a lambda's name is none
        return {"function_name": value.__name__}
    raise ValueError(
        f"{what} cannot be written to a file, got {value!r}: use a name, an object of konv.nn or a named function"
    )


def deserialize(description: Any, kind: type, custom_objects: CustomObjects | None = None) -> Any:
    """Make the object that `serialize` described.

    Parameters
    ----------
    description : dict
        With "class_name" and "config".
    kind : type
        What the class must derive from.
    custom_objects : mapping of str to type or function, optional
        What is meant by names beside those of `konv.nn`.

    Raises
    ------
    ValueError
        If the description is no such dict, names an unknown class or does not fit the class.
    """
    if not _is_description(description):
        raise ValueError(f"a {kind.__name__} must be described by class_name and config, got {_short(description)}")
    name, config = description["class_name"], description["config"]
    found = _class(name, custom_objects or {})
    if found is None or not issubclass(found, kind):
        raise ValueError(f"{_short(name)} is no {kind.__name__} of konv.nn: pass its class in custom_objects")
    try:
        from_config = getattr(found, "from_config", None)
        return found(**revived(config, custom_objects)) if from_config is None else from_config(config, custom_objects)
    except (TypeError, AttributeError, KeyError, IndexError, OverflowError) as error:
        raise ValueError(f"config does not describe a {name}: {error}") from None


def revived(value: Any, custom_objects: CustomObjects | None = None) -> Any:
    """Return a value in which all descriptions have become objects."""
    if _is_description(value):
        return deserialize(value, object, custom_objects)
    if isinstance(value, dict) and set(value) == {"function_name"}:
        return _function(value["function_name"], custom_objects or {})
    if isinstance(value, dict):
        return {key: revived(item, custom_objects) for key, item in value.items()}
    if isinstance(value, list):
        return [revived(item, custom_objects) for item in value]
    return value


def _is_description(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"class_name", "config"}
        and isinstance(value["class_name"], str)
        and isinstance(value["config"], dict)
    )


def _function(name: Any, custom_objects: CustomObjects) -> Any:
    if not isinstance(name, str) or not callable(custom_objects.get(name)):
        raise ValueError(f"the function {_short(name)} is needed: pass it in custom_objects")
    return custom_objects[name]


def _class(name: str, custom_objects: CustomObjects) -> type | None:
    from konv import nn  # the package imports this module

    found = custom_objects.get(name, getattr(nn, name, None) if name in nn.__all__ else None)
    return found if isinstance(found, type) and issubclass(found, _kinds()) else None


def _kinds() -> tuple[type, ...]:
    from konv import nn

    return (nn.Layer, nn.Initializer, nn.Regularizer, nn.Optimizer, nn.Loss, nn.Metric)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
