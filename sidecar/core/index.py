"""The routes of one tool for one method, found by look-up and not by trial.

Routes whose literal segments stand at the same places (a *shape*) share one dictionary.  Ten routes or a thousand, a
path costs one look-up for each such shape, and nearly always one shape takes it.
"""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, Self

from sidecar.core.route import Route


class Candidates(NamedTuple):
    """Routes that take a path, in file order; only the last has no condition."""

    routes: tuple[Route, ...]
    reads_body: bool
    body_limit: int

    @classmethod
    def of(cls, found: Iterable[Route], default: Route) -> Self:
        """``found``, up to the first that asks no more; ``default`` where there is none such."""
        routes: list[Route] = []
        for route in (*found, default):
            routes.append(route)
            if route.when is None:
                break
        reads_body = any(route.reads_body for route in routes)
        return cls(tuple(routes), reads_body, max(route.body_limit for route in routes))


class _Shape(NamedTuple):
    """Routes whose literal segments stand at the same places."""

    length: int
    """Segments a path must have."""
    tail: bool
    """It may have more."""
    key: Any
    """From segments to the literals among them."""
    routes: dict[Any, list[tuple[int, Route]]]
    candidates: dict[Any, Candidates]
    """The same, ready for the path that no other shape takes."""

    def takes(self, length: int) -> bool:
        return length == self.length or (self.tail and length > self.length)


class Index:
    """The routes for one method, by the shape of their paths."""

    __slots__ = ("_default", "_exact", "_longer", "_nowhere")

    def __init__(self, routes: Sequence[Route], method: str, default: Route) -> None:
        self._default = default
        self._nowhere = Candidates.of((), default)
        shapes: dict[tuple[object, ...], _Shape] = {}
        for order, route in enumerate(routes):
            if not route.methods or method in route.methods:
                _add(shapes, order, route)
        for shape in shapes.values():
            for key, found in shape.routes.items():
                shape.candidates[key] = self._in_order(found)
        longest = max((shape.length for shape in shapes.values()), default=0)
        self._exact = [tuple(s for s in shapes.values() if s.takes(length)) for length in range(longest + 1)]
        """By number of segments: the shapes that take so many."""
        self._longer = tuple(shape for shape in shapes.values() if shape.tail)

    def find(self, segments: list[str]) -> Candidates:
        """The routes that take a path, the default included."""
        length = len(segments)
        shapes = self._exact[length] if length < len(self._exact) else self._longer
        only: Candidates | None = None
        for shape in shapes:
            candidates = shape.candidates.get(shape.key(segments))
            if candidates is not None:
                if only is not None:
                    return self._merged(shapes, segments)
                only = candidates
        return self._nowhere if only is None else only

    def _merged(self, shapes: Sequence[_Shape], segments: list[str]) -> Candidates:
        found: list[tuple[int, Route]] = []
        for shape in shapes:
            found += shape.routes.get(shape.key(segments), ())
        return self._in_order(found)

    def _in_order(self, found: list[tuple[int, Route]]) -> Candidates:
        return Candidates.of((route for _, route in sorted(found, key=itemgetter(0))), self._default)


def _add(shapes: dict[tuple[object, ...], _Shape], order: int, route: Route) -> None:
    path = route.path
    places = tuple(place for place, _ in path.literals)
    tail = path.tail is not None
    form = (path.length, tail, places)
    shape = shapes.get(form)
    if shape is None:
        shape = shapes[form] = _Shape(path.length, tail, itemgetter(*places) if places else _nothing, {}, {})
    spelled = [""] * path.length
    for place, literal in path.literals:
        spelled[place] = literal
    shape.routes.setdefault(shape.key(spelled), []).append((order, route))


def _nothing(_segments: list[str]) -> tuple[()]:
    return ()
