"""One call, from the agent's first byte to its last.  Read this file first.

    ingress -> match -> identify -> derive -> admit -> forward -> settle -> reply

Each stage returns a small frozen value and the locals of ``serve`` are the context: nothing is filled in later.  What
the order promises, and tests hold it to:

- no byte goes upstream without a grant, and no grant without a matched route;
- the lease covers the body, not the headers, and the end of the reply leaves only after the record is written;
- right before the first byte the lease is proven held (``Lease.sending``), else nothing is sent;
- an agent that hangs up does not stop a call in flight: it is finished and stored, and its retry gets the answer;
- every exit settles exactly once (``Lease.during``), shielded from cancellation.

The story is the decision line in the making: stages write to it and none reads it.  The Protocols that the street is
handed are in ``ports.py``.
"""

import logging
from collections.abc import Callable
from time import monotonic
from typing import Final

from sidecar.core.call import AgentGone, Answer
from sidecar.core.claim import Claim, Replay
from sidecar.core.client import client_of
from sidecar.core.config import Config
from sidecar.core.derive import derive
from sidecar.core.headers import Departures, outbound_body
from sidecar.core.judge import judge
from sidecar.core.refusal import Refusal, verdict
from sidecar.core.route import Route
from sidecar.core.table import Matched
from sidecar.look import look
from sidecar.ports import Agent, Gate, Lease, Upstream, UpstreamAnswer
from sidecar.probing import Prober
from sidecar.telemetry.meters import Meters, RouteMeters
from sidecar.telemetry.story import UNMATCHED, Story

log = logging.getLogger("sidecar")

DRAINING: Final = (
    "This sidecar is stopping and starts nothing that may have an effect. Nothing was sent. Send the same call "
    "again in a moment; whatever serves this agent next will take it."
)
BUG: Final = (
    "The sidecar failed in a way it should not have; its log has the details under this call's id. Whether the "
    "call had an effect is not known from here. Assume neither; look at the record before trying again."
)
MOST_LOOKS: Final = 3
"""How often one call finds out what an earlier attempt did: others may try, and fail, between its answer and ours."""
CONNECT_MS: Final = 10_000
"""A tunnel's upstream may take this long to accept; after that the agent's own client decides."""


