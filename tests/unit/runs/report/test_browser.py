"""The report in a real browser."""

from __future__ import annotations

import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.kfp.run import Artifact, Parameter, Run, State, Task
from kfpkit.runs.report import page as report

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


def classification(rows: list[list[float]]) -> Artifact:
    labels = [{"displayName": f"label {n}"} for n in range(len(rows))]
    matrix = {"annotationSpecs": labels, "rows": [{"row": row} for row in rows]}
    metadata = {"confusionMatrix": matrix}
    return Artifact("matrix", "system.ClassificationMetrics", "", "", metadata)


def looped() -> Task:
    """A task with 50 rounds, of which one failed."""
    values = {"accuracy": 0.9855072463768116, "loss": 0.0777701800710152, "rows": 1234567}
    rounds = [
        Task(
            f"for-loop-1[{n}]/work",
            "work",
            State.FAILED if n == 7 else State.SUCCEEDED,
            inputs={"learning_rate": n / 7, "depth": n},
            outputs={"score": n / 3},
            artifacts=[Artifact("m", "system.Metrics", "", "", values)],
            error="ValueError: bad" if n == 7 else "",
        )
        for n in range(50)
    ]
    name = "for-loop-1/work"
    return Task(name, "work", State.FAILED, rounds=rounds, display_name="Train one of the models")


def overflow(page: Any) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(page: Any, run: Run, folder: Path, width: int) -> None:
    run.parameters.append(Parameter("p" * 90, "STRING", "v" * 300, "d" * 300, "w" * 300))
    run.pipeline = "p" * 128
    run.tasks.append(Task("t" * 120, "t", State.FAILED, error="e" * 500, display_name="d" * 300))
    run.tasks.append(looped())
    run.tasks[0].artifacts.append(classification([[1] * 60] * 60))
    run.tasks[0].outputs["o" * 90] = "v" * 150
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
    shades = [[float(n), 20.0 - n] for n in range(21)] + [[math.nan, math.inf]]
    for row, share in zip(shades[::2], shades[1::2], strict=True):
        run.tasks[2].artifacts.append(classification([row, share]))
    run.tasks.append(looped())
    open_report(page, run, folder, 1280, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    measured = page.evaluate(CONTRAST)
    assert len(measured) > 200
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


@pytest.mark.parametrize("width", [360, 390, 768, 1280, 1440])
def test_numbers_do_not_break_inside_their_tiles(
    page: Any, run: Run, folder: Path, width: int
) -> None:
    values = [0.0777701800710152, 69, 1234567.75, 9007199254740993, -1.2345678901234567e-300]
    metrics = {f"metric_{n}": value for n, value in enumerate([*values, 10**30, math.nan])}
    run.tasks[2].artifacts[0] = Artifact("m", "system.Metrics", "", "", metrics)
    open_report(page, run, folder, width, "light")
    lines = page.locator(".tiles dd").evaluate_all(
        """all => all.map(e => {
          const range = document.createRange();
          range.selectNodeContents(e);
          return [e.textContent, new Set([...range.getClientRects()].map(r => r.top)).size];
        })"""
    )
    assert len(lines) == 9
    assert [text for text, count in lines if count != 1] == []


@pytest.mark.parametrize("width", [390, 1440])
def test_a_name_is_whole_where_its_card_has_room(
    page: Any, run: Run, folder: Path, width: int
) -> None:
    run.tasks[0].name = run.tasks[1].depends_on[0] = "prepare-the-training-data"
    run.tasks = [*run.tasks[:2], looped()]
    open_report(page, run, folder, width, "light")
    labels = page.locator("svg.graph:visible .label .name")
    assert sorted(labels.all_inner_texts()) == [
        "Train one of the models",
        "prepare-the-training-data",
        "train",
    ]
    cut = labels.evaluate_all("all => all.filter(e => e.scrollHeight > e.clientHeight + 1).length")
    assert cut == 0
    states = page.locator("svg.graph:visible .label .state")
    assert "50 rounds, 1 failed" in states.all_inner_texts()
    right = "all => all.filter(e => e.scrollWidth > e.clientWidth).length"
    assert states.evaluate_all(right) == 0


FRAME = """() => {
  const frame = document.querySelector('iframe');
  const page = frame.contentDocument.documentElement;
  return [frame.clientHeight, page.scrollHeight, frame.contentWindow.innerHeight];
}"""


@pytest.mark.parametrize(
    ("content", "least", "most"),
    [
        pytest.param("<p>one line</p>", 20, 80, id="a line"),
        pytest.param("<p style='height:2000px'>x</p>", 2000, 2060, id="long"),
        pytest.param("<div style='height:100vh;min-height:90px'>x</div>", 90, 130, id="window"),
        pytest.param("<p style='height:90000px'>x</p>", 3000, 4000, id="too long"),
        pytest.param("<p style='width:5000px'>wide</p>", 20, 90, id="wide"),
    ],
)
def test_a_frame_is_as_high_as_its_page(
    page: Any, run: Run, folder: Path, content: str, least: int, most: int
) -> None:
    (folder / "outputs/page").write_text(content)
    open_report(page, run, folder, 1280, "light")
    height, inner, window = page.evaluate(FRAME)
    assert least <= height <= most
    # A page as high as its window is higher by its own margins.
    assert inner - window <= 16 or height > 3900, "all of it is in sight"


def test_a_frame_follows_what_is_unfolded_in_it_and_the_width(
    page: Any, run: Run, folder: Path
) -> None:
    content = "<details><summary>more</summary><p style='height:500px'>x</p></details>"
    (folder / "outputs/page").write_text(content + "word " * 400)
    open_report(page, run, folder, 1280, "light")
    before = page.evaluate(FRAME)[0]
    page.frame_locator("iframe").locator("summary").click()
    page.wait_for_function(
        "before => document.querySelector('iframe').clientHeight > before + 400", arg=before
    )
    wide = page.evaluate(FRAME)[0]
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_function("wide => document.querySelector('iframe').clientHeight > wide", arg=wide)


def test_a_page_that_has_dark_colours_is_dark_and_another_stays_readable(
    page: Any, run: Run, folder: Path
) -> None:
    ink = "getComputedStyle(document.querySelector('iframe').contentDocument.body).color"
    ground = "getComputedStyle(document.querySelector('iframe')).backgroundColor"
    for content, shown in (
        ("<p>plain</p>", ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]),
        (
            "<style>:root { color-scheme: light dark }</style><p>both</p>",
            ["rgb(255, 255, 255)", "rgba(0, 0, 0, 0)"],
        ),
    ):
        (folder / "outputs/page").write_text(content)
        open_report(page, run, folder, 1280, "dark")
        assert [page.evaluate(ink), page.evaluate(ground)] == shown


