"""Headless Chromium that looks at the page as a person does."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.patience import PATIENCE
from tests.serving.network import find_ports

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
)


def find_browser() -> tuple[str, str] | None:
    """Return the paths of Chromium and of its driver; None if one is absent."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    browser = next((path for name in names if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """Window of a browser on the page."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, address: str, width: int = 1280, height: int = 860) -> None:
        """Open the page anew in a window of a size in CSS pixels, and wait for its models."""
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": address, "storageTypes": "all"})
        self.resize(width, height)
        self.drain()
        self.driver.get(address)

    def open_ready(self, address: str, **size: int) -> None:
        """Open the page and wait for its models."""
        self.open(address, **size)
        self.wait(lambda: self.find("#model").is_enabled())

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        """Return the text of an element as it is seen; empty while it is hidden."""
        return self.find(selector).text

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def run_async(self, script: str, *arguments: Any) -> Any:
        """Run the body of an async function."""
        return self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            f"(async () => {{ {script} }})().then(done, (error) => done({{error: `${{error}}`}}));",
            *arguments,
        )

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Wait until a condition holds and return its value."""
        return WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(lambda _: condition())

    def wait_text(self, selector: str, text: str) -> None:
        """Wait until an element shows a text."""
        self.wait(lambda: text in self.text(selector))

    def choose(self, *paths: Path) -> None:
        """Choose files in the page's dialog."""
        self.find("#files").send_keys("\n".join(map(str, paths)))

    def restore(self, path: Path) -> None:
        """Choose a file and wait until both pictures are seen."""
        self.choose(path)
        self.wait(lambda: self.find("#result").is_displayed() and self.state("after") == "shown")

    def state(self, part: str) -> str | None:
        return self.find(f'[data-part="{part}"]').get_attribute("data-state")

    def hand_over(self, event: str, name: str, content: bytes) -> None:
        """Drop or paste a file, as the browser does it for a person."""
        self.run(
            """const bytes = Uint8Array.from(atob(arguments[2]), (letter) => letter.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], arguments[1]));
            const options = {bubbles: true, cancelable: true};
            if (arguments[0] === "paste") {
              document.body.dispatchEvent(new ClipboardEvent("paste", {...options, clipboardData: data}));
            } else {
              for (const type of ["dragenter", "dragover", "drop"]) {
                document.body.dispatchEvent(new DragEvent(type, {...options, dataTransfer: data}));
              }
            }""",
            event,
            name,
            base64.b64encode(content).decode(),
        )

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def focused(self) -> str:
        """Name the element with the focus."""
        return self.run(
            "const one = document.activeElement; return one.id || one.dataset.part || one.value || one.tagName"
        )

    def tab_to(self, name: str) -> list[str]:
        """Press the tabulator until an element has the focus; return those on the way, the last one included."""
        passed: list[str] = []
        while len(passed) < 60:
            self.press(Keys.TAB)
            passed.append(self.focused())
            if passed[-1] == name:
                return passed
        raise AssertionError(f"the focus never came to {name}, but to {passed}")

    def drain(self) -> tuple[list[str], list[str]]:
        """Return the addresses requested and the messages of the console since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        requests = [
            event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]
        return requests, [entry["message"] for entry in self.driver.get_log("browser")]

    def download_to(self, folder: Path) -> None:
        self.driver.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder), "eventsEnabled": True}
        )

    def wait_file(self, path: Path) -> bytes:
        """Wait for a downloaded file and return its content."""
        self.wait(path.is_file)
        return path.read_bytes()


@contextmanager
def browsing(programs: Sequence[str], profile: Path) -> Iterator[Browser]:
    """Start a browser with a fresh profile, and end it."""
    options = Options()
    options.binary_location, driver_path = programs
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, Service(driver_path, port=find_ports(1)[0]))
    driver.set_script_timeout(PATIENCE)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
