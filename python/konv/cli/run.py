"""`konv run`: an ONNX model on pictures."""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import vision
from .._words import counted
from ..vision.draw import draw_side_by_side
from ..vision.images import FILTERS, Image, check_suffix
from ..vision.preprocess import FITS, LAYOUTS, ORDERS
from .arguments import check_target, number, numbers, pair, positive_int, set_threads, share

if TYPE_CHECKING:
    from ..onnx import Session

HELP = "run an ONNX model on pictures: classify, detect or transform them, and draw the result"

# Options that only one task reads, with what holds where they are not given.
OF_TASK: dict[str, tuple[str, Any]] = {
    "top": ("classify", 5),
    "threshold": ("detect", 0.5),
    "iou": ("detect", 0.5),
    "head": ("detect", None),
    "compare": ("transform", None),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="ONNX file of a network that takes a picture")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="pictures (.jpg, .png, ...)")
    parser.add_argument(
        "--task", choices=vision.TASKS, help="what the model does; default: what the shapes of its outputs say"
    )
    parser.add_argument("--labels", type=Path, metavar="FILE", help="names of the classes, one a line")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="where to draw: a name that ends in .png or .jpg, or a folder for NAME_konv.png of each IMAGE (default: "
        "this folder); a folder that is missing is made, those above it are not",
    )
    parser.add_argument("--no-picture", action="store_true", help="draw nothing")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument(
        "--threads", type=positive_int, metavar="N", help="threads to compute with (default: all cores)"
    )
    parser.add_argument("--explain", action="store_true", help="print each step: algorithm, work, memory, time")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="write the times of the steps as a trace (.json)")

    group = parser.add_argument_group("preprocessing, (pixel * scale - mean) / std with pixels from 0 to 255")
    group.add_argument("--size", type=pair, metavar="H[,W]", help="height and width, where the model takes any")
    group.add_argument("--order", choices=ORDERS, help="of the channels; default: what the model's input says")
    group.add_argument(
        "--scale", type=number, metavar="X", help="such as 1 (default: 1/255; 1 where the model takes integers)"
    )
    group.add_argument("--mean", type=numbers, metavar="X[,X,X]", help="in the model's order (default: 0)")
    group.add_argument("--std", type=numbers, metavar="X[,X,X]", help="in the model's order (default: 1)")
    group.add_argument(
        "--layout", choices=LAYOUTS, help="channels first or last; default: what the shape of the model's input says"
    )
    group.add_argument(
        "--fit",
        choices=FITS,
        help="pictures of other proportions: the middle, all of it distorted, or with a border; "
        "default: crop, for detectors stretch or (YOLO) pad",
    )
    group = parser.add_argument_group("classify")
    group.add_argument("--top", type=positive_int, metavar="K", help="how many classes to show (default: 5)")
    group = parser.add_argument_group("detect")
    group.add_argument("--threshold", type=share, metavar="X", help="lowest score (default: 0.5)")
    group.add_argument("--iou", type=share, metavar="X", help="of boxes overlapping more, one stays (default: 0.5)")
    group.add_argument("--head", choices=vision.HEADS, help="form of the outputs; default: what their shapes say")
    group = parser.add_argument_group("transform")
    group.add_argument("--compare", choices=FILTERS, help="put the picture resized in this way beside the result")


@dataclass
class Result:
    """What came of a picture: for JSON, for people, and drawn."""

    facts: dict[str, Any]
    lines: list[str]
    picture: Image


