"""Models in files: safetensors, whose metadata holds the structure and the compile settings as JSON.

An array's name is its layer's place among the layers that have weights, and the variable's name within the layer:
"3/kernel", and "2/0/bias" in a model that is a layer. What the optimizer keeps for a weight is "optimizer/3/kernel/0".
A digest over everything shows whether a file is as it was written. Reading runs no code: JSON names classes of konv.nn,
and weights larger than the file's arrays are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .layers import Layer
from .layers.base import blank_weights
from .serialization import CustomObjects, deserialize, serialize
from .variable import Array, Variable

if TYPE_CHECKING:
    from .model import Model
    from .network import Network

_FORMAT = "konv.nn 1"
_OPTIMIZER = "optimizer/"


def to_json(network: Network) -> str:
    """Return a network's structure as JSON."""
    return json.dumps(serialize(network), allow_nan=False)


def model_from_json(json_string: str, custom_objects: CustomObjects | None = None) -> Model:
    """Make a model from what `Model.to_json` returned, with weights as they start.

    Parameters
    ----------
    json_string : str
        The structure.
    custom_objects : mapping of str to type or function, optional
        What the structure names that is not konv's.

    Raises
    ------
    ValueError
        If it is not JSON, or describes no model.

    Examples
    --------
    >>> from konv import nn
    >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(3, name="scores")])
    >>> nn.model_from_json(model.to_json()).layers
    [<Dense name=scores, built=True>]
    """
    from .model import Model

    model: Model = deserialize(_parsed(json_string, "json_string"), Model, custom_objects)
    return model


def save_model(model: Model, path: Path, *, overwrite: bool) -> None:
    """Write structure, weights, compile settings and the optimizer's state."""
    metadata = {"model": to_json(model)}
    settings = model.get_compile_config()
    if settings:
        metadata["compile"] = json.dumps(settings, allow_nan=False)
    arrays = _arrays(model)
    if model.optimizer is not None and model.optimizer.iterations:
        metadata["iterations"] = str(model.optimizer.iterations)
        arrays |= _optimizer_arrays(model)
    _write(path, arrays, metadata, overwrite=overwrite)


def save_weights(network: Network, path: Path, *, overwrite: bool) -> None:
    """Write the weights alone."""
    _write(path, _arrays(network), {}, overwrite=overwrite)


def load_weights(network: Network, path: Path) -> None:
    """Read weights into a network of the same layers; changes all or none."""
    arrays, _ = _read(path)
    _assign(network, arrays, path)


def load_model(filepath: str | Path, custom_objects: CustomObjects | None = None, compile: bool = True) -> Model:
    """Read a model that `Model.save` wrote.

    Parameters
    ----------
    filepath : str or Path
        The file.
    custom_objects : mapping of str to type or function, optional
        Layers, losses and the like that the file names and that are not konv's.
    compile : bool
        Whether to compile the model as it was, where it was.

    Returns
    -------
    Model
        With the same layers, names and weights.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    ValueError
        If the file is not whole or has been changed, is no model's, or names what is not known.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from konv import nn
    >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(3)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.konv"
    ...     model.save(path)
    ...     again = nn.load_model(path)
    >>> bool((again.get_weights()[0] == model.get_weights()[0]).all())
    True
    """
    from .model import Model

    path = Path(filepath)
    arrays, metadata = _read(path)
    if "model" not in metadata:
        raise ValueError(f"{path} holds weights alone: make the model, and load them with load_weights")
    try:
        with blank_weights(sum(array.size for array in arrays.values())):
            model: Model = deserialize(_parsed(metadata["model"], "its model"), Model, custom_objects)
        _assign(model, arrays, path)
        if compile and "compile" in metadata:
            model.compile_from_config(_parsed(metadata["compile"], "its compile settings"), custom_objects)
            _assign_optimizer(model, arrays, metadata)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} describes no model that can be made: {error}") from None
    return model


def _variables(layers: Sequence[Layer], prefix: str = "") -> Iterator[tuple[str, Variable]]:
    """Yield the variables with their names in a file, one that is shared under its first name."""
    for i, layer in enumerate(layer for layer in layers if layer.weights):
        inner: Sequence[Layer] | None = getattr(layer, "layers", None)
        if inner is not None:
            yield from _variables(inner, f"{prefix}{i}/")
        else:
            yield from ((f"{prefix}{i}/{variable.name}", variable) for variable in layer.weights)


def _named(network: Network) -> dict[str, Variable]:
    network.count_params()  # which refuses a network without weights yet
    found: dict[Variable, str] = {}
    for name, variable in _variables(network.layers):
        found.setdefault(variable, name)
    return {name: variable for variable, name in found.items()}


def _arrays(network: Network) -> dict[str, Array]:
    return {name: variable.value for name, variable in _named(network).items()}


def _optimizer_arrays(model: Model) -> dict[str, Array]:
    """Return what the optimizer keeps for each variable, where it lies."""
    optimizer = model.optimizer
    if optimizer is None:
        return {}
    return {
        f"{_OPTIMIZER}{name}/{i}": array
        for name, variable in _named(model).items()
        if variable.trainable
        for i, array in enumerate(optimizer.slots_of(variable))
    }


def _assign_optimizer(model: Model, arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    if model.optimizer is None or "iterations" not in metadata:
        return
    model.optimizer.iterations = int(metadata["iterations"])
    for name, array in _optimizer_arrays(model).items():
        if name not in arrays or arrays[name].shape != array.shape:
            raise ValueError(f"the optimizer's {name!r} must have the shape {array.shape}")
        array[...] = arrays[name]


def _assign(network: Network, arrays: Mapping[str, Array], path: Path) -> None:
    variables = _named(network)
    arrays = {name: array for name, array in arrays.items() if not name.startswith(_OPTIMIZER)}
    found = {name: array.shape for name, array in arrays.items()}
    expected = {name: variable.shape for name, variable in variables.items()}
    if found != expected:
        differing = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        name = differing[0]
        raise ValueError(
            f"{path} holds weights of another model: {len(differing)} of {len(found | expected)} differ, the first "
            f"{name!r}, which is {found.get(name, 'not there')}, expected {expected.get(name, 'none')}"
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _write(path: Path, arrays: Mapping[str, Array], metadata: dict[str, str], *, overwrite: bool) -> None:
    safetensors = library()
    if path.exists() and not overwrite:
        raise ValueError(f"filepath {path} exists, and overwrite is False")
    metadata = {"format": _FORMAT, **metadata}
    metadata["sha256"] = _digest(arrays, metadata)
    partial = path.with_name(path.name + ".partial")
    try:
        safetensors.numpy.save_file(dict(arrays), partial, metadata)
        partial.replace(path)
    except safetensors.SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from None
    finally:
        partial.unlink(missing_ok=True)


def _read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    safetensors = library()
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: np.asarray(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (safetensors.SafetensorError, TypeError) as error:
        raise ValueError(f"{path} is not a file of konv.nn, or not whole: {error}") from None
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"{path} must have the format {_FORMAT!r}, got {metadata.get('format')!r}")
    if metadata.pop("sha256", None) != _digest(arrays, metadata):
        raise ValueError(f"{path} is not as it was written: its contents do not have the digest in it")
    return arrays, metadata


def _digest(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _parsed(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError, TypeError) as error:
        raise ValueError(f"{what} is not JSON: {error}") from None


def library() -> Any:
    """Import safetensors, or say how to install it."""
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise ImportError("models are saved with safetensors: pip install 'konv[save]'") from None
    return safetensors
