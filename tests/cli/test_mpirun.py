"""Training on several ranks under mpirun: the same bits twice, one message, one set of files, and a run
that goes on after a rank was killed.

Usage: test_mpirun.py BUILD_FOLDER
"""
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile

from program import (DONE, FAILED, PATIENCE_S, PROGRAM, REACH, SOURCE, USAGE, checkpointed, content, finish, last_json,
                     main, run, run_json, scaled, wait_for)
from ranks import MPIRUN, complaints, ranks_of, skip, start_ranks

ENVS, LENGTH = 8, 32
SETTINGS = ["--set", f"envs={ENVS}", "--set", f"rollout_steps={LENGTH}", "--set",
            "checkpoint_every=900", "--set", "evaluate_every=2000", "--set", "evaluate_episodes=5"]
STEPS = scaled(4096, 2048)
END_S = scaled(5, 30)  # what an iteration and the end of a run may take once mpirun was told to stop

# reach with coarse physics and short episodes: what is tested here are the ranks, not the arm.
_folder = tempfile.TemporaryDirectory(prefix="cn")
TASK = os.path.join(_folder.name, "short_reach.yaml")
with open(TASK, "w", encoding="utf-8") as _file:
    _file.write(f"base: {REACH}\nname: short_reach\nstep_limit: 10\n"
                f"model: {{file: {SOURCE}/scenes/reach_arm.xml, options: {{timestep: 0.01}}}}\n")


def train(ranks, out, *options, steps=STEPS):
    """Trains on this many ranks; returns what --json says."""
    process = start_ranks(ranks, "train", TASK, "--out", out, "--steps", steps, "--json", *SETTINGS,
                          *options)
    return last_json(finish(process)[0], "train")


def test_the_same_bits_twice():
    sums = set()
    for ranks in (2, 4):
        report = train(ranks, f"first{ranks}")
        assert report["steps"] == STEPS, report
        train(ranks, f"again{ranks}", "--threads", 2)
        for name in ("last.safetensors", "best.safetensors", "checkpoint.safetensors", "config.yaml"):
            first, again = content(f"first{ranks}/{name}"), content(f"again{ranks}/{name}")
            # a checkpoint also holds how long it took
            assert first == again or name.startswith("checkpoint"), f"{name} of {ranks} ranks differs"
        sums.add(content(f"first{ranks}/last.safetensors"))
        events = [name for name in os.listdir(f"first{ranks}") if name.startswith("events")]
        assert len(events) == 1, events
    assert len(sums) == 2, "two and four ranks learned the same"


def test_one_rank_is_a_run_without_mpirun():
    train(1, "one")
    run("train", TASK, "--out", "alone", "--steps", STEPS, *SETTINGS)
    for name in ("last.safetensors", "best.safetensors"):
        assert content(f"one/{name}") == content(f"alone/{name}"), name


def test_two_ranks_learn_from_each_other():
    """Rank 0 has the environments that a lone run has; the other's make the policy another one."""
    train(2, "two")
    run("train", TASK, "--out", "alone", "--steps", STEPS // 2, *SETTINGS)
    assert content("two/last.safetensors") != content("alone/last.safetensors")
    (column,) = run_json("inspect", "inspect", "two/last.safetensors")["columns"]
    assert column["steps"] == STEPS


def test_the_program_itself_needs_no_mpi():
    libraries = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True, check=True).stdout
    assert "libzmq" in libraries and "libmpi" not in libraries, libraries


def started(out, steps, *settings, options=()):
    """A run on two ranks that has written its first checkpoint; a short one may have ended since."""
    process = start_ranks(2, "train", TASK, "--out", out, "--json", "--steps", steps, *SETTINGS, *settings,
                          options=options)
    wait_for(lambda: process.poll() is not None or checkpointed(out),
             "a checkpoint")
    return process


