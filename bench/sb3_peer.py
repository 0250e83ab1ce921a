"""Stable-Baselines3's side of `./dev bench peers`: PPO on a task of scenes/, with the settings that our own
run wrote down, until an evaluation of deterministic episodes succeeds often enough.

Usage: sb3_peer.py TASK CONFIG SEED SUCCESS THREADS      CONFIG: the config.yaml of a run
The last line of the output is one JSON object.
"""
import json
import sys
import time

import numpy as np
import torch
import yaml
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from task_peer import TaskVecEnv

ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "identity": torch.nn.Identity}


def make_learner(task, c, seed, threads):
    assert c["algorithm"] == "ppo" and c["learning_rate_schedule"] == "linear", c
    assert c["normalize_reward"] and c["normalize_observation"] and c["value_clip"] > 0, c
    envs = VecNormalize(TaskVecEnv(task, c["envs"], threads, seed), gamma=c["discount"])
    rows = c["envs"] * c["rollout_steps"]
    slope = c["learning_rate"] - c["learning_rate_end"]
    return PPO(
        "MlpPolicy", envs, seed=seed, device="cpu", n_steps=c["rollout_steps"],
        batch_size=rows // c["minibatches"], n_epochs=c["epochs"], gamma=c["discount"],
        gae_lambda=c["gae_lambda"], clip_range=c["clip"], clip_range_vf=c["value_clip"],
        learning_rate=lambda left: c["learning_rate_end"] + slope * left,
        vf_coef=c["value_weight"] / 2,  # of the squared error itself, where ours weighs half of it
        ent_coef=c["entropy_weight"], max_grad_norm=c["max_grad_norm"],
        normalize_advantage=c["normalize_advantage"],
        policy_kwargs={"net_arch": {"pi": c["hidden"], "vf": c["hidden"]}, "log_std_init": c["log_std"],
                       "activation_fn": ACTIVATIONS[c["activation"]]})


class Watch(BaseCallback):
    """Evaluates as often and as long as our own trainer does; ends the run when it has succeeded."""

    def __init__(self, task, config, success, threads):
        super().__init__()
        self.every, self.wanted = config["evaluate_every"], success
        self.episodes = config["evaluate_episodes"]
        self.envs = TaskVecEnv(task, self.episodes, threads, seed=1000000)
        self.next, self.success = self.every, 0.0
        self.began = time.perf_counter()

    def evaluate(self):
        observation = self.envs.reset()
        while True:
            seen = self.training_env.normalize_obs(observation)
            action, _ = self.model.predict(seen, deterministic=True)
            observation, _, done, infos = self.envs.step(action)
            if done.all():
                return float(np.mean([info["is_success"] for info in infos]))

    def _on_step(self):
        return self.success < self.wanted

    def _on_rollout_start(self):  # after an update, as our trainer evaluates
        if self.num_timesteps >= self.next:
            self.judge()

    def _on_training_end(self):  # as our trainer does: the last update may have been the one
        if self.success < self.wanted:
            self.judge()

    def judge(self):
        self.next = self.num_timesteps + self.every
        self.success = self.evaluate()
        print(f"{self.num_timesteps:9} steps  {time.perf_counter() - self.began:6.1f} s  success "
              f"{100 * self.success:.0f} %", flush=True)


def update_seconds(task, config, threads):
    """What an update takes with 1 and with all threads in PyTorch; of a learner for this alone."""
    learner = make_learner(task, config, 0, threads)
    learner.learn(config["envs"] * config["rollout_steps"])
    taken = {}
    for count in {1, threads}:
        torch.set_num_threads(count)
        taken[count] = float("inf")
        for _ in range(3):
            began = time.perf_counter()
            learner.train()
            taken[count] = min(taken[count], time.perf_counter() - began)
    return taken


def main():
    task, config_file, seed, success, threads = sys.argv[1:]
    with open(config_file, encoding="utf-8") as file:
        config = yaml.safe_load(file)
    before = time.process_time()
    updates = update_seconds(task, config, int(threads))
    trial = time.process_time() - before
    torch.set_num_threads(min(updates, key=updates.get))
    learner = make_learner(task, config, int(seed), int(threads))
    watch = Watch(task, config, float(success), int(threads))
    learner.learn(config["steps"], callback=watch)
    seconds = time.perf_counter() - watch.began
    print(json.dumps({"steps": learner.num_timesteps, "seconds": seconds, "success": watch.success,
                      "reached": watch.success >= float(success),
                      "update_seconds": updates, "torch_threads": torch.get_num_threads(),
                      "trial_cpu_seconds": trial,
                      "steps_per_second": learner.num_timesteps / seconds}))


if __name__ == "__main__":
    main()
