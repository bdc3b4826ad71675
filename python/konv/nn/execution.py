"""The executor: compiles a model's graph for the sizes it meets, and runs it.

A compiled program runs all nodes without returning to Python. What predicts has the weights packed, and is compiled
anew once a variable has changed; what trains reads the variables where they lie.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import _core, get_num_threads
from .._graph import ir
from .._graph.compiled import Compiled
from .._graph.gradients import Differentiation
from .._graph.lower import Weights
from .._graph.passes import prepare_training
from .._graph.precision import Precision
from .._graph.target import CPU, Target
from .emit import Emission
from .graph import Graph, Node
from .random import generator
from .variable import Array

MOST_PROGRAMS = 8  # of different sizes, kept at a time


class Seeds:
    """Numbers from which dropouts draw: of layers with a seed the same ones in every run of a process."""

    def __init__(self) -> None:
        self._runs: dict[str, int] = {}

    def draw(self, dropouts: Sequence[Node]) -> Array:
        """Return one number for each node."""
        seeds = np.empty(len(dropouts), np.int64)
        for i, node in enumerate(dropouts):
            seed = node.attributes["seed"]
            run = self._runs[node.name] = self._runs.get(node.name, -1) + 1
            rng = generator() if seed is None else generator((seed, run))
            seeds[i] = rng.integers(2**63)
        return seeds


class Programs:
    """Compiled programs by the sizes they are for; the ones used last are kept."""

    def __init__(self) -> None:
        self._programs: OrderedDict[Any, Any] = OrderedDict()

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return what was made for a key, made now if need be."""
        if key not in self._programs:
            self._programs[key] = make()
            if len(self._programs) > MOST_PROGRAMS:
                self._programs.popitem(last=False)
        self._programs.move_to_end(key)
        return self._programs[key]

    def clear(self) -> None:
        """Forget all."""
        self._programs.clear()


class Forward:
    """A model's graph in the compiler's form, with as many seeds as it has dropouts."""

    def __init__(self, model: Graph, shapes: Sequence[tuple[int, ...]], *, training: bool, bound: bool) -> None:
        dtype = model.values[model.inputs[0]].dtype
        self.graph = ir.Graph()
        self.inputs = [ir.Value(shape, dtype, "input") for shape in shapes]
        self.seeds = ir.Value((sum(node.op == "dropout" for node in model.nodes),), np.dtype(np.int64), "seeds")
        self.emission = Emission(self.graph, training, bound, dtype, self.seeds)
        self.values = self.emission.run(model, self.inputs)
        self.graph.inputs = [*self.inputs, self.seeds] if self.emission.dropouts else list(self.inputs)

    def outputs(self, model: Graph) -> list[ir.Value]:
        """Return the model's outputs, channels last."""
        return [self.emission.channels_last(self.values[number]) for number in model.outputs]


class Executor:
    """Runs one graph; any number of threads may call it at once.

    Parameters
    ----------
    graph : Graph
        Its variables are read, and in training those that are `updated` are moved.
    precision : Precision, optional
        In which numbers predictions are computed: the graph's by default.
    target : Target
        What predictions are compiled for: the CPU by default. Nothing trains elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> from konv.nn.execution import Executor
    >>> from konv.nn.graph import Graph
    >>> graph = Graph()
    >>> x = graph.add_input((None, 2), np.float64)
    >>> graph.outputs = [graph.add_node("activation", [x], {"kind": "tanh"})]
    >>> Executor(graph).run([np.zeros((1, 2))])
    [array([[0., 0.]])]
    """

    def __init__(self, graph: Graph, precision: Precision | None = None, target: Target = CPU) -> None:
        self.graph = graph
        self._target = target
        self._precision = precision or Precision()
        self._programs = Programs()
        self._seeds = Seeds()
        self._weights = Weights(target)
        self._versions: list[int] = []
        self._lock = threading.Lock()

    def run(self, inputs: Sequence[Array], training: bool = False) -> list[Array]:
        """Return the outputs for arrays of the inputs' shapes and dtype."""
        if training and self._target is not CPU:
            raise ValueError(f"training: models train on the CPU alone, not on device {self._target.name!r}")
        if any(0 in x.shape for x in inputs):
            return self._target.returned(self._nothing(inputs), inputs)
        compiled, dropouts = self._compiled([tuple(x.shape) for x in inputs], training)
        seeds = [self._seeds.draw(dropouts)] if dropouts else []
        outputs = self._target.returned(compiled.run([*inputs, *seeds]), inputs)
        if training:
            for variable in self.graph.variables:
                if variable.updated:
                    variable.changed()
        return outputs

    def gradients(
        self, inputs: Sequence[Array], grad_outputs: Sequence[Array], *, training: bool = True
    ) -> tuple[list[Array | None], list[Array | None]]:
        """Return the gradients of the inputs, and of the variables in their order.

        Parameters
        ----------
        inputs : sequence of ndarray
            As for `run`.
        grad_outputs : sequence of ndarray
            Like the outputs.
        training : bool
            Whether batch statistics count; moving ones stay as they are.

        Returns
        -------
        (list, list)
            None stands where nothing depends on an array, and for variables that are not trainable.
        """
        forward = Forward(self.graph, [x.shape for x in inputs], training=training, bound=True)
        graph = forward.graph
        outputs = forward.outputs(self.graph)
        graph.outputs = list(outputs)
        prepare_training(graph)
        for node in graph.nodes:
            if node.op == "batch_norm":
                node.inputs[4:] = [None, None]
        arriving = [ir.Value(y.shape, y.dtype, "grad") for y in outputs]
        variables = [v for v in self.graph.variables if v.trainable]
        wanted = [*forward.inputs, *(forward.emission.variable(v) for v in variables)]
        found = Differentiation(graph, wanted).of(dict(zip(outputs, arriving, strict=True)))
        graph.inputs += arriving
        graph.outputs = [value for value in found if value is not None]
        seeds = [self._seeds.draw(forward.emission.dropouts)] if forward.emission.dropouts else []
        arrays = iter(Compiled(graph, Weights(), get_num_threads()).run([*inputs, *seeds, *grad_outputs]))
        every = [None if value is None else next(arrays) for value in found]
        of_variables = dict(zip(variables, every[len(inputs) :], strict=True))
        return every[: len(inputs)], [of_variables.get(v) for v in self.graph.variables]

    def _compiled(self, shapes: Sequence[tuple[int, ...]], training: bool) -> tuple[Compiled, list[Node]]:
        with self._lock:
            versions = [v.version for v in self.graph.variables]
            if versions != self._versions and not training:
                self._programs.clear()
                self._weights, self._versions = Weights(self._target), versions

            def make() -> tuple[Compiled, list[Node]]:
                forward = Forward(self.graph, shapes, training=training, bound=training)
                forward.graph.outputs = forward.outputs(self.graph)
                precision = Precision() if training else self._precision
                compiled = precision.compile(None, forward.graph, self._weights, get_num_threads())
                return compiled, forward.emission.dropouts

            made: tuple[Compiled, list[Node]] = self._programs.get((tuple(shapes), training, _core.settings()), make)
            return made

    def _nothing(self, inputs: Sequence[Array]) -> list[Array]:
        """Outputs without elements."""
        shapes = self.graph.output_shapes([x.shape for x in inputs])
        dtype = self.graph.values[self.graph.inputs[0]].dtype
        return [np.empty([n for n in shape if n is not None], dtype) for shape in shapes]
