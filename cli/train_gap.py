"""`camx train-gap`: flags to one `TrainJob`, a training, and its exit code."""

from __future__ import annotations

import re
import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cam_cli.errors import CamxError

from . import flags
from .console import out, out_json
from .options import BEHAVIOUR, MODEL, OUTPUT, SPEED, auto_or_number, model_spec, option
from .tracking import TrackingFlags, follow_training
from .training_console import TrainReporter

if TYPE_CHECKING:
    from cam_cli.training.job import TrainJob
    from cam_cli.training.progress import Observer, TrainSummary

TRAINING = "Training"


def train_gap(
    data: Annotated[
        str,
        typer.Argument(help="A folder with train/ and val/ of class folders, or one of class folders that is split."),
    ],
    model: Annotated[
        str, option(MODEL, "--model", "-m", help="Backbone: any name that --model of `camx explain` takes.")
    ] = "resnet18",
    checkpoint: flags.Checkpoint = None,
    no_pretrained: Annotated[
        bool, option(MODEL, "--no-pretrained", help="Random weights: train from nothing, with --freeze none.")
    ] = False,
    model_arg: flags.ModelArg = None,
    image_size: flags.ImageSize = None,
    mean: flags.Mean = None,
    std: flags.Std = None,
    crop_pct: flags.CropPct = None,
    crop_mode: flags.CropMode = None,
    interpolation: flags.Interpolation = None,
    layer: Annotated[
        str, option(MODEL, "--layer", help="Where to cut: auto, or a name that `camx layers MODEL` lists.")
    ] = "auto",
    gap_channels: Annotated[
        int,
        option(MODEL, "--gap-channels", help="Channels of a 3×3 convolution before the pooling; 0 for none.", min=0),
    ] = 0,
    freeze: Annotated[
        str,
        option(TRAINING, "--freeze", help="backbone (train the head on cached features) or none (train everything)."),
    ] = "backbone",
    epochs: Annotated[int, option(TRAINING, "--epochs", help="Passes over the images.", min=1)] = 10,
    lr: Annotated[
        str,
        option(
            TRAINING,
            "--lr",
            help="Highest learning rate of the new layers, or auto. A pretrained backbone learns at a tenth.",
        ),
    ] = "auto",
    batch_size: Annotated[str, option(TRAINING, "--batch-size", "-b", help="Images per step, or auto.")] = "auto",
    augment: Annotated[
        str, option(TRAINING, "--augment", help="basic (flips; with --freeze none also random crops) or none.")
    ] = "basic",
    train_size: Annotated[
        int | None,
        option(
            TRAINING,
            "--train-size",
            help="Side of the random crops, if not that of the input: objects look larger in a crop.",
            min=16,
        ),
    ] = None,
    label_smoothing: Annotated[
        float, option(TRAINING, "--label-smoothing", help="Share of the target spread over all classes.")
    ] = 0.0,
    balance: Annotated[
        str,
        option(
            TRAINING,
            "--balance",
            help="For unequal classes: none, loss (class weights) or sampler (draw them equally).",
        ),
    ] = "none",
    ema_decay: Annotated[
        float,
        option(TRAINING, "--ema-decay", help="Keep averaged weights with this decay (0.99 to 0.9999); 0 for none."),
    ] = 0.0,
    val_fraction: Annotated[
        float,
        option(
            TRAINING, "--val-fraction", help="Share of each class for validation where DATA has no train/ and val/."
        ),
    ] = 0.2,
    seed: Annotated[int, option(TRAINING, "--seed", help="Seed of all that is random.", min=0, max=2**63 - 1)] = 0,
    output: Annotated[
        str, option(OUTPUT, "--output", "-o", help="Folder for the network and its figures.")
    ] = "camx-gap",
    log_cams: Annotated[
        int, option(OUTPUT, "--log-cams", help="Explain the same N validation images after every epoch.", min=0)
    ] = 0,
    log_activations: Annotated[
        int,
        option(
            OUTPUT,
            "--log-activations",
            help="Draw what the first convolution gives for N validation images after every epoch "
            "(once, where the backbone is frozen).",
            min=0,
        ),
    ] = 0,
    overwrite: Annotated[bool, option(OUTPUT, "--overwrite", help="Replace the training in that folder.")] = False,
    resume: Annotated[
        bool, option(OUTPUT, "--resume", help="Continue the training in that folder, to the result it would have had.")
    ] = False,
    device: flags.Device = "auto",
    precision: flags.Precision = "auto",
    workers: Annotated[str, option(SPEED, "--workers", "-j", help="Threads that decode, or auto.")] = "auto",
    cache_limit: Annotated[
        str,
        option(
            SPEED,
            "--cache-limit",
            help="Room on the disk for features, such as 500MB; what does not fit is computed every epoch.",
        ),
    ] = "4GB",
    wandb: flags.Wandb = False,
    wandb_project: flags.WandbProject = None,
    wandb_entity: flags.WandbEntity = None,
    wandb_name: flags.WandbName = None,
    wandb_group: flags.WandbGroup = None,
    wandb_tags: flags.WandbTags = None,
    wandb_mode: flags.WandbMode = "auto",
    wandb_max_images: flags.WandbMaxImages = 500,
    tensorboard: flags.TensorBoard = False,
    config: flags.Config = None,
    as_json: flags.AsJson = False,
    quiet: flags.Quiet = False,
    verbose: Annotated[
        bool, option(BEHAVIOUR, "--verbose", "-v", help="Tell every epoch and the confusion of classes.")
    ] = False,
    no_color: flags.NoColor = False,
) -> int:
    """Give a backbone a global average pooling head, for which CAM is exact, and train it on class folders."""
    rate, limit = learning_rate(lr), byte_count("--cache-limit", cache_limit)
    from cam_cli.training.job import TrainJob

    job = TrainJob(
        data=data,
        model=model_spec(
            model,
            checkpoint=checkpoint,
            no_pretrained=no_pretrained,
            model_arg=model_arg,
            image_size=image_size,
            mean=mean,
            std=std,
            crop_pct=crop_pct,
            crop_mode=crop_mode,
            interpolation=interpolation,
            seed=seed,
        ),
        output=output,
        layer=layer,
        freeze=freeze,
        epochs=epochs,
        lr=rate,
        batch_size=auto_or_number("--batch-size", batch_size),
        gap_channels=gap_channels,
        augment=augment,
        train_size=train_size,
        label_smoothing=label_smoothing,
        balance=balance,
        ema=ema_decay,
        device=device,
        precision=precision,
        workers=auto_or_number("--workers", workers),
        val_fraction=val_fraction,
        cache_limit=limit,
        seed=seed,
        log_cams=log_cams,
        log_activations=log_activations,
        resume=resume,
        overwrite=overwrite,
        command=shlex.join(["camx", *sys.argv[1:]]),
    )
    tracking = TrackingFlags(
        wandb,
        wandb_project,
        wandb_entity,
        wandb_name,
        wandb_group,
        wandb_tags,
        wandb_mode,
        wandb_max_images,
        tensorboard,
    )
    reporter = TrainReporter(quiet=quiet, verbose=verbose, color=not no_color)
    return follow_training(tracking, job, reporter, lambda observer: _run(job, observer, reporter, as_json=as_json))


