"""What the environment writes over the file."""

import pytest

from sidecar.core.call import Call, Headers
from sidecar.core.compile.folder import compile_config
from sidecar.core.compile.overlay import OVERLAY
from sidecar.core.schema.describe import as_markdown
from tests.core.test_compile import compiled, refused

CLAIMS = (("X-Agent-Tenant", "globex"), ("X-Agent-Workflow", "refunds"), ("baggage", "tenant=globex"))


def claiming() -> Call:
    headers = tuple((name.encode(), value.encode()) for name, value in CLAIMS)
    return Call.of_url("c1", "GET", "http://crm.test/", Headers(headers))


def test_nothing_that_a_call_says_changes_a_pin_of_the_environment() -> None:
    said = "version: 1\nidentity: {tenant: {from: ['header:X-Agent-Tenant'], default: nobody}}"
    identity = compiled(sidecar=said).identity.identify(claiming())
    assert (identity.tenant, identity.workflow) == ("globex", "refunds")
    identity = compiled(sidecar=said, SIDECAR_TENANT="acme", SIDECAR_WORKFLOW="crm").identity.identify(
        claiming()
    )
    assert (identity.tenant, identity.workflow) == ("acme", "crm")


def test_the_environment_beats_a_pin_of_the_file() -> None:
    config = compiled(sidecar="version: 1\nidentity: {tenant: {pin: a}}", SIDECAR_TENANT="b")
    assert config.identity.tenant.pin == "b"


def test_what_differs_from_pod_to_pod_is_written_over_the_file() -> None:
    config = compiled(
        sidecar="version: 1\ndrain: 25s\nlog: {level: info, decisions: off}",
        SIDECAR_DRAIN="7s",
        SIDECAR_LOG_LEVEL="debug",
        SIDECAR_LISTEN_PROXY="127.0.0.1:18080",
        SIDECAR_LISTEN_ADMIN="0.0.0.0:19901",
        SIDECAR_STORE_STATE="/state",
    ).process
    assert (config.drain_ms, config.log.level, config.log.decisions) == (7000, "debug", "off")
    assert (config.listen.proxy, config.listen.admin) == (("127.0.0.1", 18080), ("0.0.0.0", 19901))
    assert config.store.state == "/state"


def test_the_environment_counts_where_there_is_no_file() -> None:
    assert compile_config("folder", [], [], {"SIDECAR_TENANT": "acme"}).identity.tenant.pin == "acme"


def test_a_variable_without_a_value_says_nothing() -> None:
    assert compiled(SIDECAR_TENANT="").identity.tenant.pin is None


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        (
            "SIDECAR_LOG_LEVEL",
            "loud",
            "log.level: the value of ${SIDECAR_LOG_LEVEL} is not debug, info, warning",
        ),
        ("SIDECAR_TENANT", "ü", "identity.tenant.pin: the value of ${SIDECAR_TENANT} is not an identity"),
        ("SIDECAR_DRAIN", "7", "drain: the value of ${SIDECAR_DRAIN}"),
    ],
)
def test_a_mistake_in_the_environment_names_its_variable(variable: str, value: str, line: str) -> None:
    (told,) = refused(**{variable: value})
    assert line in told


def test_the_environment_hides_no_mistake_of_the_file() -> None:
    (told,) = refused(sidecar="version: 1\nlisten: 8080", SIDECAR_LISTEN_ADMIN="127.0.0.1:1")
    assert "must be a mapping" in told


def test_what_the_environment_said_is_shown_by_its_name_only() -> None:
    assert compiled(SIDECAR_TENANT="acme").written["sidecar.yaml"] == {
        "version": "1",
        "identity": {"tenant": {"pin": "${SIDECAR_TENANT}"}},
    }


def test_the_reference_page_names_every_variable() -> None:
    page = as_markdown()
    assert [name for name in OVERLAY if f"`{name}`" not in page] == []
