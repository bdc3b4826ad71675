"""Samples in, batches out: from arrays, or from whatever yields batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._words import counted
from ..cuda._arrays import on_device
from ..cuda._target import shape_and_dtype
from .graph import Graph, Value
from .layers.arguments import positive_int
from .training import Batch, Objective
from .variable import Array


@dataclass(frozen=True)
class Names:
    """What a model's inputs and outputs are called, for samples that come as dicts."""

    inputs: list[str]
    outputs: list[str]


def distinct(names: Sequence[str]) -> list[str]:
    """Return names of outputs of which no two are the same: a layer's second output gets a number."""
    counts: dict[str, int] = {}
    found = []
    for name in names:
        counts[name] = counts.get(name, -1) + 1
        found.append(f"{name}_{counts[name]}" if counts[name] else name)
    return found


def batch_size_or_default(value: int | None) -> int:
    """Check a batch size; 32, as Keras takes, where there is none."""
    return 32 if value is None else positive_int(value, "batch_size")


def limit(steps: int | None, name: str) -> int | None:
    """Check how many batches to take, None for all."""
    return None if steps is None else positive_int(steps, name)


def as_input(x: ArrayLike, value: Value, name: str = "x") -> Array:
    """Check samples against a model's input; adds or drops a last axis of size 1, as Keras does.

    Raises
    ------
    TypeError, ValueError
        If the samples are not numbers, or not of the model's shape.
    """
    if on_device(x):
        return _device_input(x, value, name)
    samples = np.asarray(x)
    if samples.dtype.kind not in "iubf":
        raise TypeError(f"{name} must hold real numbers, got dtype {samples.dtype}")
    expected = value.shape
    if samples.ndim == len(expected) - 1 and expected[-1] == 1:
        samples = samples[..., None]
    elif samples.ndim == len(expected) + 1 and samples.shape[-1] == 1:
        samples = samples[..., 0]
    fits = samples.ndim == len(expected) and all(
        want is None or have == want for have, want in zip(samples.shape[1:], expected[1:], strict=True)
    )
    if not fits:
        raise ValueError(f"{name} must have the model's input shape {expected}, got {np.shape(samples)}")
    return samples


def _device_input(x: Any, value: Value, name: str) -> Array:
    """Samples on a device, which stay as they are, so they have to fit."""
    shape, dtype = shape_and_dtype(x)
    expected = value.shape
    if dtype != value.dtype.name:
        raise TypeError(f"{name}: expected dtype {value.dtype}, got {dtype}; samples on a device are not converted")
    fits = len(shape) == len(expected) and all(
        want is None or have == want for have, want in zip(shape[1:], expected[1:], strict=True)
    )
    if not fits:
        raise ValueError(f"{name} must have the model's input shape {expected}, got {shape}")
    samples: Array = x  # as far as a model looks at it
    return samples


def as_array(x: Any) -> Any:
    """Return samples as an array with a shape: NumPy's, unless they are on a device."""
    return x if on_device(x) else np.asarray(x)


def parts(given: Any, names: Sequence[str], what: str) -> list[Any]:
    """Return one entry a name: from a dict by name, from a list in order, or the only one there is.

    Raises
    ------
    ValueError
        If there are too few or too many.
    """
    if isinstance(given, Mapping):
        unknown = set(given) - set(names)
        if unknown:
            raise ValueError(f"{what} must be named {list(names)}, got {sorted(map(str, unknown))}")
        return [given.get(name) for name in names]
    if len(names) == 1:
        alone = isinstance(given, (list, tuple)) and len(given) == 1 and hasattr(given[0], "shape")
        return [given[0] if alone else given]
    if not isinstance(given, (list, tuple)) or len(given) != len(names):
        count = len(given) if isinstance(given, (list, tuple)) else type(given).__name__
        raise ValueError(f"{what} must be a list of {len(names)}, {list(names)}, got {count}")
    return list(given)


def is_iterable_of_batches(x: Any) -> bool:
    """Whether x yields batches, rather than being samples itself."""
    if isinstance(x, (np.ndarray, Mapping, str)) or hasattr(x, "__array__") or hasattr(x, "__dlpack__"):
        return False
    if isinstance(x, (list, tuple)):
        return bool(x) and all(isinstance(item, tuple) for item in x)
    return isinstance(x, Iterable) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


