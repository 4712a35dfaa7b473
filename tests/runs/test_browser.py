"""The report in a real browser."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.runs import report
from kfpkit.runs.run import Parameter, Run, State, Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.browser]

#: Contrast of every text with what lies behind it; the least, and the text. The ratio is WCAG 2's.
CONTRAST = """() => {
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const parse = text => {
    const p = (text.match(/[\\d.]+/g) || []).map(Number);
    return p.length < 3 ? [0, 0, 0, 0] : [p[0], p[1], p[2], p[3] ?? 1];
  };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3]));
  const behind = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const rect = e.tagName === 'g' && e !== element && e.querySelector(':scope > rect');
      if (rect) {
        const fill = parse(getComputedStyle(rect).fill);
        fill[3] *= Number(getComputedStyle(rect).fillOpacity);
        layers.push(fill);
      }
      layers.push(parse(getComputedStyle(e).backgroundColor));
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  let found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility() || /^(title|style)$/i.test(element.tagName)) continue;
    const style = getComputedStyle(element);
    const ink = parse(element instanceof SVGElement ? style.fill : style.color);
    const ground = behind(element);
    const [a, b] = [luminance(over(ink, ground)), luminance(ground)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    found.push([(a + 0.05) / (b + 0.05) / (large ? 3 : 4.5), element.textContent.trim()]);
  }
  return found;
}"""


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that fails the test on a message in the console or a request to anywhere else."""
    context = browser.new_context()
    found = context.new_page()
    trouble: list[str] = []
    found.on("console", lambda message: trouble.append(f"console: {message.text}"))
    found.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    found.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("file:", "data:", "about:"))
            else trouble.append(f"request: {request.url}")
        ),
    )
    yield found
    context.close()
    assert trouble == []


def open_report(page: Any, run: Run, folder: Path, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(report.write(run, folder).as_uri())


def overflow(page: Any) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(page: Any, run: Run, folder: Path, width: int) -> None:
    run.parameters.append(Parameter("p" * 90, "STRING", "v" * 300, "d" * 300, "w" * 300))
    run.pipeline = "p" * 128
    run.tasks.append(Task("t" * 120, "t", State.FAILED, error="e" * 500))
    open_report(page, run, folder, width, "light")
    assert overflow(page) <= 0


def test_many_tasks_scroll_inside_their_section(page: Any, run: Run, folder: Path) -> None:
    run.tasks = [
        Task("start", "t"),
        *[Task(f"t-{n}", "t", depends_on=["start"]) for n in range(60)],
    ]
    open_report(page, run, folder, 390, "light")
    assert overflow(page) <= 0
    assert page.evaluate("(e => e.scrollWidth > e.clientWidth)(document.querySelector('.scroll'))")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast_enough(page: Any, run: Run, folder: Path, scheme: str) -> None:
    open_report(page, run, folder, 1280, scheme)
    measured = page.evaluate(CONTRAST)
    assert len(measured) > 80
    assert [(round(ratio, 2), text) for ratio, text in measured if ratio < 1] == []


def test_the_dark_page_is_dark_and_the_light_one_light(page: Any, run: Run, folder: Path) -> None:
    brightness = {}
    for scheme in ("light", "dark"):
        open_report(page, run, folder, 1280, scheme)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness[scheme] = sum(int(part) for part in colour[4:-1].split(","))
    assert brightness["light"] > 600
    assert brightness["dark"] < 150


def test_one_graph_is_shown_that_fits_the_window(page: Any, run: Run, folder: Path) -> None:
    for width, shown in ((1280, "wide"), (390, "tall")):
        open_report(page, run, folder, width, "light")
        visible = [
            kind for kind in ("wide", "tall") if page.locator(f"svg.graph.{kind}").is_visible()
        ]
        assert visible == [shown]


@pytest.fixture
def site() -> Iterator[tuple[str, list[str]]]:
    """The address of a web server, and the paths it has been asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_an_embedded_page_shows_and_can_neither_run_nor_load_anything(
    browser: Any, site: tuple[str, list[str]], run: Run, folder: Path
) -> None:
    address, asked = site
    content = (
        "<h1>Inner page</h1><style>h1 { color: rgb(1, 2, 3) }</style>"
        "<script>document.body.innerHTML = 'changed'</script>"
        f"<img src='{address}/pixel.png'>"
    )
    (folder / "outputs/page").write_text(content)
    with browser.new_page() as page:
        # What the policy stops is told as a request too: only the server knows what left.
        with page.expect_console_message(lambda message: f"{address}/pixel.png" in message.text):
            page.goto(report.write(run, folder).as_uri())
        frame = page.frame_locator("iframe")
        assert frame.locator("h1").inner_text() == "Inner page"
        colour = frame.locator("h1").evaluate("e => getComputedStyle(e).color")
        assert colour == "rgb(1, 2, 3)"
        assert asked == []
        page.goto((folder / "outputs/page").rename(folder / "bare.html").as_uri())
        assert asked == ["/pixel.png"], "without the report around it the picture is fetched"


def test_the_pictures_are_described_for_a_screen_reader(page: Any, run: Run, folder: Path) -> None:
    open_report(page, run, folder, 1280, "light")
    names = page.locator("svg[role=img]:visible").evaluate_all(
        "all => all.map(e => e.getAttribute('aria-label'))"
    )
    assert any(name.startswith("Graph of 7 tasks") for name in names)
    assert any("True Adelie: 29 predicted Adelie, 1 predicted Chinstrap" in name for name in names)
    assert any("area under the curve 0.9375" in name for name in names)
