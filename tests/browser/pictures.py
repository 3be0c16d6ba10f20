"""Makes the pictures of the documents: `python -m tests.browser.pictures`.

They show a server as it is behind Heroku's router, called by the name of an app.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import ARGUMENTS
from tests.client.test_guide import examples, in_a_notebook
from tests.running import PASSWORD, Server

IMAGES = Path(__file__).parents[2] / "docs" / "images"
HOST = "my-app-1234567890ab.herokuapp.com"
USER = "tableau"
ROUTER = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "10.0.0.7"}
DESK = {"width": 1200, "height": 820}
# A dyno whose database is at hand, so far as the page can tell: its functions outlive it.
KEPT = {"DYNO": "web.1", "TABPY_PRELOAD": "numpy,pandas", "TABPY_MODELS_PATH": ""}


class RoutedServer(Server):
    """One that is only reached by way of Heroku's router."""

    headers = ROUTER


@contextlib.contextmanager
def served(settings: dict[str, str]) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        server = RoutedServer(Path(folder), settings, users={USER: PASSWORD, "paolo": PASSWORD})
        try:
            yield server.wait_until_ready()
        finally:
            server.kill()


@contextlib.contextmanager
def signed_in(server: Server) -> Iterator[Page]:
    """A window in which the server is called by the app's name."""
    rules = f"--host-rules=MAP {HOST}:80 127.0.0.1:{server.port}"
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, rules])
        context = browser.new_context(
            http_credentials={"username": USER, "password": PASSWORD},
            extra_http_headers=ROUTER,
            viewport=DESK,  # type: ignore[arg-type] # a TypedDict of playwright's own
            device_scale_factor=1.5,
        )
        yield context.new_page()
        browser.close()


def take(page: Page, path: str, name: str, part: str = "") -> None:
    """Save the view at `path`, or a `part` of it, as a picture."""
    page.goto(f"http://{HOST}/{path}", wait_until="load")
    file = IMAGES / f"{name}.png"
    if part:
        page.locator(part).screenshot(path=file)
    else:
        page.screenshot(path=file)


def follow_guide(server: Server) -> None:
    """Deploy and call Price with the very text of docs/client.md, where its picture is."""
    codes = [each.code for each in examples()]
    at = next(at for at, code in enumerate(codes) if 'client.deploy("Price"' in code)
    client = "from tabpy.tabpy_tools.client import Client\nclient = Client()"
    assert len([*in_a_notebook([client, *codes[at : at + 2]], server)]) == 3


def main() -> None:
    with served(KEPT) as server, signed_in(server) as page:
        take(page, "", "worth-knowing", "#findings")
        take(page, "page/connect", "connect", "section:has(#host)")
    with served({**KEPT, "DYNO": "-"}) as server, signed_in(server) as page:
        follow_guide(server)
        take(page, "", "signed-in")
        take(page, "page/functions/Price", "function")
        page.goto(f"http://{HOST}/page/try", wait_until="load")
        page.locator("#run").click()
        page.locator("#table").get_by_text("-0.425").wait_for()
        page.set_viewport_size({**DESK, "height": 1500})  # type: ignore[typeddict-item]
        page.screenshot(path=IMAGES / "page.png")


if __name__ == "__main__":
    main()
