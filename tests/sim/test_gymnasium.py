"""scenes/gymnasium/ against Gymnasium itself: from the same positions and velocities, with the same actions,
whole episodes give the same observations, rewards and ends. Skipped until ./dev setup --bench was run.

Usage: test_gymnasium.py BUILD_FOLDER
"""
import json
import os
import subprocess
import sys
import tempfile
import warnings

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON = os.path.join(SOURCE, ".deps", "bench-venv", "bin", "python3")
SKIPPED = 77
SEEDS = (1, 2, 3)

# Task, Gymnasium's name, and what a control is for an action of 1.
TASKS = [("reacher", "Reacher-v4", 1.0), ("pusher", "Pusher-v5", 2.0),
         ("inverted_pendulum", "InvertedPendulum-v4", 3.0), ("half_cheetah", "HalfCheetah-v4", 1.0)]

# The physics are the same to the bit; observations are float32 here, rewards are summed in another order.
OBSERVATION_TOLERANCE = 1e-6  # relative to 1 + |value|
REWARD_TOLERANCE = 1e-6


def play(build, task, seed, actions):
    text = "\n".join(" ".join(repr(float(a)) for a in row) for row in actions)
    done = subprocess.run([os.path.join(build, "tests", "play"),
                           os.path.join(SOURCE, "scenes", "gymnasium", task + ".yaml"), str(seed)],
                          input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def make_actions(numpy, rng, task, size):
    """1000 rows in float32. A pendulum that is to stay up for a while is hardly pushed."""
    strength = 0.02 if task == "inverted_pendulum" else 1.2  # beyond 1: clipped by both
    return numpy.clip(rng.uniform(-strength, strength, size=(1000, size)), -1, 1).astype(numpy.float32)


def apart(numpy, ours, theirs):
    return float(numpy.max(numpy.abs(ours - theirs) / (1 + numpy.abs(theirs))))


def compare(gymnasium, mujoco, numpy, build, task, name, control):
    env = gymnasium.make(name)
    inner = env.unwrapped
    size = env.action_space.shape[0]
    worst_observation = worst_reward = 0.0
    steps = 0
    for seed in SEEDS:
        actions = make_actions(numpy, numpy.random.default_rng(seed), task, size)
        start, *ours = play(build, task, seed, actions)
        env.reset(seed=seed)
        mujoco.mj_resetData(inner.model, inner.data)
        inner.set_state(numpy.array(start["qpos"]), numpy.array(start["qvel"]))
        expected = inner._get_obs()
        worst_observation = max(worst_observation, apart(numpy, numpy.array(start["observation"]), expected))
        for i, step in enumerate(ours):
            expected, reward, terminated, truncated, _ = env.step(control * actions[i].astype(numpy.float64))
            where = f"{name}, seed {seed}, step {i}"
            assert len(step["observation"]) == len(expected), where
            o = apart(numpy, numpy.array(step["observation"]), expected)
            r = abs(step["reward"] - reward) / (1 + abs(reward))
            assert o <= OBSERVATION_TOLERANCE, f"{where}: observations {step['observation']} and {expected}"
            assert r <= REWARD_TOLERANCE, f"{where}: rewards {step['reward']} and {reward}"
            assert step["terminated"] == terminated, f"{where}: terminated"
            assert (step["truncated"] or step["terminated"]) == (truncated or terminated), f"{where}: truncated"
            worst_observation, worst_reward = max(worst_observation, o), max(worst_reward, r)
        assert ours[-1]["terminated"] or ours[-1]["truncated"], f"{name}: the episode went on here"
        assert terminated or truncated, f"{name}: the episode ended here and not there"
        steps += len(ours)
    env.close()
    print(f"{name:20} {steps:5} steps, observations within {worst_observation:.1e}, rewards within "
          f"{worst_reward:.1e}")


def check_resets(gymnasium, numpy, build, task, name):
    """The starts of many episodes span what Gymnasium's span."""
    env = gymnasium.make(name)
    starts = [play(build, task, seed, ())[0] for seed in range(200)]
    for key in ("qpos", "qvel"):
        ours = numpy.array([s[key] for s in starts])
        theirs = []
        for seed in range(200):
            env.reset(seed=seed)
            theirs.append(getattr(env.unwrapped.data, key).copy())
        theirs = numpy.array(theirs)
        # Means and spreads of 200 draws; the standard error of either is below 0.1 of a std.
        std = theirs.std(axis=0)
        assert numpy.all(abs(ours.mean(axis=0) - theirs.mean(axis=0)) <= 0.4 * std + 1e-9), (name, key)
        assert numpy.all(abs(ours.std(axis=0) - std) <= 0.3 * std + 1e-9), (name, key)
    env.close()


def main():
    if not os.path.exists(PYTHON):
        print("skipped: Gymnasium is not there; ./dev setup --bench fetches it")
        sys.exit(SKIPPED)
    if not sys.prefix.endswith("bench-venv"):
        os.execv(PYTHON, [PYTHON, *sys.argv])
    import gymnasium
    import mujoco
    import numpy
    warnings.filterwarnings("ignore")
    gymnasium.logger.min_level = gymnasium.logger.ERROR
    build = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # MuJoCo's Python binding writes its warnings into the working directory
        for task, name, control in TASKS:
            compare(gymnasium, mujoco, numpy, build, task, name, control)
            check_resets(gymnasium, numpy, build, task, name)
        os.chdir(SOURCE)


if __name__ == "__main__":
    main()
