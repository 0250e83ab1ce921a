"""SAC from the command line: training, resuming, adapting, and learning from a log as well.

Usage: test_sac.py BUILD_FOLDER
"""
from program import (FAILED, GAP, JACO, REACH, USAGE, Robot, content, finish, main, run, run_json,
                     said, scaled, start, trained)

STEPS = scaled(1200, 600)
SMALL = ["--set", "envs=2", "--set", "rollout_steps=50", "--set", "learning_starts=200", "--set",
         "batch_size=64", "--set", "critic_hidden=[32, 32]", "--set", "evaluate_every=0"]
SAC = ["--algorithm", "sac", "--steps", STEPS, *SMALL]
EPISODES = 4
CONTROL_S = 4.0


def test_training_repeats_and_resumes_to_the_bit():
    checkpoints = ["--set", "checkpoint_every=500"]
    result = run_json("train", "train", REACH, "--out", "one", "--threads", 1, *SAC, *checkpoints)
    assert result["steps"] == STEPS, result
    run("train", REACH, "--out", "two", "--threads", 2, *SAC, *checkpoints)
    one = content("one/last.safetensors")
    assert one == content("two/last.safetensors")
    run("train", REACH, "--out", "two", "--resume", "--threads", 2)  # from its last checkpoint
    assert one == content("two/last.safetensors")
    column, = run_json("inspect", "inspect", "one/last.safetensors")["columns"]
    assert (column["method"], column["bound"]) == ("sac", "tanh"), column


def test_a_squashed_policy_acts_everywhere():
    policy = run_json("train", "train", REACH, "--out", "run", *SAC)["policy"]
    before = run_json("eval", "eval", policy, "--task", REACH, "--episodes", EPISODES)
    result = run_json("adapt", "adapt", policy, "--task", REACH, "--gap", GAP, "--out", "new",
                      "--episodes", EPISODES, *SAC)
    assert result["columns"] == 2, result
    same = run_json("eval", "eval", result["policy"], "--column", 0, "--against", policy, "--task",
                    REACH, "--episodes", EPISODES)
    assert same["actions_different"] == 0 and same["return_mean"] == before["return_mean"], same
    with Robot("ipc://arm") as robot:
        run("control", result["policy"], "--robot", robot.endpoint, "--seconds", 1, "--log", "a.mcap")
    verified = run_json("verify", "replay", "a.mcap", "--verify", result["policy"])
    assert verified["actions_checked"] > 0 and verified["mismatches"] == 0, verified


def test_adapting_with_a_log():
    policy = trained()
    with Robot("ipc://arm", "--gap", GAP) as robot:
        report = run_json("control", "control", policy, "--robot", robot.endpoint, "--seconds",
                          CONTROL_S, "--log", "log.mcap")
    common = ["adapt", policy, "--gap", GAP, "--episodes", EPISODES, *SAC]
    out, _ = finish(start(*common, "--out", "with", "--demos", "log.mcap"))
    line, = [line for line in out.splitlines() if line.startswith("demos: ")]
    seen = report["ticks"] - 2 - report["deadline_misses"]  # at each a frame may be missing
    assert seen <= int(line.split()[1]) <= report["ticks"], (line, report)
    run(*common, "--out", "without")
    run(*common, "--out", "again", "--demos", "log.mcap", "--threads", 1)
    assert content("with/last.safetensors") == content("again/last.safetensors")
    assert content("with/last.safetensors") != content("without/last.safetensors")


def test_adapting_over_the_wire_is_the_simulation_to_the_bit():
    policy = trained()
    with Robot("ipc://arm", "--lockstep") as robot:
        run("adapt", policy, "--robot", robot.endpoint, "--out", "there", "--episodes", EPISODES,
            *SAC, "--set", "envs=1")
    run("adapt", policy, "--task", REACH, "--out", "here", "--episodes", EPISODES, *SAC, "--set",
        "envs=1")
    assert content("there/last.safetensors") == content("here/last.safetensors")


def test_what_is_refused():
    policy = trained()
    with Robot("ipc://arm", task=JACO) as robot:
        jaco = run_json("train", "train", JACO, "--out", "jaco", *SAC)["policy"]
        run("control", jaco, "--robot", robot.endpoint, "--seconds", 1, "--log", "jaco.mcap")
    adapt = ["adapt", policy, "--task", REACH, "--out", "new", "--steps", 100, "--set",
             "learning_starts=10"]
    _, error = finish(start(*adapt, "--algorithm", "sac", "--demos", "jaco.mcap"), FAILED)
    said(error, "jaco.mcap: a log of the arm ", "not of the arm 'reach_arm'")
    _, error = finish(start(*adapt, "--algorithm", "sac", "--demos", "none.mcap"), FAILED)
    said(error, "none.mcap")
    _, error = finish(start(*adapt, "--demos", "jaco.mcap"), FAILED)
    said(error, "--demos: ppo learns from its own steps only; use --algorithm sac")
    _, error = finish(start(*adapt, "--algorithm", "luck"), FAILED)
    said(error, "--set algorithm=luck", "found 'luck', expected one of: ppo, sac")
    _, error = finish(start("train", REACH, "--out", "jaco", "--resume", "--algorithm", "sac"), USAGE)
    said(error, "--resume goes on as RUN/config.yaml says", lines=2)


if __name__ == "__main__":
    main(globals())
