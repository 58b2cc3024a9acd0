"""What `dev.py` does before it runs anything: environments, stamps, system packages, arguments."""

from __future__ import annotations

import sys
from pathlib import Path

import dev
import pytest


@pytest.fixture
def empty_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in which nothing was installed; its environment looks usable once it is there."""
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "VENV", tmp_path / ".venv")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return tmp_path


@pytest.fixture
def calls(empty_clone: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have been run; all of them succeed."""
    seen: list[list[str]] = []

    def call(command, env=None):
        seen.append([str(part) for part in command])
        return 0

    def make(path, **options):
        Path(path).mkdir()
        (Path(path) / "pyvenv.cfg").write_text("version = 3.11.7\n")

    monkeypatch.setattr(dev, "call", call)
    monkeypatch.setattr(dev, "succeeds", lambda command: (empty_clone / ".venv").exists())
    monkeypatch.setattr(dev.venv, "create", make)
    return seen


def installs(calls: list[list[str]]) -> list[list[str]]:
    return [call for call in calls if "--editable" in call]


def test_a_second_run_installs_nothing(calls):
    dev.install("demo")
    dev.install("demo")
    assert len(installs(calls)) == 1


def test_the_demo_is_content_with_what_the_tests_installed(calls):
    dev.install("dev")
    dev.install("demo")
    assert len(installs(calls)) == 1
    assert "dev" in installs(calls)[0]


def test_the_tests_need_more_than_the_demo_installed(calls):
    dev.install("demo")
    dev.install("dev")
    assert len(installs(calls)) == 2


def test_changed_requirements_are_installed_again(calls, empty_clone):
    dev.install("demo")
    (empty_clone / "pyproject.toml").write_text("[project]\ndependencies = []\n")
    dev.install("demo")
    assert len(installs(calls)) == 2


def test_another_python_in_the_environment_is_noticed(calls, empty_clone):
    dev.install("demo")
    (empty_clone / ".venv" / "pyvenv.cfg").write_text("version = 3.13.1\n")
    dev.install("demo")
    assert len(installs(calls)) == 2


def test_an_environment_that_does_not_run_is_made_anew(empty_clone, monkeypatch):
    made = []
    monkeypatch.setattr(dev.venv, "create", lambda path, **options: made.append(options))
    dev.make_venv()
    assert made == [{"with_pip": True, "clear": True}]


def test_this_python_is_a_usable_environment(monkeypatch):
    monkeypatch.setattr(dev, "venv_python", lambda: Path(sys.executable))
    assert dev.usable_venv()


def test_a_failing_pip_ends_with_a_message_and_no_stamp(calls, monkeypatch):
    monkeypatch.setattr(dev, "call", lambda command, env=None: "--editable" in command)
    with pytest.raises(dev.SetupError, match="pip could not install"):
        dev.install("demo")
    assert not dev.stamp("demo").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Qt brings all it needs elsewhere")
def test_missing_system_libraries_are_named_as_packages(monkeypatch):
    monkeypatch.setattr(dev, "loads", lambda library: library != "libxcb-cursor.so.0")
    monkeypatch.setattr(dev, "may_apt_install", lambda: False)
    with pytest.raises(dev.SetupError, match="apt-get install libxcb-cursor0"):
        dev.see_to_system_packages(screen=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Xvfb is for Linux")
def test_xvfb_is_asked_for_only_without_a_screen(monkeypatch):
    monkeypatch.setattr(dev, "loads", lambda library: True)
    monkeypatch.setattr(dev.shutil, "which", lambda name: None)
    assert dev.missing_packages(screen=True) == []
    assert set(dev.missing_packages(screen=False)) == {"xvfb", "xauth"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Debian is a Linux")
def test_root_on_debian_gets_the_missing_packages_installed(monkeypatch):
    there: set[str] = set()
    monkeypatch.setattr(dev, "loads", lambda library: dev.QT_LIBRARIES[library] in there)
    monkeypatch.setattr(dev, "may_apt_install", lambda: True)
    monkeypatch.setattr(dev, "apt_install", there.update)
    dev.see_to_system_packages(screen=True)
    assert there == set(dev.QT_LIBRARIES.values())


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, False), ({"DISPLAY": ":0"}, True), ({"WAYLAND_DISPLAY": "wayland-0"}, True)],
)
def test_a_screen_on_linux_is_one_that_the_environment_names(variables, expected, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert dev.has_screen() is expected


def test_options_of_the_tests_go_to_pytest():
    assert dev.parse(["test", "-x", "tests/core"]).rest == ["-x", "tests/core"]


@pytest.mark.parametrize(
    ("arguments", "cores", "workers"),
    [([], 2, ["-n", "2"]), ([], 64, ["-n", "4"]), ([], 1, []), (["tests/core"], 8, [])],
)
def test_the_whole_suite_runs_on_all_cores_and_parts_in_one_process(arguments, cores, workers):
    assert dev.parallel_options(arguments, cores)[:2] == workers


def test_options_that_nobody_knows_are_refused(capsys):
    with pytest.raises(SystemExit):
        dev.parse(["demo", "--fast"])
    assert "--fast" in capsys.readouterr().err


def test_an_older_python_is_told_so(monkeypatch, capsys):
    monkeypatch.setattr(dev, "MINIMUM_PYTHON", (99, 0))
    assert dev.main(["demo"]) == 1
    assert "Python 99.0 or later" in capsys.readouterr().out
