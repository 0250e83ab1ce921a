"""The program as a person meets it: help, wrong usage, and what it says when something is wrong.

Every failure is one line on standard error (two where the usage helps), an exact exit status, and
nothing left behind.

Usage: test_program.py BUILD_FOLDER
"""
import os
import re
import shutil

from program import (FAILED, GAP, JACO, REACH, SOURCE, USAGE, contents, finish, last_json, main, run,
                     run_json, said, start,
                     train, trained)

COMMANDS = ("train", "adapt", "eval", "robot", "control", "replay", "export", "inspect")


def fails(code, words, *arguments):
    """The command fails with this status and these words, and the folder is as it was before."""
    before = contents(".")
    process = start(*arguments)
    out, error = finish(process, code)
    said(error, *([words] if isinstance(words, str) else words), lines=2 if code == USAGE else 1)
    assert out == "", out
    assert contents(".") == before, f"{arguments} left something behind"


def edited(source, old, new):
    """A copy of a scene's text with one change, whose model is still found."""
    with open(source, encoding="utf-8") as file:
        text = file.read()
    assert text.count(old) == 1, f"'{old}' is in {source} {text.count(old)} times"
    text = text.replace(old, new)
    text = text.replace("model: reach_arm.xml", f"model: {SOURCE}/scenes/reach_arm.xml")
    with open("task.yaml", "w", encoding="utf-8") as file:
        file.write(text)
    line = text[:text.index(new)].count("\n") + 1
    return "task.yaml", f"task.yaml:{line}: "


def test_without_arguments_it_explains_itself():
    out, error = finish(start(), USAGE)
    assert out == "" and error.startswith("Usage: colonnade COMMAND")
    for command in COMMANDS:
        assert f"\n  {command} " in error, command
    for word in ("--help", "help", "-h"):
        assert run(word) == error


def test_version():
    assert re.fullmatch(r"colonnade \d+\.\d+\.\d+\n", run("--version"))


def test_unknown_command_names_it_and_lists_the_known_ones():
    out, error = finish(start("trian"), USAGE)
    lines = error.splitlines()
    assert out == "" and lines[0] == "colonnade: there is no command 'trian'", error
    assert any(line.startswith("Usage: colonnade COMMAND") for line in lines)
    assert any(line.startswith("  train ") for line in lines)


def test_every_command_has_help_with_an_example():
    for command in COMMANDS:
        for option in ("--help", "-h"):
            out = run(command, option)
            assert out.startswith(f"Usage: colonnade {command} "), out
            assert "\nOptions:\n" in out and "\n  --json " in out and "\n  --help " in out, out
            assert f"\nExample:\n  colonnade {command} " in out, out
            assert max(map(len, out.splitlines())) <= 80, out  # so wide is every terminal


def test_help_lists_every_option_that_the_synopsis_names():
    for command in COMMANDS:
        out = run(command, "--help")
        for option in set(re.findall(r"--[a-z]+", out.splitlines()[0])):
            assert f"\n  {option} " in out, f"{command}: {option} is not explained"


def test_wrong_usage():
    for command in COMMANDS:
        positional = {"train": "TASK", "robot": "PLANT", "replay": "LOG", "inspect": "FILE",
                      "export": "LOG..."}
        fails(USAGE, f"{positional.get(command, 'POLICY')} is missing", command)
        fails(USAGE, "there is no option '--bogus'", command, "x", "--bogus")
        fails(USAGE, "there is no option '-x'", command, "x", "-xy")
        if command != "export":  # which takes several
            fails(USAGE, "'y' is one argument too many", command, "x", "y")
        fails(USAGE, "--json takes no value", command, "x", "--json=1")
    fails(USAGE, "--out needs a value", "train", REACH, "--out")
    fails(USAGE, "--out is missing", "train", REACH)
    fails(USAGE, "--out is missing", "adapt", "p", "--task", REACH)
    fails(USAGE, "where to adapt?", "adapt", "p", "--out", "run")
    fails(USAGE, "--method magic: it is progressive", "adapt", "p", "--task", REACH, "--out", "run",
          "--method", "magic")
    fails(USAGE, "--bind is missing", "robot", REACH)
    servos = ("robot", "feetech:/dev/ttyUSB0", "--bind", "ipc://x")
    fails(USAGE, "feetech:/dev/ttyUSB0 needs --arm", *servos)
    fails(USAGE, "feetech:/dev/ttyUSB0 needs --calibration", *servos, "--arm", REACH)
    for option in (("--lockstep",), ("--gap", GAP)):
        fails(USAGE, f"{option[0]} is for a simulated arm", *servos, "--arm", REACH, "--calibration",
              "c.yaml", *option)
    for option in ("--arm", "--calibration"):
        fails(USAGE, f"{option} is for an arm at feetech:PORT", "robot", REACH, "--bind", "ipc://x",
              option, REACH)
    fails(USAGE, "--robot is missing", "control", "p")
    fails(USAGE, "watching", "replay", "log", "--sim", REACH, "--paused")
    fails(USAGE, "watching", "replay", "log", "--robot", "ipc://arm", "--topics", "/events")
    fails(USAGE, "--rate 11", "replay", "log", "--robot", "ipc://arm", "--rate", "11")
    fails(USAGE, "--robomimic is missing", "export", "log", "another")
    fails(USAGE, "(2 given)", "replay", "log", "--verify", "p", "--video", "v")
    for command in ("eval", "adapt"):
        fails(USAGE, "--gap belongs to a simulated arm", command, "p", "--robot", "ipc:///tmp/x",
              "--gap", GAP, *(["--out", "run"] if command == "adapt" else []))


