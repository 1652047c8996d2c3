"""Certificates and shims where an agent finds them."""

from pathlib import Path

import pytest

from sidecar.agentenv.share import BUNDLE, ShareError, authority, put, shims, there

ROOT = "-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n"
OURS = "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n"


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    (tmp_path / "roots.pem").write_text(ROOT)
    (tmp_path / "ca.pem").write_text(OURS)
    return tmp_path / "ca.pem"


def test_the_bundle_is_the_systems_authorities_and_ours(ca: Path) -> None:
    made = authority(ca, None, {"SSL_CERT_FILE": str(ca.parent / "roots.pem")})
    assert made.bundle == ca.parent / BUNDLE
    assert made.bundle.read_text() == ROOT + OURS
    assert made.ca == ca


def test_the_bundle_does_not_grow_by_itself(ca: Path) -> None:
    first = authority(ca, None, {"SSL_CERT_FILE": str(ca.parent / "roots.pem")})
    environ = {"SSL_CERT_FILE": str(first.bundle), "REQUESTS_CA_BUNDLE": str(ca.parent / "roots.pem")}
    before = first.bundle.stat().st_ino
    again = authority(ca, None, environ)
    assert again.bundle.read_text() == ROOT + OURS
    assert again.bundle.stat().st_ino == before  # nor is it written anew while agents read it


def test_what_a_company_adds_for_node_stays_added(ca: Path) -> None:
    extra = ca.parent / "company.pem"
    extra.write_text(ROOT.replace("root", "company"))
    environ = {"SSL_CERT_FILE": str(ca.parent / "roots.pem"), "NODE_EXTRA_CA_CERTS": str(extra)}
    for _ in range(2):  # once more in the same shell
        made = authority(ca, None, environ)
        assert made.ca.read_text().count(extra.read_text()) == made.ca.read_text().count(OURS) == 1
        environ["NODE_EXTRA_CA_CERTS"] = str(made.ca)
    assert "company" not in made.bundle.read_text(), "it was added for Node only"


def test_an_agent_in_another_container_finds_everything_in_one_folder(ca: Path, tmp_path: Path) -> None:
    share = tmp_path / "share"
    made = authority(ca, share, {"SSL_CERT_FILE": str(ca.parent / "roots.pem")})
    assert shims(share) == share
    assert (made.ca, made.bundle) == (share / "ca.pem", share / BUNDLE)
    for file in (made.ca, made.bundle, share / "python" / "sitecustomize.py", share / "node" / "preload.js"):
        assert file.stat().st_mode & 0o777 == 0o644, "whoever the agent runs as reads it"
    assert not list(share.rglob(".*")), "nothing half-written is left"


def test_the_systems_authorities_are_found_without_a_word(ca: Path) -> None:
    assert authority(ca, None, {}).bundle.read_text().count("BEGIN CERTIFICATE") > 50


def test_what_cannot_be_made_is_told_with_the_way_out(tmp_path: Path, ca: Path) -> None:
    with pytest.raises(ShareError, match="sidecar ca init"):
        authority(tmp_path / "none.pem", None, {})
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(ShareError, match="holds no PEM certificate"):
        authority(tmp_path / "key.pem", None, {})
    with pytest.raises(ShareError, match="--share DIR"):
        shims(ca)


def test_an_authority_that_is_in_no_file_is_put_where_agents_look(ca: Path, tmp_path: Path) -> None:
    share = tmp_path / "share"
    made = put(OURS.encode(), share, {"SSL_CERT_FILE": str(ca.parent / "roots.pem")})
    assert made == there(share)
    assert (made.ca.read_text(), made.bundle.read_text()) == (OURS, ROOT + OURS)