def killed(out, steps, victim):
    """A run of which a rank was killed after its first checkpoint; returns what mpirun says."""
    for _ in range(100):
        process = started(out, steps)
        with contextlib.suppress(KeyError, ProcessLookupError):  # the rank has ended
            os.kill(ranks_of(process)[victim], signal.SIGKILL)
        _, error = process.communicate(timeout=PATIENCE_S)
        if process.returncode != DONE:
            return error
        shutil.rmtree(out)  # too late
    raise AssertionError("no kill found the ranks at work")


def test_a_killed_rank_ends_the_job_and_it_goes_on():
    steps = 4 * STEPS
    train(2, "whole", steps=steps)
    for victim in (0, 1):
        out = f"killed{victim}"
        error = killed(out, steps, victim)
        assert f"rank {victim}" in error and "signal 9" in error, error
        finish(start_ranks(2, "train", TASK, "--out", out, "--resume"))
        for name in ("last.safetensors", "best.safetensors"):
            assert content(f"{out}/{name}") == content(f"whole/{name}"), f"{name} has other bits"


def test_another_number_of_ranks_cannot_go_on():
    train(2, "two")
    for process in (start_ranks(3, "train", TASK, "--out", "two", "--resume"),
                    start_ranks(1, "train", TASK, "--out", "two", "--resume")):
        _, error = process.communicate(timeout=PATIENCE_S)
        (said,) = complaints(error)
        assert process.returncode == FAILED and "is of a run on 2 rank(s)" in said, error
        assert "mpirun -n 2" in said, said


def test_a_signal_to_mpirun_ends_the_run_in_order():
    """SIGUSR1 is passed on at once, and the run ends well; after SIGINT mpirun itself fails, and kills
    who has not ended in time. Between SIGINT and the end it reads nothing of what the ranks say, so they
    must not say much: no evaluations."""
    time_to_end = ("--mca", "odls_base_sigkill_timeout", str(END_S))
    whole = train(2, "whole", steps=4 * STEPS)
    for number, statuses in ((signal.SIGUSR1, (DONE,)), (signal.SIGINT, (DONE, FAILED))):
        out = number.name
        process = started(out, 10**9, "--set", "evaluate_every=0", options=time_to_end)
        process.send_signal(number)
        text, error = process.communicate(timeout=PATIENCE_S)
        assert process.returncode in statuses, f"{process.returncode}: {text}{error}"
        assert not complaints(error), error
        report = last_json(text, "train")
        assert report["stopped"] and report["steps"] % (2 * ENVS * LENGTH) == 0, report
        (column,) = run_json("inspect", "inspect", report["policy"])["columns"]
        assert 0 < column["steps"] <= report["steps"]
    assert not whole["stopped"]


def refused(code, words, *arguments):
    """Rank 0 alone says what is wrong."""
    process = start_ranks(2, *arguments)
    text, error = process.communicate(timeout=PATIENCE_S)
    lines = complaints(error)
    assert process.returncode == code and text == "", f"{process.returncode}: {text}{error}"
    assert len(lines) == 1 and words in lines[0], error


def test_wrong_usage_is_said_once():
    refused(USAGE, "--out is missing", "train", REACH)
    refused(USAGE, "mpirun started 2 processes of 'adapt', which works alone", "adapt", "policy")
    refused(USAGE, "mpirun started 2 processes of 'eval', which works alone", "eval", "policy")
    refused(FAILED, "nothing.yaml", "train", "nothing.yaml", "--out", "run")
    refused(FAILED, "only ppo learns on several ranks", "train", REACH, "--out", "run", "--set",
            "algorithm=sac")
    os.makedirs("empty")
    refused(FAILED, "empty holds no checkpoint", "train", REACH, "--out", "empty", "--resume")
    with open("file", "w", encoding="utf-8"):
        pass
    refused(FAILED, "file", "train", REACH, "--out", "file/run")


def test_help_is_given_once():
    text, _ = finish(start_ranks(2, "train", "--help"))
    assert text.count("Usage:") == 1, text


if __name__ == "__main__":
    if not MPIRUN:
        skip("there is no mpirun")
    main(globals())
