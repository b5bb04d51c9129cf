"""`camx explain`: flags to one `Job`, a run, and its exit code."""

from __future__ import annotations

import os
import shlex
import sys

from . import flags
from .console import Reporter
from .options import allowed_failures, auto_or_number, canvas, chosen_engine, model_spec, words
from .running import Words, run_to_end, show_plan
from .tracking import TrackingFlags

WORDS = Words(done="explained", layer="target layer", table="predictions.csv")


def explain(
    sources: flags.Sources,
    model: flags.Model,
    labels: flags.Labels = None,
    include: flags.Include = None,
    exclude: flags.Exclude = None,
    limit: flags.Limit = None,
    checkpoint: flags.Checkpoint = None,
    no_pretrained: flags.NoPretrained = False,
    model_arg: flags.ModelArg = None,
    class_names: flags.ClassNamesFile = None,
    image_size: flags.ImageSize = None,
    mean: flags.Mean = None,
    std: flags.Std = None,
    crop_pct: flags.CropPct = None,
    crop_mode: flags.CropMode = None,
    interpolation: flags.Interpolation = None,
    ema: flags.Ema = None,
    layer: flags.TargetLayer = None,
    method: flags.Method = None,
    target: flags.Target = None,
    top_k: flags.TopK = 5,
    evidence: flags.Evidence = "for",
    smooth: flags.Smooth = "none",
    multi_label: flags.MultiLabel = False,
    threshold: flags.Threshold = 0.5,
    seed: flags.Seed = 0,
    save: flags.Save = "overlay",
    size: flags.Size = "512",
    colormap: flags.Colormap = "turbo",
    alpha: flags.Alpha = 0.5,
    image_format: flags.Format = "png",
    output: flags.Output = "camx-out",
    overwrite: flags.Overwrite = False,
    report: flags.Report = True,
    device: flags.Device = "auto",
    precision: flags.Precision = "auto",
    batch_size: flags.BatchSize = "auto",
    workers: flags.Workers = "auto",
    decode: flags.Decode = "exact",
    compile_network: flags.Compile = False,
    wandb: flags.Wandb = False,
    wandb_project: flags.WandbProject = None,
    wandb_entity: flags.WandbEntity = None,
    wandb_name: flags.WandbName = None,
    wandb_group: flags.WandbGroup = None,
    wandb_tags: flags.WandbTags = None,
    wandb_mode: flags.WandbMode = "auto",
    wandb_max_images: flags.WandbMaxImages = 500,
    tensorboard: flags.TensorBoard = False,
    shard: flags.ShardOf = None,
    engine: flags.Engine = "local",
    ray_address: flags.RayAddress = None,
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
    """Explain images: overlays, a table of top classes, and a journal that a second run continues from."""
    allowed_failures(max_failures, 1)
    from cam_cli.cams.engine.explainer import ExplainOptions
    from cam_cli.cams.engine.targets import Target
    from cam_cli.distributed import plan, run
    from cam_cli.distributed.scheduler import chosen_shard, device_of_rank
    from cam_cli.images.listing import Filters
    from cam_cli.outputs.drawing import Rendering
    from cam_cli.pipeline import Job

    job = Job(
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
            class_names=class_names,
            ema=ema,
        ),
        output=output,
        explain=ExplainOptions(
            methods=tuple(dict.fromkeys(method or ["gradcam"])),
            targets=tuple(dict.fromkeys(map(Target.parse, target or ["predicted"]))),
            layers=tuple(dict.fromkeys(layer or ["auto"])),
            top_k=top_k,
            evidence=evidence,
            smooth=smooth,
            multi_label=multi_label,
            threshold=threshold,
            seed=seed,
            device=device_of_rank(device, os.environ) if (shard or "").startswith("auto") else device,
            precision=precision,
            compile=compile_network,
        ),
        rendering=Rendering(words("--save", save), canvas(size), colormap, alpha, image_format),
        filters=Filters(tuple(include or ()), tuple(exclude or ())),
        limit=limit,
        labels=labels,
        overwrite=overwrite,
        report=report,
        batch_size=auto_or_number("--batch-size", batch_size),
        workers=auto_or_number("--workers", workers),
        max_pixels=max_pixels,
        image_timeout=image_timeout,
        decode=decode,
        fail_fast=fail_fast,
        shard=chosen_shard(shard, os.environ),
        engine=chosen_engine(engine, ray_address, shard, tracked=wandb or tensorboard),
        ray_address=ray_address,
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
    reporter = Reporter(quiet=quiet, verbose=verbose, color=not no_color)
    if dry_run:
        return show_plan(plan(job), WORDS, as_json=as_json, quiet=quiet)
    return run_to_end(job, run, reporter, WORDS, tracking=tracking, as_json=as_json, max_failures=max_failures)
