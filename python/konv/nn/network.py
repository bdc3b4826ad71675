"""Networks: what layers make between inputs and outputs, and what may be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import DTypeLike

from .._words import counted
from . import saving
from .graph import Graph
from .layers import Input, Layer
from .layers.base import unique_name
from .serialization import Config, CustomObjects, deserialize, serialize
from .summary import summary_text
from .symbolic import LayerCall, SymbolicTensor, calls_between, in_order
from .variable import Array, Shape, Variable

Self = TypeVar("Self", bound="Network")


class Network(Layer):
    """Layers connected between inputs and outputs; a layer itself, which other models may use.

    Attributes
    ----------
    inputs, outputs : list of SymbolicTensor
        Empty as long as they are not known.
    layers : list of Layer
        Without the inputs, in Keras's order.
    """

    automatic_name = "Functional"
    may_be_empty = False

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None) -> None:
        super().__init__(name=name or unique_name(self.automatic_name))
        self._calls: list[LayerCall] = []  # in running order, and so before what refers back to them when copied
        self._rows: list[Layer | SymbolicTensor] = []
        self.inputs: list[SymbolicTensor] = []
        self.outputs: list[SymbolicTensor] = []
        self._has_output_list = False
        self._graph: Graph | None = None
        if inputs is not None or outputs is not None:
            self.connect(inputs, outputs)
        elif not self.may_be_empty:
            raise TypeError(f"{type(self).__name__} needs inputs and outputs; Sequential makes a stack without them")

    def connect(self, inputs: Any, outputs: Any) -> None:
        """Make the network what lies between inputs and outputs, tensors or lists of them."""
        given, wanted = _tensors(inputs, "inputs"), _tensors(outputs, "outputs")
        if len(set(given)) < len(given):
            raise ValueError(f"inputs must differ, got {given}")
        calls = calls_between(given, wanted)
        rows = in_order(calls, given, wanted)
        names = [row.name for row in rows]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(f"layer names must differ, {sorted(repeated)[0]!r} is there already")
        self.inputs, self.outputs, self._calls, self._rows = given, wanted, calls, rows
        self._has_output_list = isinstance(outputs, (list, tuple))
        self.takes_several = len(given) > 1
        self.dtype = given[0].dtype
        self.built = True
        self._set_graph(None)

    # --- structure -------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the inputs; those farthest from the outputs first, as in Keras."""
        return [row for row in self._rows if isinstance(row, Layer)]

    @property
    def rows(self) -> list[Layer | SymbolicTensor]:
        """What `summary` shows: the inputs and the layers."""
        return list(self._rows)

    @property
    def layer_calls(self) -> list[LayerCall]:
        """Every use of a layer, in an order in which they can run."""
        return list(self._calls)

    @property
    def weights(self) -> list[Variable]:
        """All variables, layer by layer; one that several layers share once."""
        return list(dict.fromkeys(variable for layer in self.layers for variable in layer.weights))

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it sets it for all layers."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self.layers:
            layer.trainable = self._trainable

    @property
    def input(self) -> Any:
        """The input, or the list of them where there are several."""
        return self._known(self.inputs) if len(self.inputs) > 1 else self._known(self.inputs)[0]

    @property
    def output(self) -> Any:
        """The output, or the list of them where the network was made with a list."""
        return self._packed(self._known(self.outputs))

    @property
    def input_shape(self) -> Any:
        """The input's shape, batch included; a list where there are several inputs."""
        shapes: list[Shape] = [x.shape for x in self._known(self.inputs)]
        return shapes if len(shapes) > 1 else shapes[0]

    @property
    def output_shape(self) -> Any:
        """The output's shape, batch included; a list where there are several outputs."""
        shapes: list[Shape] = [x.shape for x in self._known(self.outputs)]
        return shapes if len(shapes) > 1 else shapes[0]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its position.

        Raises
        ------
        ValueError
            If there is none.
        """
        if (name is None) == (index is None):
            raise ValueError("give either name or index")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"index must be below {len(layers)}, got {index}")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(f"name must be one of {[x.name for x in layers]}, got {name!r}")

    def count_params(self) -> int:
        """Return the number of scalars in all weights."""
        self._known(self.inputs)
        return super().count_params()

    def summary(
        self,
        line_length: int | None = None,
        *,
        print_fn: Callable[[str], object] = print,
        expand_nested: bool = False,
        show_trainable: bool = False,
    ) -> None:
        """Print the layers with their output shapes, numbers of parameters and connections.

        Parameters
        ----------
        line_length : int, optional
            Width of the table.
        print_fn : callable
            What to pass the text to.
        expand_nested : bool
            Whether to show the layers of models that serve as layers.
        show_trainable : bool
            Whether to show which layers training changes.
        """
        print_fn(summary_text(self, line_length, expand_nested=expand_nested, show_trainable=show_trainable))

    # --- the graph -------------------------------------------------------------------------------

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """Add the nodes of all layers."""
        expected = self._known(self.inputs)
        if len(inputs) != len(expected):
            raise ValueError(f"model {self.name!r} takes {counted(len(expected), 'input')}, got {len(inputs)}")
        for number, x in zip(inputs, expected, strict=True):
            _check_fits(self, x, graph.values[number].shape)
        values = dict(zip(expected, inputs, strict=True))
        for call in self._calls:
            found = call.layer.add_to(graph, [values[x] for x in call.inputs])
            values.update(zip(call.outputs, found, strict=True))
        return [values[x] for x in self.outputs]

    def graph_for(self, x: Array) -> Graph:  # noqa: ARG002 - stacks without an Input take it from the samples
        """Return the graph, built for samples like `x` if it was not built before."""
        return self._built_graph()

    def _built_graph(self) -> Graph:
        if self._graph is None:
            graph = Graph()
            numbers = [graph.add_input(x.shape, x.dtype) for x in self._known(self.inputs)]
            graph.outputs = self.describe(graph, numbers)
            self._set_graph(graph)
            return graph
        return self._graph

    def _set_graph(self, graph: Graph | None) -> None:
        self._graph = graph

    def _packed(self, outputs: list[Any]) -> Any:
        return outputs if self._has_output_list else outputs[0]

    def _known(self, tensors: list[SymbolicTensor]) -> list[SymbolicTensor]:
        if not self.built:
            raise ValueError(f"model {self.name!r} is not built: start it with an Input, or pass it samples")
        return tensors

    # --- files -----------------------------------------------------------------------------------

    def get_config(self) -> Config:
        """Return the structure as plain data, which `from_config` takes.

        Tensors are numbered: the inputs first, then what each call gives, in running order.
        """
        tensors = [*self._known(self.inputs), *(x for call in self._calls for x in call.outputs)]
        number = {tensor: i for i, tensor in enumerate(tensors)}
        layers = self.layers
        return {
            "name": self.name,
            "trainable": self._trainable,
            "inputs": [input_config(x) for x in self.inputs],
            "layers": [serialize(layer) for layer in layers],
            "calls": [[layers.index(call.layer), *(number[x] for x in call.inputs)] for call in self._calls],
            "outputs": self._packed([number[x] for x in self.outputs]),
        }

    @classmethod
    def from_config(cls: type[Self], config: Config, custom_objects: CustomObjects | None = None) -> Self:
        """Make a model from what `get_config` returned, with weights as they start.

        Parameters
        ----------
        config : dict
            The structure.
        custom_objects : mapping of str to type or function, optional
            What the config names that is not konv's.

        Raises
        ------
        ValueError
            If the structure does not hold together, or names what is not known.
        """
        inputs = [read_input(x) for x in config["inputs"]]
        layers: list[Layer] = [deserialize(layer, Layer, custom_objects) for layer in config["layers"]]
        tensors = list(inputs)
        for layer, *sources in config["calls"]:
            called = layers[_index(layer, layers)]
            found = called([tensors[_index(i, tensors)] for i in sources])
            tensors += found if isinstance(found, list) else [found]
        chosen = config["outputs"]
        several = [tensors[_index(i, tensors)] for i in (chosen if isinstance(chosen, list) else [chosen])]
        made = cls(inputs, several if isinstance(chosen, list) else several[0], name=config["name"])
        made._trainable = config["trainable"]  # the layers say themselves whether they are
        return made

    def to_json(self) -> str:
        """Return the structure as JSON, without weights; `model_from_json` takes it."""
        return saving.to_json(self)

    def save_weights(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write all weights to a file, which replaces another only once it is complete.

        Parameters
        ----------
        filepath : str or Path
            Any name; the format is that of safetensors.
        overwrite : bool
            Whether a file may be there.

        Raises
        ------
        ImportError
            If safetensors is not installed.
        ValueError
            If the model is not built.
        """
        saving.save_weights(self, Path(filepath), overwrite=overwrite)

    def load_weights(self, filepath: str | Path) -> None:
        """Read weights that `save_weights` or `save` of a model with the same layers wrote.

        Parameters
        ----------
        filepath : str or Path
            The file.

        Raises
        ------
        ImportError
            If safetensors is not installed.
        ValueError
            If the file is not one, or its arrays do not fit; nothing is changed then.
        """
        saving.load_weights(self, Path(filepath))


