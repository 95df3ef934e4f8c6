"""Certificates are created once and renewed when necessary; their keys are private."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import certifi
import pytest

from include.local_dbt_cloud.serving import certificates
from include.local_dbt_cloud.serving.certificates import ensure_certificates
from include.local_dbt_cloud.serving.data_folder import DataFolderError


def test_ensure_certificates_reuses_existing_files(tmp_path: Path) -> None:
    first = ensure_certificates(tmp_path)
    contents = [path.read_bytes() for path in (first.ca, first.server, first.bundle)]
    again = ensure_certificates(tmp_path)
    assert [path.read_bytes() for path in (again.ca, again.server, again.bundle)] == contents


def test_keys_are_private(tmp_path: Path) -> None:
    ensure_certificates(tmp_path)
    keys = list(tmp_path.glob("*-key.pem"))
    assert len(keys) == 2
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}


def test_ensure_certificates_rejects_an_unusable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderError, match="cannot be written: Not a directory"):
        ensure_certificates(tmp_path / "file" / "data")


def test_new_host_name_renews_only_the_server_certificate(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path)
    ca, server = files.ca.read_bytes(), files.server.read_bytes()
    ensure_certificates(tmp_path, ["dbt.example"])
    assert files.ca.read_bytes() == ca
    assert files.server.read_bytes() != server


def test_a_damaged_authority_is_replaced(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path)
    server = files.server.read_bytes()
    files.ca.write_text("damaged")
    ensure_certificates(tmp_path)
    assert files.ca.read_bytes().startswith(b"-----BEGIN CERTIFICATE")
    assert files.server.read_bytes() != server


def test_certificates_that_are_not_yet_valid_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as fast:
        fast.setattr(certificates, "VALID_BEFORE", timedelta(days=-1))
        files = ensure_certificates(tmp_path)
    before = [path.read_bytes() for path in (files.ca, files.server)]
    ensure_certificates(tmp_path)
    now = [path.read_bytes() for path in (files.ca, files.server)]
    assert not set(now) & set(before)


def test_bundle_keeps_the_previously_configured_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "company.pem"
    own.write_text("company roots")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(own))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    files = ensure_certificates(tmp_path / "data")
    assert files.bundle.read_text() == files.ca.read_text() + "\ncompany roots"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files.bundle))
    ensure_certificates(tmp_path / "data")
    assert Path(certifi.where()).read_text() in files.bundle.read_text()