def test_numbers_are_checked():
    for value in ("0", "1.5", "-3", "many", "1e30", "nan", ""):
        fails(USAGE, f"--steps {value}: expected a whole number from 1 to", "train", REACH, "--out",
              "run", "--steps", value)
    for value in ("0", "-1", "inf", "soon"):
        fails(USAGE, f"--seconds {value}: expected a number from", "control", "p", "--robot",
              "ipc:///tmp/x", "--seconds", value)


def test_missing_files():
    for arguments in (("train", "no.yaml", "--out", "run"), ("robot", "no.yaml", "--bind", "ipc://x"),
                      ("eval", "no.safetensors"), ("control", "no.safetensors", "--robot", "ipc://x"),
                      ("adapt", "no.safetensors", "--task", REACH, "--out", "run"),
                      ("replay", "no.mcap", "--sim", REACH), ("inspect", "no.yaml"),
                      ("export", "no.mcap", "--robomimic", "out.hdf5")):
        fails(FAILED, [arguments[1], "o such file"], *arguments)
    fails(FAILED, "no.yaml", "train", REACH, "--out", "run", "--config", "no.yaml")


def test_mistakes_in_a_task_name_file_and_line():
    task, at = edited(REACH, "step_limit: 50", "step_limits: 50")
    fails(FAILED, [at, "'step_limits'", "known here: name, "], "train", task, "--out", "run")
    fails(FAILED, [at, "'step_limits'"], "inspect", task)
    fails(FAILED, [at, "'step_limits'"], "robot", task, "--bind", "ipc://x")
    task, at = edited(REACH, "step_limit: 50", "step_limit: soon")
    fails(FAILED, [at, "soon"], "inspect", task)
    task, at = edited(REACH, "  velocity_limit:", "  joints: [pan, lift, elbw]\n  velocity_limit:")
    fails(FAILED, [at, "'elbw'", "it has: pan, lift, elbow, "], "inspect", task)
    task, at = edited(REACH, "tracked: [tool, target]", "tracked: [tool, targt]")
    fails(FAILED, [at, "'targt'"], "inspect", task)
    task, at = edited(REACH, "tracked: [tool, target]", "tracked: [tool, target")
    fails(FAILED, "task.yaml:", "inspect", task)
    with open("task.yaml", "wb") as file:
        file.write(b"\x00\xff\x80 not a task")
    fails(FAILED, "task.yaml:", "inspect", "task.yaml")


def test_mistakes_in_a_gap_name_file_and_line():
    policy = trained()
    with open("gap.yaml", "w", encoding="utf-8") as file:
        file.write("# a gap\njoint_zero_offset: {elbw: 0.1}\n")
    fails(FAILED, ["gap.yaml:2: ", "'elbw'"], "eval", policy, "--gap", "gap.yaml")
    fails(FAILED, ["gap.yaml:2: ", "'elbw'"], "robot", REACH, "--gap", "gap.yaml", "--bind",
          "ipc://x")
    fails(FAILED, "gap.yaml:2: ", "adapt", policy, "--gap", "gap.yaml", "--out", "new")


