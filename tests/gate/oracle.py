"""What a fair share is: weighted max-min over several resources, by progressive filling.

Every flow's rate is raised together, each in proportion to its weight, until it has what it asks for or one of the
resources that it needs is full; the others go on.  So nobody can get more except from somebody who has no more, for
his weight, than he has (Bertsekas and Gallager, Data Networks, section 6.5.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Demand:
    """What a flow needs one unit of, for each unit of its rate."""

    resources: tuple[str, ...]
    weight: float = 1
    most: float = inf


def shares(capacity: Mapping[str, float], demands: Mapping[str, Demand]) -> dict[str, float]:
    """The rate of each flow."""
    rates = dict.fromkeys(demands, 0.0)
    left = dict(capacity)
    rising = {name for name, demand in demands.items() if demand.most > 0}
    while rising:
        step = min(_headroom(left, demands, rising), _appetite(rates, demands, rising))
        for name in rising:
            rates[name] += step * demands[name].weight
            for resource in demands[name].resources:
                left[resource] -= step * demands[name].weight
        rising -= {name for name in rising if _sated(rates[name], demands[name], left)}
    return rates


def _headroom(left: Mapping[str, float], demands: Mapping[str, Demand], rising: set[str]) -> float:
    """How far all may rise before the first resource is full."""
    pull = dict.fromkeys(left, 0.0)
    for name in rising:
        for resource in demands[name].resources:
            pull[resource] += demands[name].weight
    return min(left[resource] / weight for resource, weight in pull.items() if weight)


def _appetite(rates: Mapping[str, float], demands: Mapping[str, Demand], rising: set[str]) -> float:
    return min((demands[name].most - rates[name]) / demands[name].weight for name in rising)


def _sated(rate: float, demand: Demand, left: Mapping[str, float]) -> bool:
    return demand.most - rate < 1e-9 or any(left[resource] < 1e-9 for resource in demand.resources)
