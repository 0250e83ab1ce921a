"""`cmake --install` gives a program that runs and a package that another C program links against.

The prefix is moved after the installation: nothing in it may remember where it was.

Usage: test_install.py BUILD_FOLDER
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODULES = ("base", "tensor", "progressive", "policy", "sim", "bridge")

CMAKE = """\
cmake_minimum_required(VERSION 3.25)
project(visitor LANGUAGES C)
find_package(colonnade 0.1 REQUIRED)
add_executable(visitor visitor.c)
target_link_libraries(visitor PRIVATE colonnade::sim colonnade::bridge)
"""

# Loads a task through sim/, makes a policy for it through policy/, looks for a robot through bridge/.
PROGRAM = """\
#include <stdio.h>
#include "bridge/link.h"
#include "policy/policy.h"
#include "sim/task.h"
int main(int argc, char **argv)
{
    cn_error err = {0};
    cn_task *task = NULL;
    cn_policy *policy = NULL;
    cn_link *link = NULL;
    if (argc != 2 || cn_task_load(argv[1], &task, &err) != CN_OK ||
        cn_policy_create(cn_task_spec(task), &policy, &err) != CN_OK)
        return fprintf(stderr, "%s\\n", err.message), 1;
    printf("%s, %d joints, %d columns\\n", cn_task_spec(task)->arm, cn_task_joints(task),
           cn_policy_columns(policy));
    const cn_status status = cn_link_connect("ipc://nobody", NULL, 10, &link, &err);
    printf("%s\\n", cn_status_words(status));
    cn_policy_destroy(&policy);
    cn_task_destroy(&task);
    return 0;
}
"""


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, f"{command}:\n{result.stdout}{result.stderr}"
    return result.stdout


def cache_of(build):
    """The build's CMake variables."""
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as file:
        return dict(re.findall(r"^(\w+):\w+=(.*)$", file.read(), re.MULTILINE))


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def check_program(prefix):
    program = os.path.join(prefix, "bin", "colonnade")
    assert re.fullmatch(r"colonnade \d+\.\d+\.\d+\n", run(program, "--version", env={}))
    scenes = os.path.join(prefix, "share", "colonnade", "scenes")
    for task in ("reach.yaml", "jaco_reach.yaml", "so101.yaml"):
        assert "arm " in run(program, "inspect", os.path.join(scenes, task))


def check_headers(prefix, cache):
    """Every module's headers are there, none of its internal ones, and each compiles from there."""
    root = os.path.join(prefix, "include", "colonnade")
    assert sorted(os.listdir(root)) == sorted(MODULES)
    headers = [os.path.relpath(os.path.join(parent, name), root)
               for parent, _, names in os.walk(root) for name in names]
    assert not [name for name in headers if not name.endswith(".h") or "internal" in name]
    for module in MODULES:
        assert any(name.startswith(module + "/") for name in headers), module

    def compile_alone(header):
        run(cache["CMAKE_C_COMPILER"], "-std=c17", "-fsyntax-only", f"-I{root}", "-x", "c", "-",
            input=f'#include "{header}"\n')

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_alone, headers))


def check_package(prefix, build, cache):
    """No file of the package knows the build folder, the old prefix, or anything of the source but
    the place of MuJoCo."""
    package = os.path.join(prefix, cache["CMAKE_INSTALL_LIBDIR"], "cmake", "colonnade")
    assert "colonnadeConfig.cmake" in os.listdir(package)
    for parent, _, names in os.walk(package):
        for name in names:
            with open(os.path.join(parent, name), encoding="utf-8") as file:
                text = file.read().replace(cache["MUJOCO_DIR"], "")
            for folder in (build, SOURCE, os.path.join(os.path.dirname(prefix), "first")):
                assert folder not in text, f"{name} knows {folder}"


def check_visitor(folder, prefix, cache):
    """Another project builds with the package, and its program runs."""
    write(os.path.join(folder, "CMakeLists.txt"), CMAKE)
    write(os.path.join(folder, "visitor.c"), PROGRAM)
    sanitizers = cache["CN_SANITIZE"]
    run("cmake", "-G", cache["CMAKE_GENERATOR"], "-S", folder, "-B", os.path.join(folder, "build"),
        f"-DCMAKE_PREFIX_PATH={prefix}", f"-DMUJOCO_DIR={cache['MUJOCO_DIR']}",
        f"-DCMAKE_C_COMPILER={cache['CMAKE_C_COMPILER']}",
        f"-DCMAKE_C_FLAGS={'-fsanitize=' + sanitizers if sanitizers else ''} {cache['CMAKE_C_FLAGS']}")
    run("cmake", "--build", os.path.join(folder, "build"))
    out = run(os.path.join(folder, "build", "visitor"),
              os.path.join(prefix, "share", "colonnade", "scenes", "reach.yaml"))
    assert out == "reach_arm, 6 joints, 0 columns\ntimed out\n", out


def main():
    build = os.path.abspath(sys.argv[1])
    cache = cache_of(build)
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, "moved")
        run("cmake", "--install", build, "--prefix", os.path.join(folder, "first"))
        os.rename(os.path.join(folder, "first"), prefix)
        check_program(prefix)
        check_headers(prefix, cache)
        check_package(prefix, build, cache)
        visitor = os.path.join(folder, "visitor")
        os.mkdir(visitor)
        check_visitor(visitor, prefix, cache)
    print("the installed program runs, and so does one that was linked with the installed package")


if __name__ == "__main__":
    main()