class Checked:
    """What turns samples, targets and weights into arrays of a model.

    Parameters
    ----------
    graph : Graph
        The model's.
    objective : Objective
        Whose losses say what targets they take.
    names : Names
        Of inputs and outputs.
    class_weight : mapping of int to float, optional
        Weights of samples by their class; of a model with one output.
    """

    def __init__(
        self, graph: Graph, objective: Objective, names: Names, class_weight: Mapping[int, float] | None = None
    ) -> None:
        self.graph, self.objective, self.names = graph, objective, names
        self.values = [graph.values[i] for i in graph.inputs]
        self.dtype = self.values[0].dtype
        if class_weight is not None:
            if not isinstance(class_weight, Mapping):
                raise TypeError(f"class_weight must be a dict from classes to weights, got {class_weight!r}")
            if len(names.outputs) != 1:
                raise ValueError("class_weight works for models with one output; pass sample_weight instead")
        self.class_weight = class_weight

    def inputs(self, x: Any) -> list[Array]:
        """Check samples of all inputs; they keep their dtype."""
        given = parts(x, self.names.inputs, "x")
        arrays = []
        for samples, value, name in zip(given, self.values, self.names.inputs, strict=True):
            if samples is None:
                raise ValueError(f"x must hold samples for input {name!r}")
            arrays.append(as_input(samples, value, "x" if len(given) == 1 else f"x[{name!r}]"))
        counts = [a.shape[0] for a in arrays]
        if len(set(counts)) > 1:
            raise ValueError(f"x must hold as many samples for each input, got {counts}")
        return arrays

    def host_inputs(self, x: Any) -> list[Array]:
        """Check samples that have to be in the host's memory."""
        inputs = self.inputs(x)
        if any(map(on_device, inputs)):
            raise ValueError(
                "x must be in the host's memory: models train and evaluate on the CPU, and predict takes one batch of "
                "arrays on a device"
            )
        return inputs

    def all(self, x: Any, y: Any, sample_weight: Any = None) -> Batch:
        """Check samples with their targets and weights; inputs keep their dtype."""
        inputs = self.host_inputs(x)
        count = len(inputs[0])
        if count == 0:
            raise ValueError("x must hold at least one sample")
        shapes = self.graph.output_shapes([a.shape for a in inputs])
        given = parts(y, self.names.outputs, "y")
        shares: list[Any] = [None] * len(given)
        if sample_weight is not None:
            if len(given) > 1 and hasattr(sample_weight, "shape"):
                shares = [sample_weight] * len(given)
            else:
                shares = parts(sample_weight, self.names.outputs, "sample_weight")
        targets: list[Array | None] = []
        weights: list[Array | None] = []
        for i, (target, loss, shape) in enumerate(zip(given, self.objective.losses, shapes, strict=True)):
            if loss is None:
                targets.append(None)
                weights.append(None)
                continue
            output = tuple(n for n in shape if n is not None)
            if target is None or np.ndim(target) == 0 or len(np.asarray(target)) != count:
                found = "a number" if np.ndim(target) == 0 else len(np.asarray(target))
                raise ValueError(f"y must hold one target a sample, {count}, got {found}")
            checked = loss.targets(target, output, self.dtype)
            targets.append(checked)
            weights.append(self._weights(checked, output, shares[i]))
        return Batch(inputs, targets, weights)

    def _weights(self, target: Array, output: tuple[int, ...], share: Any) -> Array | None:
        """One weight for each sample, or each pixel of each."""
        if share is None and self.class_weight is None:
            return None
        shape = output[:-1]
        weights = np.ones(shape, self.dtype)
        if share is not None:
            given = np.asarray(share)
            if given.dtype.kind not in "iubf":
                raise TypeError(f"sample_weight must be numbers, got dtype {given.dtype}")
            if given.shape not in (shape[: given.ndim], (*shape, 1)) or given.ndim == 0:
                raise ValueError(f"sample_weight must have shape {shape[:1]} or {shape}, got {given.shape}")
            given = given.reshape(shape) if given.ndim > len(shape) else given
            weights *= given.reshape(given.shape + (1,) * (len(shape) - given.ndim))
        if self.class_weight is not None:
            classes = _classes(target)
            table = np.ones(max([*self.class_weight, int(classes.max(initial=0))]) + 1)
            for number, weight in self.class_weight.items():
                table[number] = weight
            weights *= table[classes].reshape(shape)
        return weights


def _classes(target: Array) -> Array:
    """Class numbers of targets: given as such, one-hot, or 0 and 1."""
    if target.dtype == np.int64:
        return target
    return target.argmax(axis=-1) if target.shape[-1] > 1 else target[..., 0].astype(np.int64)


