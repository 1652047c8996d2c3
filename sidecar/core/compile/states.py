"""The kinds of entities whose states a configuration knows: a ``Machine`` for each file in ``states/``."""

from collections.abc import Iterable

from sidecar.core.document import Path
from sidecar.core.order import Machine
from sidecar.core.problems import meant
from sidecar.core.schema.read import Report, read
from sidecar.core.schema.states import StatesFile


class Kinds:
    """What all files together say of entities' states, kind by kind."""

    def __init__(self, reports: Iterable[Report]) -> None:
        self.machines: dict[str, Machine] = {}
        self.steps: dict[str, dict[str, list[str]]] = {}
        """Kind to state to the routes that set it; complete once every route was read."""
        self._reports: dict[str, Report] = {}
        files: dict[str, str] = {}
        for report in reports:
            machine = _machine(report)
            if machine is None:
                continue
            if machine.entity in files:
                report.value(("entity",), f"is taken by {files[machine.entity]}")
            else:
                files[machine.entity] = report.document.file
                self.machines[machine.entity] = machine
                self._reports[machine.entity] = report

    def steps_of(self, kind: str) -> dict[str, list[str]]:
        """State to the routes that set it."""
        return self.steps.setdefault(kind, {})

    def doubt(self) -> None:
        """Warn of states that no entity can come to be in."""
        for kind, machine in self.machines.items():
            for index, state in enumerate(machine.states):
                if state not in machine.reached:
                    message = f"no transition leads from '{machine.initial}' to '{state}': no {kind} comes to be in it"
                    self._reports[kind].about(("states", index), message, fatal=False)


def unknown_state(word: str, known: Iterable[str], kind: str) -> str:
    """The predicate of a name that is no state of its kind."""
    known = list(known)
    return f"is no state of '{kind}'{meant(word, known) or '; it has ' + ', '.join(known)}"


def _machine(report: Report) -> Machine | None:
    file = read(report, StatesFile)
    if file is None or report.problems:
        return None  # what is missing would only look unknown
    machine = Machine(file.entity, file.states, file.initial, file.transitions, file.retention)
    known = set(file.states)
    for index, state in enumerate(file.states):
        if state in file.states[:index]:
            report.value(("states", index), "is written twice")
    if report.document.has(("initial",)) and file.initial not in known:
        report.value(("initial",), unknown_state(file.initial, file.states, file.entity))
    for before, after in file.transitions.items():
        at: Path = ("transitions", before)
        if before not in known:
            message = f"transitions: '{before}' {unknown_state(before, file.states, file.entity)}"
            report.about(at, message, key=True)
        for index, state in enumerate(after):
            if state not in known:
                inner = (*at, index) if report.document.has((*at, index)) else at
                report.value(inner, unknown_state(state, file.states, file.entity))
    return machine
