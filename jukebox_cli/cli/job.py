"""Shared by the commands that sample: from a request to a run and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox_cli.cli.console import print_note, print_result, progress
from jukebox_cli.cli.option_groups import PluginOptions
from jukebox_cli.cli.options import (
    ComputeOptions,
    OutputOptions,
    RequestOptions,
    ResultOptions,
    Until,
)
from jukebox_cli.cli.stream import stream_audio, validate_stream
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    from jukebox_cli.sampling.job import Job
    from jukebox_cli.sampling.request import Request
    from jukebox_cli.sampling.shard import Shard


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


def prepare_job(
    job: Job, compute: ComputeOptions, result: ResultOptions, output: OutputOptions
) -> Job:
    """The job with compute options and its share, validated: raises InputError if it can't be
    sampled, or not be streamed, or if there is no memory or disk for it. Writes nothing."""
    from jukebox_cli.sampling.checks import validate_job
    from jukebox_cli.sampling.disk_space import require_disk
    from jukebox_cli.sampling.requirements import fit_to_memory
    from jukebox_cli.sampling.shard import parse_shard
    from jukebox_cli.sampling.shard_plan import with_shard

    shard = parse_shard(result.shard)
    if result.stream:
        validate_stream(job.items, result, output)
    job = with_compute_options(job, compute)
    if shard:
        job = with_shard(job, shard)
        _note_empty_share(job, shard, output)
    validate_job(job, result.until.value)
    require_disk(job, result.until.value)
    return job if job.is_begun_with_others else fit_to_memory(job, result.until.value)


def _note_empty_share(job: Job, shard: Shard, output: OutputOptions) -> None:
    if not job.items:
        hint = "--parallel divides songs too"
        print_note(f"{shard} has no items, there are fewer than shards: {hint}", output.quiet)


def begin_job(job: Job, result: ResultOptions, create: Callable[[Job], None]) -> Job:
    """The job after `create` has written what its run and items lack, in agreement with commands
    that share it."""
    if job.shard is None:
        if job.items:
            create(job)
        return job
    from jukebox_cli.sampling.shard_plan import begin_shared

    return begin_shared(job, result.until.value, create)


def with_compute_options(job: Job, compute: ComputeOptions) -> Job:
    """The job with compute options. Raises InputError for slices that can't be."""
    from jukebox_cli.sampling.slice_plans import parse_parallel

    return replace(
        job,
        device=compute.device.value,
        engine=compute.engine.value,
        precision=compute.precision.value,
        batch_size=compute.batch,
        parallel=parse_parallel(compute.parallel),
    )


def new_job(
    registry: Registry,
    options: RequestOptions,
    plugins: PluginOptions,
    compute: ComputeOptions,
    result: ResultOptions,
    output: OutputOptions,
) -> Job:
    """The validated job of `generate`, on a run that may be there. Writes nothing. Raises
    InputError if it can't be done."""
    from jukebox_cli.sampling.run_setup import start_job

    wanted = build_request(registry, options, plugins)
    name = _default_name(options.preset, plugins.conditions, registry)
    job = start_job(wanted, registry, options.out, name)
    return prepare_job(job, compute, result, output)


def _default_name(preset: str | None, conditions: Mapping[str, Any], registry: Registry) -> str:
    """The name of a run without --out: that of its preset, or the conditions that are words of a
    vocabulary, such as `ada-vale-rock`, or `song`."""
    if preset:
        return Path(preset).stem
    labels = registry.vocabulary({name: {} for name in registry.conditioners})
    words = "-".join(str(value) for option, value in conditions.items() if option in labels)
    return "".join(c if c.isalnum() else "-" for c in words.lower()) or "song"


def complete_job(job: Job, result: ResultOptions, output: OutputOptions) -> None:
    """Samples and decodes what is missing in the run. Prints the run's folder, or JSON; of a
    stream, the audio."""
    audio = finish_job(job, result, output)
    if not result.stream:
        print_run(job, audio, output)


def finish_job(job: Job, result: ResultOptions, output: OutputOptions) -> list[str]:
    """The audio files of the job's items, if it makes audio, after sampling and decoding what is
    missing. Of a stream it prints the audio."""
    from jukebox_cli.sampling import pipeline
    from jukebox_cli.sampling.intents import record_completion, settle_intents
    from jukebox_cli.sampling.shard_worker import complete_shared
    from jukebox_cli.sampling.stages import job_stages

    if job.items:
        record_completion(job, result.until.value)
    with progress(output.quiet, stages=job_stages(job, result.until.value)) as bar:
        from jukebox_cli.sampling.compute import missing_engine_reason  # imports torch

        if reason := missing_engine_reason(job, result.until.value):
            print_note(f"sampling with torch, not the faster native engine: {reason}", output.quiet)
        job = replace(job, progress=bar)
        if result.stream:
            stream_audio(job, result.stream)
        elif job.shard:
            complete_shared(job, result.until.value, lambda text: print_note(text, output.quiet))
        else:
            pipeline.complete_run(job, result.until.value)
    settle_intents(job)
    with_audio = result.until is Until.audio
    audio = [str(job.run.audio_file(i)) for i in job.items] if with_audio else []
    for path in audio:
        print_note(f"wrote {path}", output.quiet or output.as_json)
    return audio


def print_run(job: Job, audio: list[str], output: OutputOptions) -> None:
    """Prints the run's folder, or JSON with its items and audio files."""
    data = {
        "run": str(job.run.path),
        "items": list(job.items),
        "seed": job.seed(job.items[0]) if job.items else job.config.seed,
        "audio": audio,
    }
    print_result(data, str(job.run.path), output.as_json)
