"""A real Chromium that looks at a live server; whatever it finds wrong on a page fails the test."""

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection

from markets.models import Job
from markets.services import jobs
from tests.admin import rows

# Playwright's synchronous API runs an event loop in this thread, in which Django would refuse the database.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Visit:
    """A page and what its console, its requests and its security policy complained about."""

    page: Any
    url: str
    complaints: list[str] = field(default_factory=list)

    def hear(self, message: Any) -> None:
        """Keep an error of the console: scripts, refused requests, violations of the security policy."""
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location['url']})")

    def log_in(self, name: str = "boss") -> None:
        self.page.goto(f"{self.url}/admin/")
        self.page.fill("input[name=username]", name)
        self.page.fill("input[name=password]", rows.PASSWORD)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(f"{self.url}/admin/")

    def open(self, path: str) -> None:
        self.page.goto(f"{self.url}{path}")

    def painted_charts(self) -> int:
        """How many drawn charts have a canvas with more than one colour."""
        return int(
            self.page.evaluate(
                """() => {
                  const canvases = (root) => [...root.querySelectorAll("*")].flatMap((element) => [
                    ...(element.tagName === "CANVAS" ? [element] : []),
                    ...(element.shadowRoot ? canvases(element.shadowRoot) : []),
                  ]);
                  const painted = (canvas) => {
                    const { width, height } = canvas;
                    if (!width || !height) return false;
                    const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
                    const colours = new Set();
                    for (let at = 0; at < pixels.length; at += 4) {
                      if (pixels[at + 3]) colours.add((pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2]);
                    }
                    return colours.size > 2;
                  };
                  return [...document.querySelectorAll('[data-chart][data-state="drawn"]')].filter((chart) =>
                    canvases(chart).some(painted),
                  ).length;
                }"""
            )
        )

    def wait_for_charts(self, number: int) -> None:
        self.page.wait_for_function(
            "number => document.querySelectorAll('[data-chart][data-state=\"drawn\"]').length >= number", arg=number
        )
        for _ in range(50):
            if self.painted_charts() >= number:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"{self.painted_charts()} of {number} charts are painted")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium, or run make browser")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make setup-dev")
    with playwright.sync_playwright() as engine:
        started = engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, headless=True)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any, live_server: Any, transactional_db: None) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, timezone_id="America/New_York")
    context.set_default_timeout(15_000)
    page = context.new_page()
    visit = Visit(page, live_server.url)
    page.on("pageerror", lambda error: visit.complaints.append(f"error: {error}"))
    page.on("console", lambda message: visit.hear(message))
    yield visit
    context.close()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each job that is handed over is done by a thread, on a connection of its own."""
    threads: list[threading.Thread] = []

    def work(job: Job) -> None:
        try:
            jobs.execute(str(job.uid))
        finally:
            connection.close()

    def publish(job: Job) -> None:
        threads.append(threading.Thread(target=work, args=(job,)))
        threads[-1].start()

    monkeypatch.setattr(jobs, "publish", publish)
    yield
    for thread in threads:
        thread.join()
