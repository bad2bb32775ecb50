"""A real Chromium without a window, driven over its DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/ - a JSON message a command, over one socket.
"""

import base64
import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")

# Bounds on waiting, far above what it takes on a busy machine: they end a hang and time nothing.
START_S = 60.0
PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.1

_FLAGS = (
    "--headless",
    "--no-sandbox",  # tests may run as root, where the sandbox cannot
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container's is small
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--remote-debugging-port=0",
    "--window-size=1280,900",
)
# Windows' numbers, by which Chromium knows keys: https://www.w3.org/TR/uievents/#fixed-virtual-key-codes
KEYS = {"Tab": 9, "Enter": 13, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}
ALLOWED = "--use-fake-ui-for-media-stream"  # every request for the camera is granted
WEBGL = "--enable-unsafe-swiftshader"  # drawn by the CPU
_LISTENING = re.compile(r"DevTools listening on (ws://\S+)")


class Browser:
    """One Chromium with one page; ends with `close`.

    said       what the page wrote to its console as an error, and what its policies refused
    asked_for  credentials, so many times
    """

    def __init__(self, profile: Path, *flags: str) -> None:
        if CHROMIUM is None:
            raise FileNotFoundError("no Chromium is installed")
        log = profile / "chromium.log"
        with log.open("wb") as errors:
            command = [CHROMIUM, *_FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        self.said: list[str] = []
        self.asked_for = 0
        self._credentials = {"response": "CancelAuth"}
        self._calls = 0
        try:
            address = self._wait_listening(log)
            self._socket = connect(address, max_size=None, proxy=None, legacy=True)
        except BaseException:
            self._process.kill()
            self._process.wait(PATIENCE_S)
            raise
        self._session = ""
        page = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """One command and its result, in JSON's own shape."""
        mine = self._send(method, **parameters)
        while True:
            reply: dict[str, Any] = json.loads(self._socket.recv(PATIENCE_S))
            if reply.get("id") == mine:
                if "error" in reply:
                    raise RuntimeError(str(reply["error"]))
                result: dict[str, Any] = reply["result"]
                return result
            self._note(reply)

    def open(self, url: str) -> None:
        """Go there, and return once the page has loaded."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def sign_in(self, user: str, password: str) -> None:
        """Be whoever types this when the browser asks for it, until all is loaded."""
        given = {"username": user, "password": password}
        self._credentials = {"response": "ProvideCredentials"} | given
        self.call("Fetch.enable", handleAuthRequests=True)

    def ask(self, script: str) -> Any:  # whatever JSON holds
        """The value of a JavaScript expression, as a person's gesture."""
        result = self.call(
            "Runtime.evaluate",
            expression=script,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def wait(self, script: str) -> Any:  # whatever JSON holds
        """The expression's value, once it is true."""
        until_s = time.monotonic() + PATIENCE_S
        while not (value := self.ask(script)):
            if time.monotonic() >= until_s:
                raise TimeoutError(f"never true: {script}; said: {self.said}")
            time.sleep(_LOOK_EVERY_S)
        return value

    def click(self, selector: str) -> None:
        self.ask(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, key: str) -> None:
        """A key as of a keyboard; `KEYS` has those that are no letters."""
        typed = {"text": key} if len(key) == 1 else {"windowsVirtualKeyCode": KEYS[key]}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, **typed)

    def choose_file(self, selector: str, path: Path) -> None:
        """As a person picks it in the dialogue that a file input opens."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def text(self, selector: str) -> str:
        return str(self.ask(f"document.querySelector({json.dumps(selector)}).textContent"))

    def resize(self, width_px: int, height_px: int, *, mobile: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width_px,
            height=height_px,
            deviceScaleFactor=1,
            mobile=mobile,
        )

    def screenshot(self, path: Path) -> None:
        picture = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(picture["data"]))

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(PATIENCE_S)

    def _wait_listening(self, log: Path) -> str:
        until_s = time.monotonic() + START_S
        while time.monotonic() < until_s and self._process.poll() is None:
            found = _LISTENING.search(log.read_text(errors="replace"))
            if found:
                return found[1]
            time.sleep(_LOOK_EVERY_S)
        raise AssertionError(f"Chromium did not start:\n{log.read_text(errors='replace')}")

    def _send(self, method: str, **parameters: object) -> int:
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        return self._calls

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Fetch.requestPaused":
            self._send("Fetch.continueRequest", requestId=event["params"]["requestId"])
        elif event.get("method") == "Fetch.authRequired":
            self.asked_for += 1
            self._send(
                "Fetch.continueWithAuth",
                requestId=event["params"]["requestId"],
                authChallengeResponse=self._credentials,
            )
        elif event.get("method") == "Log.entryAdded":
            entry = event["params"]["entry"]
            if entry["level"] == "error":
                self.said.append(f"{entry['text']} {entry.get('url', '')}")
        elif event.get("method") == "Runtime.exceptionThrown":
            self.said.append(json.dumps(event["params"]["exceptionDetails"]))
