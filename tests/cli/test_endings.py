"""How learning ends when somebody ends it: Ctrl-C at any moment leaves what was learned and says so; two
runs don't share a folder; a kill costs an adaptation seconds.

Usage: test_endings.py BUILD_FOLDER
"""
import os
import signal
import time

from program import (DONE, FAILED, REACH, checkpointed, finish, last_json, main, run, run_json, said, start,
                     train, trained, wait_for)

MANY = 10**6


def fails(words, *arguments):
    said(finish(start(*arguments), FAILED)[1], *words)


def begun(out):
    """Whether a run has written what it can go on from, if only from its beginning."""
    return os.path.exists(os.path.join(out, "checkpoint.safetensors"))


def interrupt(process, kind):
    """Ctrl-C; returns the report of a run that ended in order all the same."""
    process.send_signal(signal.SIGINT)
    out, error = finish(process, DONE)
    assert error == "", error
    return last_json(out, kind)


def test_ctrl_c_in_the_last_iteration():
    process = start("train", REACH, "--out", "run", "--steps", 4096, "--set", "epochs=1000", "--set",
                    "evaluate_every=0", "--json")
    wait_for(lambda: begun("run"), "the beginning")
    report = interrupt(process, "train")
    assert report["success_rate"] is None and report["steps"] in (0, 4096), report
    run("eval", report["policy"], "--episodes", 2)


def test_ctrl_c_in_the_last_measurement():
    process = start("train", REACH, "--out", "again", "--steps", 4096, "--json")
    wait_for(lambda: os.path.exists("again/last.safetensors"), "the last iteration")
    report = interrupt(process, "train")
    assert report["steps"] == 4096 and report["why"] == "all steps done", report
    run("eval", report["policy"], "--episodes", 2)


def test_a_run_goes_on_from_its_beginning():
    whole = train("whole", "--set", "checkpoint_every=4096", steps=8192)
    process = start("train", REACH, "--out", "killed", "--steps", 8192, "--threads", 2, "--set",
                    "checkpoint_every=4096")
    wait_for(lambda: begun("killed"), "the first checkpoint")
    process.kill()
    process.communicate()
    if not checkpointed("killed"):
        assert not os.path.exists("killed/last.safetensors")
    run("train", REACH, "--out", "killed", "--resume")
    with open(whole, "rb") as one, open("killed/last.safetensors", "rb") as other:
        assert one.read() == other.read()


def test_two_runs_do_not_share_a_folder():
    first = start("train", REACH, "--out", "run", "--steps", MANY)
    wait_for(lambda: begun("run"), "the first run")
    fails(["run: another run is writing there", "--out"], "train", REACH, "--out", "run")
    fails(["another run is writing there"], "train", REACH, "--out", "run", "--resume")
    first.kill()
    first.communicate()
    fails(["run holds a run already", "--resume"], "train", REACH, "--out", "run")


def test_a_kill_costs_an_adaptation_seconds():
    process = start("adapt", trained(), "--task", REACH, "--out", "new", "--steps", 10**9, "--episodes", 2)
    wait_for(lambda: os.path.exists("new/last.safetensors"), "what was learned so far")
    process.kill()
    process.communicate()
    report = run_json("eval", "eval", "new/last.safetensors", "--task", REACH, "--episodes", 2)
    assert report["episodes"] == 2


def test_what_cannot_end_is_refused_before_anything_moves():
    unjudged = REACH.replace("reach.yaml", "gymnasium/inverted_pendulum.yaml")
    if os.path.exists(os.path.join(os.path.dirname(REACH), "../.deps/models/gymnasium")):
        fails(["stop_success is 0.5", "has no success", "patience"], "train", unjudged, "--out", "run",
              "--set", "stop_success=0.5", "--set", "evaluate_every=4096")
        assert not os.path.exists("run")
    began = time.monotonic()
    policy = trained()
    for words, setting in ((["learning_starts is 5000 of 1000 steps"], ("--algorithm", "sac")),
                           (["600 minibatches of 512 rows"], ("--set", "minibatches=600"))):
        fails(words, "adapt", policy, "--task", REACH, "--out", "new",
              "--steps", 1000, "--episodes", MANY, *setting)
    assert time.monotonic() - began < 60  # a million episodes take hours


if __name__ == "__main__":
    main(globals())