class Pipeline:
    """The street.  ``obey`` replaces the plan whole; a call in flight keeps what it matched."""

    def __init__(
        self, plan: Config, gate: Gate, upstream: Upstream, meters: Meters, tell: Callable[[Story], None]
    ) -> None:
        self.gate = gate
        self.upstream = upstream
        self.prober = Prober(gate, upstream)
        self.meters = meters
        self.tell = tell
        self.draining = False
        self.obey(plan)

    def obey(self, plan: Config) -> None:
        """Serve calls by ``plan`` from now on."""
        self.plan = plan
        self.departures = Departures(plan.identity.strip)
        for site in plan.table.sites:
            for route in (*site.routes, site.read, site.write):
                self._meters(route)  # so that its series begin at zero

    async def __call__(self, agent: Agent) -> None:
        """Serve one call.  Anything raised but the cancellation of a call that waits is a bug of ours."""
        story = Story(agent.call, monotonic())
        try:
            if agent.call.method == "CONNECT":
                await self.tunnel(agent, story)
            else:
                await self.serve(agent, story)
        except Refusal as no:
            self._refuse(agent, story, no)
        except AgentGone:
            story.verdict = "gone"
        except Exception:
            log.exception("call %s failed by a bug of ours", agent.call.id)
            self._refuse(agent, story, Refusal("internal", BUG))
        finally:
            self._end(story)

    async def serve(self, agent: Agent, story: Story) -> None:
        """The straight line."""
        plan, call = self.plan, agent.call
        who = story.identity = plan.identity.identify(call)
        choice = plan.table.match(call)
        body = await self._read(agent, choice.body_limit, story) if choice.reads_body else None
        matched = choice.pick(call, who, body)
        self._begin(story, matched.route)
        claim = story.claim = derive(matched)
        free = claim.empty and not self.gate.paused
        if free:
            held: Lease | Replay = self.gate.passing(claim) if self.gate.holding else self.gate.free
        else:
            held = await self._admit(matched, claim, story)
        agent.waiting = False
        if isinstance(held, Replay):
            self._replay(agent, story, held)
            return
        answer = await held.during(self._execute(agent, matched, claim, held, body, story))
        story.verdict = "executed"
        agent.finish()
        if answer.upgraded is not None:
            await agent.tunnel(answer.upgraded)

    async def _execute(
        self, agent: Agent, matched: Matched, claim: Claim, lease: Lease, body: bytes | None, story: Story
    ) -> UpstreamAnswer:
        """Forward and settle, under a lease that sees to it that one of the two is the end."""
        answer, kept = await self._forward(agent, matched, claim, lease, body, story)
        outcome = judge(matched, answer.status, answer.headers, kept)
        story.outcome = "partial" if outcome.partial else outcome.kind
        if outcome.away_ms is not None and claim.tool:
            await self.gate.turned_away(claim, outcome.away_ms)
        await lease.settle(outcome)
        return answer

    async def _read(self, agent: Agent, limit: int, story: Story) -> bytes:
        """The body that a route looks into; how long the agent takes to send it is the agent's own affair."""
        began_s = monotonic()
        try:
            return await agent.read(limit)
        finally:
            story.read_s = monotonic() - began_s

    async def _admit(self, matched: Matched, claim: Claim, story: Story) -> Lease | Replay:
        """The gate's answer.  Nothing was sent before it, so an agent that hangs up meanwhile ends the call."""
        if self.draining and not claim.empty:
            raise Refusal("draining", DRAINING, retry_after_ms=1000)
        began_s = monotonic()
        route = matched.route
        try:
            if route.observe:
                return await self._observe(claim, story)
            if route.asks:
                return await self._find_out(matched, claim, story)
            return await self.gate.admit(claim)
        finally:
            story.store_s = monotonic() - began_s

    async def _find_out(self, matched: Matched, claim: Claim, story: Story) -> Lease | Replay:
        """The gate's answer; what it cannot tell, and the route says how to ask, the upstream is asked: what an earlier
        attempt did, or which state an entity is in."""
        no: Refusal
        for _ in range(MOST_LOOKS + len(claim.guards)):
            try:
                return await self.gate.admit(claim)
            except Refusal as refusal:
                no = refusal
            if no.unseen:
                await self._look(matched, claim, no)
            elif (
                no.code == "outcome-unknown" and no.blocked_by == "intent" and matched.route.probe is not None
            ):
                await self.prober.look(matched, claim, self.departures, no, story)
            else:
                break
        raise no

    async def _look(self, matched: Matched, claim: Claim, no: Refusal) -> None:
        """Tell the gate what the tool says of an entity that nobody has seen.  Raises Refusal where it says nothing."""
        lease = self.gate.ungated(claim, "probe")
        entity, state, ttl_ms = await look(self.upstream, self.departures, matched, no, lease)
        await self.gate.saw(entity, state, ttl_ms)

    async def _observe(self, claim: Claim, story: Story) -> Lease | Replay:
        """What the gate would say, told and not obeyed: the call goes on, without a grant where none was to be had."""
        try:
            held = await self.gate.admit(claim._replace(wait_ms=0))
            if not isinstance(held, Replay):
                return held
            story.would = "joined" if held.joined else "replayed"
        except Refusal as no:
            # What a person paused is no rule on trial.
            self.gate.heed(claim.tool, claim.flow.tenant, claim.workflow, claim.lane)
            story.would = no.code
        return self.gate.ungated(claim, "observe")

    async def _forward(
        self, agent: Agent, matched: Matched, claim: Claim, lease: Lease, body: bytes | None, story: Story
    ) -> tuple[UpstreamAnswer, bytes | None]:
        """Send the call and relay its answer, all but the end."""
        if lease.fence:
            story.fence, story.wait_ms, story.blocked_by = lease.fence, lease.wait_ms, lease.blocked_by
        elif lease.ungated:
            story.ungated = lease.ungated
        request = self.departures.outbound(matched, claim, lease.origin)
        content = agent.body if body is None else outbound_body(matched, claim, lease.origin, body)
        route = matched.route
        word = (
            verdict("executed", agent.call.id, route.name, lease.wait_ms, fence=lease.fence)
            if route.name
            else b""
        )
        began_s = monotonic()
        try:
            answer = await self.upstream.send(request, content, lease, agent.inform)
            story.status = story.reply_status = answer.status
            keep = route.store.keep_bytes if claim.intent is not None else 0
            return answer, await agent.relay(answer, word, keep, finish=not claim.empty or lease.fence > 0)
        finally:
            story.upstream_s = monotonic() - began_s

    async def tunnel(self, agent: Agent, story: Story) -> None:
        """Who may go where is checked.  What passes inside a blind tunnel is not seen; inside one to a tool, where we
        have an authority, it is calls again, and each comes this way by itself."""
        plan, call = self.plan, agent.call
        story.identity = plan.identity.identify(call)
        plan.table.match(call)
        if plan.table.opens(call):
            story.verdict, story.ungated = "executed", "intercept"
            agent.intercept()
            return
        who = story.identity
        self.gate.heed(plan.table.tool_at(call), who.tenant, who.workflow, "")
        upstream = await self.upstream.connect(call.host, call.port, CONNECT_MS, call.address)
        story.verdict, story.ungated = "executed", "tunnel"
        await agent.tunnel(upstream)

    def _meters(self, route: Route) -> RouteMeters:
        return self.meters.route(route.tool.name, route.name, route.lane.name)

    def _begin(self, story: Story, route: Route) -> None:
        if route.name:
            self._meters(route).began(story)
        else:
            story.ungated = UNMATCHED

    def _replay(self, agent: Agent, story: Story, held: Replay) -> None:
        """A replay is the stored answer, byte for byte, under our verdict."""
        story.verdict = "joined" if held.joined else "replayed"
        story.wait_ms, story.reply_status = held.wait_ms, held.answer.status
        word = verdict(story.verdict, story.call.id, story.route, held.wait_ms)
        stored = held.answer
        agent.reply(Answer(stored.status, (*stored.headers, (b"Sidecar-Verdict", word)), stored.body))

    def _refuse(self, agent: Agent, story: Story, no: Refusal) -> None:
        story.refused(no)
        route = "" if story.route == UNMATCHED else story.route
        client = client_of(self.plan.table.clients(story.call), story.call.headers)
        answer = no.as_answer(story.call.id, route, client)
        story.reply_status = answer.status
        agent.reply(answer)

    def _end(self, story: Story) -> None:
        story.end(monotonic())
        if story.ungated == "intercept":  # no call, and counted by the wire once it is known what it leads to
            return
        if story.ungated == "tunnel":  # its length is the agent's own affair
            self.meters.ungated(UNMATCHED, "tunnel")
            return
        self.meters.route(story.tool, story.route, story.lane).ended(story)
        if story.route != UNMATCHED or story.verdict == "refused":
            self.tell(story)
