"""Shares: as given, or from Slurm's variables."""

from __future__ import annotations

import pytest

from jukebox_cli.sampling.shard import Shard, parse_shard
from support.results import refusal


def slurm(**variables: object) -> dict[str, str]:
    return {f"SLURM_{name}": str(value) for name, value in variables.items()}


ARRAY = {"ARRAY_TASK_COUNT": 3, "ARRAY_TASK_MIN": 4, "ARRAY_TASK_STEP": 2}
HINT = "say which share: --shard 1/4"


def test_a_share_is_a_number_of_a_count() -> None:
    assert parse_shard(None) is None
    assert parse_shard("2/4") == Shard(2, 4)
    assert str(Shard(2, 4)) == "shard 2/4"


@pytest.mark.parametrize("text", ["", "0/4", "5/4", "1", "1/", "-1/4", "1/4/2", "a/b", "1/0"])
def test_anything_else_is_an_error(text: str) -> None:
    message, hint = refusal(parse_shard, text)
    assert message == f"--shard must be K/N with K from 1 to N, or auto, not '{text}'"
    assert hint == "try --shard 1/4"


def test_every_item_is_in_one_share() -> None:
    shares = [Shard(number, 4).select(range(10)) for number in range(1, 5)]
    assert shares == [(0, 4, 8), (1, 5, 9), (2, 6), (3, 7)]
    assert Shard(3, 4).select((2, 5, 7)) == (2,)  # also where others are not there yet
    assert Shard(3, 4).select((5, 7)) == ()


def test_every_worker_begins_with_a_share_of_its_own() -> None:
    for total, count in ((8, 4), (10, 4), (2, 4), (7, 1)):
        shards = [Shard(k, count) for k in range(1, count + 1)]
        ranks = [[each.rank(n, total) for n in range(total)] for each in shards]
        orders = [sorted(range(total), key=rank.__getitem__) for rank in ranks]
        size = Shard(1, count).size(total)
        assert {n for order in orders for n in order[:size]} == set(range(total))
        assert all(sorted(order) == list(range(total)) for order in orders)


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        (slurm(ARRAY_TASK_ID=0, ARRAY_TASK_COUNT=4, ARRAY_TASK_MIN=0), Shard(1, 4)),
        (slurm(ARRAY_TASK_ID=8, **ARRAY), Shard(3, 3)),
        (slurm(ARRAY_TASK_ID=7), Shard(1, 1)),
        (slurm(STEP_ID=0, PROCID=2, NTASKS=4), Shard(3, 4)),
        (slurm(STEP_ID=0, PROCID=1, NTASKS=8, STEP_NUM_TASKS=2), Shard(2, 2)),
        (slurm(ARRAY_TASK_ID=6, **ARRAY, STEP_ID=0, PROCID=1, NTASKS=2), Shard(4, 6)),
        # a batch script: there is one of it, whatever it may start with srun
        (slurm(ARRAY_TASK_ID=6, **ARRAY, PROCID=0, NTASKS=2), Shard(2, 3)),
    ],
)
def test_slurm_says_which_share(variables: dict[str, str], shard: Shard) -> None:
    assert parse_shard("auto", variables) == shard


def test_elsewhere_auto_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_ARRAY_TASK_ID", "SLURM_STEP_ID", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    message, hint = refusal(parse_shard, "auto")
    names = "neither SLURM_ARRAY_TASK_ID nor SLURM_STEP_ID is set"
    assert message == f"--shard auto takes its share from Slurm, but {names}"
    assert hint == "run it in a job array or with srun, or say which share: --shard 1/4"


@pytest.mark.parametrize("task", [3, 5, 10])
def test_a_task_without_a_place_is_an_error(task: int) -> None:
    message, hint = refusal(parse_shard, "auto", slurm(ARRAY_TASK_ID=task, **ARRAY))
    place = f"task {task} of a job array of 3, the first of which is 4"
    assert message == f"--shard auto: {place}, has no place in a row"
    assert hint == ("number the tasks without gaps (--array=0-3), or say which share: --shard 1/4")


def test_variables_that_can_not_be_are_errors() -> None:
    message, hint = refusal(parse_shard, "auto", slurm(ARRAY_TASK_ID="x"))
    assert (message, hint) == ("--shard auto: SLURM_ARRAY_TASK_ID is 'x', not a number", HINT)
    message, hint = refusal(parse_shard, "auto", slurm(STEP_ID=0, PROCID=4, NTASKS=4))
    assert (message, hint) == ("--shard auto: SLURM_PROCID is 4, but SLURM_NTASKS is 4", HINT)
