"""What a container to develop in is told to run is what `make` has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from include.local_airflow.settings.launch import Launch
from tests.docs.test_words import make_targets

FILE = Path(__file__).parents[2] / ".devcontainer" / "devcontainer.json"


@pytest.fixture
def devcontainer() -> dict[str, Any]:
    if not FILE.exists():
        pytest.skip("the image that is deployed does without")
    settings: dict[str, Any] = json.loads(re.sub(r"^ *//.*$", "", FILE.read_text(), flags=re.M))
    return settings


def test_post_start_command_is_a_make_target(devcontainer: dict[str, Any]) -> None:
    make, target = devcontainer["postStartCommand"].split()

    assert make == "make"
    assert target in make_targets()


def test_devcontainer_forwards_the_ports_of_airflow_and_the_local_dbt_cloud(
    devcontainer: dict[str, Any],
) -> None:
    launch = Launch(variables={})

    assert devcontainer["forwardPorts"] == [launch.port, launch.dbt_cloud_port]
    assert set(devcontainer["portsAttributes"]) == {str(launch.port), str(launch.dbt_cloud_port)}


def test_devcontainer_python_is_a_supported_version(devcontainer: dict[str, Any]) -> None:
    image, _, tag = devcontainer["image"].partition(":")
    minor = re.fullmatch(r"3\.(\d+)", tag)

    assert image == "mcr.microsoft.com/devcontainers/python"
    assert minor
    assert 11 <= int(minor[1]) < 14
