"""Stable-Baselines3's side of `./dev bench peers`: PPO on a task of scenes/, with the settings that our own
run wrote down, until an evaluation of deterministic episodes succeeds often enough.

The environments are of one of two kinds (bench/task_peer.py): `batched`, all of them as one, or `usual`, one
gymnasium.Env each, in whichever of Stable-Baselines3's own vectors is faster in a trial before.

Usage: sb3_peer.py TASK CONFIG [options]      CONFIG: the config.yaml of a run
The last line of the output is one JSON object.
"""
import argparse
import json
import resource
import time

import numpy as np
import torch
import yaml
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

from task_peer import Task, TaskEnv, TaskVecEnv

ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "identity": torch.nn.Identity}
TRIAL_STEPS = 20  # of every environment, three times


def vectors(kind, task, threads):
    """By name, what makes so many environments of a kind, as one for Stable-Baselines3."""
    def seeded(envs, seed):
        envs.seed(seed)
        return envs

    makers = lambda count: [lambda: TaskEnv(task)] * count
    if kind == "batched":
        return {"TaskVecEnv": lambda count, seed: TaskVecEnv(task, count, threads, seed)}
    return {"DummyVecEnv": lambda count, seed: seeded(DummyVecEnv(makers(count)), seed),
            # Forked processes start at once, where others import PyTorch first, each of them.
            "SubprocVecEnv": lambda count, seed: seeded(SubprocVecEnv(makers(count), "fork"), seed)}


def steps_per_second(make, count):
    """Of a vector of so many environments, alone."""
    envs = make(count, 0)
    envs.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (TRIAL_STEPS, count, *envs.action_space.shape))
    taken = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        for action in actions.astype(np.float32):
            envs.step(action)
        taken = min(taken, time.perf_counter() - began)
    envs.close()
    return TRIAL_STEPS * count / taken


def make_learner(envs, c, seed):
    assert c["algorithm"] == "ppo" and c["learning_rate_schedule"] == "linear", c
    assert c["normalize_reward"] and c["normalize_observation"] and c["value_clip"] > 0, c
    rows = c["envs"] * c["rollout_steps"]
    slope = c["learning_rate"] - c["learning_rate_end"]
    return PPO(
        "MlpPolicy", VecNormalize(envs, gamma=c["discount"]), seed=seed, device="cpu",
        n_steps=c["rollout_steps"], batch_size=rows // c["minibatches"], n_epochs=c["epochs"],
        gamma=c["discount"], gae_lambda=c["gae_lambda"], clip_range=c["clip"], clip_range_vf=c["value_clip"],
        learning_rate=lambda left: c["learning_rate_end"] + slope * left,
        vf_coef=c["value_weight"] / 2,  # of the squared error itself, where ours weighs half of it
        ent_coef=c["entropy_weight"], max_grad_norm=c["max_grad_norm"],
        normalize_advantage=c["normalize_advantage"],
        policy_kwargs={"net_arch": {"pi": c["hidden"], "vf": c["hidden"]}, "log_std_init": c["log_std"],
                       "activation_fn": ACTIVATIONS[c["activation"]]})


class Watch(BaseCallback):
    """Evaluates as often and as long as our own trainer does; ends the run when it has succeeded, or when its
    time is over."""

    def __init__(self, make, config, success, limit):
        super().__init__()
        self.every, self.wanted, self.limit = config["evaluate_every"], success, limit
        self.envs = make(config["evaluate_episodes"], 1000000)
        self.next, self.success = self.every, 0.0
        self.cut_off = False
        self.began = time.perf_counter()

    def seconds(self):
        return time.perf_counter() - self.began

    def evaluate(self):
        observation = self.envs.reset()
        while True:
            seen = self.training_env.normalize_obs(observation)
            action, _ = self.model.predict(seen, deterministic=True)
            observation, _, done, infos = self.envs.step(action)
            if done.all():
                return float(np.mean([info["is_success"] for info in infos]))

    def _on_step(self):
        self.cut_off = self.success < self.wanted and self.seconds() > self.limit
        return self.success < self.wanted and not self.cut_off

    def _on_rollout_start(self):  # after an update, as our trainer evaluates
        if self.num_timesteps >= self.next:
            self.judge()

    def _on_training_end(self):  # as our trainer does: the last update may have been the one
        if self.success < self.wanted:
            self.judge()

    def judge(self):
        self.next = self.num_timesteps + self.every
        self.success = self.evaluate()
        print(f"{self.num_timesteps:9} steps  {self.seconds():6.1f} s  success {100 * self.success:.0f} %",
              flush=True)


def update_seconds(make, config, threads):
    """What an update takes with 1 and with all threads in PyTorch; of a learner for this alone."""
    learner = make_learner(make(config["envs"], 0), config, 0)
    learner.learn(config["envs"] * config["rollout_steps"])
    learner.env.close()
    taken = {}
    for count in {1, threads}:
        torch.set_num_threads(count)
        taken[count] = float("inf")
        for _ in range(3):
            began = time.perf_counter()
            learner.train()
            taken[count] = min(taken[count], time.perf_counter() - began)
    return taken


def cpu_seconds():
    """Of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task")
    parser.add_argument("config")
    parser.add_argument("--kind", choices=("batched", "usual"), required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--success", type=float, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--limit", type=float, default=float("inf"), help="seconds")
    return parser.parse_args()


def main():
    o = parse()
    with open(o.config, encoding="utf-8") as file:
        config = yaml.safe_load(file)
    before = cpu_seconds()
    makers = vectors(o.kind, Task(o.task), o.threads)
    rates = {name: steps_per_second(make, config["envs"]) for name, make in makers.items()}
    vector = max(rates, key=rates.get)
    make = makers[vector]
    updates = update_seconds(make, config, o.threads)
    trial = cpu_seconds() - before
    torch.set_num_threads(min(updates, key=updates.get))
    learner = make_learner(make(config["envs"], o.seed), config, o.seed)
    watch = Watch(make, config, o.success, o.limit)
    learner.learn(config["steps"], callback=watch)
    seconds, reached = watch.seconds(), watch.success >= o.success
    learner.env.close()  # ends and counts the processes of a vector that has some
    watch.envs.close()
    print(json.dumps({"steps": learner.num_timesteps, "seconds": seconds, "success": watch.success,
                      "reached": reached, "cut_off": watch.cut_off and not reached,
                      "vector": vector, "vector_steps_per_second": rates,
                      "update_seconds": updates, "torch_threads": torch.get_num_threads(),
                      "trial_cpu_seconds": trial,
                      "steps_per_second": learner.num_timesteps / seconds}))


if __name__ == "__main__":
    main()
