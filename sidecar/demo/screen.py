"""What a person sees: two halves, five scenes in each, and one table.

Fits in 80 columns.  On a terminal a scene's lines count up while it plays; into a pipe each scene is printed
once, when it is over.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sidecar.demo.counts import ROWS, Counts
from sidecar.demo.narrator import Note

WIDTH = 80
OPENING = (
    "Agents trip over each other in five ways, at three sample tools that keep",
    "count. Played twice from the same seed; nothing but HTTP_PROXY differs.",
)
COLOURS = {True: "bold red", False: "bold green", None: ""}
MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "cyan")}


class Screen:
    """Prints to ``console``; one that is quiet shows nothing."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._notes: dict[str, tuple[int, Note]] = {}
        self._live: Live | None = None
        self._title = Text()

    def opening(self) -> None:
        self._line()
        self.console.print(Text(" agent sidecar demo", "bold"))
        for line in OPENING:
            self.console.print(Text(f" {line}", "dim"))
        self._line()

    def half(self, number: int, title: str) -> None:
        rule = Rule(Text.assemble(f"{number} of 2  ", (title, "bold")), align="left", style="dim")
        self.console.print(rule, width=min(WIDTH, self.console.width))

    @contextmanager
    def scene(self, number: int, title: str) -> Iterator[None]:
        """Everything noted inside belongs to this scene."""
        self._notes.clear()
        self._title = Text(f"{number} {title}", "bold")
        if not self.console.is_terminal:
            yield
            self.console.print(self._block(playing=False))
            self._line()
            return
        with Live(self._block(playing=True), console=self.console, refresh_per_second=12) as self._live:
            yield
            self._live.update(self._block(playing=False))
        self._live = None
        self._line()

    def note(self, note: Note) -> None:
        """Show ``note``, or count it where its like is shown already."""
        count, _ = self._notes.get(note.key, (0, note))
        self._notes[note.key] = (count + 1, note)
        if self._live:
            self._live.update(self._block(playing=True))

    def table(self, without: Counts, gated: Counts) -> None:
        """The one table: the same rows for both halves."""
        table = Table(
            box=SIMPLE_HEAD, padding=(0, 1), header_style="bold", width=min(WIDTH, self.console.width)
        )
        table.add_column("Counted at the tools")
        table.add_column("without", justify="right")
        table.add_column("with sidecars", justify="right")
        for row in ROWS:
            table.add_row(row.title, *(Text(row.show(it), COLOURS[row.bad(it)]) for it in (without, gated)))
        self.console.print(table)

    def _line(self) -> None:
        self.console.print()

    def _block(self, playing: bool) -> RenderableType:
        title = Spinner("dots", self._title) if playing else Text.assemble(" ", self._title)
        return Group(title, *(note_line(count, note) for count, note in self._notes.values()))


def note_line(count: int, note: Note) -> Text:
    mark, style = MARKS[note.good]
    times = f"{count} x" if count > 1 else ""
    line = Text.assemble("    ", (mark, style), f" {times:>5} ", (f"{note.word:<17}", style), note.text)
    line.truncate(WIDTH - 1, overflow="ellipsis")
    return line
