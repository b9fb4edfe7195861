"""An authority for tests: certificates by the openssl program, so that TLS is tested as shops have it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

DAYS = "2"


@dataclass(frozen=True)
class Paper:
    """A certificate and its key, PEM files."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Signs certificates; `ca` is what its clients trust."""

    folder: Path
    ca: Paper

    def issue(self, name: str, alternative: str = "IP:127.0.0.1,DNS:localhost") -> Paper:
        """A certificate for whoever is reached under these names."""
        paper = Paper(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS,
            "-subj", f"/CN={name}", "-addext", f"subjectAltName={alternative}", "-addext",
            "basicConstraints=critical,CA:FALSE", "-CA", str(self.ca.cert), "-CAkey", str(self.ca.key),
            "-keyout", str(paper.key), "-out", str(paper.cert),
        )  # fmt: skip
        return paper


def new_authority(folder: Path) -> Authority:
    """An authority that nobody knows yet; skips where openssl is not installed, and fails in CI."""
    if shutil.which("openssl") is None:
        assert "CI" not in os.environ, "openssl is not installed; .ci/run should have done so"
        pytest.skip("openssl is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    ca = Paper(folder / "ca.pem", folder / "ca.key")
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS,
        "-subj", "/CN=authority of a test", "-keyout", str(ca.key), "-out", str(ca.cert),
    )  # fmt: skip
    return Authority(folder, ca)


def _openssl(*words: str) -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
