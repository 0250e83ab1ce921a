"""A task of scenes/ in Python, as Stable-Baselines3 takes it: MuJoCo's own bindings, the same model, and the
same control, observation, reward and success, read from the same YAML. What reach needs is here; anything
else in a task is refused. The safety filter's motions are planned by Ruckig, in C++.

It comes in two kinds: as an ordinary gymnasium.Env of one environment, for Stable-Baselines3's own DummyVecEnv
and SubprocVecEnv, and as a vector that steps many at once, in NumPy and on MuJoCo's thread pool.

    task = Task("scenes/reach.yaml")
    env = TaskEnv(task)
    envs = TaskVecEnv(task, 64, threads=2, seed=1)
"""
import math
import os

import gymnasium
import mujoco
import numpy as np
import yaml
from mujoco import rollout
from ruckig import InputParameter, Result, Ruckig, Synchronization, Trajectory
from stable_baselines3.common.vec_env import VecEnv

RAMP_S = 0.05  # policy/safety.h: full speed after so much of full acceleration
JERK_RAMP_S = 0.01  # policy/safety.h: full acceleration after so long
# A joint on its way to full speed is at a limit but for rounding, and beyond it Ruckig plans a detour
# (github.com/pantor/ruckig/issues/228). So little slower it is safely within.
WITHIN = 1 - 1e-12
SERVO_PERIOD_S = 0.002  # sim/task.c: the servo takes a command about as often


def only(section, keys, where):
    unknown = set(section) - set(keys)
    if unknown:
        raise ValueError(f"{where}: {sorted(unknown)} is not known to the peer; it knows {sorted(keys)}")
    return section


