import aiohttp
import pytest

from sidecar.control.admin import Admin
from sidecar.telemetry.meters import Meters
from tests.control.conftest import TOKEN, Port, Process, Store


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \u00ff",
    ],
)
async def test_nobody_changes_anything_without_the_token(port: Port, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    status, told, response = await port.ask("POST", "/reload", headers=headers)
    assert (status, told["code"]) == (401, "token-required")
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert TOKEN not in str(told)
    assert port.process.reloads == 0


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_who_has_the_token_may_change(port: Port, scheme: str) -> None:
    status, _, _ = await port.ask("POST", "/reload", headers={"Authorization": f"{scheme} {TOKEN}"})
    assert (status, port.process.reloads) == (200, 1)


@pytest.mark.parametrize("token", [""])
@pytest.mark.parametrize("authorization", ["Bearer ", "Bearer x"])
async def test_without_a_token_set_nobody_may_change_and_is_told_how(
    port: Port, token: str, authorization: str
) -> None:
    status, told, _ = await port.ask("POST", "/reload", headers={"Authorization": authorization})
    assert (status, told["code"]) == (403, "token-not-set")
    assert "SIDECAR_ADMIN_TOKEN" in str(told["detail"])
    assert port.process.reloads == 0


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:1", "127.0.0.1", "127.9.9.9:80", "[::1]:1", "[::ffff:127.0.0.1]"]
)
async def test_loopback_answers_to_its_own_names(port: Port, host: str) -> None:
    assert (await port.ask("GET", "/healthz", headers={"Host": host}))[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil", "[::", ""]
)
async def test_a_rebound_name_reaches_nothing(port: Port, host: str) -> None:
    status, told, _ = await port.ask("GET", "/config", headers={"Host": host})
    assert (status, told["code"]) == (403, "host-not-allowed")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[bad"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
    ids=str,
)
async def test_a_web_page_of_another_origin_reaches_nothing(port: Port, headers: dict[str, str]) -> None:
    status, told, _ = await port.ask("GET", "/leases", headers=headers)
    assert (status, told["code"]) == (403, "cross-origin")


async def test_a_page_of_this_port_and_a_followed_link_are_welcome(port: Port) -> None:
    same = {"Origin": port.url, "Sec-Fetch-Site": "same-origin"}
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await port.ask("GET", "/leases", headers=same))[0] == 200
    assert (await port.ask("GET", "/leases", headers=link))[0] == 200


async def test_a_preflight_opens_no_door(port: Port) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    status, _, response = await port.ask("OPTIONS", "/reload", headers=headers)
    assert status == 403
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
@pytest.mark.parametrize("path", ["/reload", "/explain"])
async def test_a_form_cannot_ask(port: Port, path: str, content_type: str) -> None:
    headers = {"Content-Type": content_type, "Authorization": f"Bearer {TOKEN}"}
    status, told, _ = await port.ask("POST", path, data=b'{"url":"u"}', headers=headers)
    assert (status, told["code"]) == (415, "unsupported-media-type")
    assert port.process.reloads == 0


async def test_an_address_that_is_not_loopback_takes_any_name() -> None:
    """Prometheus scrapes by service name; what rebinding reaches is loopback, and over loopback it is refused."""
    admin = Admin(Process(), Store(), Meters(), TOKEN)
    _, number = await admin.start("0.0.0.0", 0)
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{number}/healthz", headers={"Host": "evil.example"}) as response,
    ):
        assert response.status == 403
    await admin.stop()
