"""examples/job-array: the same tokens as one plain command, through Slurm and through xargs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.paths import ROOT

pytestmark = pytest.mark.slow

SCRIPTS = ROOT / "examples" / "job-array"
DAEMONS = ("munged", "slurmctld", "slurmd")
ITEMS, TASKS, SECONDS = 3, 2, 0.4  # so that the last task has fewer items
STAGES = ("top", "upsample", "decode")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, tiny: Model) -> dict[str, str]:
    """The variables of the scripts, and a `jukebox` of this Python on the PATH."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "jukebox"
    main = "import sys; from jukebox_cli.cli import main; sys.exit(main())"
    command.write_text(f"#!{sys.executable}\n{main}\n")
    command.chmod(0o755)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("JUKEBOX_", "SLURM_"))}
    return {
        **clean,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "SONG": f"--model {tiny.path} --genre rock --seconds {SECONDS} --seed 5",
        "ITEMS": str(ITEMS),
        "TASKS": str(TASKS),
        "OMP_NUM_THREADS": "1",
    }


def run(*words: object, env: dict[str, str], cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(w) for w in words], env=env, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def song(environment: dict[str, str]) -> dict[str, str]:
    """The variables of one song that several tasks make."""
    words = environment["SONG"].replace(f"--seconds {SECONDS}", "--seconds 3")
    return {**environment, "SONG": words, "ITEMS": "1", "PARALLEL": "4"}


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory, song: dict[str, str]) -> Run:
    """The song as one command makes it in the same slices."""
    out = tmp_path_factory.mktemp("runs") / "sliced"
    run("jukebox", "generate", *song["SONG"].split(), "--parallel", 4, "--out", out, env=song)
    return Run(out)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Run:
    """The run that one command makes with all items."""
    out = tmp_path_factory.mktemp("runs") / "plain"
    song = environment["SONG"].split()
    run("jukebox", "generate", *song, "--items", ITEMS, "--out", out, "-q", env=environment)
    return Run(out)


def assert_same(made: Run, plain: Run) -> None:
    """The same tokens to the bit, and a sound file for every item."""
    assert made.items() == plain.items()
    for item in plain.items():
        for level in range(3):
            mine, wanted = (r.read_tokens(level, item) for r in (made, plain))
            assert mine is not None
            assert wanted is not None
            np.testing.assert_array_equal(mine, wanted)
        segments = zip(made.item(item).segments, plain.item(item).segments, strict=True)
        assert all(a.compute == b.compute and a.slices == b.slices for a, b in segments)
        assert made.audio_file(item).read_bytes() == plain.audio_file(item).read_bytes()


def test_tasks_run_without_a_scheduler(
    environment: dict[str, str], plain: Run, tmp_path: Path
) -> None:
    made = Run(tmp_path / "made")
    run(SCRIPTS / "local.sh", env={**environment, "RUN": str(made.path), "JOBS": "2"})
    assert_same(made, plain)


def test_tasks_make_one_song_without_a_scheduler(
    song: dict[str, str], sliced: Run, tmp_path: Path
) -> None:
    made = Run(tmp_path / "made")
    run(SCRIPTS / "local.sh", env={**song, "RUN": str(made.path), "JOBS": "2"})
    assert_same(made, sliced)


def test_a_deleted_file_is_created_again(
    environment: dict[str, str], plain: Run, tmp_path: Path
) -> None:
    shutil.copytree(plain.path, tmp_path / "made")
    made = Run(tmp_path / "made")
    made.token_file(0, 2).unlink()
    for stage in ("upsample", "decode"):
        there = {**environment, "RUN": str(made.path), "TASK": "0"}
        run(SCRIPTS / "task.sh", stage, env=there)
    assert_same(made, plain)


def test_the_scripts_name_missing_variables(environment: dict[str, str]) -> None:
    for name in ("RUN", "SONG"):
        some = {"RUN": "x", **environment}
        del some[name]
        for script in ("local.sh", "submit.sh"):
            done = subprocess.run([SCRIPTS / script], env=some, capture_output=True, text=True)
            assert done.returncode != 0
            assert name in done.stderr
    command = [str(SCRIPTS / "task.sh"), "middle"]
    some = {**environment, "RUN": "x", "TASK": "0"}
    done = subprocess.run(command, env=some, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "no stage 'middle': top, upsample or decode\n")


