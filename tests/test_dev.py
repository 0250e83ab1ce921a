"""./dev setup on a machine where a package cannot be had: one line names it. The folder has a space in its
name; apt and sudo are stand-ins, so nothing is installed.

Usage: test_dev.py BUILD_FOLDER
"""
import os
import shutil
import subprocess
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Two packages are missing; $BROKEN cannot be fetched and $UNKNOWN is in no source.
STAND_INS = {
    "dpkg-query": """for name; do :; done
case $name in ffmpeg | liblz4-dev) exit 1 ;; esac
echo 'install ok installed'""",
    "apt-cache": '[ "$2" != "$UNKNOWN" ]',
    "apt-get": """echo "$@" >>"$CALLS"
case "$*" in *"$BROKEN"*) echo "E: Failed to fetch $BROKEN" >&2 && exit 100 ;; esac""",
    "sudo": 'exec "$@"',
}


def setup(broken="none", unknown="none"):
    """Runs ./dev setup; returns its status, what it said on stderr, and what apt-get was asked for."""
    with tempfile.TemporaryDirectory(prefix="colonnade dev ") as folder:
        shutil.copy(os.path.join(SOURCE, "dev"), folder)
        shutil.copytree(os.path.join(SOURCE, "deps"), os.path.join(folder, "deps"))
        bin_folder, calls = os.path.join(folder, "bin"), os.path.join(folder, "calls")
        os.mkdir(bin_folder)
        # After apt comes the virtual environment: where there is no python3 that ends the run.
        for name, text in {**STAND_INS, "python3": "exit 1"}.items():
            path = os.path.join(bin_folder, name)
            with open(path, "w", encoding="utf-8") as f:
                f.write(f"#!/bin/sh\n{text}\n")
            os.chmod(path, 0o755)
        environment = {**os.environ, "PATH": bin_folder + os.pathsep + os.environ["PATH"],
                       "BROKEN": broken, "UNKNOWN": unknown, "CALLS": calls}
        done = subprocess.run([os.path.join(folder, "dev"), "setup"], env=environment, text=True,
                              capture_output=True, cwd="/", check=False)
        with open(calls, encoding="utf-8") as f:
            return done.returncode, done.stderr, f.read()


def main():
    status, said, asked = setup()
    assert status == 1 and "dev: python3 cannot make a virtual environment" in said, said
    assert "liblz4-dev ffmpeg" in asked and "cmake" not in asked, asked

    status, said, _ = setup(broken="ffmpeg")
    assert status == 1 and said.startswith(
        "dev: the package 'ffmpeg' cannot be installed (E: Failed to fetch ffmpeg;"), said
    assert said.count("\n") == 1, said

    status, said, asked = setup(unknown="liblz4-dev")
    assert status == 1 and said.startswith("dev: the package 'liblz4-dev' is not in this machine's apt"), said
    assert "install" not in asked, asked
    print("dev names the package that cannot be had")


if __name__ == "__main__":
    main()
