"""``sidecar resume``: let go on what a person paused."""

from sidecar.cli.pause import LaneOption, TenantOption, ToolOption, WorkflowOption, one_of, told
from sidecar.cli.remote import AdminOption, ByOption, ConfigOption, JsonOption, Remote, WhyOption, user


def resume(
    tool: ToolOption = "",
    tenant: TenantOption = "",
    workflow: WorkflowOption = "",
    lane: LaneOption = "",
    by: ByOption = "",
    why: WhyOption = "",
    admin: AdminOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Let go on what `sidecar pause` stopped. An upstream that asked to be left alone still is.

    Needs SIDECAR_ADMIN_TOKEN.
    """
    body = {**one_of(tool, tenant, workflow, lane), "by": by or user(), "why": why}
    told(Remote(admin, config).change("POST", "/resume", body), "resumed", json)