@pytest.mark.parametrize("script", ["local.sh", "submit.sh"])
@pytest.mark.parametrize("name", ["ITEMS", "TASKS", "PARALLEL", "JOBS"])
@pytest.mark.parametrize("value", ["0", "abc", "-1", "1.5", "08", "2+2", "1000000"])
def test_the_scripts_refuse_invalid_numbers(
    value: str, name: str, script: str, tmp_path: Path
) -> None:
    some = {"PATH": os.environ["PATH"], "RUN": "x", "SONG": "--preset rock", "ITEMS": "4"}
    done = subprocess.run(
        [SCRIPTS / script],
        env={**some, name: value},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    message = f"{name} must be a number from 1 to 999999, not '{value}'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Cluster:
    """A Slurm cluster of one node, all of it in one folder."""

    folder: Path

    @property
    def settings(self) -> Path:
        return self.folder / "slurm.conf"

    def write_settings(self) -> None:
        name = socket.gethostname().split(".")[0]
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            two.bind(("127.0.0.1", 0))
            ports = one.getsockname()[1], two.getsockname()[1]
        lines = f"""
            ClusterName=test
            SlurmctldHost={name}(127.0.0.1)
            SlurmctldPort={ports[0]}
            SlurmdPort={ports[1]}
            SlurmUser=root
            SlurmdUser=root
            AuthType=auth/munge
            AuthInfo=socket={self.folder}/munge.socket
            CredType=cred/munge
            StateSaveLocation={self.folder}/state
            SlurmdSpoolDir={self.folder}/spool
            SlurmctldPidFile={self.folder}/slurmctld.pid
            SlurmdPidFile={self.folder}/slurmd.pid
            ProctrackType=proctrack/linuxproc
            TaskPlugin=task/none
            SelectType=select/cons_tres
            SelectTypeParameters=CR_CPU
            SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
            MpiDefault=none
            ReturnToService=2
            NodeName={name} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
            PartitionName=all Nodes={name} Default=YES MaxTime=INFINITE State=UP
        """
        self.settings.write_text("\n".join(line.strip() for line in lines.splitlines()))

    def start(self) -> list[subprocess.Popen[bytes]]:
        """munged, slurmctld and slurmd, as children of this process."""
        (self.folder / "state").mkdir()
        (self.folder / "spool").mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        at = {
            "--key-file": key,
            "--socket": self.folder / "munge.socket",
            "--pid-file": self.folder / "munged.pid",
            "--log-file": self.folder / "munged.log",
            "--seed-file": self.folder / "munged.seed",
        }
        munged = ["munged", "--foreground", "--force", *(f"{k}={v}" for k, v in at.items())]
        conf = ["-D", "-f", str(self.settings)]
        daemons = []
        for words in (munged, ["slurmctld", "-c", *conf], ["slurmd", *conf]):
            with (self.folder / f"{words[0]}.txt").open("wb") as log:
                daemons.append(
                    subprocess.Popen(words, stdout=log, stderr=log, env=self.environment)
                )
            time.sleep(0.5)
        return daemons

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.settings)}

    def ask(self, *words: str) -> str:
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        return done.stdout

    def wait(self, wanted: str, *words: str, seconds: float) -> None:
        """Waits until a command prints `wanted` and nothing else."""
        end = time.monotonic() + seconds
        while (output := self.ask(*words).strip()) != wanted:
            assert time.monotonic() < end, f"{' '.join(words)}: {output}\n{self.logs()}"
            time.sleep(0.5)

    def logs(self) -> str:
        return "\n".join(p.read_text()[-2000:] for p in sorted(self.folder.glob("*.txt")))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    if missing := [d for d in (*DAEMONS, "sbatch") if not shutil.which(d, path=path)]:
        pytest.skip(f"needs Slurm (Debian: slurm-wlm, munge), lacks {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("needs to be root to start Slurm's daemons")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        there = Cluster(tmp_path_factory.mktemp("slurm"))
        there.write_settings()
        daemons = there.start()
        try:
            there.wait("idle", "sinfo", "--noheader", "--format=%T", seconds=120)
            yield there
        finally:
            for daemon in reversed(daemons):
                daemon.terminate()
                daemon.wait(20)


def submit(cluster: Cluster, variables: dict[str, str], folder: Path) -> dict[str, str]:
    """The variables of a run `made`, which is submitted."""
    there = {**variables, "RUN": str(folder / "made"), "SLURM_CONF": str(cluster.settings)}
    run(SCRIPTS / "submit.sh", env=there, cwd=folder)
    return there


def wait_for_tasks(cluster: Cluster, folder: Path) -> None:
    """Waits until all tasks of the run `made` are done, without an error."""
    cluster.wait("", "squeue", "--noheader", seconds=900)
    logs = {p.name: p.read_text() for p in (folder / "made-logs").iterdir()}
    assert sorted(logs) == sorted(f"{stage}-{n}.txt" for stage in STAGES for n in range(TASKS))
    lines = [line for text in logs.values() for line in text.splitlines()]
    assert not [line for line in lines if line.startswith("error")], logs


def test_tasks_run_through_slurm(
    environment: dict[str, str], cluster: Cluster, plain: Run, tmp_path: Path
) -> None:
    submit(cluster, environment, tmp_path)
    wait_for_tasks(cluster, tmp_path)
    assert_same(Run(tmp_path / "made"), plain)


def test_tasks_make_one_song_through_slurm_though_one_is_requeued(
    song: dict[str, str], cluster: Cluster, sliced: Run, tmp_path: Path
) -> None:
    submit(cluster, song, tmp_path)
    running = ("squeue", "--noheader", "--name=jukebox-upsample", "--states=R", "--format=%A")
    end = time.monotonic() + 300
    while not (tasks := cluster.ask(*running).split()):
        assert time.monotonic() < end, cluster.logs()
        time.sleep(0.1)
    time.sleep(2)
    cluster.ask("scontrol", "requeue", tasks[0])
    wait_for_tasks(cluster, tmp_path)
    assert_same(Run(tmp_path / "made"), sliced)


def test_processes_of_srun_have_shares_of_their_own(
    song: dict[str, str], cluster: Cluster, sliced: Run, tmp_path: Path
) -> None:
    words = ["jukebox", "generate", *song["SONG"].split(), "--parallel", "4", "--shard", "auto"]
    there = {**song, "SLURM_CONF": str(cluster.settings)}
    run("srun", "--ntasks=2", *words, "--out", tmp_path / "made", env=there, cwd=tmp_path)
    assert_same(Run(tmp_path / "made"), sliced)
