"""What a route says of order: ``order``."""

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator

from sidecar.core.schema.fields import Duration, Fields, Name, Names, Text, Wait, field, needed


class StateProbe(Fields):
    """How the tool is asked which state an entity is in: by a GET, as whoever makes the call."""

    path: Text = needed("The target, a template: `/v1/invoices/{body.invoice}`. Values are percent-encoded.")
    state: Text = needed(
        "A CEL expression whose value is the state, over `answer.status`, `answer.headers` (names in lower case) and "
        "`answer.body`, and what `match.when` may read. Only a 2xx answer is believed; a value that is no state tells "
        "nothing."
    )
    ttl: Duration = field("1m", "How long what it found counts; then the tool is asked again.")
    timeout: Duration = field("5s", "How long the tool may take.")


class Look(Fields):
    """What happens where nobody has seen the entity."""

    probe: StateProbe = needed("The tool is asked.")


REFUSE: Final = Look.model_construct()
ALLOW: Final = Look.model_construct()
"""The two words, told by identity."""


def _word(value: object) -> object:
    if isinstance(value, str):
        if value not in ("refuse", "allow"):
            raise ValueError("is neither 'refuse', 'allow' nor a mapping with a 'probe'")
        return REFUSE if value == "refuse" else ALLOW
    return value


LookOrWord = Annotated[Look, BeforeValidator(_word, json_schema_input_type=Literal["refuse", "allow"] | Look)]


class Order(Fields):
    """Which state an entity must be in, and which one it is in afterwards."""

    entity: Text = needed(
        "A template, `KIND:ID`: `invoice:{body.invoice}`. A list of values gives several, and each must hold. If "
        "`states/` has a file for the kind, its rules hold."
    )
    requires: Names = field(
        [],
        "A state, or several of which any will do. Default: with a file in `states/`, those that `sets` may follow; "
        "without one, whatever it is in.",
    )
    max_age: Duration | None = field(None, "How long ago it may have come into the state at most.")
    wait: Wait = field("5s", "How long a call waits for a step that is on its way.")
    sets: Name | None = field(
        None, "The state it is in once the call is done: once a 2xx or 3xx says that it was applied."
    )
    unseen: LookOrWord | None = field(
        None,
        "What counts where nobody has seen the entity. `refuse`; `allow`: as if it were in a state that is required; "
        "or a `probe`. Default: it is in the `initial` state of its kind, where `states/` has a file; else `refuse`.",
    )
    retention: Duration | None = field(
        None, "How long what it sets is remembered. Default: as the kind's file says, else `30d`."
    )


Orders = Annotated[
    tuple[Order, ...],
    BeforeValidator(
        lambda value: [value] if isinstance(value, dict) else value,
        json_schema_input_type=Order | list[Order],
    ),
]
"""One, or several that must all hold."""
