"""Frameworks and inference runtimes: PyTorch, ONNX Runtime, OpenVINO, ncnn.

Runtimes that work on a session have it built before the clock starts: their weights are packed ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from konv.bench.layers import Layer
from konv.bench.problem import Array, Prepared, Problem, chain


class Torch:
    """PyTorch, in its default memory format or in channels_last."""

    def __init__(self, threads: int, channels_last: bool) -> None:
        import torch

        torch.set_num_threads(threads)
        self.torch = torch
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.name = "torch_channels_last" if channels_last else "torch"

    def prepare(self, problem: Problem) -> Prepared:
        """See Contender."""
        layer, x = problem.layer, self._tensor(problem.x)
        if problem.direction == "forward":
            return Prepared(chain([self._forward(*part) for part in problem.passes], x))
        w, gy = self._tensor(problem.w), self._tensor(problem.gy)
        mask = [problem.direction == "input", problem.direction == "weight", False]
        place = mask.index(True)
        backward = self.torch.ops.aten.convolution_backward
        geometry = [layer.stride] * 2, list(layer.pad), [layer.dilation] * 2, False, [0, 0], layer.groups
        return Prepared(lambda: backward(gy, x, w, None, *geometry, mask)[place])

    def _tensor(self, a: Array) -> Any:
        return self.torch.from_numpy(a).contiguous(memory_format=self.format)

    def _forward(self, layer: Layer, weight: Array) -> Callable[[Any], Any]:
        torch, w = self.torch, self._tensor(weight)

        def run(x: Any) -> Any:
            with torch.inference_mode():
                return torch.nn.functional.conv2d(x, w, None, layer.stride, layer.pad, layer.dilation, layer.groups)

        return run


class OnnxRuntime:
    """A session of ONNX Runtime on bound input and output."""

    name = "onnxruntime"

    def __init__(self, threads: int) -> None:
        import onnx
        import onnxruntime

        self.onnx, self.ort, self.threads = onnx, onnxruntime, threads

    def _model(self, problem: Problem) -> bytes:
        helper, kind = self.onnx.helper, self.onnx.TensorProto.FLOAT
        nodes = []
        for i, layer in enumerate(problem.layer.passes):
            nodes.append(
                helper.make_node(
                    "Conv",
                    [f"x{i}", f"w{i}"],
                    [f"x{i + 1}"],
                    strides=[layer.stride] * 2,
                    pads=[*layer.pad, *layer.pad],
                    dilations=[layer.dilation] * 2,
                    group=layer.groups,
                )
            )
        graph = helper.make_graph(
            nodes,
            "layer",
            [helper.make_tensor_value_info("x0", kind, problem.layer.input_shape)],
            [helper.make_tensor_value_info(f"x{len(nodes)}", kind, problem.layer.output_shape)],
            [self.onnx.numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(problem.weights)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        serialized: bytes = model.SerializeToString()
        return serialized

    def prepare(self, problem: Problem) -> Prepared | None:
        """See Contender."""
        if problem.direction != "forward" or problem.x.dtype != np.float32:
            return None
        settings = self.ort.SessionOptions()
        settings.intra_op_num_threads = self.threads
        session = self.ort.InferenceSession(self._model(problem), settings, providers=["CPUExecutionProvider"])
        x = self.ort.OrtValue.ortvalue_from_numpy(problem.x)
        y = self.ort.OrtValue.ortvalue_from_shape_and_type(problem.layer.output_shape, np.float32)
        bound = session.io_binding()
        bound.bind_ortvalue_input("x0", x)
        bound.bind_ortvalue_output(session.get_outputs()[0].name, y)
        return Prepared(lambda: session.run_with_iobinding(bound), lambda _: np.array(y.numpy()))


class OpenVino:
    """A compiled model of OpenVINO, in float32, for latency."""

    name = "openvino"

    def __init__(self, threads: int) -> None:
        import openvino

        self.openvino, self.core = openvino, openvino.Core()
        self.settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }

    def _convolution(self, x: Any, layer: Layer, weight: Array) -> Any:
        ops: Any = self.openvino.opset13
        geometry = [layer.stride] * 2, list(layer.pad), list(layer.pad), [layer.dilation] * 2
        if layer.groups == 1:
            return ops.convolution(x, ops.constant(weight), *geometry)
        w = weight.reshape(layer.groups, layer.K // layer.groups, *weight.shape[1:])
        return ops.group_convolution(x, ops.constant(w), *geometry)

    def prepare(self, problem: Problem) -> Prepared | None:
        """See Contender."""
        if problem.direction != "forward" or problem.x.dtype != np.float32:
            return None
        node = parameter = self.openvino.opset13.parameter(problem.layer.input_shape, np.float32)
        for layer, weight in problem.passes:
            node = self._convolution(node, layer, weight)
        model = self.openvino.Model([node], [parameter], "layer")
        request = self.core.compile_model(model, "CPU", self.settings).create_infer_request()
        request.set_input_tensor(self.openvino.Tensor(problem.x, shared_memory=True))
        return Prepared(request.infer, lambda _: np.array(request.get_output_tensor(0).data))


class Ncnn:
    """A network of ncnn, in float32."""

    name = "ncnn"

    def __init__(self, threads: int) -> None:
        import ncnn

        self.ncnn, self.threads = ncnn, threads

    def _network(self, problem: Problem) -> Any:
        net = self.ncnn.Net()
        net.opt.num_threads = self.threads
        for name in ("fp16_storage", "fp16_packed", "fp16_arithmetic", "bf16_storage"):
            setattr(net.opt, f"use_{name}", False)
        layers = problem.layer.passes
        text = [f"7767517\n{len(layers) + 1} {len(layers) + 1}", "Input x 0 1 x0"]
        weights = b""
        for i, (layer, weight) in enumerate(problem.passes):
            kind = "Convolution" if layer.groups == 1 else "ConvolutionDepthWise"
            kernel = f"0={layer.K} 1={layer.S} 11={layer.R} 2={layer.dilation} 3={layer.stride}"
            pad = f"4={layer.pad[1]} 14={layer.pad[0]}"
            text.append(f"{kind} c{i} 1 1 x{i} x{i + 1} {kernel} {pad} 5=0 6={weight.size} 7={layer.groups}")
            weights += bytes(4) + weight.tobytes()  # a tag of zeros: plain float32
        with TemporaryDirectory() as folder:
            Path(folder, "param").write_text("\n".join(text) + "\n")
            Path(folder, "bin").write_bytes(weights)
            net.load_param(f"{folder}/param")
            net.load_model(f"{folder}/bin")
        return net

    def prepare(self, problem: Problem) -> Prepared | None:
        """See Contender."""
        layer = problem.layer
        if problem.direction != "forward" or layer.N > 1 or problem.x.dtype != np.float32:
            return None
        net, x, last = self._network(problem), self.ncnn.Mat(problem.x[0]).clone(), f"x{len(layer.passes)}"

        def run() -> Any:
            extractor = net.create_extractor()
            extractor.input("x0", x)
            return extractor.extract(last)[1]

        return Prepared(run, lambda y: np.array(y).reshape(layer.output_shape))
