"""`run.json`: every field with its type, unit and range."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypedDict

from .shapes import Range
from .units import Count, Seconds, Share

#: Version of `run.json` and of the journal; folders of camx 0.1.0 have none, and are read as this one.
SCHEMA: Final = 1


class Fingerprint(TypedDict, total=False):
    """Everything that the results depend on; a folder holds results of one fingerprint. Other keys depend on the
    command."""

    #: Command that made the results: `explain`, `activations`, `evaluate`, `caption`, `ask`, `train-gap`.
    command: str
    #: Folder that the names of the images start in.
    inputs: str
    #: Name of the network.
    model: str
    #: Digest of the weights.
    weights: str
    #: Preprocessing of the network, value by value.
    preprocessing: dict[str, Any]
    #: How the pixels of files are read, where that is not the default.
    pixels: dict[str, Any]
    #: What the scores of the network are: `segmentation`, `regression`, `ordinal`, `similarity`, `detection`;
    #: absent for the classes of whole images (`explain`).
    task: str
    #: SHA-256 of the images of each `like:` target, of a table with its pairs (`explain`).
    references: list[str]
    #: SHA-256 of the masks of `--target-mask` (`explain`).
    target_masks: str
    #: `object` or `classes`, as in `--mask-levels` (`explain`).
    mask_levels: str
    #: Most boxes of an image that get a map (`explain`, of a detector).
    max_boxes: Annotated[int, Range(1, 1e9)]
    #: First target layer.
    layer: str
    #: All target layers.
    layers: list[str]
    #: Methods, as in `--method`.
    methods: list[str]
    #: Metrics, as in `--metrics` (`evaluate`).
    metrics: list[str]
    #: `for`, `against` or `both`.
    evidence: str
    #: Classes per image in the table.
    top_k: Annotated[int, Range(1, 1e9)]
    #: Colours, size and format of the images.
    rendering: Rendering


class Rendering(TypedDict, total=False):
    """Colours, size and format of the images of a run."""

    #: Name of the colour map.
    colormap: str
    #: Share of the colour over the image.
    alpha: Share
    #: Format of the overlays.
    format: str
    #: How opaque the colours are: as `--opacity`. Absent for `even`.
    opacity: str
    #: Share of the peak below which there is no colour. Absent for 0.
    min_heat: Share
    #: Lines over the overlays. Absent for none.
    draw: list[str]
    #: Which raw value has the strongest colour: `run`, or a number. Absent for the peak of each map.
    scale: float | str
    #: Parts of the panels. Absent for none.
    panel: list[str]
    #: Kinds of files per map.
    save: list[str]


class Plan(TypedDict, total=False):
    """The plan of a run, known before its first image. A training has more keys."""

    #: Images of the input, or of the shard.
    images: Count
    #: Images that an earlier run had explained already.
    skipped: Count
    #: Files of the input without the name of an image.
    passed_over: Count
    #: Name of the network.
    model: str
    #: Where its weights come from.
    weights: str
    #: Target layer; several are joined by `+`.
    layer: str
    #: Why this layer.
    layer_reason: str
    #: Grid of the map and the layout of the layer's output.
    grid: str
    #: Device, as torch names it.
    device: str
    #: Precision of the forward.
    precision: str
    #: The output folder.
    output: str
    #: What the network is given, in one line, and where that comes from.
    input: str
    #: Where each value of the preprocessing and each argument of the network comes from.
    input_origins: dict[str, str]
    #: What was read from the weights themselves: a rebuilt head, arguments, other names.
    weights_notes: list[str]
    #: Tensors of the checkpoint that play no part in the scores.
    idle_tensors: list[str]
    #: Forwards and explanations per image, and about how long they take (`evaluate`).
    cost: str
    #: Epochs of a training.
    epochs: Annotated[int, Range(1, 1e6)]


class Stage(TypedDict):
    """One stage of a run: decode, model or encode."""

    #: Seconds of work, summed over the workers.
    seconds: Seconds
    #: Images of this run per second of this work; null if it took no time.
    images_per_second: Seconds | None


class ShardRecord(TypedDict, total=False):
    """One part of a run in shards."""

    #: Shard `i/n`.
    shard: str
    #: State in which the part ended.
    state: str
    #: Images of the shard.
    images: Count
    #: Rows of the shard that the merge has found.
    rows: Count
    #: Seconds that the part took.
    seconds: Seconds
    #: Time at which it ended.
    finished: str


class MisclassifiedRow(TypedDict):
    """A validation image that the best network of a training took for another class."""

    #: Path of the file.
    image: str
    #: True class.
    label: str
    #: Predicted class.
    predicted: str
    #: Probability of that class.
    prob: Share
    #: Size of the file in bytes; -1 if it is not known.
    bytes: Annotated[int, Range(-1, 1e18)]
    #: Time of change of the file in nanoseconds; -1 if it is not known.
    mtime_ns: int


class RunInputs(TypedDict):
    """The images of all shards of a run, as one of them has listed them."""

    #: Images of the input.
    images: Count
    #: Digest of their names in any order, in hexadecimal.
    digest: str


class UnreadableRow(TypedDict):
    """An image that a training left out."""

    #: Path of the file.
    image: str
    #: Why it cannot be read.
    error: str


class RunRecord(TypedDict, total=False):
    """The content of `run.json`. While a run is under way it has the first five fields only."""

    #: Version of this file and of the journal. Folders of camx 0.1.0 have none.
    schema: Annotated[int, Range(1, 1e6)]
    #: `running` (or killed), `finished`, `interrupted` by a signal, `stopped` by `--fail-fast`, `broken` by an error,
    #: `incomplete` while shards are missing.
    state: str
    #: Everything that the results depend on.
    fingerprint: Fingerprint
    #: Python and the packages that results depend on, as the last run had them.
    versions: dict[str, str]
    #: Number of the last change to the drawing or the scores that all results of the folder have: those of the file
    #: `outputs/revisions.py`. Folders of camx 0.1.0 have none.
    revision: Annotated[int, Range(1, 1e6)]
    #: The command as it was typed.
    command: str
    #: What the run was going to do.
    plan: Plan
    #: Every option of the run, also those that results do not depend on.
    job: dict[str, Any]
    #: Time at which the run ended: ISO 8601 with the offset from UTC.
    finished: str
    #: Raw value with the strongest colour in maps of a method, by its name (`explain --scale run`).
    colour_scales: dict[str, float]
    #: Images of the input, or of the shard.
    images: Count
    #: Images with a map.
    ok: Count
    #: Images that failed.
    failed: Count
    #: Images whose map is zero or not finite.
    blank: Count
    #: Images that an earlier run had explained already.
    skipped: Count
    #: Images with a label that the network knows.
    labelled: Count
    #: Share of these whose best class is the true one; null without labels.
    accuracy: Share | None
    #: Names of the classes, by index. Of a training: of its data.
    classes: list[str]
    #: Name of the network.
    model: str
    #: Target layer; several are joined by `+`.
    layer: str
    #: The output folder as it was given.
    output: str
    #: Seconds from the first image to the last; of a training, seconds of each stage.
    seconds: Seconds | dict[str, Seconds]
    #: Images of this run per second.
    images_per_second: Seconds
    #: Seconds and images per second of each stage.
    stages: dict[str, Stage]
    #: Stage that the others waited for.
    limited_by: str
    #: Size of the batches at the end.
    batch_size: Count
    #: The parts of a run in shards.
    shards: list[ShardRecord]
    #: Part of a run in shards: the images of all of them.
    run_inputs: RunInputs
    #: Training: images of the training part.
    train_images: Count
    #: Training: images of the validation part.
    val_images: Count
    #: Training: how many images cannot be read and were left out.
    unreadable: Count
    #: Training: these images.
    unreadable_images: list[UnreadableRow]
    #: Training: whole epochs so far.
    epochs: Count
    #: Training: the epoch of `model.safetensors`, from 1.
    best_epoch: Count | None
    #: Training: share of the validation images that the best network recognises.
    val_accuracy: Share | None
    #: Training: mean cross-entropy of the best network over the validation images.
    val_loss: float | None
    #: Training: the same share for the network's own head, where it knows the classes.
    original_accuracy: Share | None
    #: Training: accuracy of the network's own head minus that of the new one.
    price_of_cam: Annotated[float, Range(-1, 1)] | None
    #: Training: share recognised of each class, by its name.
    per_class_accuracy: dict[str, Share | None] | None
    #: Training: how often an image of class i (row) was predicted as class j (column).
    confusion: list[list[Count]] | None
    #: The surest mistakes of the best network on the validation images, at most 100, the surest first.
    misclassified: list[MisclassifiedRow]
    #: Training: images whose features were in the cache.
    cached_images: Count
    #: Training: size of the cache in bytes.
    cache_bytes: Count
