"""Download one wheel from the package index, with only the standard library.

Debian's ``python3`` has no pip and no ensurepip, so this module installs the first package, uv. It
reads the HTML of PEP 503, which every index supports.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import platform
import re
import ssl
import urllib.error
import urllib.request
import zipfile
from base64 import b64encode
from collections.abc import Mapping
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from include.local_airflow.errors import LaunchError

PYPI = "https://pypi.org/simple"
DOWNLOAD_TIMEOUT = 30  # seconds without data

_PIP_CONFIG_FILES = (
    "/etc/pip.conf",
    "~/.config/pip/pip.conf",
    "~/.pip/pip.conf",
    "~/Library/Application Support/pip/pip.conf",
)


def index_url(environ: Mapping[str, str]) -> str:
    """Return the configured index of uv and pip: from the environment, then from pip's files."""
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if environ.get(name):
            return environ[name].rstrip("/")
    config = configparser.RawConfigParser()
    files = [*_PIP_CONFIG_FILES, environ.get("PIP_CONFIG_FILE", "")]
    config.read([os.path.expanduser(name) for name in files if name], encoding="utf-8")
    for section in ("install", "global"):
        if url := config.get(section, "index-url", fallback=""):
            return url.strip().rstrip("/")
    return PYPI


def download_wheel(project: str, version: str, environ: Mapping[str, str]) -> bytes:
    """Return the wheel of ``project`` for this machine, after checking its sha256.

    Raises:
        LaunchError: the index is unreachable, has no such wheel, or sent a different file.
    """
    page_url = f"{index_url(environ)}/{project}/"
    parser = _Links()
    parser.feed(_get(page_url, environ).decode())
    for link in parser.links:
        url, fragment = urldefrag(urljoin(page_url, link))
        filename = unquote(urlsplit(url).path.rpartition("/")[2])
        if filename.startswith(f"{project}-{version}-") and _runs_here(filename):
            return _verified(filename, _get(url, environ), fragment)
    raise LaunchError(
        f"The package index has no {project} {version} for {platform.system()} on "
        f"{platform.machine()}: set PIP_INDEX_URL to an index that has it, for example {PYPI}."
    )


def _runs_here(filename: str) -> bool:
    machine = re.escape(platform.machine())
    system = "macosx" if platform.system() == "Darwin" else "manylinux"
    if system == "manylinux" and platform.libc_ver()[0] != "glibc":
        system = "musllinux"
    return re.search(rf"{system}_[0-9_]+_{machine}\b", filename.removesuffix(".whl")) is not None


def _verified(filename: str, content: bytes, fragment: str) -> bytes:
    algorithm, _, expected = fragment.partition("=")
    if algorithm != "sha256" or hashlib.sha256(content).hexdigest() != expected:
        raise LaunchError(
            f"The package index sent a {filename} whose sha256 is missing or wrong: "
            "run the command again, or set PIP_INDEX_URL to another index."
        )
    return content


def _get(url: str, environ: Mapping[str, str]) -> bytes:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(parts._replace(netloc=host).geturl())
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {b64encode(login.encode()).decode()}")
    roots = environ.get("SSL_CERT_FILE") or environ.get("PIP_CERT")
    try:
        tls = ssl.create_default_context(cafile=roots)
        with urllib.request.urlopen(request, timeout=DOWNLOAD_TIMEOUT, context=tls) as response:
            return bytes(response.read())
    except (OSError, HTTPException) as error:  # HTTPException: an incomplete response
        reason = getattr(error, "reason", error)
        raise LaunchError(
            f"The package index at {host} cannot be read ({reason}): check the network, or set "
            "PIP_INDEX_URL to an index that this machine can reach, then run the command again."
        ) from error


class _Links(HTMLParser):
    """Collect the targets of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]


def save_wheel(wheel: Path, site_packages: Path, scripts: Path) -> None:
    """Unpack the packages and scripts of a wheel that needs no compilation."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            folder, _, name = member.filename.rpartition("/")
            if not folder.endswith(".data/scripts"):
                archive.extract(member, site_packages)
                continue
            script = scripts / name
            script.write_bytes(archive.read(member))
            script.chmod(0o755)
