"""What a route says of outcomes: ``unknown`` and ``partial``."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from sidecar.core.schema.fields import (
    AnswerStatus,
    Attempts,
    Duration,
    FieldName,
    Fields,
    Text,
    Wait,
    field,
    needed,
)


class ProbeAnswer(Fields):
    """What a retry gets in the place of the answer that was lost."""

    status: AnswerStatus | None = field(None, "Default: the probe's.")
    headers: dict[FieldName, Text] = field({}, "Fields beside `Content-Type`.")
    body: Text | None = field(
        None,
        "A CEL expression whose value is the body, as JSON: `answer.body.data[0]`. Default: the probe's body.",
    )


AnswerOrProbe = Annotated[
    ProbeAnswer | None,
    BeforeValidator(
        lambda value: None if value == "probe" else value,
        json_schema_input_type=Literal["probe"] | ProbeAnswer,
    ),
]


class Probe(Fields):
    """How the upstream is asked what became of an attempt: by a request that changes nothing, as whoever retries."""

    stand_in: ClassVar = {"path": "/", "applied": "false"}

    path: Text = needed(
        "The target, a template: `/v1/refunds?charge={body.charge}`. Values are percent-encoded."
    )
    applied: Text = needed(
        "A CEL condition that holds where the attempt took effect: over `answer.status`, `answer.headers` (names in "
        "lower case) and `answer.body`, and what `match.when` may read. A field that is missing proves nothing."
    )
    not_applied: Text | None = field(
        None, "The same for where it did not. Default: a 2xx answer of which `applied` is false."
    )
    method: Literal["GET", "HEAD"] = field("GET", "Of the request.")
    answer: AnswerOrProbe = field(
        "probe", "What the retry gets: `probe`, its answer as it is, or one made of it."
    )
    attempts: Attempts = field("3", "How often it is asked for one retry, until it can be told.")
    backoff: Duration = field("1s", "Before the second attempt; twice as long before each one more.")
    timeout: Duration = field("10s", "Of one attempt.")
    lag: Wait = field(
        "10s",
        "How long after an attempt is over its effect may be missing from what the probe reads. Until then, and until "
        "the attempt's `timeout` is over, not finding it proves nothing.",
    )


class Partial(Fields):
    """Which answers say that a batch was done in part."""

    stand_in: ClassVar = {"when": "false"}

    when: Text = needed("A CEL condition as in `unknown.probe.applied`: `size(answer.body.errors) > 0`.")


class Unknown(Fields):
    """What becomes of a call whose outcome nobody knows."""

    resolve: Literal["hold", "resend", "probe"] | None = field(
        None,
        "`hold`: refused until a person or the retention ends it. `resend`: may run again while that is safe. "
        "`probe`: a retry asks the upstream. Default: `probe` where one is written, `resend` for PUT, DELETE and "
        "tools with a `downstream_key`, else `hold`.",
    )
    quarantine: Literal["deadline", "resolved"] | None = field(
        None, "How long its locks are kept. Default: `resolved` in `high_risk`, else `deadline`."
    )
    probe: Probe | None = field(None, "How to ask the upstream what happened.")