@dataclass
class Job:
    """A model with all that was said about it."""

    session: Session
    task: str
    prepare: vision.Preprocessing
    labels: list[str]
    options: dict[str, Any]
    title: str

    def names(self, known: range) -> dict[int, str]:
        """The labels of the classes that the model knows; none where there are no labels.

        Where its class 0 is the background, the labels may begin with that or leave it out.
        """
        if not self.labels:
            return {}
        if len(self.labels) not in (len(known), known.stop):
            raise ValueError(
                f"labels: expected {counted(len(known), 'name')}, as the model has so many classes; "
                f"got {len(self.labels)}"
            )
        return dict(zip(reversed(known), reversed(self.labels), strict=False))

    def compute(self, tensor: Any) -> list[Any]:
        """The outputs for an input."""
        return self.session.run({self.session.inputs[0].name: tensor})

    def __call__(self, image: Image) -> Result:
        """What comes of a picture."""
        return {"classify": self._classify, "detect": self._detect, "transform": self._transform}[self.task](image)

    def _classify(self, image: Image) -> Result:
        tensor, _ = self.prepare(image)
        with self._task_named():
            scores = self._only_output(tensor)
            guesses = vision.classify(scores, self.options["top"])
        names = self.names(range(scores.size))
        facts = [{"class": g.number, "label": names.get(g.number), "probability": g.probability} for g in guesses]
        texts = [names.get(g.number, f"class {g.number}") for g in guesses]
        lines = [f"{g.probability:6.1%}  {_class(g.number, names)}" for g in guesses]
        picture = vision.draw_guesses(image, texts, [g.probability for g in guesses])
        return Result({"classes": facts}, lines, picture)

    def _detect(self, image: Image) -> Result:
        tensor, frame = self.prepare(image)
        with self._task_named():
            found = vision.detect(self.compute(tensor), frame, **self.options)
        names, classes = self.names(found.known), found.classes.tolist()
        facts, lines, texts = [], [], []
        for box, score, index in zip(found.boxes, found.scores, classes, strict=True):
            edges = [round(float(edge), 1) for edge in box]
            left, top, right, bottom = (round(edge) for edge in edges)
            facts.append({"class": index, "label": names.get(index), "score": float(score), "box": edges})
            lines.append(f"{score:6.1%}  {_class(index, names)}: x {left} to {right}, y {top} to {bottom}")
            texts.append(f"{names.get(index, f'class {index}')}: {score:.0%}")
        lines = lines or [f"nothing found with a score of {self.options['threshold']:g} or more"]
        return Result({"found": facts}, lines, vision.draw_boxes(image, found.boxes, texts, classes))

    def _transform(self, image: Image) -> Result:
        placed, frame = self.prepare.place(image)
        with self._task_named():
            made = vision.transform(self._only_output, placed, self.prepare)
        height, width = made.shape[:2]
        lines = [f"{placed.shape[1]} x {placed.shape[0]} to {width} x {height}"]
        if frame.picture_size != frame.input_size:
            lines.append(f"{image.shape[1]} x {image.shape[0]} made to fit ({self.prepare.fit})")
        if self.options["compare"]:
            plain = vision.resize_image(placed, (height, width), self.options["compare"])
            made = draw_side_by_side([plain, made], [self.options["compare"], self.title])
        return Result({"width": width, "height": height}, lines, made)

    def _only_output(self, tensor: Any) -> Any:
        outputs = self.compute(tensor)
        if len(outputs) != 1:
            raise ValueError(f"expected a model with one output, this one has {len(outputs)}")
        return outputs[0]

    @contextmanager
    def _task_named(self) -> Iterator[None]:
        """Name the task where the model's outputs do not fit it."""
        try:
            yield
        except ValueError as error:
            raise ValueError(f"--task {self.task}: {error}") from None


def _class(index: int, names: Mapping[int, str]) -> str:
    return f"{names[index]} (class {index})" if index in names else f"class {index}"


def run(arguments: argparse.Namespace) -> int:
    """Run the model on each picture."""
    missing = [name for name, module in (("onnx", "onnx"), ("Pillow", "PIL")) if find_spec(module) is None]
    if missing:
        raise ImportError(f"needs {' and '.join(missing)}: pip install 'konv[run]'")
    set_threads(arguments.threads)
    if arguments.profile:
        check_target("--profile", arguments.profile)
    targets = _targets(arguments)
    job = _job(arguments)
    results: list[dict[str, Any]] = []
    for path, target in zip(arguments.images, targets, strict=True):
        image = vision.read_image(path)
        if not results and (arguments.explain or arguments.profile):
            _explain(job, image, arguments)
        result = job(image)
        if target is not None:
            target.parent.mkdir(exist_ok=True)
            vision.write_image(target, result.picture)
        shown = None if target is None else str(target)
        results.append({"image": str(path), "task": job.task, **result.facts, "picture": shown})
        if not arguments.json:
            print("\n  ".join([str(path), *result.lines, *([f"drawn: {target}"] if target else [])]))
    if arguments.json:
        print(json.dumps(results, indent=2))
    return 0


