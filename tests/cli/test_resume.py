"""A run that is killed again and again, and resumed each time, ends with the bits of one that was not.

Usage: test_resume.py BUILD_FOLDER
"""
import os
import random
import shutil
import signal
import time

from program import (DONE, FAILED, REACH, USAGE, content, finish, main, run, run_json, said, scaled,
                     start)

STEPS = scaled(40000, 12000)
SETTINGS = ["--set", "envs=16", "--set", "rollout_steps=32", "--set", "checkpoint_every=1500",
            "--set", "evaluate_every=4000", "--set", "evaluate_episodes=4"]
KILLS = 10


def test_killed_at_random_moments_and_resumed():
    began = time.monotonic()
    run("train", REACH, "--out", "whole", "--steps", STEPS, "--threads", 2, *SETTINGS)
    seconds = time.monotonic() - began
    moments = random.Random(11)
    fresh = ["train", REACH, "--out", "killed", "--steps", STEPS, "--threads", 1, *SETTINGS]
    killed = 0
    for _ in range(100):
        resumes = os.path.exists("killed/checkpoint.safetensors")
        command = ["train", REACH, "--out", "killed", "--resume", "--threads", 2]
        process = start(*(command if resumes else fresh))
        time.sleep(moments.uniform(0.02, 0.2) * seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        if killed == KILLS:
            break
        if process.returncode == DONE:  # too late; the next kills are another run's
            shutil.rmtree("killed")
    assert killed == KILLS, f"only {killed} kills found the program at work"
    run("train", REACH, "--out", "killed", "--resume")
    for name in ("last.safetensors", "best.safetensors"):
        assert content(f"killed/{name}") == content(f"whole/{name}"), f"{name} has other bits"


def short_run():
    run("train", REACH, "--out", "whole", "--steps", 4096, *SETTINGS)


def test_a_finished_run_resumes_to_its_end():
    short_run()
    before = content("whole/last.safetensors")
    result = run_json("train", "train", REACH, "--out", "whole", "--resume")
    assert result["steps"] == 4096
    assert content("whole/last.safetensors") == before


def test_what_cannot_be_resumed_is_refused():
    os.makedirs("empty")
    short_run()
    _, error = finish(start("train", REACH, "--out", "empty", "--resume"), FAILED)
    said(error, "empty holds no checkpoint to go on from")
    _, error = finish(start("train", REACH, "--out", "whole", "--resume", "--seed", 3), USAGE)
    said(error, "--resume goes on as RUN/config.yaml says", lines=2)
    with open("whole/last.safetensors", "rb") as policy, \
            open("whole/checkpoint.safetensors", "wb") as checkpoint:
        checkpoint.write(policy.read())
    _, error = finish(start("train", REACH, "--out", "whole", "--resume"), FAILED)
    said(error, "whole/checkpoint.safetensors: a policy, but no checkpoint")


if __name__ == "__main__":
    main(globals())
