"""Every flag, declared once: its type, its help panel, its words. Commands name them in their signatures."""

from __future__ import annotations

from typing import Annotated

import typer

from cam_cli.cams.methods.names import METHOD_NAMES
from cam_cli.maps.colormaps import COLORMAPS

from .options import BEHAVIOUR, EXPLANATION, INPUT, MODEL, OUTPUT, PICTURE, SPEED, TRACKING, apply_config, option

# Input
_SOURCES_HELP = (
    "Images, folders, globs, tar files, s3:// gs:// hf:// http:// addresses, @list.txt, @list.csv (column image, "
    "optional label), or - for paths on stdin."
)
Sources = Annotated[list[str], typer.Argument(help=_SOURCES_HELP)]
Labels = Annotated[
    str | None, option(INPUT, "--labels", help="Ground truth: `folder` (class folders) or a CSV with image,label.")
]
_INCLUDE_HELP = "Take these files from folders, instead of those with image extensions. Repeatable."
Include = Annotated[list[str] | None, option(INPUT, "--include", help=_INCLUDE_HELP)]
Exclude = Annotated[list[str] | None, option(INPUT, "--exclude", help="Leave these images out. Repeatable.")]
Limit = Annotated[int | None, option(INPUT, "--limit", help="Only the first N images.", min=1)]

# Model
_MODEL_HELP = (
    "demo, resnet50, timm/NAME[.TAG], torchvision/NAME, hf-hub:REPO, or a checkpoint that names its architecture. "
    "`camx models` lists them."
)
Model = Annotated[str, option(MODEL, "--model", "-m", help=_MODEL_HELP)]
Checkpoint = Annotated[str | None, option(MODEL, "--checkpoint", help="Weights for that architecture.")]
NoPretrained = Annotated[bool, option(MODEL, "--no-pretrained", help="Random weights, for trials.")]
ModelArg = Annotated[
    list[str] | None, option(MODEL, "--model-arg", help="Argument for building the model, KEY=VALUE. Repeatable.")
]
ClassNamesFile = Annotated[
    str | None, option(MODEL, "--class-names", help="Names of the classes: text, one per line, or JSON.")
]
ImageSize = Annotated[
    int | None, option(MODEL, "--image-size", help="Input size in pixels, over the model's own.", min=16)
]
Mean = Annotated[str | None, option(MODEL, "--mean", help="Mean per channel in [0, 1], over the model's own.")]
Std = Annotated[str | None, option(MODEL, "--std", help="Standard deviation per channel, over the model's own.")]
CropPct = Annotated[
    float | None, option(MODEL, "--crop-pct", help="Share of each side that the crop keeps.", min=0.01, max=1.0)
]
CropMode = Annotated[str | None, option(MODEL, "--crop-mode", help="center, squash or border (pad).")]
Interpolation = Annotated[
    str | None, option(MODEL, "--interpolation", help="bilinear, bicubic, nearest, lanczos, box, hamming.")
]
_EMA_HELP = "Take or refuse averaged weights; they are taken where a checkpoint has them."
Ema = Annotated[bool | None, option(MODEL, "--ema/--no-ema", help=_EMA_HELP)]
_LAYER_HELP = (
    "Target layer: auto, or a name that `camx layers MODEL` lists. Repeatable: the maps of several layers become one."
)
TargetLayer = Annotated[list[str] | None, option(MODEL, "--layer", help=_LAYER_HELP)]
MapLayer = Annotated[
    str, option(MODEL, "--layer", help="The layer to look at: auto (the first convolution that runs), or a name.")
]

# Explanation
Method = Annotated[
    list[str] | None,
    option(EXPLANATION, "--method", help=f"{', '.join(METHOD_NAMES)}. Repeatable. [default: gradcam]"),
]
_TARGET_HELP = "predicted, label, top:K, or a class by index or name. Repeatable. [default: predicted]"
Target = Annotated[list[str] | None, option(EXPLANATION, "--target", help=_TARGET_HELP)]
_EVIDENCE_HELP = "What speaks for the class, against it, or both in one map of two colours."
Evidence = Annotated[str, option(EXPLANATION, "--evidence", help=_EVIDENCE_HELP)]
_SMOOTH_HELP = "Average over the mirror image (flip), and also over contrasts (aug), or none."
Smooth = Annotated[str, option(EXPLANATION, "--smooth", help=_SMOOTH_HELP)]
_MULTI_LABEL_HELP = "A picture can have several classes: all that reach --threshold are predicted."
MultiLabel = Annotated[bool, option(EXPLANATION, "--multi-label", help=_MULTI_LABEL_HELP)]
Threshold = Annotated[
    float,
    option(EXPLANATION, "--threshold", help="Probability from which on a class is predicted, with --multi-label."),
]
TopK = Annotated[int, option(EXPLANATION, "--top-k", help="Classes per image in the table.", min=1)]
Seed = Annotated[int, option(EXPLANATION, "--seed", help="Seed of all that is random.", min=0, max=2**63 - 1)]