def _job(arguments: argparse.Namespace) -> Job:
    session, metadata = _load(arguments.model)
    if len(session.inputs) != 1:
        names = ", ".join(info.name for info in session.inputs)
        raise ValueError(f"{arguments.model}: expected a model with one input, a picture; it has {names}")
    task = arguments.task or vision.guess_task([info.shape for info in session.outputs])
    options = {}
    for name, (owner, default) in OF_TASK.items():
        value = getattr(arguments, name)
        if owner == task:
            options[name] = default if value is None else value
        elif value is not None:
            raise ValueError(f"--{name} is for {owner}; the task is {task}")
    if task == "transform" and arguments.labels:
        raise ValueError(f"--labels is for classify and detect; the task is {task}")
    (info,) = session.inputs
    fit = arguments.fit or "crop"
    if arguments.fit is None and task == "detect":
        fit = "stretch" if len(session.outputs) == 2 else "pad"
    given = {name: getattr(arguments, name) for name in ("size", "order", "scale", "mean", "std", "layout")}
    prepare = vision.Preprocessing.for_input(info.shape, info.dtype, metadata, **given, fit=fit)
    if task == "transform" and arguments.order is None and prepare.order == "gray":
        prepare = replace(prepare, order="luma")
    if prepare.size is None and task != "transform":
        raise ValueError("--size: the model takes pictures of any size; expected the one that it was trained with")
    labels = _read_labels(arguments.labels) if arguments.labels else _labels_of(metadata)
    return Job(session, task, prepare, labels, options, arguments.model.stem)


def _load(path: Path) -> tuple[Session, dict[str, str]]:
    import onnx

    from ..onnx import load

    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file")
    try:
        session = load(path)
    except ValueError as error:
        reason = str(error).removeprefix("model: ").strip().splitlines()[0]
        raise ValueError(f"{path} is not an ONNX model that can be run: {reason}") from None
    properties = onnx.load(path, load_external_data=False).metadata_props
    return session, {entry.key: entry.value for entry in properties}


def _read_labels(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").rstrip().splitlines()
    except OSError as error:
        reason = f"cannot read {path}: {error.strerror}; expected a text file with one name a line"
        raise ValueError(f"--labels: {reason}") from None
    except UnicodeDecodeError:
        raise ValueError(f"--labels: {path} is not a text file in UTF-8") from None
    if not lines:
        raise ValueError(f"--labels: {path} is empty; expected one name a line")
    return [line.strip() for line in lines]


def _labels_of(metadata: Mapping[str, str]) -> list[str]:
    """The labels that exporters of YOLO networks write into a model: names by number, as Python shows a dict."""
    try:
        found = ast.literal_eval(metadata.get("names", ""))
        return [str(found[i]) for i in range(len(found))]
    except (ValueError, SyntaxError, TypeError, KeyError):
        return []  # a remark of another kind


def _targets(arguments: argparse.Namespace) -> list[Path | None]:
    """Where each result is drawn to."""
    images: list[Path] = arguments.images
    if arguments.no_picture:
        if arguments.output or arguments.compare:
            raise ValueError("--no-picture: expected neither --output nor --compare beside it")
        return [None] * len(images)
    output = arguments.output or Path()
    if not output.is_dir():
        check_target("--output", output)
    if output.is_dir() or not (output.suffix or output.exists()):
        targets = [output / f"{image.stem}_konv.png" for image in images]
    elif len(images) > 1:
        raise ValueError(f"--output: expected a folder for {len(images)} pictures, got {output}")
    else:
        targets = [output]
        check_suffix(output)
    read = {image.resolve() for image in images}
    for i, target in enumerate(targets):
        if target.resolve() in read or target in targets[:i]:
            raise ValueError(f"--output: {target} would be written over another picture")
    return list(targets)


def _explain(job: Job, image: Image, arguments: argparse.Namespace) -> None:
    """Measure the steps, print them, and write the trace."""
    report = job.session.profile({job.session.inputs[0].name: job.prepare(image)[0]})
    said = sys.stderr if arguments.json else sys.stdout
    if arguments.explain:
        print(report, file=said)
    if arguments.profile:
        report.write_trace(arguments.profile)
        print(f"trace: {arguments.profile}, for chrome://tracing and ui.perfetto.dev", file=said)