def test_mistakes_in_a_model_name_its_file():
    task, _ = edited(REACH, "model: reach_arm.xml", "model: broken.xml")
    fails(FAILED, "broken.xml", "inspect", task)
    with open("broken.xml", "w", encoding="utf-8") as file:
        file.write("<mujoco><worldbody><body></mujoco>")
    fails(FAILED, "broken.xml", "inspect", task)


def test_settings_are_checked():
    for command in (("train", REACH), ("adapt", trained(), "--task", REACH)):
        for setting, words in (("bogus=1", ["'bogus'", "known here: steps, envs"]),
                               ("clip=-1", ["--set clip=-1", "found -1, expected 0.001 to 10"]),
                               ("clip=much", ["--set clip=much", "much"]), ("clip=[1", "--set clip"),
                               ("clip", "expected key=value"), ("=1", "expected key=value"),
                               ("activation=step", "tanh")):
            fails(FAILED, words, *command, "--out", "new", "--set", setting)
    with open("settings.yaml", "w", encoding="utf-8") as file:
        file.write("clip: 0.1\nlearning_rat: 1\n")
    fails(FAILED, ["settings.yaml:2: ", "'learning_rat'"], "train", REACH, "--out", "new", "--config",
          "settings.yaml")


def test_settings_override_one_another():
    with open("settings.yaml", "w", encoding="utf-8") as file:
        file.write("clip: 0.125\nepochs: 2\nsteps: 64\n")
    train("run", "--config", "settings.yaml", "--set", "epochs=1", "--set", "epochs=3")
    with open("run/config.yaml", encoding="utf-8") as file:
        lines = file.read().splitlines()
    for line in ("discount: 0.94999999999999996", "clip: 0.125", "epochs: 3", "steps: 4096"):
        assert line in lines, (line, lines)  # of the task, --config, --set, --steps


def test_a_run_is_not_overwritten():
    policy = trained()
    words = ["run holds a run already", "choose another --out"]
    fails(FAILED, words, "train", REACH, "--out", "run")
    fails(FAILED, words, "adapt", policy, "--task", REACH, "--out", "run")


def test_a_folder_that_cannot_be_made():
    policy = trained()
    for command in (("train", REACH), ("adapt", policy, "--task", REACH)):
        fails(FAILED, "cannot make the folder", *command, "--out", policy + "/new")


def test_a_policy_for_another_arm():
    policy = trained()
    words = [JACO, "the policy is for the arm 'reach_arm', this is the arm 'jaco'"]
    fails(FAILED, words, "eval", policy, "--task", JACO)
    fails(FAILED, words, "adapt", policy, "--task", JACO, "--out", "new")
    fails(FAILED, words, "control", policy, "--task", JACO, "--robot", "ipc://x", "--log", "log.mcap")


def test_a_policy_whose_task_has_gone():
    task, _ = edited(REACH, "name: reach\n", "name: mine\n")
    policy = train("run", task=task)
    os.remove(task)
    fails(FAILED, ["task.yaml', which is not there any more", "--task"], "eval", policy)
    run("eval", policy, "--task", REACH, "--episodes", 4)


def test_damaged_policies():
    with open(trained(), "rb") as file:
        whole = file.read()
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        with open("cut.safetensors", "wb") as file:
            file.write(whole[:size])
        fails(FAILED, "cut.safetensors", "eval", "cut.safetensors")
        fails(FAILED, "cut.safetensors", "adapt", "cut.safetensors", "--task", REACH, "--out", "new")
    with open("huge.safetensors", "wb") as file:
        file.write(b"\xff" * 8 + whole[8:])
    fails(FAILED, "huge.safetensors", "eval", "huge.safetensors")


def test_columns_that_are_not_there():
    policy = trained()
    fails(FAILED, ["column 7", "0 to 0"], "eval", policy, "--column", "7")


def test_robots_that_are_not_there():
    """All at once, because each waits for the same five seconds."""
    policy = trained()
    before = contents(".")
    where = ("--robot", "ipc://nobody")
    waiting = [start("eval", policy, *where), start("eval", policy, "--robot", "tcp://127.0.0.1:9"),
               start("control", policy, *where, "--log", "log.mcap"),
               start("adapt", policy, *where, "--out", "new")]
    for process in waiting:
        out, error = finish(process, FAILED)
        said(error, "no robot answers at ", "is `colonnade robot` running there?")
        assert out == ""
    assert contents(".") == before


