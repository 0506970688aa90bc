"""What a Markdown file contains that can become wrong: code blocks, code spans, links and headings."""

import re
from dataclasses import dataclass, field

FENCE = re.compile(r"^(?P<indent> *)(?P<mark>```+|~~~+)\s*(?P<language>[\w-]*)")
RUN_MARK = re.compile(r"^\s*<!-- run: (?P<name>[\w-]+) -->\s*$")
# A span may continue on the next line, but not over a blank one.
SPAN = re.compile(r"(?<!`)(`+)(?!`)((?:.|\n(?!\s*\n))+?)(?<!`)\1(?!`)")
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6}\s+(?P<title>.+?)\s*#*$")
HTML_ANCHOR = re.compile(r"<a\s+(?:id|name)=\"(?P<id>[^\"]+)\"")


@dataclass
class Block:
    """A code block. `language` is empty for an indented one; `run` is the name in a `<!-- run: NAME -->` above it."""

    line: int
    language: str
    text: str
    run: str | None = None


@dataclass
class Document:
    """The parts of a file, each with its line number, counted from 1."""

    blocks: list[Block] = field(default_factory=list)
    spans: list[tuple[int, str]] = field(default_factory=list)
    links: list[tuple[int, str]] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)


def parse(text: str) -> Document:
    """Reads the subset of Markdown that this repository uses."""
    document = Document()
    prose = _take_blocks(text.split("\n"), document)
    for number, line in enumerate(prose, 1):
        if heading := HEADING.match(line):
            document.anchors.add(_slug(heading["title"], document.anchors))
        document.anchors.update(match["id"] for match in HTML_ANCHOR.finditer(line))
    joined = "\n".join(prose)
    line_of = lambda offset: joined.count("\n", 0, offset) + 1
    for match in SPAN.finditer(joined):
        text = " ".join(match[2].replace("\\|", "|").split())
        document.spans.append((line_of(match.start()), text))
    for match in LINK.finditer(SPAN.sub(lambda span: re.sub(r"[^\n]", " ", span[0]), joined)):
        document.links.append((line_of(match.start()), match["target"]))
    return document


def _take_blocks(lines: list[str], document: Document) -> list[str]:
    """Moves the code blocks into the document and leaves blank lines in their place."""
    prose, number = list(lines), 0
    while number < len(lines):
        start, line = number, lines[number]
        number += 1
        after_blank = start == 0 or not lines[start - 1].strip()
        if fence := FENCE.match(line):
            indent, mark = len(fence["indent"]), fence["mark"]
            content = []
            while number < len(lines) and not lines[number].strip().startswith(mark):
                content.append(lines[number][indent:])
                number += 1
            number += 1
            run = RUN_MARK.match(lines[start - 1]) if start else None
            document.blocks.append(
                Block(start + 2, fence["language"], "\n".join(content), run["name"] if run else None)
            )
        elif after_blank and line.startswith("    "):
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number].strip()):
                number += 1
            content = [line[4:] for line in lines[start:number]]
            document.blocks.append(Block(start + 1, "", "\n".join(content)))
        else:
            continue
        prose[start:number] = [""] * (min(number, len(lines)) - start)
    return prose


def _slug(title: str, taken: set[str]) -> str:
    """The anchor that GitHub gives to a heading."""
    title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
    slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    number, unique = 0, slug
    while unique in taken:
        number += 1
        unique = f"{slug}-{number}"
    return unique