class Task:
    """The numbers of a task YAML, resolved against its model."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            y = yaml.safe_load(file)
        only(y, ("name", "arm", "model", "control", "step_limit", "tracked", "reset", "observations", "reward",
                 "success", "train", "adapt"), path)
        self.model = m = mujoco.MjModel.from_xml_path(os.path.join(os.path.dirname(path), y["model"]))
        joints = [int(m.actuator_trnid[a, 0]) for a in range(m.nu)]
        assert np.all(m.actuator_gear[:, 0] == 1), "a gear that is not 1"
        self.qpos, self.qvel = m.jnt_qposadr[joints], m.jnt_dofadr[joints]
        limited = m.jnt_limited[joints].astype(bool)
        self.low = np.where(limited, m.jnt_range[joints, 0], -np.inf)
        self.high = np.where(limited, m.jnt_range[joints, 1], np.inf)

        control = only(y["control"], ("mode", "period", "scale", "velocity_limit"), "control")
        assert control["mode"] == "joint_position_delta", control["mode"]
        self.scale = np.array(control["scale"], float)
        self.velocity = np.array(control["velocity_limit"], float)
        self.steps = round(control["period"] / m.opt.timestep)
        each = max(1, int(SERVO_PERIOD_S / m.opt.timestep * (1 + 1e-9)))
        while self.steps % each:
            each -= 1
        self.steps_per_tick, self.ticks = each, self.steps // each
        self.tick_s = each * m.opt.timestep
        self.acceleration = self.velocity / RAMP_S
        self.jerk = self.acceleration / JERK_RAMP_S

        self.step_limit = y["step_limit"]
        reset = y["reset"]
        self.home = np.array(reset["joints"]["home"], float)
        self.spread = np.broadcast_to(np.array(reset["joints"]["spread"], float), self.home.shape)
        self.draw = only(reset["target"], ("point", "draw", "of", "spread", "low", "high"), "reset: target")
        assert self.draw["draw"] == "reachable", self.draw["draw"]
        self.target, self.tool = self.draw["point"], m.site(self.draw["of"]).id
        self.terms = [self.observation(term) for group in y["observations"].values() for term in group]
        self.reward_terms = [only(term, ("term", "from", "to", "weight", "scale", "below"), "reward")
                             for term in y["reward"]]
        self.success = only(y["success"], ("from", "to", "below", "hold", "ends_episode"), "success")
        assert not self.success["ends_episode"]

    def observation(self, term):
        only(term, ("term", "center", "scale", "point"), "observations")
        assert term["term"] in ("joint_position", "joint_velocity", "command_error", "point"), term
        assert term["term"] != "point" or term["point"] == self.target, term
        size = 3 if term["term"] == "point" else len(self.home)
        wide = lambda key, default: np.broadcast_to(np.array(term.get(key, default), float), (size,))
        return term["term"], wide("center", 0.0), wide("scale", 1.0)

    def spaces(self):
        """Of observations and actions."""
        box, size = gymnasium.spaces.Box, sum(len(center) for _, center, _ in self.terms)
        return box(-np.inf, np.inf, (size,), np.float32), box(-1.0, 1.0, (len(self.home),), np.float32)

    def draw_start(self, rng, d):
        """@return where the joints begin, and the target; d is scratch"""
        m, spread = self.model, np.array(self.draw["spread"], float)
        low, high = np.maximum(self.low, self.home - spread), np.minimum(self.high, self.home + spread)
        while True:
            d.qpos[:] = m.qpos0
            d.qpos[self.qpos] = rng.uniform(low, high)
            mujoco.mj_fwdPosition(m, d)
            point = d.site_xpos[self.tool].copy()
            if d.ncon == 0 and np.all(point >= self.draw["low"]) and np.all(point <= self.draw["high"]):
                break
        start = rng.uniform(self.home - self.spread, self.home + self.spread)
        return np.clip(start, self.low, self.high), point

    # ---- Of one environment, or of many: the last axis is that of the joints or of the space ----

    def observe(self, position, velocity, commanded, point):
        values = {"joint_position": position, "joint_velocity": velocity, "command_error": commanded - position,
                  "point": point}
        return np.concatenate([(values[name] - center) * scale for name, center, scale in self.terms],
                              axis=-1).astype(np.float32)

    def reward(self, distance, action, before):
        return sum(term["weight"] * reward_term(term, distance, action, before) for term in self.reward_terms)


def reward_term(term, distance, action, before):
    kind = term["term"]
    if kind == "distance":
        return distance
    if kind == "proximity":
        return 1 - np.tanh(distance / term["scale"])
    if kind == "inside":
        return distance < term["below"]
    if kind == "action":
        return (action ** 2).sum(axis=-1)
    if kind == "action_change":
        return ((action - before) ** 2).sum(axis=-1)
    raise ValueError(f"reward: {kind} is not known to the peer")


class Filter:
    """The safety filter of all joints of so many environments, in their order: each joint takes the fastest
    path within its limits to where it is commanded, and rests there."""

    def __init__(self, task, count):
        joints = count * len(task.home)
        self.planner, self.path, self.plan = Ruckig(joints), Trajectory(joints), InputParameter(joints)
        self.plan.synchronization = Synchronization.No
        self.plan.max_velocity = np.tile(task.velocity, count)
        self.plan.max_acceleration = np.tile(task.acceleration, count)
        self.plan.max_jerk = np.tile(task.jerk, count)
        self.moments = [task.tick_s * (tick + 1) for tick in range(task.ticks)]
        self.p, self.v, self.a = ([0.0] * joints for _ in range(3))

    def place(self, i, qpos):
        """The joints of environment i rest there."""
        joints = slice(i * len(qpos), (i + 1) * len(qpos))
        self.p[joints] = qpos.tolist()
        self.v[joints] = self.a[joints] = [0.0] * len(qpos)

    def follow(self, commanded):
        """@return where all joints are told to be at each tick of a control period"""
        plan = self.plan
        plan.current_position = self.p
        plan.current_velocity = [WITHIN * v for v in self.v]
        plan.current_acceleration = [WITHIN * a for a in self.a]
        plan.target_position = commanded.ravel().tolist()  # Ruckig takes lists in less time than arrays
        result = self.planner.calculate(plan, self.path)
        assert result in (Result.Working, Result.Finished), result
        states = [self.path.at_time(moment) for moment in self.moments]
        self.p, self.v, self.a = states[-1]
        return [p for p, _, _ in states]


# ---- One environment ----


class TaskEnv(gymnasium.Env):
    """The usual way: one environment, its control period stepped in Python."""

    def __init__(self, task):
        self.task, self.data = task, mujoco.MjData(task.model)
        self.observation_space, self.action_space = task.spaces()
        self.filter = Filter(task, 1)

    def place(self, qpos, point):
        """An episode begins at these joints, with the target there. @return the observation"""
        t, d = self.task, self.data
        mujoco.mj_resetData(t.model, d)
        d.qpos[t.qpos] = qpos
        self.point, self.commanded, self.action = point, qpos.copy(), np.zeros(len(qpos))
        self.filter.place(0, qpos)
        self.steps = self.held = 0
        return self.observe()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.place(*self.task.draw_start(self.np_random, self.data)), {}

    def observe(self):
        t, d = self.task, self.data
        return t.observe(d.qpos[t.qpos], d.qvel[t.qvel], self.commanded, self.point)

    def move(self):
        """The physics of a control period, the safety filter above the servos."""
        t, d = self.task, self.data
        for told in self.filter.follow(self.commanded):
            d.ctrl[:] = told
            mujoco.mj_step(t.model, d, t.steps_per_tick)

    def step(self, action):
        t, d = self.task, self.data
        before, self.action = self.action, np.clip(action.astype(float), -1.0, 1.0)
        self.commanded = np.clip(self.commanded + self.action * t.scale, t.low, t.high)
        self.move()
        mujoco.mj_kinematics(t.model, d)  # mj_step leaves the tool where it was before the last step
        distance = math.dist(d.site_xpos[t.tool], self.point)
        self.held = self.held + 1 if distance < t.success["below"] else 0
        self.steps += 1
        info = {"is_success": self.held >= t.success["hold"]}
        reward = float(t.reward(distance, self.action, before))
        return self.observe(), reward, False, self.steps >= t.step_limit, info


# ---- Many environments at once ----


class Envs:
    """N environments side by side; every array has N rows."""

    def __init__(self, task, count, threads, seed):
        self.task, self.N = task, count
        self.rng = np.random.default_rng(seed)
        self.data = [mujoco.MjData(task.model) for _ in range(max(1, threads))]
        self.pool = rollout.Rollout(nthread=threads if threads > 1 else 0)
        m = task.model
        self.state_size = mujoco.mj_stateSize(m, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        assert self.state_size == 1 + m.nq + m.nv, "a model with activations or plugins"
        joints = len(task.home)
        self.state = np.zeros((count, self.state_size))
        self.point = np.zeros((count, 3))  # the target
        self.tool = np.zeros((count, 3))
        self.commanded, self.action = np.zeros((count, joints)), np.zeros((count, joints))
        self.filter = Filter(task, count)
        self.steps, self.held = np.zeros(count, int), np.zeros(count, int)
        self.trajectory = np.zeros((count, task.steps, self.state_size))

    # ---- Where an episode begins ----

    def place(self, i, qpos, point):
        """Environment i begins at these joints, with the target there."""
        t = self.task
        self.state[i] = 0.0
        self.state[i, 1:1 + t.model.nq] = t.model.qpos0
        self.state[i, 1 + t.qpos] = qpos
        self.point[i] = point
        self.commanded[i], self.action[i] = qpos, 0.0
        self.filter.place(i, qpos)
        self.steps[i] = self.held[i] = 0
        self.look([i])

    def reset(self, i):
        self.place(i, *self.task.draw_start(self.rng, self.data[0]))

    # ---- Steps ----

    def limited(self):
        """What the servos are told in each physics step of the period, the safety filter above them."""
        t = self.task
        told = np.array(self.filter.follow(self.commanded)).reshape(t.ticks, *self.commanded.shape)
        return np.repeat(told.swapaxes(0, 1), t.steps_per_tick, axis=1)

    def look(self, which):
        """The tool as the tracker sees it."""
        t, m, d = self.task, self.task.model, self.data[0]
        for i in which:
            d.qpos[:] = self.state[i, 1:1 + m.nq]
            mujoco.mj_kinematics(m, d)
            self.tool[i] = d.site_xpos[t.tool]

    def observe(self):
        t, nq = self.task, self.task.model.nq
        return t.observe(self.state[:, 1 + t.qpos], self.state[:, 1 + nq + t.qvel], self.commanded, self.point)

    def step(self, action):
        """@return reward, truncated, success; observe() and reset() are the caller's."""
        t = self.task
        before, self.action = self.action, np.clip(action.astype(float), -1.0, 1.0)
        self.commanded = np.clip(self.commanded + self.action * t.scale, t.low, t.high)
        self.pool.rollout(t.model, self.data, self.state, self.limited(), state=self.trajectory)
        self.state = self.trajectory[:, -1].copy()
        self.look(range(self.N))
        distance = np.linalg.norm(self.tool - self.point, axis=1)
        reward = t.reward(distance, self.action, before)
        self.held = np.where(distance < t.success["below"], self.held + 1, 0)
        self.steps += 1
        return reward, self.steps >= t.step_limit, self.held >= t.success["hold"]