class ArraySource:
    """Cuts samples into batches of the model's dtype.

    Parameters
    ----------
    samples : Batch
        All of them.
    size : int
        Of a batch; the last one may be smaller.
    dtype : dtype
        What inputs are converted to.
    rng : Generator, optional
        Draws the order of each pass; without one samples stay in order.
    steps : int, optional
        Batches a pass; all of them by default.
    """

    def __init__(
        self,
        samples: Batch,
        size: int,
        dtype: np.dtype[Any],
        rng: np.random.Generator | None = None,
        steps: int | None = None,
    ) -> None:
        self.samples, self.size, self._dtype, self._rng = samples, size, dtype, rng
        self.steps: int | None = -(-samples.size // size)
        if steps is not None:
            self.steps = min(steps, self.steps)

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of one pass; arrays of one are valid until the next."""
        count, size = self.samples.size, self.size
        order = None if self._rng is None else self._rng.permutation(count)
        buffers = [np.empty((min(size, count), *x.shape[1:]), self._dtype) for x in self.samples.inputs]
        for start in range(0, count if self.steps is None else min(count, self.steps * size), size):
            which: Any = slice(start, start + size) if order is None else order[start : start + size]
            inputs = [self._gather(x, which, b) for x, b in zip(self.samples.inputs, buffers, strict=True)]
            targets = [None if y is None else y[which] for y in self.samples.targets]
            weights = [None if w is None else as_rows(w[which]) for w in self.samples.weights]
            yield Batch(inputs, targets, weights)

    def _gather(self, samples: Array, which: Any, buffer: Array) -> Array:
        if isinstance(which, slice):
            return samples[which].astype(self._dtype, copy=False)
        batch = buffer[: len(which)]
        if samples.dtype == self._dtype:
            # Indices of a permutation are in range; "clip" spares a copy through a buffer.
            np.take(samples, which, axis=0, out=batch, mode="clip")
        else:
            batch[...] = samples[which]
        return batch


def as_rows(weights: Array) -> Array:
    """Weights of samples or pixels as a column."""
    return weights.reshape(-1, 1)


class IterableSource:
    """Batches as something else yields them: (x, y) or (x, y, sample_weight).

    Parameters
    ----------
    iterable : iterable, or sequence of batches
        A generator goes on from pass to pass; others begin anew.
    checked : Checked
        Turns them into arrays.
    steps : int, optional
        Batches a pass; by default until there are no more.
    """

    def __init__(self, iterable: Any, checked: Checked, steps: int | None) -> None:
        self._iterable, self._checked = iterable, checked
        self._is_iterator = hasattr(iterable, "__next__")
        length = None if self._is_iterator or not hasattr(iterable, "__len__") else len(iterable)
        self.steps = length if steps is None else steps

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of one pass."""
        given = self._iterable
        source = iter(given) if hasattr(given, "__iter__") else (given[i] for i in range(len(given)))
        taken = 0
        while self.steps is None or taken < self.steps:
            try:
                item = next(source)
            except StopIteration:
                if taken == 0:
                    raise ValueError("x must yield at least one batch a pass, got none: has it ended?") from None
                return
            taken += 1
            if not isinstance(item, (tuple, list)) or len(item) not in (2, 3):
                raise TypeError(f"x must yield (x, y) or (x, y, sample_weight), got {type(item).__name__}")
            batch = self._checked.all(*item)
            inputs = [x.astype(self._checked.dtype, copy=False) for x in batch.inputs]
            yield Batch(inputs, batch.targets, [None if w is None else as_rows(w) for w in batch.weights])


Source = ArraySource | IterableSource


def split(x: Any, y: Any, sample_weight: Any, share: float) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
    """Cut the last `share` of samples off for validation, as Keras does: before any shuffling."""
    if not 0 < share < 1:
        raise ValueError(f"validation_split must be within [0, 1), got {share}")
    first = x
    while isinstance(first, Mapping) or (isinstance(first, (list, tuple)) and first and hasattr(first[0], "shape")):
        first = next(iter(first.values())) if isinstance(first, Mapping) else first[0]
    count = len(np.asarray(first))
    cut = int(count * (1 - share))
    if not 0 < cut < count:
        raise ValueError(f"validation_split={share} of {counted(count, 'sample')} leaves one side empty")

    def side(data: Any, which: slice) -> Any:
        if data is None:
            return None
        if isinstance(data, Mapping):
            return {name: side(value, which) for name, value in data.items()}
        if isinstance(data, (list, tuple)) and data and hasattr(data[0], "shape"):
            return [side(value, which) for value in data]
        return np.asarray(data)[which]

    sides = [tuple(side(data, which) for data in (x, y, sample_weight)) for which in (slice(cut), slice(cut, None))]
    return sides[0], sides[1]


def validation_parts(data: Any) -> tuple[Any, Any, Any]:
    """Return (x, y, sample_weight) of validation data."""
    if is_iterable_of_batches(data) and not isinstance(data, tuple):
        return data, None, None
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise TypeError("validation_data must be (x, y), (x, y, sample_weight) or an iterable of batches")
    x, y, *weights = data
    return x, y, weights[0] if weights else None
