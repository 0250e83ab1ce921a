#!/usr/bin/env python3
"""The peer of `colonnade bench net`: the same network in PyTorch, on one thread.

The program starts this script and asks; every request is a line, every answer a line of JSON:
    load FILE         a safetensors file: the weights of a two-column network with adapters
                      ("net/<column>/..."), a batch ("batch/input", "batch/target"), and what the
                      program computed from it: "batch/output", and the second column after one
                      step of Adam ("after/<name>")
                      -> {version, max_output_error, max_step_error, inference, training}
    infer SECONDS     one observation, as TorchScript                   -> {us}
    eager SECONDS     one observation, in eager mode                    -> {us}
    train SECONDS     one step of Adam on the batch, column 2 learning  -> {us}
PyTorch gets its best: each way of freezing the script and each kind of Adam is tried when the weights are
loaded, and the fastest is what answers; `inference` and `training` name it.
"""
import argparse
import gc
import json
import sys
import time
import warnings

import torch
from torch import nn
from torch.nn import functional

warnings.filterwarnings("ignore")  # TorchScript is deprecated in new releases, and still there
TRIAL_S = 0.3


class Columns(nn.Module):
    """Equation 2 of arXiv:1606.04671 for two columns of two hidden layers, names as in the file."""

    def __init__(self, weights):
        super().__init__()

        def linear(name):
            weight = weights[f"net/{name}.weight"]
            layer = nn.Linear(weight.shape[1], weight.shape[0])
            layer.weight = nn.Parameter(weight.clone())
            layer.bias = nn.Parameter(weights[f"net/{name}.bias"].reshape(-1).clone())
            return layer

        self.first = nn.ModuleList([linear("0/layer0"), linear("0/layer1")]).requires_grad_(False)
        self.bottom, self.middle, self.top = linear("1/layer0"), linear("1/layer1"), linear("1/layer2")
        self.adapter = linear("1/adapter1")
        self.scale = nn.Parameter(weights["net/1/adapter1.scale0"].clone())

    def forward(self, x):
        a = torch.tanh(self.first[0](x))
        b = torch.tanh(self.first[1](a))
        lateral = torch.tanh(self.adapter(self.scale * a))
        c = torch.tanh(self.bottom(x))
        d = torch.tanh(self.middle(torch.cat([c, lateral], 1)))
        return self.top(torch.cat([d, b], 1))

    def second(self):
        """The second column's parameters by their names in the file."""
        layers = {"layer0": self.bottom, "layer1": self.middle, "layer2": self.top,
                  "adapter1": self.adapter}
        named = {f"net/1/{name}.{part}": getattr(layer, part)
                 for name, layer in layers.items() for part in ("weight", "bias")}
        return {**named, "net/1/adapter1.scale0": self.scale}


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = bytearray(file.read())
    tensors = {}
    for name, about in header.items():
        if name == "__metadata__":
            continue
        begin, end = about["data_offsets"]
        assert about["dtype"] == "F32", f"{name} is {about['dtype']}"
        tensors[name] = torch.frombuffer(data[begin:end], dtype=torch.float32).reshape(about["shape"])
    return tensors


def microseconds(work, seconds):
    """Time of one call, from as many as fill the time."""
    calls, began = 0, time.perf_counter()
    while True:
        for _ in range(10):
            work()
        calls += 10
        spent = time.perf_counter() - began
        if spent >= seconds:
            return 1e6 * spent / calls


def fastest(candidates):
    """(name, work) of the fastest. What cannot be built or run here is left out."""
    tried = {}
    for name, make in candidates.items():
        try:
            work = make()
            microseconds(work, TRIAL_S)  # warms up: TorchScript specialises in its first calls
            tried[name] = (microseconds(work, TRIAL_S), work)
        except (RuntimeError, TypeError, AttributeError, ValueError):
            continue
    name = min(tried, key=lambda key: tried[key][0])
    return name, tried[name][1]


class Peer:
    def __init__(self, path):
        self.tensors = read_safetensors(path)
        self.x, self.target = self.tensors["batch/input"], self.tensors["batch/target"]
        self.learning_rate, self.epsilon = (float(v) for v in self.tensors["batch/adam"].reshape(-1))
        self.row = self.x[:1].clone()

    def errors(self):
        """Largest differences between the program's numbers and ours."""
        model = Columns(self.tensors)
        output = (model(self.x) - self.tensors["batch/output"]).abs().max().item()
        self.step(model, self.adam(model))()
        second = model.second()
        after = {name[len("after/"):]: value for name, value in self.tensors.items()
                 if name.startswith("after/")}
        assert set(second) == set(after), set(second) ^ set(after)
        return output, max((value.detach().reshape(-1) - after[name].reshape(-1)).abs().max().item()
                           for name, value in second.items())

    def adam(self, model, **kind):
        return torch.optim.Adam([p for p in model.parameters() if p.requires_grad],
                                lr=self.learning_rate, eps=self.epsilon, **kind)

    def step(self, model, adam):
        def work():
            adam.zero_grad(set_to_none=True)
            functional.mse_loss(model(self.x), self.target).backward()
            adam.step()
        return work

    def trainers(self):
        kinds = {"Adam": {}, "Adam(foreach)": {"foreach": True}, "Adam(fused)": {"fused": True}}

        def make(kind, scripted):
            model = Columns(self.tensors)
            adam = self.adam(model, **kind)
            return self.step(torch.jit.script(model) if scripted else model, adam)

        return {f"{mode}, {name}": lambda kind=kind, mode=mode: make(kind, mode == "TorchScript")
                for mode in ("eager", "TorchScript") for name, kind in kinds.items()}

    def policies(self):
        model = Columns(self.tensors).eval().requires_grad_(False)
        trace = lambda: torch.jit.trace(model, self.row)
        script = lambda: torch.jit.script(model)
        ways = {
            "traced": trace,
            "traced, frozen": lambda: torch.jit.freeze(trace()),
            "traced, frozen, optimised": lambda: torch.jit.optimize_for_inference(torch.jit.freeze(trace())),
            "scripted, frozen": lambda: torch.jit.freeze(script()),
            "scripted, frozen, optimised":
                lambda: torch.jit.optimize_for_inference(torch.jit.freeze(script())),
        }
        return {name: lambda way=way: self.inference(way()) for name, way in ways.items()}

    def inference(self, module):
        row = self.row
        return lambda: module(row)

    def prepare(self):
        output, step = self.errors()
        self.eager = self.inference(Columns(self.tensors).eval().requires_grad_(False))
        inference, self.infer = fastest(self.policies())
        training, self.train = fastest(self.trainers())
        return {"version": torch.__version__, "max_output_error": output, "max_step_error": step,
                "inference": inference, "training": training}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    torch.set_num_threads(1)
    peer = None
    for line in sys.stdin:
        request, argument = line.split(maxsplit=1)
        if request == "load":
            peer = Peer(argument.strip())
            answer = peer.prepare()
            gc.disable()  # no pauses of Python's own inside a measurement
        elif request == "train":
            answer = {"us": microseconds(peer.train, float(argument))}
        else:
            with torch.inference_mode():
                answer = {"us": microseconds(peer.infer if request == "infer" else peer.eager,
                                             float(argument))}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
