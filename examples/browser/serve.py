"""Serves the page, an export and onnxruntime-web on this machine alone, with nothing but files.

    python examples/browser/serve.py --model my-onnx --runtime package/dist

Its answers carry the two headers (COOP, COEP) without which browsers allow no threads.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

PAGE = Path(__file__).parent
SHOWN = (".html", ".js")
"""Files of the page itself."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    "": "application/octet-stream",
}
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class Handler(SimpleHTTPRequestHandler):
    """Files of three folders: `/` the page, `/model/` the export, `/runtime/` onnxruntime-web."""

    extensions_map = TYPES

    def __init__(self, *arguments, folders: dict[str, Path], **options) -> None:
        self.folders = folders
        super().__init__(*arguments, directory=str(PAGE), **options)

    def translate_path(self, path: str) -> str:
        """The file of an address; only single names in the three folders are known."""
        parts = [part for part in unquote(urlsplit(path).path).split("/") if part]
        if not parts:
            return str(PAGE / "index.html")
        *above, name = parts
        is_plain = not name.startswith(".") and "\\" not in name and "\0" not in name
        if len(above) == 1 and above[0] in self.folders and is_plain:
            return str(plain_file(self.folders[above[0]], name))
        if not above and is_plain and name.endswith(SHOWN):
            return str(PAGE / name)
        return str(PAGE / "no-such-file")

    def list_directory(self, path):
        """Folders are not listed."""
        self.send_error(404)

    def end_headers(self) -> None:
        """The headers of every answer."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *arguments) -> None:
        """Only failures are shown, by `log_error`."""

    def log_error(self, format: str, *arguments) -> None:
        # a request that cannot be read has no path; control characters stay out of a terminal
        path = ascii(getattr(self, "path", "-"))
        sys.stderr.write(f"{path}: {format % arguments!a}\n")


def plain_file(folder: Path, name: str) -> Path:
    """A file of a folder; a name that is none if it is a folder, or a link that leads out of it."""
    found = (folder / name).resolve()
    if found.is_file() and found.parent == folder.resolve():
        return found
    return PAGE / "no-such-file"


def make_server(model: Path, runtime: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server on 127.0.0.1; port 0 takes a free one."""
    handler = partial(Handler, folders={"model": model, "runtime": runtime})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serve the page that paints tissue in a browser.")
    parser.add_argument("--model", type=Path, required=True, help="folder of `export onnx`")
    parser.add_argument("--runtime", type=Path, required=True, help="dist of onnxruntime-web")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    if not (options.model / "model.json").is_file():
        sys.exit(f"{options.model} holds no model.json. Run: histosynth export onnx --out FOLDER")
    if not (options.runtime / "ort.wasm.min.mjs").is_file():
        sys.exit(f"{options.runtime} holds no ort.wasm.min.mjs. Give dist of onnxruntime-web.")
    try:
        server = make_server(options.model, options.runtime, options.port)
    except (OSError, OverflowError) as error:
        sys.exit(f"Port {options.port} cannot be used ({error}). Choose another --port.")
    print(f"Open http://127.0.0.1:{server.server_port}/  (Ctrl-C ends it)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
