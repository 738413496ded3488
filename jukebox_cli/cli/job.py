"""Shared by the commands that sample: from a request to a run and its result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jukebox_cli.cli.console import print_note, print_result, progress
from jukebox_cli.cli.option_groups import PluginOptions
from jukebox_cli.cli.options import ComputeOptions, OutputOptions, RequestOptions, Until
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    from jukebox_cli.sampling.job import Job
    from jukebox_cli.sampling.request import Request


def build_request(registry: Registry, options: RequestOptions, plugins: PluginOptions) -> Request:
    """The request of a command line. Raises InputError for invalid options."""
    from jukebox_cli.sampling import request

    return request.build_request(
        registry,
        options.preset,
        options.overrides or [],
        model=options.model,
        seconds=options.seconds,
        items=options.items,
        only=options.only,
        seed=options.seed,
        conditions=plugins.conditions,
        sampler_options=plugins.sampler_options,
    )


def prepare_job(job: Job, compute: ComputeOptions, until: Until) -> Job:
    """The job with compute options, validated: raises InputError if it can't be sampled. Writes
    nothing."""
    from jukebox_cli.sampling.checks import validate_job

    job = replace(
        job,
        device=compute.device.value,
        engine=compute.engine.value,
        precision=compute.precision.value,
        batch_size=compute.batch,
    )
    validate_job(job, until.value)
    return job


def complete_job(job: Job, until: Until, output: OutputOptions) -> None:
    """Samples and decodes what is missing in the run; prints the run's folder, or JSON."""
    from jukebox_cli.sampling import pipeline
    from jukebox_cli.sampling.compute import missing_engine_reason

    if reason := missing_engine_reason(job, until.value):
        print_note(f"sampling with torch, not the faster native engine: {reason}", output.quiet)
    with progress(output.quiet) as bar:
        pipeline.complete_run(replace(job, progress=bar), until.value)
    audio = [str(job.run.audio_file(i)) for i in job.items] if until is Until.audio else []
    for path in audio:
        print_note(f"wrote {path}", output.quiet or output.as_json)
    data = {
        "run": str(job.run.path),
        "items": list(job.items),
        "seed": job.seed(job.items[0]) if job.items else job.config.seed,
        "audio": audio,
    }
    print_result(data, str(job.run.path), output.as_json)