class TaskVecEnv(VecEnv):
    """Many environments as one."""

    def __init__(self, task, count, threads, seed):
        self.envs = Envs(task, count, threads, seed)
        super().__init__(count, *task.spaces())

    def reset(self):
        for i in range(self.num_envs):
            self.envs.reset(i)
        return self.envs.observe()

    def step_async(self, actions):
        self.actions = actions

    def step_wait(self):
        reward, truncated, success = self.envs.step(self.actions)
        observation = self.envs.observe()
        infos = [{} for _ in range(self.num_envs)]
        ended = np.flatnonzero(truncated)
        for i in ended:
            infos[i] = {"terminal_observation": observation[i].copy(), "TimeLimit.truncated": True,
                        "is_success": bool(success[i])}
            self.envs.reset(i)
        if len(ended):
            observation = self.envs.observe()
        return observation, reward.astype(np.float32), truncated, infos

    def close(self):
        self.envs.pool.close()

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False] * self.num_envs

    def env_method(self, method_name, *args, indices=None, **kwargs):
        raise NotImplementedError(method_name)

    def get_attr(self, attr_name, indices=None):
        if attr_name == "render_mode":
            return [None] * self.num_envs
        raise AttributeError(attr_name)

    def set_attr(self, attr_name, value, indices=None):
        raise NotImplementedError(attr_name)
