"""The routes of one tool for one method, found by look-up and not by trial.

Routes whose literal segments stand at the same places (a *shape*) share one dictionary.  Ten routes or a thousand, a
path costs one look-up for each such shape, and nearly always one shape takes it.
"""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, Self

from sidecar.core.pattern import PathPattern
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

    least: int
    """Segments a path must have."""
    key: Any
    """From segments to the literals among them."""
    routes: dict[Any, list[tuple[int, Route]]]
    candidates: dict[Any, Candidates]
    """The same, ready for the path that no other shape takes."""


class Index:
    """The routes for one method, by the shape of their paths."""

    __slots__ = ("_default", "_exact", "_nowhere", "_tails")

    def __init__(self, routes: Sequence[Route], method: str, default: Route) -> None:
        self._default = default
        self._nowhere = Candidates.of((), default)
        self._exact: dict[int, list[_Shape]] = {}
        self._tails: list[_Shape] = []
        shapes: dict[tuple[object, ...], _Shape] = {}
        for order, route in enumerate(routes):
            if not route.methods or method in route.methods:
                self._add(shapes, order, route)
        for shape in shapes.values():
            for key, found in shape.routes.items():
                shape.candidates[key] = self._in_order(found)

    def _add(self, shapes: dict[tuple[object, ...], _Shape], order: int, route: Route) -> None:
        path = route.path
        places = tuple(place for place, _ in path.literals)
        form = (path.length, path.tail is None, places)
        shape = shapes.get(form)
        if shape is None:
            shape = shapes[form] = _Shape(path.length, itemgetter(*places) if places else _nothing, {}, {})
            self._home(path).append(shape)
        spelled = [""] * path.length
        for place, literal in path.literals:
            spelled[place] = literal
        shape.routes.setdefault(shape.key(spelled), []).append((order, route))

    def _home(self, path: PathPattern) -> list[_Shape]:
        return self._tails if path.tail is not None else self._exact.setdefault(path.length, [])

    def find(self, segments: list[str]) -> Candidates:
        """The routes that take a path, the default included."""
        length = len(segments)
        only: Candidates | None = None
        hits: list[tuple[int, Route]] = []
        for shapes in (self._exact.get(length, ()), self._tails):
            for shape in shapes:
                if length >= shape.least and (key := shape.key(segments)) in shape.routes:
                    hits += shape.routes[key]
                    only = None if len(hits) > len(shape.routes[key]) else shape.candidates[key]
        if only is not None:
            return only
        return self._in_order(hits) if hits else self._nowhere

    def _in_order(self, found: list[tuple[int, Route]]) -> Candidates:
        return Candidates.of((route for _, route in sorted(found, key=itemgetter(0))), self._default)


def _nothing(_segments: list[str]) -> tuple[()]:
    return ()
