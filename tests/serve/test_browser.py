"""The page in a real browser: Chromium, driven by Selenium, without a window.

Screenshots stay in ``build/screenshots``; look at them after a change of the page.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from udsph.serve.state import State

from .conftest import COUNT
from .servers import Client, name_of, serving

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "build" / "screenshots"
AXE = ROOT / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE = 30  # seconds
SIZES = {"wide": (1280, 900), "phone": (390, 844)}
PICTURES_ARE_THERE = (
    "const all = [...document.querySelectorAll('#results img')];"
    "return all.length > 0 && all.slice(0, 6).every((one) => one.complete && one.naturalWidth > 0)"
)
DROP = """
const [data, name, type] = arguments;
const file = new File([Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0))], name, {type});
const carried = new DataTransfer();
carried.items.add(file);
for (const what of ["dragenter", "dragover", "drop"])
  document.body.dispatchEvent(new DragEvent(what, {dataTransfer: carried, bubbles: true, cancelable: true}));
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    places = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in places:
        pytest.skip("Chromium and its driver are not installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = str(places[0])
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(places[1])))
    yield driver
    driver.quit()


class Page:
    """The page of one server, as a visitor sees it."""

    def __init__(self, browser: Any, client: Client) -> None:
        self.browser, self.address = browser, f"http://127.0.0.1:{client.port}"

    def open(self, path: str = "/", *, size: str = "wide", dark: bool = False) -> None:
        width, height = SIZES[size]
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.browser.get(self.address + path)

    def js(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def wait(self, script: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self.js(script):
            assert time.monotonic() < end, f"did not come true: {script}\n{self.js('return document.body.innerText')}"
            time.sleep(0.05)

    def one(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        found: list[Any] = self.browser.find_elements("css selector", selector)
        return found

    def search(self, text: str) -> None:
        self.one("#q").clear()
        self.one("#q").send_keys(text, "\n")
        self.settled(f"new URLSearchParams(location.search).get('q') === {json.dumps(text)}")

    def settled(self, condition: str = "true") -> None:
        """Until the results of the last query are there."""
        self.wait(
            f"return {condition} && !document.querySelector('#found[aria-busy]') "
            "&& document.getElementById('found-title').textContent === 'Results'"
        )

    def ids(self) -> list[str]:
        """What the pictures of the results say of whose they are."""
        found: list[str] = self.js(
            "return [...document.querySelectorAll('#results img')].map((one) => new URL(one.src).pathname)"
        )
        return found

    def shoot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.browser.save_screenshot(str(SHOTS / f"{name}.png"))

    def complaints(self) -> list[str]:
        """What the browser's console has said since the last time."""
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture
def page(browser: Any, client: Client) -> Iterator[Page]:
    browser.get_log("browser")
    made = Page(browser, client)
    yield made
    assert not made.complaints()


def paths_of(client: Client, query: str) -> list[str]:
    return [item["image"] for item in client.get(query).json["results"]]


def test_words_find_pictures(page: Page, client: Client) -> None:
    page.open()
    page.wait(PICTURES_ARE_THERE)  # some, before anything was asked
    page.search("a red star")
    page.wait(PICTURES_ARE_THERE)
    assert page.ids() == paths_of(client, "/search/text?q=a+red+star&k=24")
    distances = [found.text for found in page.all("#results .far b")]
    wanted = client.get("/search/text?q=a+red+star&k=24").json["results"]
    assert distances == [str(item["distance"]) for item in wanted]
    assert [found.text for found in page.all("#results .caption")][:3] == [item["caption"] for item in wanted][:3]
    assert f"among {COUNT}" in page.one("#status").text and " ms" in page.one("#status").text
    assert page.js("return document.querySelector('#code svg').getAttribute('aria-label')").startswith("16 bits, ")
    page.open("/?q=a+red+star&k=12")  # an address that somebody shared
    page.settled()
    assert len(page.ids()) == 12 and page.one("#q").get_attribute("value") == "a red star"


def test_a_dropped_picture_finds_pictures(page: Page, folder: Path) -> None:
    import base64

    page.open()
    page.wait(PICTURES_ARE_THERE)
    data = base64.b64encode((folder / name_of(4)).read_bytes()).decode()
    page.js(DROP, data, "a.png", "image/png")
    page.settled()
    page.wait(PICTURES_ARE_THERE)
    assert page.js("return document.querySelector('#results .far b').textContent") == "0"
    assert f"/images/{quote(name_of(4), safe='')}" in page.ids()
    assert page.one("#given").is_displayed() and not page.js("return document.getElementById('drop').offsetParent")
    page.js(DROP, "", "a.txt", "text/plain")
    assert "no picture" in page.one("#problem").text


def test_filters_leave_out_and_can_be_taken_back(page: Page, client: Client) -> None:
    page.open("/?q=a+red+star")
    page.settled()
    everything = page.ids()
    label = client.get("/about").json["labels"][0]["name"]
    page.js(
        "const s = document.getElementById('label'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))",
        label,
    )
    page.settled("new URLSearchParams(location.search).has('label')")
    assert page.ids() == paths_of(client, f"/search/text?q=a+red+star&k=24&label={label}")
    radius = client.get("/search/text?q=a+red+star").json["results"][0]["distance"]
    page.js(
        "const r = document.getElementById('radius'); r.value = arguments[0]; r.dispatchEvent(new Event('input'));"
        "r.dispatchEvent(new Event('change'))", radius,
    )  # fmt: skip
    page.settled("new URLSearchParams(location.search).has('radius')")
    assert page.ids() == paths_of(client, f"/search/text?q=a+red+star&k=24&label={label}&radius={radius}")
    page.browser.back()
    page.browser.back()
    page.settled("!new URLSearchParams(location.search).has('label')")
    assert page.ids() == everything


def test_a_result_is_the_next_example(page: Page, client: Client) -> None:
    page.open("/?q=a+red+star")
    page.settled()
    third = page.all("#results .card")[2]
    item = client.get("/search/text?q=a+red+star&k=24").json["results"][2]["id"]
    third.find_element("css selector", ".foot button").click()
    page.settled("new URLSearchParams(location.search).has('like')")
    assert page.ids() == paths_of(client, f"/search/item?id={quote(item)}&k=24")
    assert len(page.all("#results .self")) == 1


def test_what_the_model_looked_at_is_shown_over_words_and_pictures(page: Page, client: Client) -> None:
    page.open("/?q=a+red+star")
    page.settled()
    page.one("#looks button").click()
    page.wait("return document.querySelector('#looks .choices') !== null")
    assert [word.text for word in page.all("#asked .words span")] == ["a", "red", "star"]
    looks = client.get("/attended/text?q=a+red+star").json["classes"]
    assert [choice.text.rpartition(" ")[0].rpartition(" ")[0] for choice in page.all("#looks .choice")] == [
        look["name"] for look in looks
    ]
    page.one("#results .open").click()
    page.wait("return document.querySelector('#details .pattern') !== null")
    assert page.one("#details").is_displayed() and "bits differ" in page.one("#details figcaption").text
    page.js(
        "[...document.querySelectorAll('#details button')].find((b) => b.textContent.startsWith('What did')).click()"
    )
    page.wait("return document.querySelectorAll('#details .cells i').length > 3")
    page.one("#details .choice:last-of-type input").send_keys(" ")
    page.browser.switch_to.active_element.send_keys("\ue00c")  # Escape
    page.wait("return !document.getElementById('details').open")


def test_everything_works_without_a_mouse(page: Page) -> None:
    page.open("/")
    page.wait(PICTURES_ARE_THERE)
    active: Callable[[], Any] = lambda: page.browser.switch_to.active_element  # noqa: E731
    page.one("body").send_keys("/")
    active().send_keys("a red star", "\n")
    page.settled()
    for _ in range(20):  # from the field to the first result
        active().send_keys("\ue004")  # Tab
        if "open" in (active().get_attribute("class") or ""):
            break
    cards = page.all("#results .open")
    assert active() == cards[0]
    active().send_keys("\ue014")  # to the right
    assert active() == cards[1]
    active().send_keys("\ue015")  # down: a row
    assert cards.index(active()) > 2
    here = cards.index(active())
    active().send_keys("\n")
    page.wait("return document.getElementById('details').open")
    active().send_keys("\ue014")  # the next one
    page.wait(f"return document.getElementById('details').dataset.rank === '{here + 1}'")
    active().send_keys("\ue00c")
    # Where the reader was. The dialog closes first; what hears of it moves the focus a task later.
    page.wait(f"return document.activeElement === document.querySelectorAll('#results .open')[{here + 1}]")
    assert page.js("return !document.getElementById('details').open")


def test_hostile_texts_are_shown_and_never_run(page: Page) -> None:
    page.open(f"/?q={quote('<img src=x onerror=alert(1)>')}&label={quote('<b>')}")
    page.wait("return !document.getElementById('problem').hidden")
    assert "no item has this label" in page.one("#problem").text.lower()
    assert page.one("#chosen").text.startswith("<b>")
    page.js("for (const chip of [...document.querySelectorAll('#chosen button')]) chip.click()")
    page.settled()
    assert page.one("#asked").text == "<img src=x onerror=alert(1)>"
    assert [entry for entry in page.complaints() if "400" not in entry] == []  # the label's


def test_the_first_page_is_small_and_all_of_it_is_ours(page: Page) -> None:
    page.browser.get_log("performance")
    page.browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    page.open()
    page.wait(PICTURES_ARE_THERE)
    page.browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": False})
    size, asked = 0, {}
    for entry in page.browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.responseReceived":
            asked[message["params"]["requestId"]] = message["params"]["response"]["url"]
        if message["method"] != "Network.loadingFinished":
            continue
        if "/images/" not in asked.get(message["params"]["requestId"], "/images/"):
            size += message["params"]["encodedDataLength"]
    assert all(address.startswith(page.address) for address in asked.values())
    assert 10_000 < size < 100_000


def test_a_browser_gives_the_token_in_a_form(browser: Any, state: State) -> None:
    with serving(state, token="a-long-and-secret-token") as client:
        page = Page(browser, client)
        page.open()
        page.one("#token").send_keys("wrong", "\n")
        page.wait("return document.body.innerText.includes('That was not the token')")
        page.shoot("sign-in")
        assert len([one for one in page.all("input") if one.is_displayed()]) == 1
        page.one("#token").send_keys("a-long-and-secret-token", "\n")
        page.wait("return document.getElementById('results') !== null")
        page.wait(PICTURES_ARE_THERE)
        assert [entry for entry in page.complaints() if "401" not in entry] == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_serious_fault_of_accessibility(page: Page, size: str, dark: bool) -> None:
    """By axe-core, on the start, the results with attention, the details, and the API's page; each is photographed."""
    if not AXE.exists():
        pytest.skip(f"axe-core is not in {AXE.parent} ('npm install --prefix build/axe axe-core' puts it there)")
    theme = "dark" if dark else "light"
    faults = []

    def check(name: str) -> None:
        if "planted" not in name:
            page.shoot(f"{size}-{theme}-{name}")
        assert page.js("return document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"
        # Selenium's own scripts are not the page's: its policy does not hold for them.
        page.js(AXE.read_text(encoding="utf-8") + ";window.axe = axe")
        found = page.browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        faults.extend(
            f"{name}: {fault['id']}: {fault['nodes'][0]['html'][:200]} {fault['nodes'][0]['failureSummary'][:300]}"
            for fault in found["violations"]
            if fault["impact"] in ("serious", "critical")
        )

    page.open(size=size, dark=dark)
    page.wait(PICTURES_ARE_THERE)
    check("1-start")
    page.search("a red star")
    page.wait(PICTURES_ARE_THERE)
    page.one("#looks button").click()
    page.wait("return document.querySelector('#looks .choices') !== null")
    check("2-results")
    page.js("document.querySelectorAll('#results .open')[1].click()")
    page.wait("return document.querySelector('#details .pattern') !== null")
    check("3-details")
    page.open("/docs", size=size, dark=dark)
    check("4-api")
    assert not faults, "\n".join(faults)
    page.js("document.querySelector('main').append(document.createElement('img'))")
    check("5-planted")
    assert len(faults) == 1 and "image-alt" in faults[0]  # the check would have found one
