"""``states/*.yaml``: the states of one kind of entity."""

from typing import ClassVar

from sidecar.core.schema.fields import Duration, Fields, Name, Names, Version, field, needed


class StatesFile(Fields):
    """`states/*.yaml`: the states that entities of one kind go through, for the `order` of every route."""

    stand_in: ClassVar = {"version": "1", "entity": "unnamed", "states": "unnamed", "initial": "unnamed"}

    version: Version = needed("The version of this format: 1.")
    entity: Name = needed("The kind: `invoice` for entities named `invoice:...`, whatever tool changes them.")
    states: Names = needed("Every state that there is.")
    initial: Name = needed("The state that an entity begins in: one that nobody has seen is in it.")
    transitions: dict[Name, Names] = field(
        {},
        "For each state, those that may follow it. A state that leads nowhere is final; one that may be set again "
        "follows itself.",
    )
    retention: Duration = field("30d", "How long a state that a call set is remembered.")
