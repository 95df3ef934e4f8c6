"""A package index on the loopback address that serves a handful of tiny wheels."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve the folder; yield the URL of its ``simple`` index."""
    handler = functools.partial(_QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def add_wheel(
    folder: Path,
    project: str,
    version: str,
    tag: str = "py3-none-any",
    files: dict[str, bytes] | None = None,
) -> Path:
    """Write a wheel and the index page that links to it with its sha256."""
    name = project.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
    content = {
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        f"{info}/RECORD": b"",
        **(files or {}),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in content.items():
            archive.writestr(path, data)
    page = folder / "simple" / project
    page.mkdir(parents=True, exist_ok=True)
    wheel = page / f"{name}-{version}-{tag}.whl"
    wheel.write_bytes(buffer.getvalue())
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with (page / "index.html").open("a") as index:
        index.write(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>\n')
    return wheel
