"""The template of the route that a framework has found for a request, such as ``/users/{user}``.

Starlette and FastAPI leave the route in the scope. Where that is not the whole story (mounted applications, routers that
were included under a prefix), their routes are asked once more, since the path they were reached by holds values and not
names.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]

# What Starlette's `Match` is; this package does not depend on Starlette.
_PARTIAL, _FULL = 1, 2


def route(scope: Scope, path: str, root: str) -> str | None:
    """The template, once the framework has handled the scope; ``None`` when it found no route.

    Args:
        scope: The scope as it is now.
        path: The path that was asked for, as it was before anything handled the scope.
        root: The root path that the scope came with.
    """
    try:
        return _route(scope, path, root)
    except Exception:  # noqa: BLE001
        # Routes are other people's objects; without their template a span is still a span.
        return None


def _route(scope: Scope, path: str, root: str) -> str | None:
    # Mounting is what sets this one.
    first_root = scope.get("app_root_path")
    found = scope.get("route")
    template = None
    if first_root is None:
        template = _known(scope, found)
        first_root = scope.get("root_path") or ""
    if template is None and (found is not None or "endpoint" in scope):
        again = {
            name: value for name, value in scope.items() if name not in ("app_root_path", "fastapi", "path_params")
        }
        again["path"], again["root_path"] = path, first_root
        routes = getattr(scope.get("router"), "routes", None)
        template = _search(routes, again, found) if routes else _mounted(scope, found, first_root)
    if template is None:
        return None
    if first_root and path.startswith(first_root):
        template = first_root.rstrip("/") + template
    return template or "/"


def _known(scope: Scope, found: object) -> str | None:
    """The path of a route, with the prefix that FastAPI included its router under."""
    included = scope.get("fastapi")
    context = included.get("effective_route_context") if isinstance(included, dict) else None
    if context is not None and getattr(context, "original_route", None) is found:
        return _path(context)
    return _path(found)


def _path(found: object) -> str | None:
    for candidate in (found, getattr(found, "starlette_route", None)):
        path = getattr(candidate, "path", None)
        if isinstance(path, str) and path:
            return path
    # The root of an application may be spelled as nothing.
    return "" if getattr(found, "path", None) == "" else None


def _search(routes: Iterable[Any], scope: Scope, found: object) -> str | None:
    """The template by which these routes lead to where the scope was handled."""
    partial: str | None = None
    for candidate in _candidates(routes):
        match, child = candidate.matches(scope)
        if match.value == _FULL:
            target = getattr(candidate, "starlette_route", None) or candidate
            inner = getattr(target, "routes", None)
            if inner is None and "app_root_path" not in child:
                return _path(candidate)
            return _inside(target, inner or (), {**scope, **child}, found)
        if match.value == _PARTIAL and partial is None:
            partial = _path(candidate)
    return partial


def _inside(mount: Any, routes: Iterable[Any], scope: Scope, found: object) -> str | None:
    """The template of a mount, and of what was found behind it. A mount of everything is no route."""
    template = _search(routes, scope, found)
    if template is None and found is not mount and not routes:
        # Mounted behind something that does not show its routes.
        template = _path(found)
    return (_path(mount) or "") + (template or "") or template


def _candidates(routes: Iterable[Any]) -> Iterable[Any]:
    for candidate in routes:
        # FastAPI's included routers: the same routes under the prefix.
        included = getattr(candidate, "effective_route_contexts", None)
        if included is None:
            yield candidate
        else:
            yield from included()


def _mounted(scope: Scope, found: object, first_root: str) -> str | None:
    """Without routes to ask: what the root path has grown by, and the route's own path."""
    path = _path(found)
    root = scope.get("root_path") or ""
    return path if path is None or not root.startswith(first_root) else root[len(first_root) :] + path