def test_endpoints_that_are_none():
    policy = trained()
    for command in (("robot", REACH, "--bind"), ("eval", policy, "--robot")):
        for endpoint in ("arm", "ftp://x:1", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:99999999",
                         "ipc://"):
            fails(FAILED, [f"'{endpoint}'", "endpoint"], *command, endpoint)
        fails(FAILED, "choose a shorter one", *command, "ipc://" + "long" * 60)
    fails(FAILED, "nowhere/arm", "robot", REACH, "--bind", "ipc://nowhere/arm")


def test_files_of_the_wrong_kind():
    policy = trained()
    fails(FAILED, "MCAP", "replay", policy, "--sim", REACH)
    fails(FAILED, REACH, "eval", REACH)
    fails(FAILED, "run", "inspect", "run")


def test_json_of_training_and_evaluation():
    result = run_json("train", "train", REACH, "--out", "run", "--steps", 4096)
    assert result["steps"] == 4096 and result["steps_per_second"] > 0 and not result["stopped"]
    assert 0 <= result["success_rate"] <= 1 and os.path.samefile(result["policy"],
                                                                "run/best.safetensors")
    evaluation = run_json("eval", "eval", result["policy"], "--episodes", 20, "--seed", 3)
    assert evaluation["episodes"] == 20 and 0 < evaluation["length_mean"] <= 50
    assert evaluation == run_json("eval", "eval", result["policy"], "--episodes", 20, "--seed", 3)
    other = run_json("eval", "eval", result["policy"], "--episodes", 20, "--seed", 4)
    assert other["return_mean"] != evaluation["return_mean"]


def test_a_run_that_ends_early_says_why():
    """It learns nothing at this rate, so no evaluation is better than the first."""
    why = "no improvement for 1 evaluation"
    settings = ["evaluate_every=1000", "evaluate_episodes=4", "envs=16", "learning_rate=1e-9",
                "normalize_observation=false", "patience=1"]
    sets = [word for setting in settings for word in ("--set", setting)]
    report = run_json("train", "train", REACH, "--out", "run", "--steps", 10**6, *sets)
    assert report["why"] == why and not report["stopped"], report
    assert report["steps"] < 10**6 and report["success_low"] <= report["success_rate"]
    for name in ("best", "last"):
        (column,) = run_json("inspect", "inspect", f"run/{name}.safetensors")["columns"]
        assert column["ended"] == why, column
    _, error = finish(start("train", REACH, "--out", "new", "--set", "stop_success=1"), FAILED)
    said(error, "64 successes of 64 show no more than 0.9434: raise evaluate_episodes")


def test_json_of_inspection():
    policy = run_json("inspect", "inspect", trained())
    (column,) = policy["columns"]
    assert (policy["kind"], policy["arm"], column["shape"]) == ("policy", "reach_arm", "21-64-64-6")
    assert policy["parameters"] == policy["trainable_parameters"] == column["own_parameters"]
    assert column["steps"] == 4096 and not column["frozen"]
    task = run_json("inspect", "inspect", REACH)
    assert (task["kind"], task["arm"], task["actions"]) == ("task", "reach_arm", 6)
    assert task["observations"] == {"joints": 18, "target": 3} and task["step_limit"] == 50


def test_adapting_measures_and_names_its_best():
    result = run_json("adapt", "adapt", trained(), "--task", REACH, "--out", "new", "--steps", 1024,
                      "--episodes", 4, "--seed", 7, "--set", "evaluate_every=512", "--set",
                      "evaluate_episodes=2")
    assert result["policy"] == "new/best.safetensors" and result["columns"] == 2, result
    best = run_json("eval", "eval", result["policy"], "--task", REACH, "--episodes", 4, "--seed",
                    900000000001)  # of adapt's own measurements
    assert best["return_mean"] == result["return_after"], (best, result)


def test_methods_of_adaptation():
    policy = trained()
    sizes = {}
    for method, columns in (("progressive", 2), ("finetune", 1), ("scratch", 1)):
        result = run_json("adapt", "adapt", policy, "--task", REACH, "--gap", GAP, "--method", method,
                          "--out", method, "--steps", 1024, "--episodes", 4)
        assert (result["columns"], result["steps"]) == (columns, 1024), result
        sizes[method] = result["trainable_parameters"]
    assert sizes["progressive"] > sizes["finetune"] == sizes["scratch"]


def test_a_moved_run_still_works():
    shutil.move(os.path.dirname(trained()), "elsewhere")
    out = run("eval", "elsewhere/last.safetensors", "--episodes", 4, "--json")
    assert last_json(out, "eval")["episodes"] == 4


if __name__ == "__main__":
    main(globals())
