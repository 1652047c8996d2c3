"""What a configuration says of every pod."""

import pytest

from sidecar.webhook import standard
from tests.core.test_compile import compiled
from tests.inject.corpus import TOOL

PODS = {"image": "agent-sidecar:1"}


def test_agents_are_told_where_the_authority_is_where_https_is_opened() -> None:
    said = standard(compiled(TOOL, sidecar="version: 1\ntls: {ca_cert: ca.crt, ca_key: ca.key}"), PODS)
    values = {each.name: each.value for each in said.variables}
    assert said.intercepts
    assert values["SSL_CERT_FILE"] == "/var/run/agent-sidecar/ca-bundle.pem"
    assert values["NODE_EXTRA_CA_CERTS"] == "/var/run/agent-sidecar/ca.pem"
    plain = standard(compiled(TOOL), PODS)
    assert not plain.intercepts
    assert "SSL_CERT_FILE" not in {each.name for each in plain.variables}


def test_ports_drain_and_hosts_are_the_configurations() -> None:
    said = standard(
        compiled(
            TOOL, sidecar='version: 1\ndrain: 1500ms\nlisten: {proxy: "127.0.0.1:18080", admin: "[::]:9"}'
        ),
        PODS,
    )
    assert (said.proxy, said.admin) == (("127.0.0.1", 18080), ("::", 9))
    assert said.drain_s == 2  # whole seconds, and never too few
    assert said.hosts == ("api.hubapi.com",)
    assert {each.value for each in said.variables if each.name == "HTTPS_PROXY"} == {"http://127.0.0.1:18080"}


@pytest.mark.parametrize("port", ["proxy", "admin"])
def test_a_port_that_only_the_system_knows_does_not_do(port: str) -> None:
    with pytest.raises(ValueError, match=f"listen.{port} has port 0"):
        standard(compiled(sidecar=f'version: 1\nlisten: {{{port}: "127.0.0.1:0"}}'), PODS)
