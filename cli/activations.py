"""`camx activations`: flags to one `ActivationsJob`, a run, and its exit code."""

from __future__ import annotations

import shlex
import sys

from . import flags
from .console import Reporter
from .options import allowed_failures, auto_or_number, model_spec
from .running import Words, run_to_end, show_plan
from .tracking import TrackingFlags

WORDS = Words(
    done="read",
    layer="layer",
    table="activations.csv",
    advice={"encode": "encoding limits: fewer --max-channels, or more --workers"},
)


def activations(
    sources: flags.Sources,
    model: flags.Model,
    include: flags.Include = None,
    exclude: flags.Exclude = None,
    limit: flags.Limit = None,
    checkpoint: flags.Checkpoint = None,
    no_pretrained: flags.NoPretrained = False,
    model_arg: flags.ModelArg = None,
    image_size: flags.ImageSize = None,
    mean: flags.Mean = None,
    std: flags.Std = None,
    crop_pct: flags.CropPct = None,
    crop_mode: flags.CropMode = None,
    interpolation: flags.Interpolation = None,
    ema: flags.Ema = None,
    layer: flags.MapLayer = "auto",
    seed: flags.Seed = 0,
    sort: flags.Sort = "energy",
    max_channels: flags.MaxChannels = 64,
    output: flags.Output = "camx-activations",
    overwrite: flags.Overwrite = False,
    device: flags.Device = "auto",
    precision: flags.Precision = "auto",
    batch_size: flags.BatchSize = "auto",
    workers: flags.Workers = "auto",
    decode: flags.Decode = "exact",
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
    max_failures: flags.MaxFailures = "0",
    fail_fast: flags.FailFast = False,
    max_pixels: flags.MaxPixels = 178_956_970,
    image_timeout: flags.ImageTimeout = 30.0,
    dry_run: flags.DryRun = False,
    as_json: flags.AsJson = False,
    quiet: flags.Quiet = False,
    verbose: flags.Verbose = False,
    no_color: flags.NoColor = False,
) -> int:
    """Look at the feature maps of a layer: one sheet per image, and numbers per channel in a table."""
    allowed_failures(max_failures, 1)
    from cam_cli.features.maps import Choice
    from cam_cli.features.reader import ReadOptions
    from cam_cli.images.listing import Filters
    from cam_cli.pipeline import ActivationsJob, plan_activations, run_activations

    job = ActivationsJob(
        sources=tuple(sources),
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
            ema=ema,
        ),
        output=output,
        read=ReadOptions(layer, Choice(sort, max_channels), device, precision),
        filters=Filters(tuple(include or ()), tuple(exclude or ())),
        limit=limit,
        overwrite=overwrite,
        batch_size=auto_or_number("--batch-size", batch_size),
        workers=auto_or_number("--workers", workers),
        max_pixels=max_pixels,
        image_timeout=image_timeout,
        decode=decode,
        fail_fast=fail_fast,
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
    reporter = Reporter(quiet=quiet, verbose=verbose, color=not no_color, layer=WORDS.layer)
    if dry_run:
        return show_plan(plan_activations(job), WORDS, as_json=as_json, quiet=quiet)
    return run_to_end(
        job, run_activations, reporter, WORDS, tracking=tracking, as_json=as_json, max_failures=max_failures
    )