# Picture
Save = Annotated[str, option(PICTURE, "--save", help="What to write: overlay, heatmap, array; several with commas.")]
_SIZE_HELP = "Long side of the overlay in pixels (never enlarged), `original` or `model`."
Size = Annotated[str, option(PICTURE, "--size", help=_SIZE_HELP)]
Colormap = Annotated[str, option(PICTURE, "--colormap", help=f"{', '.join(COLORMAPS)}.")]
Alpha = Annotated[float, option(PICTURE, "--alpha", help="Share of the colour over the picture, 0 to 1.")]
Format = Annotated[str, option(PICTURE, "--format", help="png, jpg or webp.")]
Sort = Annotated[
    str, option(PICTURE, "--sort", help="Order of the channels: energy (highest mean square first) or index.")
]
MaxChannels = Annotated[
    int, option(PICTURE, "--max-channels", help="Channels on a sheet; the table has all of them.", min=1)
]

# Output
Output = Annotated[str, option(OUTPUT, "--output", "-o", help="Folder for the results.")]
_REPORT_HELP = "Write report/index.html, with thumbnails of the pictures."
Report = Annotated[bool, option(OUTPUT, "--report/--no-report", help=_REPORT_HELP)]
Overwrite = Annotated[bool, option(OUTPUT, "--overwrite", help="Replace the results of another run in that folder.")]

# Speed
_DEVICE_HELP = "auto, cpu, cuda, cuda:1, mps; for `explain` also several (cuda:0,cuda:1) or all."
Device = Annotated[str, option(SPEED, "--device", help=_DEVICE_HELP)]
Precision = Annotated[str, option(SPEED, "--precision", help="auto, fp32, bf16, fp16.")]
BatchSize = Annotated[str, option(SPEED, "--batch-size", "-b", help="Images per batch, or auto.")]
_COMPILE_HELP = "Compile what runs before the target layer: slow to start, faster for many images; needs a compiler."
Compile = Annotated[bool, option(SPEED, "--compile", help=_COMPILE_HELP)]
Workers = Annotated[
    str, option(SPEED, "--workers", "-j", help="Processes that decode, and as many that draw, or auto.")
]
_DECODE_HELP = "JPEG files: exact, draft (large ones at a scale that is enough), or device (where the network runs)."
Decode = Annotated[str, option(SPEED, "--decode", help=_DECODE_HELP)]
_SHARD_HELP = "Do one share of the images: i/n, or auto (auto/n) for what the scheduler says. `camx merge` joins them."
ShardOf = Annotated[str | None, option(SPEED, "--shard", help=_SHARD_HELP)]
_ENGINE_HELP = "local, or ray: an actor per GPU of a cluster (needs camx[ray])."
Engine = Annotated[str, option(SPEED, "--engine", help=_ENGINE_HELP)]
_ADDRESS_HELP = "The Ray cluster to use: auto, or HOST:PORT. Without it one is started on this machine."
RayAddress = Annotated[str | None, option(SPEED, "--ray-address", help=_ADDRESS_HELP)]

# Tracking
Wandb = Annotated[bool, option(TRACKING, "--wandb", help="Log the run to Weights & Biases.")]
WandbProject = Annotated[str | None, option(TRACKING, "--wandb-project", help="W&B project. [default: camx]")]
WandbEntity = Annotated[str | None, option(TRACKING, "--wandb-entity", help="W&B team or user.")]
WandbName = Annotated[str | None, option(TRACKING, "--wandb-name", help="Name of the W&B run.")]
WandbGroup = Annotated[str | None, option(TRACKING, "--wandb-group", help="Group of the W&B run.")]
WandbTags = Annotated[str | None, option(TRACKING, "--wandb-tags", help="Tags of the W&B run, with commas.")]
_WANDB_MODE_HELP = "auto (offline where there is no key or no server), online (insist) or offline."
WandbMode = Annotated[str, option(TRACKING, "--wandb-mode", help=_WANDB_MODE_HELP)]
_MAX_IMAGES_HELP = "Rows of a table with pictures: wrong ones first, then blank, doubtful, and some of each class."
WandbMaxImages = Annotated[int, option(TRACKING, "--wandb-max-images", help=_MAX_IMAGES_HELP, min=0)]
TensorBoard = Annotated[bool, option(TRACKING, "--tensorboard", help="Log the run to OUT/tensorboard.")]

# Behaviour
_CONFIG_HELP = "TOML or YAML file of options, named as the flags are."
Config = Annotated[str | None, option(BEHAVIOUR, "--config", help=_CONFIG_HELP, is_eager=True, callback=apply_config)]
_FAILURES_HELP = "Images that may fail before the exit code is 1: N or P%."
MaxFailures = Annotated[str, option(BEHAVIOUR, "--max-failures", help=_FAILURES_HELP)]
FailFast = Annotated[bool, option(BEHAVIOUR, "--fail-fast", help="Stop after the first failed image.")]
MaxPixels = Annotated[int, option(BEHAVIOUR, "--max-pixels", help="Refuse larger pictures at their header.", min=1)]
_TIMEOUT_HELP = "Seconds for decoding one image, 0 for no limit: what takes longer is a failed row."
ImageTimeout = Annotated[float, option(BEHAVIOUR, "--image-timeout", help=_TIMEOUT_HELP, min=0)]
DryRun = Annotated[bool, option(BEHAVIOUR, "--dry-run", "-n", help="Check everything, write nothing.")]
AsJson = Annotated[bool, option(BEHAVIOUR, "--json", help="Print one summary object on stdout.")]
Quiet = Annotated[bool, option(BEHAVIOUR, "--quiet", "-q", help="No words; errors only.")]
Verbose = Annotated[bool, option(BEHAVIOUR, "--verbose", "-v", help="Tell more, with advice on speed.")]
NoColor = Annotated[bool, option(BEHAVIOUR, "--no-color", help="No colours.")]
