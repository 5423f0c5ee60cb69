"""A headless Chromium that tests command through its debugging pipe: no driver, no network."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
_READ = 1 << 20


def find_chromium() -> str | None:
    """Path of a Chromium of this machine; None: there is none."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    return None


class Chromium:
    """One page of a browser. Values that JavaScript gives are plain values of JSON."""

    def __init__(self, profile: Path, *flags: str, size: tuple[int, int] = (1200, 900)) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        program = find_chromium()
        # the browser reads commands from descriptor 3 and answers on 4
        script = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        width, height = size
        arguments = [*_FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        self._process = subprocess.Popen(
            ["bash", "-c", script, program, *arguments, *flags, "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.messages: list[str] = []
        """What the page wrote to its console, and exceptions that nobody caught."""
        targets = self.command("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        attached = self.command("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for name in ("Page", "Runtime", "Log"):
            self.command(f"{name}.enable")

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self._session = None
        with contextlib.suppress(OSError, RuntimeError):  # it may have ended by itself
            self.command("Browser.close")
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        os.close(self._out)
        os.close(self._in)

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _message(self, seconds: float = 120) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(end - time.monotonic(), 0))
            part = os.read(self._in, _READ) if ready else b""
            if not part:
                raise TimeoutError("the browser does not answer")
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)

    def _note(self, event: dict[str, Any]) -> None:
        name = event.get("method")
        parameters = event.get("params", {})
        if name == "Runtime.consoleAPICalled":
            words = [str(each.get("value", "")) for each in parameters["args"]]
            self.messages.append(" ".join(words))
        elif name == "Runtime.exceptionThrown":
            self.messages.append(str(parameters["exceptionDetails"]))
        elif name == "Log.entryAdded":
            self.messages.append(str(parameters["entry"].get("text")))

    def open(self, address: str) -> None:
        """Open an address, without waiting for the page."""
        self.command("Page.navigate", url=address)

    def value(self, expression: str) -> Any:
        """Of an expression in the page; promises are awaited."""
        found = self.command(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = 90) -> Any:
        """Until an expression is true; its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.value(expression)
            if found:
                return found
            time.sleep(0.05)
        raise TimeoutError(f"{expression} is still {found!r}; the page wrote {self.messages}")

    def key(self, key: str, *, shift: bool = False) -> None:
        """Press a key."""
        options = {"key": key, "modifiers": 8 if shift else 0}
        if len(key) == 1:
            options["text"] = key
        self.command("Input.dispatchKeyEvent", type="keyDown", **options)
        self.command("Input.dispatchKeyEvent", type="keyUp", key=key)

    def click(self, x: float, y: float, button: str = "left") -> None:
        """Click at a place of the window."""
        for event in ("mousePressed", "mouseReleased"):
            self.command(
                "Input.dispatchMouseEvent",
                type=event,
                x=x,
                y=y,
                button=button,
                clickCount=1,
            )

    def screenshot(self, path: Path) -> None:
        """The window as a PNG."""
        data = self.command("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))
