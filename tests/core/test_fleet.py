from sidecar.core.call import Identity
from sidecar.core.claim import AutoCap, Cap, Flow, Min, Rate
from sidecar.core.fleet import KNOWN_LIMIT, Fleet, Tenant

WHO = Identity("acme", "dunning", "run-7", "background")
FLEET = Fleet(
    cap=40, per_tenant=5, per_workflow=10, per_run=4, tenants={"big": Tenant(weight=3, cap=10, queue=200)}
)


def names(fleet: Fleet, who: Identity, *, counted: bool = True) -> list[tuple[str, int]]:
    _, caps, _ = fleet.standing("write", 20, counted, "crm", 2).of(who)
    return [(cap.name, cap.limit) for cap in caps]


def test_caps_come_in_canonical_order() -> None:
    assert names(FLEET, WHO) == [
        ("tool:crm:write", 2),
        ("run:acme/run-7", 4),
        ("workflow:acme/dunning", 10),
        ("tenant:acme", 5),
        ("lane:write", 20),
        ("global", 40),
    ]


def test_a_lane_that_is_not_counted_has_its_own_caps_only() -> None:
    assert names(FLEET, WHO, counted=False) == [("tool:crm:write", 2), ("lane:write", 20)]


def test_a_run_that_nobody_named_has_no_cap() -> None:
    assert "run:" not in str(names(FLEET, WHO._replace(run="")))


def test_a_tenant_may_have_a_cap_weight_and_queue_of_its_own() -> None:
    big = WHO._replace(tenant="big")
    assert ("tenant:big", 10) in names(FLEET, big)
    flow, *_ = FLEET.standing("write", None, True, "crm", None).of(big)
    assert flow == Flow("big", "background", 3, 1, 200, 10_000)
    assert FLEET.standing("write", None, True, "crm", None).of(WHO)[0] == Flow(
        "acme", "background", 1, 1, 100, 10_000
    )


def test_what_is_kept_is_kept_of_the_global_cap_and_its_owners_are_counted() -> None:
    mins = (Min("lane:write", 5, True), Min("tenant:acme", 2, False))
    fleet = Fleet(cap=40, mins=mins)
    assert fleet.standing("write", None, True, "crm", None).of(WHO)[1] == (
        Cap("tenant:acme", 40),
        Cap("lane:write", 40),
        Cap("global", 40, mins),
    )
    assert fleet.standing("draft", None, True, "crm", None).of(WHO._replace(tenant="big"))[1] == (
        Cap("global", 40, mins),
    )
    assert fleet.standing("read", None, False, "crm", None).of(WHO)[1] == ()


def test_where_nothing_is_limited_there_are_no_caps() -> None:
    assert Fleet().standing("read", None, True, "crm", None).of(WHO)[1] == ()


def test_workflows_of_two_tenants_never_share_a_cap() -> None:
    one, two = Identity("a/b", "c", "", "interactive"), Identity("a", "b/c", "", "interactive")
    assert names(FLEET, one)[1] != names(FLEET, two)[1]
    three = Identity("a%2Fb", "c", "", "interactive")
    assert names(FLEET, one)[1] != names(FLEET, three)[1]


def test_inventing_names_fills_no_memory() -> None:
    standing = FLEET.standing("write", 20, True, "crm", 2)
    for number in range(KNOWN_LIMIT + 5):
        _, caps, _ = standing.of(WHO._replace(run=str(number)))
        assert Cap(f"run:acme/{number}", 4) in caps
    assert len(standing._known) <= KNOWN_LIMIT


def test_a_tool_may_have_a_cap_that_finds_its_limit() -> None:
    _, caps, _ = Fleet().standing("write", None, True, "crm", (2, 50)).of(WHO)
    assert caps == (AutoCap("tool:crm:write", 2, 50),)


def test_a_tenants_rate_comes_before_the_tools_and_counts_what_is_counted() -> None:
    fleet = Fleet(tenants={"acme": Tenant(rate=(5, 1000))})
    own, tools = Rate("tenant:acme", 5, 1000), Rate("tool:crm", 100, 10_000)
    assert fleet.standing("write", None, True, "crm", None, (tools,)).of(WHO)[2] == (own, tools)
    assert fleet.standing("read", None, False, "crm", None, (tools,)).of(WHO)[2] == (tools,)
    assert fleet.standing("write", None, True, "crm", None).of(WHO._replace(tenant="big"))[2] == ()
