"""A small Genomic Data Commons on this machine: its API, and all that servers do wrong."""

import hashlib
import json
import re
import threading
import urllib.parse
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SIZE = 300_000
WANTED = {
    "cases.project.project_id": ["TCGA-SARC"],
    "data_format": ["SVS"],
    "experimental_strategy": ["Diagnostic Slide"],
    "access": ["open"],
}


class Commons:
    """What the server holds, which faults it has, and what it was asked."""

    def __init__(self):
        self.bodies = {
            f"id-{n}": hashlib.sha256(bytes([n])).digest() * (SIZE // 32) for n in range(5)
        }
        self.hits = [
            {
                "file_id": key,
                "file_name": f"TCGA-AA-000{n}-01Z-00-DX1.{key}.svs",
                "file_size": len(body),
                "md5sum": hashlib.md5(body).hexdigest(),
                "cases": [
                    {
                        "submitter_id": f"TCGA-AA-000{n}",
                        "diagnoses": [
                            {"primary_diagnosis": "Leiomyosarcoma, NOS", "morphology": "8890/3"}
                        ],
                    }
                ],
            }
            for n, (key, body) in enumerate(self.bodies.items())
        ]
        self.faults = []  # one a request, from the first; then none
        self.always = ""
        self.ranges = []
        self.asked = Counter()
        self.retry_after = ""
        self.location = ""

    def fault(self):
        return self.faults.pop(0) if self.faults else self.always


class Handler(BaseHTTPRequestHandler):
    """The API: /files with filters and pages, /data with ranges."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        commons = self.server.commons
        parts = urllib.parse.urlsplit(self.path)
        kind, _, key = parts.path.strip("/").partition("/")
        commons.asked[kind] += 1
        fault = commons.fault()
        if fault.isdigit():
            self.send_response(int(fault))
            if commons.retry_after:
                self.send_header("Retry-After", commons.retry_after)
            if commons.location:
                self.send_header("Location", commons.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif kind == "files":
            self.files(
                {name: values[0] for name, values in urllib.parse.parse_qs(parts.query).items()},
                fault,
            )
        else:
            self.data(commons.bodies[key], fault)

    def files(self, query, fault):
        filters = json.loads(query["filters"])
        assert filters["op"] == "and" and all(each["op"] == "in" for each in filters["content"])
        asked = {each["content"]["field"]: each["content"]["value"] for each in filters["content"]}
        known = asked == WANTED and "cases.diagnoses.morphology" in query["fields"].split(",")
        hits = self.server.commons.hits if known else []
        start = int(query["from"])
        size = int(query["size"])
        answer = {"data": {"hits": hits[start : start + size], "pagination": {"total": len(hits)}}}
        text = json.dumps(answer).encode()
        self.answer(200, text[: len(text) // 2] if fault == "truncate" else text)

    def data(self, body, fault):
        commons = self.server.commons
        asked = self.headers.get("Range", "")
        commons.ranges.append(asked)
        found = re.fullmatch(r"bytes=(\d+)-", asked)
        if fault == "wrong":
            body = body[::-1]
        if fault == "long":
            body += b"more"
        if fault == "page":
            return self.answer(200, b"<html>Sign in</html>")
        if not found or fault == "ignore":
            return self.answer(200, body, cut=len(body) // 2 if fault == "cut" else None)
        start = int(found.group(1))
        if start >= len(body):
            return self.answer(416, b"")
        where = f"bytes {start + (fault == 'shift')}-{len(body) - 1}/{len(body)}"
        return self.answer(206, body[start:], extra={"Content-Range": where})

    def answer(
        self,
        status,
        body,
        *,
        cut=None,
        extra=None,
    ):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (extra or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        self.close_connection = True


@contextmanager
def serving():
    """The state of a server that runs; `endpoint` is its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.commons = Commons()
    server.commons.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.commons
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
