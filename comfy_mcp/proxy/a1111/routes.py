"""The routes under `/sdapi/v1`, and the addresses by which clients call them."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from comfy_mcp.proxy.a1111.enlarging import add_enlarging
from comfy_mcp.proxy.a1111.listing import add_lists
from comfy_mcp.proxy.a1111.options import add_options
from comfy_mcp.proxy.a1111.painting import add_painting
from comfy_mcp.proxy.a1111.progress import add_progress
from comfy_mcp.proxy.making import Maker
from comfy_mcp.workbench import Workbench

__all__ = ["router"]


class _Forgiving(APIRoute):
    """Also with slashes too many in front or at the end, and without a redirect, which some clients do not follow: a
    person types `http://host:8190/` into a form that puts `/sdapi/v1` behind it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches({**scope, "path": "/" + scope["path"].strip("/")})


def router(workbench: Workbench, maker: Maker) -> APIRouter:
    """The routes over one workbench. Their shapes are A1111's own, so our OpenAPI does not repeat them."""
    api = APIRouter(prefix="/sdapi/v1", route_class=_Forgiving, include_in_schema=False)
    add_painting(api, workbench, maker)
    add_enlarging(api, workbench, maker)
    add_progress(api, workbench, maker)
    add_options(api, workbench)
    add_lists(api, workbench)
    return api
