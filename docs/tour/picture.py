"""A screen of the sentinel as SVG: understands what the screens send, and no more."""

import re
import unicodedata
from html import escape

# Places, styles, erasing, modes; other sequences do not change what is seen.
SEQUENCE = re.compile(r"\x1b\[([?]?)([0-9;]*)([A-Za-z])|\x1b.|([\x00-\x1f])|(.)", re.S)
PLAIN = (None, None, False, False, False, False)
# Background, text; then the eight colours and their bright forms.
BACK, TEXT = "#1b1f27", "#c8ccd4"
COLOURS = ["#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
           "#6b7280", "#ff7b86", "#b5e890", "#ffd68a", "#82c4ff", "#de9cf2", "#7fdbe6", "#ffffff"]
CELL, LINE, SIZE = 8.4, 18, 14


class Screen:
    """What a terminal shows."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.erase()
        self.x = self.y = 0
        self.style, self.rest = PLAIN, ""

    def erase(self):
        self.cells = [[(" ", PLAIN)] * self.columns for _ in range(self.rows)]

    def write(self, text):
        text = self.rest + text
        begun = re.search(r"\x1b(\[[?0-9;]*)?$", text)
        self.rest = begun.group() if begun else ""
        for private, numbers, kind, control, char in SEQUENCE.findall(text[: len(text) - len(self.rest)]):
            numbers = [int(number or 0) for number in numbers.split(";")]
            if char:
                self.put(char)
            elif control == "\r":
                self.x = 0
            elif control == "\n":
                self.y = min(self.y + 1, self.rows - 1)
            elif kind == "H":
                row, column, *_ = [*numbers, 1, 1]
                self.y, self.x = max(row, 1) - 1, max(column, 1) - 1
            elif kind == "C":
                self.x += max(numbers[0], 1)
            elif kind == "m":
                self.set(numbers)
            elif kind == "J" or (private and kind in "hl" and numbers == [1049]):
                self.erase()

    def put(self, char):
        if self.x < self.columns and self.y < self.rows:
            self.cells[self.y][self.x] = (char, self.style)
        self.x += 2 if unicodedata.east_asian_width(char) in "WF" else 1

    def set(self, numbers):
        style = list(self.style)
        for number in numbers:
            if number == 0:
                style = list(PLAIN)
            elif number in (1, 2, 4, 7):
                style[2 + (1, 2, 4, 7).index(number)] = True
            for place, first in ((0, 30), (1, 40), (0, 90), (1, 100)):
                if first <= number < first + 8:
                    style[place] = number - first + (8 if first >= 90 else 0)
        self.style = tuple(style)

    def text(self):
        return "\n".join("".join(char for char, _ in row).rstrip() for row in self.cells)


def svg(screen, title):
    """The screen in a window with a title."""
    width, height = screen.columns * CELL + 24, screen.rows * LINE + 54
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
           f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'
           f'\'DejaVu Sans Mono\',monospace" font-size="{SIZE}">',
           f"<title>{escape(title)}</title>",
           f'<rect width="100%" height="100%" rx="8" fill="{BACK}"/>']
    for n, colour in enumerate(["#ff5f58", "#ffbd2e", "#18c132"]):
        out.append(f'<circle cx="{20 + 20 * n}" cy="18" r="6" fill="{colour}"/>')
    out.append(f'<text x="{width / 2:.0f}" y="22" text-anchor="middle" fill="#8b93a1">{escape(title)}</text>')
    for y, row in enumerate(screen.cells):
        x = 0
        while x < screen.columns:
            style, end = row[x][1], x
            while end < screen.columns and row[end][1] == style:
                end += 1
            out += piece(x, y, "".join(char for char, _ in row[x:end]), style)
            x = end
    return "\n".join([*out, "</svg>"]) + "\n"


def piece(x, y, text, style):
    front, back, bold, dim, underlined, reversed_ = style
    ink = COLOURS[front] if front is not None else TEXT
    paper = COLOURS[back] if back is not None else BACK
    if reversed_:
        ink, paper = paper, ink
    left, top, length = 12 + x * CELL, 36 + y * LINE, len(text) * CELL
    if paper != BACK:
        yield f'<rect x="{left:.1f}" y="{top}" width="{length:.1f}" height="{LINE}" fill="{paper}"/>'
    if text.strip():
        marks = ' font-weight="bold"' * bold + ' opacity="0.6"' * dim
        marks += ' text-decoration="underline"' * underlined
        shown = len(text) - len(text.lstrip())
        text = text.strip()
        yield (f'<text x="{left + shown * CELL:.1f}" y="{top + 14}" fill="{ink}"{marks} '
               f'textLength="{len(text) * CELL:.1f}" xml:space="preserve">{escape(text)}</text>')
