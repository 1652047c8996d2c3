"""Turns what the tools and the sidecars say into words for the screen; what is ordinary stays unsaid."""

from dataclasses import dataclass

from sidecar.demo.child import News

WORTH_TELLING_MS = 50
"""Shorter waits are the ordinary cost of a call on a busy machine."""


@dataclass(frozen=True, slots=True)
class Note:
    """One line of a scene.  Notes with the same key are one line with a count, worded by the latest."""

    key: str
    word: str
    text: str
    good: bool | None = None
    """None where it is neither: a fact."""


class Narrator:
    """Remembers who held what, which the sidecars' lines tell only one by one."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}
        self._longest_ms: dict[str, int] = {}

    def hear(self, news: News) -> Note | None:
        """The note that this line is worth, if any."""
        if news.get("event") == "finding":
            word = str(news["kind"]).replace("-", " ")
            return Note(word, word, news["text"], good=False)
        return self._decision(news) if "verdict" in news else None

    def _decision(self, line: News) -> Note | None:
        held_by = next((self._holders[lock] for lock in line.get("locks", ()) if lock in self._holders), None)
        match line["verdict"]:
            case "executed":
                self._holders |= dict.fromkeys(line.get("locks", ()), line["run"])
                return self._waited(line, held_by) if line.get("wait_ms", 0) >= WORTH_TELLING_MS else None
            case "joined":
                return note(line, "joined", f"{line['run']} shared the {line['route']} under way")
            case "replayed":
                return note(line, "replayed", f"{line['run']} got the stored answer of {line['route']}")
            case "refused":
                return self._refused(line)
        return None

    def _waited(self, line: News, held_by: str | None) -> Note:
        if held_by and held_by != line["run"]:
            return note(
                line,
                "waited",
                f"{line['run']} {seconds(line['wait_ms'])} for {noun(line)} that {held_by} held",
            )
        run = line["run"]
        longest = self._longest_ms[run] = max(self._longest_ms.get(run, 0), line["wait_ms"])
        return Note(
            f"slot {run}", "waited", f"{run} up to {seconds(longest)} for a slot of its own share", good=True
        )

    def _refused(self, line: News) -> Note:
        match line["code"]:
            case "upstream-failed":
                return note(
                    line, "unknown", f"{line['run']}: {line['route']} was sent, its answer lost", good=None
                )
            case "outcome-unknown":
                return note(line, "refused", f"{line['run']}: {line['route']} may be done; ask a person")
            case code:
                return note(line, "refused", f"{line['run']}: {line['route']}, {code}", good=None)


def note(line: News, word: str, text: str, good: bool | None = True) -> Note:
    return Note(f"{word} {line['route']} {line.get('code')}", word, text, good)


def noun(line: News) -> str:
    return f"the {line['route'].partition('.')[0]}"


def seconds(ms: float) -> str:
    return f"{ms / 1000:.2f} s"