def learning_rate(text: str) -> float | None:
    """`auto` as None, else a number."""
    try:
        return None if text == "auto" else float(text)
    except ValueError:
        raise CamxError(f"--lr {text!r}: give a number such as 0.001, or auto.") from None


def byte_count(flag: str, text: str) -> int:
    """`0`, `500MB`, `4GB`, `1.5GiB` in bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", text.strip(), re.IGNORECASE)
    if found is None:
        raise CamxError(f"{flag} {text!r}: give a size such as 500MB or 4GB, or 0.")
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(unit.upper() or " "))


def _run(job: TrainJob, observer: Observer, reporter: TrainReporter, *, as_json: bool) -> int:
    from cam_cli.pipeline import Stop
    from cam_cli.training.run import train

    with Stop() as stop:
        try:
            summary = train(job, observer, stop)
        finally:
            reporter.close()
    if as_json:
        out_json(summary.as_dict())
    elif not reporter.quiet:
        out(_summary_text(summary, verbose=reporter.verbose))
    return 128 + summary.signal if summary.signal else 0


def _summary_text(summary: TrainSummary, *, verbose: bool) -> str:
    plan, best, row = summary.plan, summary.best, summary.best_epoch
    if best is None or row is None:
        return "interrupted before the end of the first epoch: nothing was written"
    epoch = f"epoch {row.epoch} of {len(summary.history)}"
    lines = [f"validation accuracy {best.accuracy:.1%} on {int(best.confusion.sum())} images ({epoch})"]
    if summary.original_accuracy is not None and summary.price is not None:
        lines.append(
            f"the network's own head: {summary.original_accuracy:.1%}; "
            f"the price of CAM is {summary.price * 100:+.1f} points"
        )
    classes = list(zip(plan.classes, best.per_class, best.confusion))
    for name, share, counts in classes if verbose or len(classes) <= 12 else sorted(classes, key=lambda c: c[1])[:12]:
        wrong = ", ".join(f"{plan.classes[j]} {n}" for j, n in enumerate(counts) if n and plan.classes[j] != name)
        lines.append(
            f"  {name}: {share:.1%} of {int(counts.sum())}" + (f" (the others taken for {wrong})" if wrong else "")
        )
    if len(classes) > 12 and not verbose:
        lines.append(f"  … and {len(classes) - 12} better ones (-v shows all)")
    if summary.unreadable:
        lines.append(f"unreadable images left out: {len(summary.unreadable)} (listed in {plan.output}/run.json)")
    lines.append(", ".join(f"{name} {seconds:.1f} s" for name, seconds in summary.seconds.items()))
    if summary.signal:
        lines.append("interrupted: the same command with --resume continues")
    lines.append(f"{plan.output}/model.safetensors: camx explain IMAGES --model {plan.output} --method cam")
    return "\n".join(lines)
