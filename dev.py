#!/usr/bin/env python3
"""Set up napari-segmate in a clone and run it: ``python dev.py demo``, ``test`` or ``lint``.

Standard library only. Everything is installed into ``.venv`` beside this file; a second run finds
it there and starts at once.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
OUTPUT = ROOT / "demo-output"
MINIMUM_PYTHON = (3, 11)
MOST_WORKERS = 4
"""More processes than this need more memory than a laptop has: each loads torch and napari."""
MINIMUM_PIP = "25.1"  # the first that installs dependency groups

NEEDS = {
    "demo": ["--editable", ".[all]"],
    "dev": ["--editable", ".[all]", "--group", "dev"],
}
SATISFIED_BY = {"demo": ["demo", "dev"], "dev": ["dev"]}

QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}
XVFB_PROGRAMS = {"Xvfb": "xvfb", "xvfb-run": "xvfb", "xauth": "xauth"}
MESA = "libgl1-mesa-dri"
XVFB = ["xvfb-run", "-a", "-s", "-screen 0 1400x1000x24"]

LINTERS = [
    ["ruff", "check", "--no-cache"],
    ["ruff", "format", "--check", "--no-cache"],
    ["mypy"],
    ["lint-imports"],
    ["npe2", "validate", "napari-segmate"],
]

OPEN_VIEWER = """
import torch  # before Qt: on Windows the order matters
import napari
viewer = napari.Viewer()
viewer.open_sample("napari-segmate", {sample!r})
viewer.window.add_plugin_dock_widget("napari-segmate", {widget!r})
napari.run()
"""
SAMPLE, WIDGET = "nuclei", "Segment"


class SetupError(Exception):
    """Something that the user has to mend, said in one paragraph."""


def say(text: str) -> None:
    print(f"dev.py: {text}", flush=True)


def call(command: Sequence[str | Path], env: dict[str, str] | None = None) -> int:
    """Run a command in the repository and return its exit status."""
    return subprocess.call([str(part) for part in command], cwd=ROOT, env=env)


def succeeds(command: Sequence[str | Path]) -> bool:
    """Tell whether a command runs and ends with status 0; its output is dropped."""
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def usable_venv() -> bool:
    """Tell whether the environment has a Python that runs and is new enough."""
    return succeeds(
        [venv_python(), "-c", f"import sys; sys.exit(sys.version_info < {MINIMUM_PYTHON})"]
    )


def make_venv() -> None:
    if usable_venv():
        return
    say(f"making {VENV}")
    try:
        venv.create(VENV, with_pip=True, clear=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(
            f"cannot make {VENV}: {error}. On Debian and Ubuntu: apt-get install python3-venv"
        ) from error


def make_pip() -> None:
    """See to a pip that knows dependency groups: other tools make environments without any."""
    python = venv_python()
    if not succeeds([python, "-m", "pip", "--version"]):
        call([python, "-m", "ensurepip", "--upgrade"])
    if call([python, "-m", "pip", "install", "--quiet", "--upgrade", f"pip>={MINIMUM_PIP}"]):
        raise SetupError(f"cannot install pip >= {MINIMUM_PIP} in {VENV}; is the network there?")


def fingerprint(need: str) -> str:
    """Return what an installation depends on, as a short text."""
    files = [ROOT / "pyproject.toml", VENV / "pyvenv.cfg"]
    parts = [str(ROOT), *NEEDS[need], *(file.read_text("utf-8") for file in files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def stamp(need: str) -> Path:
    return VENV / f"installed-{need}.txt"


def installed(need: str) -> bool:
    return any(
        stamp(other).is_file() and stamp(other).read_text("utf-8") == fingerprint(other)
        for other in SATISFIED_BY[need]
    )


def install(need: str) -> None:
    """Make the environment and install what `need` asks for, unless that was done before."""
    make_venv()
    if installed(need):
        return
    make_pip()
    say("installing; torch is large, so the first time takes a few minutes")
    if call([venv_python(), "-m", "pip", "install", *NEEDS[need]]):
        raise SetupError("pip could not install the package; its last lines say why")
    stamp(need).write_text(fingerprint(need), encoding="utf-8")


def has_screen() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing_packages(screen: bool) -> list[str]:
    """Return the Debian packages that Qt, and without a screen Xvfb, lack on this Linux."""
    if not sys.platform.startswith("linux"):
        return []
    missing = {package for library, package in QT_LIBRARIES.items() if not loads(library)}
    if not screen:
        missing |= {package for name, package in XVFB_PROGRAMS.items() if not shutil.which(name)}
        if shutil.which("dpkg-query") and not succeeds(["dpkg-query", "--status", MESA]):
            missing.add(MESA)
    return sorted(missing)


def apt_install(packages: list[str]) -> bool:
    """Install Debian packages; return whether that went well."""
    say(f"installing system packages: {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install_command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    return (
        call(["apt-get", "--quiet", "update"], env=environment) == 0
        and call(install_command, env=environment) == 0
    )


def may_apt_install() -> bool:
    return shutil.which("apt-get") is not None and hasattr(os, "geteuid") and os.geteuid() == 0


def see_to_system_packages(screen: bool) -> None:
    """Install the system packages Qt needs, or name those that the user has to install."""
    missing = missing_packages(screen)
    if missing and may_apt_install():
        apt_install(missing)
        missing = missing_packages(screen)
    if missing:
        raise SetupError(
            f"Qt lacks these system packages: {' '.join(missing)}\n"
            f"  Debian, Ubuntu: sudo apt-get install {' '.join(missing)}\n"
            "  elsewhere: the packages of the same libraries"
        )


def run_without_screen() -> int:
    """Segment a sample image, save the labels and a picture of them."""
    say("no screen: segmenting the sample image without a window")
    return call([venv_python(), "-m", "napari_segmate", "demo", "--output", OUTPUT])


def run_with_screen() -> int:
    """Open the sample image in napari, ready to click."""
    say("opening napari on a sample image: left-click a nucleus, press the key the panel names")
    return call([venv_python(), "-c", OPEN_VIEWER.format(sample=SAMPLE, widget=WIDGET)])


def demo(arguments: argparse.Namespace) -> int:
    install("demo")
    if arguments.no_window or not has_screen():
        return run_without_screen()
    see_to_system_packages(screen=True)
    return run_with_screen()


def parallel_options(arguments: Sequence[str], cores: int) -> list[str]:
    """Return what spreads the whole suite over the cores; parts of it run in one process."""
    if arguments or cores < 2:
        return []
    # A file stays in one process: its fixtures, models and windows are made once.
    return ["-n", str(min(cores, MOST_WORKERS)), "--dist", "loadfile"]


def test(arguments: argparse.Namespace) -> int:
    install("dev")
    options = parallel_options(arguments.rest, os.cpu_count() or 1)
    pytest = [venv_python(), "-m", "pytest", *options, *arguments.rest]
    # Each process has a core to itself; threads of torch would only wait for one another.
    environment = {**os.environ, **({"OMP_NUM_THREADS": "1"} if options else {})}
    see_to_system_packages(has_screen())
    if has_screen():
        return call(pytest, env=environment)
    return call([*XVFB, *pytest], env={**environment, "QT_QPA_PLATFORM": "xcb"})


def lint(arguments: argparse.Namespace) -> int:
    install("dev")
    programs = venv_python().parent
    failed = [" ".join(tool) for tool in LINTERS if call([programs / tool[0], *tool[1:]])]
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="demo | test | lint")
    command = commands.add_parser("demo", help="segment a sample image with the embedded model")
    command.add_argument("--no-window", action="store_true", help="save pictures, open no window")
    command.set_defaults(run=demo)
    command = commands.add_parser("test", help="run the whole test suite; passes options to pytest")
    command.set_defaults(run=test)
    command = commands.add_parser("lint", help="run ruff, mypy, import-linter and npe2")
    command.set_defaults(run=lint)
    arguments, arguments.rest = parser.parse_known_args(argv)
    if arguments.rest and arguments.command != "test":
        parser.error(f"unknown arguments: {' '.join(arguments.rest)}")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse(argv)
    if sys.version_info < MINIMUM_PYTHON:
        needed = ".".join(map(str, MINIMUM_PYTHON))
        say(f"Python {needed} or later is needed, this is {sys.version}")
        return 1
    try:
        return arguments.run(arguments)
    except SetupError as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
