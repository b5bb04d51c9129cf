"""Fields of `run.json` with types, units and ranges."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypedDict

from .shapes import Range
from .units import Count, Seconds, Share

#: Version of `run.json` and of the journal; folders of camx 0.1.0 have none, and are read as this one.
SCHEMA: Final = 1


class Fingerprint(TypedDict, total=False):
    """Everything on which the results depend; a folder holds results of one fingerprint. Other keys depend on the
    command."""

    #: Command of the run: `explain`, `activations`, `evaluate`, `caption`, `ask`, `train-gap`.
    command: str
    #: Folder to which the names of the images are relative.
    inputs: str
    #: Name of the network.
    model: str
    #: Digest of the weights.
    weights: str
    #: Preprocessing of the network, value by value.
    preprocessing: dict[str, Any]
    #: Options of reading pixels that differ from the default.
    pixels: dict[str, Any]
    #: Meaning of the network's outputs: `segmentation`, `regression`, `ordinal`, `similarity`, `detection`; absent for
    #: classes of whole images (`explain`).
    task: str
    #: SHA-256 of the images of each `like:` target; for a table, of its pairs (`explain`).
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
    #: Opacity of the colours.
    alpha: Share
    #: Format of the overlays.
    format: str
    #: Course of the opacity, as in `--opacity`. Absent for `even`.
    opacity: str
    #: Smallest share of the peak with a colour. Absent for 0.
    min_heat: Share
    #: Lines over the overlays. Absent for none.
    draw: list[str]
    #: Raw value with the strongest colour: `run` (one for all maps of a method), or a number. Absent for the peak of
    #: each map.
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
    #: Files of the input without an image extension.
    passed_over: Count
    #: Name of the network.
    model: str
    #: Where its weights come from.
    weights: str
    #: Target layer; several are joined by `+`.
    layer: str
    #: Reason for the choice of the layer.
    layer_reason: str
    #: Grid of the map, and layout of the layer's output.
    grid: str
    #: Device, as torch names it.
    device: str
    #: Precision of the forward pass.
    precision: str
    #: The output folder.
    output: str
    #: Input of the network in one line, with its origin.
    input: str
    #: Origin of each value of the preprocessing and of each argument of the network.
    input_origins: dict[str, str]
    #: Findings in the weights: a rebuilt head, arguments, renamed tensors.
    weights_notes: list[str]
    #: Tensors of the checkpoint on which the scores do not depend.
    idle_tensors: list[str]
    #: Forward passes and explanations per image, with an estimate of their time (`evaluate`).
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
    """One shard of a run."""

    #: Shard `i/n`.
    shard: str
    #: State in which the shard ended.
    state: str
    #: Images of the shard.
    images: Count
    #: Rows of the shard that the merge found.
    rows: Count
    #: Duration of the shard in seconds.
    seconds: Seconds
    #: Time at which it ended.
    finished: str


class MisclassifiedRow(TypedDict):
    """A validation image for which the best network of a training predicts another class."""

    #: Path of the file.
    image: str
    #: True class.
    label: str
    #: Predicted class.
    predicted: str
    #: Probability of that class.
    prob: Share
    #: Size of the file in bytes; -1 if unknown.
    bytes: Annotated[int, Range(-1, 1e18)]
    #: Modification time of the file in nanoseconds; -1 if unknown.
    mtime_ns: int


class RunInputs(TypedDict):
    """The images of all shards of a run, as listed by one of them."""

    #: Images of the input.
    images: Count
    #: Digest of their names in any order, in hexadecimal.
    digest: str


class UnreadableRow(TypedDict):
    """An image that a training left out."""

    #: Path of the file.
    image: str
    #: Reason why it cannot be read.
    error: str


class RunRecord(TypedDict, total=False):
    """The content of `run.json`. A running or killed run has the first five fields only."""

    #: Version of this file and of the journal. Folders of camx 0.1.0 have none.
    schema: Annotated[int, Range(1, 1e6)]
    #: `running` (or killed), `finished`, `interrupted` by a signal, `stopped` by `--fail-fast`, `broken` by an error,
    #: `incomplete` while shards are missing.
    state: str
    #: Everything on which the results depend.
    fingerprint: Fingerprint
    #: Versions in the last run of Python and of the packages on which results depend.
    versions: dict[str, str]
    #: Number of the newest change in `outputs/revisions.py` that all results of the folder include. Folders of camx
    #: 0.1.0 have none.
    revision: Annotated[int, Range(1, 1e6)]
    #: The command as typed.
    command: str
    #: The plan of the run.
    plan: Plan
    #: All options of the run, including those on which results do not depend.
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
    #: Images with a label that is a class of the network.
    labelled: Count
    #: Share of these whose top-1 class is the true one; null without labels.
    accuracy: Share | None
    #: Names of the classes by index; in a training, those of its data.
    classes: list[str]
    #: Name of the network.
    model: str
    #: Target layer; several are joined by `+`.
    layer: str
    #: The output folder as given by the user.
    output: str
    #: Seconds from the first image to the last; in a training, seconds of each stage.
    seconds: Seconds | dict[str, Seconds]
    #: Images of this run per second.
    images_per_second: Seconds
    #: Seconds and images per second of each stage.
    stages: dict[str, Stage]
    #: The slowest stage, for which the others waited.
    limited_by: str
    #: Size of the batches at the end.
    batch_size: Count
    #: The shards of a merged run.
    shards: list[ShardRecord]
    #: In the record of a shard: the images of all shards.
    run_inputs: RunInputs
    #: Training: number of training images.
    train_images: Count
    #: Training: number of validation images.
    val_images: Count
    #: Training: number of unreadable images, which were left out.
    unreadable: Count
    #: Training: these images.
    unreadable_images: list[UnreadableRow]
    #: Training: number of finished epochs.
    epochs: Count
    #: Training: epoch of `model.safetensors`, from 1.
    best_epoch: Count | None
    #: Training: accuracy of the best network on the validation images.
    val_accuracy: Share | None
    #: Training: mean cross-entropy of the best network over the validation images.
    val_loss: float | None
    #: Training: accuracy of the network's own head, if it has these classes.
    original_accuracy: Share | None
    #: Training: accuracy of the network's own head minus that of the new one.
    price_of_cam: Annotated[float, Range(-1, 1)] | None
    #: Training: share of the images of each class that are predicted right, by its name.
    per_class_accuracy: dict[str, Share | None] | None
    #: Training: number of images of class i (row) that are predicted as class j (column).
    confusion: list[list[Count]] | None
    #: Training: the most confident mistakes of the best network on the validation images, at most 100, the most
    #: confident first.
    misclassified: list[MisclassifiedRow]
    #: Training: images whose features were in the cache.
    cached_images: Count
    #: Training: size of the cache in bytes.
    cache_bytes: Count
