"""What holds of the page's files by reading them: one origin, nothing inline, nothing dangling."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "server" / "page"
FILES = sorted(path for path in PAGE.iterdir() if path.suffix in {".html", ".css", ".js", ".svg"})
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
WEIGHT_BYTES = 112 * 2**10
CONTRAST = 4.5  # WCAG 2.2 AA for text
LINKS = {"src", "href", "action", "formaction", "srcset", "poster", "data", "ping"}
POINTERS = {"for", "aria-labelledby", "aria-describedby", "aria-controls"}
VOID = {"meta", "link", "input", "img", "br"}


class Elements(HTMLParser):
    """Every element of a document as (tag, attributes); unclosed ones are left on `open`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"


INDEX = Elements((PAGE / "index.html").read_text())
IDS = [attributes["id"] for _, attributes in INDEX.found if "id" in attributes]


def code(path: Path) -> str:
    """A file without its comments, where addresses of sources belong."""
    text = re.sub(r"/\*.*?\*/|<!--.*?-->", "", path.read_text(), flags=re.DOTALL)
    return re.sub(r"(?m)(^|\s)//.*$", "", text) if path.suffix == ".js" else text


def test_the_page_is_light() -> None:
    assert sum(path.stat().st_size for path in FILES) < WEIGHT_BYTES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_names_no_other_origin(path: Path) -> None:
    """The only addresses are the SVG name space and the example that names this machine."""
    addresses = re.findall(r"(?:\w+:)?//[^\s'\"<>)]+", code(path))
    allowed = ("http://www.w3.org/2000/svg", "http://localhost:8000/")
    assert [each for each in addresses if not each.startswith(allowed)] == []
    assert not re.search(r"@import|\burl\((?!#)|\bimport\(", code(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_first_says_what_it_is(path: Path) -> None:
    opening = path.read_text()[:200]
    assert "//" in opening or "/*" in opening or "<!--" in opening
    if path.suffix in {".js", ".css", ".html"}:
        assert re.search(r"Knows? no |\bKnows no\b", opening)


def test_nothing_is_inline_so_that_the_content_policy_holds() -> None:
    for tag, attributes in INDEX.found:
        assert tag != "style"
        assert tag != "script" or "src" in attributes
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        for name in LINKS & attributes.keys():
            assert re.fullmatch(r"page/[\w.]+", attributes[name]), attributes[name]
            assert (PAGE / attributes[name].removeprefix("page/")).is_file()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_make_no_markup_and_no_code(path: Path) -> None:
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert not re.search(banned + r"|setAttribute\(\s*['\"](?:style|on)", code(path))
    for source in re.findall(r"(?m)^import .* from \"(.*)\";$", code(path)):
        assert source.startswith("./") and (PAGE / source).is_file()


def test_every_element_a_script_names_exists_once() -> None:
    assert len(IDS) == len(set(IDS))
    named = {
        name
        for path in SCRIPTS
        for name in re.findall(r"(?:\$|\bfind)\(\"([\w-]+)\"\)", code(path))
    }
    assert named and named <= set(IDS)


def test_the_document_is_closed_and_its_pointers_hit() -> None:
    assert INDEX.open == []
    for _, attributes in INDEX.found:
        for name in POINTERS & attributes.keys():
            assert set(attributes[name].split()) <= set(IDS), attributes[name]
        if "data-pick" in attributes:
            assert attributes["data-pick"] in IDS


def test_every_picture_says_what_it_is() -> None:
    assert ("html", {"lang": "en"}) in INDEX.found
    for tag, attributes in INDEX.found:
        assert tag != "img" or "alt" in attributes
        assert "frame" not in attributes.get("class", "").split() or (
            attributes["tabindex"] == "0" and attributes["aria-label"]
        )


def themes() -> dict[str, dict[str, str]]:
    light, dark = re.findall(r":root \{(.*?)\}", (PAGE / "style.css").read_text(), re.DOTALL)[:2]
    colours = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in (light, dark)]
    return {"light": colours[0], "dark": {**colours[0], **colours[1]}}


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb. WCAG 2.2, definition of relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "behind"),
    [
        *((text, behind) for text in ("ink", "soft", "accent") for behind in ("ground", "panel")),
        *((text, "bad-wash") for text in ("ink", "soft", "bad")),
        ("accent", "wash"),
        ("accent-ink", "accent"),
    ],
)
def test_text_can_be_read(theme: str, text: str, behind: str) -> None:
    colours = themes()[theme]
    darker, lighter = sorted((luminance(colours[text]), luminance(colours[behind])))
    assert (lighter + 0.05) / (darker + 0.05) >= CONTRAST