@pytest.mark.parametrize(
    "element",
    [
        pytest.param("<a id=it href='{}/self'>x</a>", id="link"),
        pytest.param("<a id=it target=_top href='{}/top'>x</a>", id="link to the top"),
        pytest.param("<a id=it target=_blank href='{}/blank'>x</a>", id="link to a window"),
        pytest.param("<a id=it target=_top href='javascript:document.title=1'>x</a>", id="script"),
        pytest.param(
            "<form target=_top action='{}/form'><button id=it>x</button></form>", id="form"
        ),
        pytest.param("<button id=it onclick='top.document.title=1'>x</button>", id="handler"),
        pytest.param(
            "<meta http-equiv=refresh content='0;url={}/refresh'><p id=it>x</p>", id="refresh"
        ),
    ],
)
def test_an_embedded_page_can_lead_nowhere(
    browser: Any, site: tuple[str, list[str]], run: Run, folder: Path, element: str
) -> None:
    address, asked = site
    (folder / "outputs/page").write_text(element.replace("{}", address))
    with browser.new_context() as context, context.new_page() as page:
        page.goto(report.write(run, folder).as_uri())
        before = page.url, page.title()
        page.frame_locator("iframe").locator("#it").click()
        page.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        assert (page.url, page.title()) == before
        assert len(context.pages) == 1
        assert asked == []
        assert page.frame_locator("iframe").locator("#it").is_visible()


def test_a_link_within_an_embedded_page_works(page: Any, run: Run, folder: Path) -> None:
    (folder / "outputs/page").write_text(
        "<a href='#end'>to the end</a><p style='height:3000px'>x</p><p id=end>the end</p>"
    )
    open_report(page, run, folder, 1280, "light")
    page.frame_locator("iframe").locator("a").click()
    page.wait_for_function("scrollY > 2000")


def test_the_contents_stand_beside_a_wide_page_and_above_a_narrow_one(
    page: Any, run: Run, folder: Path
) -> None:
    for width in (390, 1440):
        open_report(page, run, folder, width, "light")
        page.evaluate("scrollTo(0, 1500)")
        nav, main = (page.locator(name).bounding_box() for name in ("nav", "main"))
        if width == 390:
            assert nav["y"] + nav["height"] <= main["y"]
        else:
            assert nav["x"] + nav["width"] <= main["x"]
            assert nav["y"] >= 0, "it stays in sight"


def test_on_paper_it_is_light_and_all_of_a_list_is_there(page: Any, run: Run, folder: Path) -> None:
    run.tasks.append(looped())
    open_report(page, run, folder, 1280, "dark")
    page.emulate_media(media="print", color_scheme="dark")
    ratios = page.evaluate(CONTRAST)
    assert [(round(ratio, 2), text) for ratio, text in ratios if ratio < 1] == []
    hidden = "all => all.filter(e => e.scrollHeight > e.clientHeight + 1).length"
    assert page.locator(".bounded:visible").evaluate_all(hidden) == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