def input_config(x: SymbolicTensor) -> Config:
    """Return what makes an `Input` like this."""
    return {"name": x.name, "batch_shape": list(x.shape), "dtype": x.dtype.name}


def read_input(config: Config) -> SymbolicTensor:
    """Make the `Input` that `input_config` described."""
    batch, *shape = config["batch_shape"]
    dtype: DTypeLike = config["dtype"]
    return Input(shape, batch, dtype, config["name"])


def _index(value: Any, items: Sequence[object]) -> int:
    if not isinstance(value, int) or not 0 <= value < len(items):
        raise ValueError(f"a connection must be a number from 0 to {len(items) - 1}, got {value!r}")
    return value


def _tensors(given: Any, name: str) -> list[SymbolicTensor]:
    tensors = list(given) if isinstance(given, (list, tuple)) else [given]
    for tensor in tensors:
        if not isinstance(tensor, SymbolicTensor):
            raise TypeError(f"{name} must be symbolic tensors (an Input, or what layers make of one), got {tensor!r}")
    if not tensors:
        raise ValueError(f"{name} must not be empty")
    return tensors


def _check_fits(network: Network, expected: SymbolicTensor, found: Shape) -> None:
    sizes = zip(found[1:], expected.shape[1:], strict=False)
    if len(found) != len(expected.shape) or any(b is not None and a not in (b, None) for a, b in sizes):
        raise ValueError(f"model {network.name!r} takes inputs of shape {expected.shape}, got {found}")
