"""The dashboard's pages in Chromium, over a node that trades on a practice exchange."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.live_nodes.by_hand import BUY, SELL
from tests.live_nodes.dashboard.served import PASSWORD, serving
from tests.live_nodes.documents import BTC, guard, node_file
from tests.live_nodes.killing import venue_urls
from tests.live_nodes.stage import Desk, desk_node, stage
from tests.waiting import DEADLINE, slack

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}")

PAGES = {
    "desk": "scene.practice",
    "compare": "Realised today",
    "strategy/scene.practice/hand": "Decisions",
    "positions": "Heatmap",
    "book": "nothing is recorded yet",
    "trades": "Fills",
    "risk": "History",
    "config": "strategies.hand.use",
    "studies": "Results",
    "logs": "Newest first",
}
"""Each page, and words that stand on it once it is read."""
PHONE = {"width": 360, "height": 740}
RULES: dict[str, Any] = {
    "light": {"resultTypes": ["violations"]},
    "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast"]},
}
"""All of axe's rules; in another theme only the colours are others."""


class Scene:
    """A node, its dashboard in a process of its own, and a browser that is logged in."""

    def __init__(self, desk: Desk, url: str, browser: Browser, totp: str) -> None:
        self.desk, self.url, self.browser, self.totp = desk, url, browser, totp
        self.wrong: list[str] = []
        self.page = self.do(self.opened())

    def do[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Let the browser do something while the node runs."""
        return self.desk.loop.run_until_complete(work)

    async def opened(self, **how: Any) -> Page:
        """Return a new page; what goes wrong on it, or leaves for another host, is kept."""
        context = await self.browser.new_context(**how)
        page = await context.new_page()
        page.set_default_timeout(DEADLINE * 1000)
        page.on("pageerror", lambda error: self.wrong.append(f"{error}"))
        page.on("request", self._watch)
        page.on("console", lambda message: self._read(message.text))
        await page.goto(self.url)
        return page

    def _read(self, text: str) -> None:
        # What the server refuses, the pages say themselves.
        if "the server responded with a status of" not in text:
            self.wrong.append(text)

    def _watch(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.wrong.append(request.url)

    async def show(self, name: str, page: Page | None = None) -> Page:
        """Go to a page as a link does, and wait until it is read."""
        page = page or self.page
        await page.evaluate(f"location.hash = '#/{name}'")
        words = PAGES[name.partition("?")[0]]
        await expect(page.locator("main")).to_contain_text(words, timeout=DEADLINE * 1000)
        return page


async def log_in(page: Page, totp: str) -> None:
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_label("Code of your authenticator app").fill(pyotp.TOTP(totp).now())
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("heading", name="Desk", exact=True).wait_for()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("desk")
    with stage() as at:
        settings: dict[str, Any] = {
            "actors": {"cap": guard("position_cap:PositionCap", limit_pct=0.5)},
            "risk": {"exit_grace": 0.5, "deadline": 10.0},
            "venue_urls": venue_urls(at.where),
            "state": str(folder),
        }
        hand = {"hand": {"use": "tests.live_nodes.by_hand:ByHand"}}
        file = node_file(
            folder, name="scene", universe={"instruments": [BTC]}, strategies=hand, **settings
        )
        with (
            serving(folder, file) as (url, totp),
            desk_node(at, folder=folder / "scene" / "practice", **settings) as desk,
        ):
            yield from browsed(desk, url, totp)


def browsed(desk: Desk, url: str, totp: str) -> Iterator[Scene]:
    desk.filled(BUY, "0.020")
    desk.filled(SELL, "0.010")

    def run[T](work: Coroutine[Any, Any, T]) -> T:
        return desk.loop.run_until_complete(work)

    driver = run(async_playwright().start())
    options = {"executable_path": str(CHROMIUM), "args": ["--no-sandbox"]}
    browser = run(driver.chromium.launch(**options))
    try:
        made = Scene(desk, url, browser, totp)
        run(log_in(made.page, totp))
        yield made
    finally:
        run(browser.close())
        run(driver.stop())


@pytest.fixture(autouse=True)
def nothing_wrong(scene: Scene) -> Iterator[None]:
    """No error in the console, nothing that the policy blocked, no request to another host."""
    yield
    assert scene.wrong == []


def test_a_wrong_code_lets_nobody_in(scene: Scene) -> None:
    async def try_it() -> str:
        page = await scene.opened()
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_label("Code of your authenticator app").fill("000000")
        await page.get_by_role("button", name="Log in").click()
        said = await page.get_by_role("alert").filter(has_text="wrong").inner_text()
        assert await page.get_by_role("heading", name="Desk", exact=True).count() == 0
        assert (await Axe().run(page)).response["violations"] == []
        await page.context.close()
        return said

    assert "password or code are wrong" in scene.do(try_it())


def test_a_fill_is_shown_within_a_second(scene: Scene) -> None:
    page = scene.do(scene.show("trades"))
    rows = page.locator("main tbody tr")
    before = scene.do(rows.count())
    field = page.get_by_label("Instrument")
    scene.do(field.press_sequentially("BTC"))
    scene.desk.filled(BUY, "0.013")
    began = time.monotonic()
    scene.do(expect(rows).to_have_count(before + 1, timeout=DEADLINE * 1000))
    assert time.monotonic() - began < slack(1.0)
    newest = scene.do(rows.first.inner_text())
    assert "0.013" in newest
    assert "buy" in newest
    # Who types goes on typing, and who listens hears it.
    scene.do(expect(field).to_be_focused())
    scene.do(expect(field).to_have_value("BTC"))
    scene.do(expect(page.get_by_role("status").first).to_contain_text("Fill of hand: BUY 0.013"))


def test_filters_narrow_the_trades_and_the_csv(scene: Scene) -> None:
    async def narrow() -> tuple[list[str], str]:
        page = await scene.show("trades")
        await page.get_by_label("Instrument").fill("btcusdt")
        await page.get_by_label("Side").select_option("SELL")
        await page.wait_for_url("**side=SELL**")
        await expect(page.locator("main tbody tr")).to_have_count(1, timeout=DEADLINE * 1000)
        cells = await page.locator("main tbody td").all_inner_texts()
        async with page.expect_download() as started:
            await page.get_by_role("link", name="Download CSV").click()
        return cells, (await (await started.value).path()).read_text()

    cells, csv = scene.do(narrow())
    assert "▼ sell" in cells
    assert "0.01" in cells
    head, *lines = csv.splitlines()
    assert [dict(zip(head.split(","), line.split(","), strict=True))["side"] for line in lines] == [
        "SELL"
    ]


def test_a_column_sorts_and_says_so(scene: Scene) -> None:
    async def sort() -> list[list[str]]:
        page = await scene.show("trades")
        found = []
        for way in ("descending", "ascending"):
            await page.get_by_role("button", name="Quantity").click()
            head = page.get_by_role("columnheader", name="Quantity")
            await expect(head).to_have_attribute("aria-sort", way)
            found.append(await page.locator("main tbody td:nth-child(6)").all_inner_texts())
        return found

    down, up = scene.do(sort())
    assert down == up[::-1] == sorted(down, reverse=True)
    assert len(set(down)) > 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_a_phone(scene: Scene, theme: Any) -> None:
    async def look() -> list[str]:
        found = []
        await scene.page.emulate_media(color_scheme=theme)
        await scene.page.set_viewport_size(PHONE)
        await scene.page.evaluate(Axe().axe_script)
        for name in PAGES:
            page = await scene.show(name)
            assert await page.evaluate("document.documentElement.dataset.theme") == theme
            if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found.append(f"{name} is wider than a phone")
            wrong = await page.evaluate("options => axe.run(options)", RULES[theme])
            found += [f"{name}: {x['id']}: {x['nodes'][0]['html']}" for x in wrong["violations"]]
        return found

    assert scene.do(look()) == []


def test_a_recorded_minute_plays_from_its_start_to_its_end(scene: Scene) -> None:
    start = 1_790_000_000_000
    levels: dict[str, Any] = {"bids": [["99.9", "1.5"], ["99.8", "2"]], "asks": [["100.1", "4"]]}
    minute = {
        **{"available": True, "instrument": BTC, "instruments": [BTC], "kind": "book"},
        **{"from": start, "to": start + 1000, "trades": [], "fills": []},
        "frames": [{"ts": start + 500 * i, **levels} for i in range(3)],
    }

    async def play() -> tuple[list[str], str | None]:
        page = scene.page
        await page.route("**/book?**", lambda route: route.fulfill(json=minute))
        await page.evaluate("location.hash = '#/book/scene.practice?seconds=60'")
        slider = page.get_by_role("slider")
        await expect(slider).to_have_value("2")
        await page.get_by_role("button", name="Play").click()
        await expect(slider).to_have_value("0")
        await expect(slider).to_have_value("2")
        await expect(page.get_by_role("button", name="Play")).to_be_visible()
        assert (await Axe().run(page)).response["violations"] == []
        bids = await page.get_by_role("region", name="Bids").locator("tbody").inner_text()
        depth = page.get_by_role("img", name="Depth of the book")
        return bids.split(), await depth.get_attribute("aria-label")

    bids, depth = scene.do(play())
    assert bids == ["99.9", "1.5", "99.8", "2"]
    assert "Bids, cumulated from 3.50 to 1.50" in str(depth)
    assert "99.8 to 100.1" in str(depth)


def test_keys_lead_to_pages_and_their_titles(scene: Scene) -> None:
    async def press() -> tuple[str, str]:
        page = await scene.show("desk")
        await page.keyboard.press("g")
        await page.keyboard.press("l")
        await page.get_by_role("heading", name="Logs of scene.practice").wait_for()
        await expect(page.locator("h1")).to_be_focused()
        await page.keyboard.press("/")
        field = await page.evaluate("document.activeElement.name")
        await page.locator("h1").focus()
        await page.keyboard.press("?")
        await page.get_by_role("dialog").get_by_text("g, then a letter").wait_for()
        await page.keyboard.press("Escape")
        await page.evaluate("document.activeElement.blur()")
        await page.locator(".skip").focus()
        await page.keyboard.press("Enter")
        return field, await page.evaluate("document.activeElement.id")

    assert scene.do(press()) == ("source", "main")


def test_a_page_is_never_drawn_from_what_another_read(scene: Scene) -> None:
    """The browser says that the address changed a moment after it did."""

    async def hurry() -> None:
        page = await scene.show("desk")
        await page.evaluate("""() => {
            location.hash = "#/positions";
            document.querySelector("[title='Shortcut: t']").click();
        }""")
        await page.get_by_role("heading", name="Positions").first.wait_for()

    scene.do(hurry())


def test_what_a_journal_says_never_becomes_markup(scene: Scene) -> None:
    scene.desk.journal.note("test", "<img src=x onerror=alert(1)> of a bad day")

    async def read() -> int:
        page = await scene.show("logs")
        await page.get_by_label("Source").select_option("notes")
        await page.get_by_text("<img src=x onerror=alert(1)> of a bad day").wait_for()
        return await page.locator("main img").count()

    assert scene.do(read()) == 0


def test_a_page_that_can_not_be_read_anew_says_so_and_keeps_its_figures(scene: Scene) -> None:
    async def cut() -> None:
        page = await scene.show("desk")
        await page.route(
            "**/api/desk",
            lambda route: route.fulfill(status=503, json={"error": "the journal is away"}),
        )
        await page.evaluate("dispatchEvent(new Event('hashchange'))")
        said = page.get_by_role("alert").filter(has_text="the journal is away")
        await expect(said).to_contain_text("The figures below are those of")
        await expect(page.locator("main")).to_contain_text("scene.practice")
        await page.unroute("**/api/desk")
        await page.evaluate("dispatchEvent(new Event('hashchange'))")
        await expect(said).to_have_count(0)

    scene.do(cut())


@pytest.mark.parametrize(
    ("exact", "places", "shown"),
    [
        ("1234567.005", 2, "1,234,567.01"),
        ("-0.004", 2, "0.00"),
        ("-999.995", 2, "−1,000.00"),
        # As floats these would be 90071992547409.94 and 0.3.
        ("90071992547409.935", 2, "90,071,992,547,409.94"),
        ("12345678901234567890.12", 2, "12,345,678,901,234,567,890.12"),
        ("0.1", 8, "0.10000000"),
    ],
)
def test_money_is_rounded_without_floats(scene: Scene, exact: str, places: int, shown: str) -> None:
    code = "async ([x, n]) => (await import('/static/dom.js')).rounded(x, n)"
    assert scene.do(scene.page.evaluate(code, [exact, places])) == shown


def test_an_average_price_has_no_zeros_that_a_division_left(scene: Scene) -> None:
    code = "async (x) => (await import('/static/pages/common.js')).average(x)"
    shown = [scene.do(scene.page.evaluate(code, x)) for x in ("253.03999999999996", "100", "1.50")]
    assert shown == ["253.04", "100", "1.5"]


def test_flatten_closes_all_and_release_lets_in_again(scene: Scene) -> None:
    at, desk = scene.desk.stage, scene.desk

    async def flatten() -> None:
        page = await scene.show("risk")
        await page.get_by_role("button", name="Flatten").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Reason").fill("enough for today")
        await dialog.get_by_role("button", name="Flatten now").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("Give your password")
        assert (await Axe().run(page)).response["violations"] == []
        await dialog.get_by_label("Password", exact=True).fill("a wrong horse battery")
        await dialog.get_by_role("button", name="Flatten now").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("wrong")
        assert at.position() != 0
        await dialog.get_by_label("Password", exact=True).fill(PASSWORD)
        await dialog.get_by_role("button", name="Flatten now").click()
        done = dialog.get_by_role("status")
        await expect(done).to_contain_text("flat", timeout=DEADLINE * 1000)
        await dialog.get_by_role("button", name="Close").click(timeout=DEADLINE * 1000)
        stands = page.get_by_role("listitem").filter(has_text="enough for today")
        await expect(stands.first).to_contain_text("operator", timeout=DEADLINE * 1000)

    assert at.position() != 0
    scene.do(flatten())
    assert at.position() == 0
    assert "enough for today" in desk.denied()

    async def release() -> None:
        page = await scene.show("risk")
        await page.get_by_role("button", name="Release").first.click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Reason").fill("rested")
        await dialog.get_by_label("Password", exact=True).fill(PASSWORD)
        await dialog.get_by_role("button", name="Release").click()
        await expect(dialog.get_by_role("status")).to_contain_text("released on desk (rested")
        await dialog.get_by_role("button", name="Close").click()
        await expect(page.locator("main")).to_contain_text("No verdict stands")

    scene.do(release())
    desk.filled(BUY)
