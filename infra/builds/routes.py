"""Generate the routes of the edge, `routes.caddy` beside its Caddyfile, from product.yaml."""

from infra.product import Product, Route, environment_variable

HEAD = """# Made by `make generate` from product.yaml. Do not edit.
"""


def routes_file(product: Product) -> str | None:
    """Return the path of the file, relative to the checkout; None if the product has no edge."""
    return f"images/{product.services[product.edge].image}/routes.caddy" if product.edge else None


def render(product: Product) -> str:
    """Return the file's snippets.

    They are a block for each route, the paths whose errors are JSON, and the time of the longest request.
    """
    routed = [(name, one.port, one.route) for name, one in sorted(product.services.items()) if one.route]
    blocks = "".join(_block(name, port, route) for name, port, route in routed)
    json_paths = [f"{route.path}/*" for _, _, route in routed if route.json_errors]
    matcher = f"path {' '.join(json_paths)}" if json_paths else "expression false"
    longest = f"{product.longest_request_seconds}s"
    return (
        f"{HEAD}\n(routes) {{\n{blocks}}}\n\n(json_paths) {{\n\t@service {matcher}\n}}\n"
        f"\n(grace) {{\n\tgrace_period {longest}\n}}\n\n(patience) {{\n\tresponse_header_timeout {longest}\n}}\n"
    )


def _block(name: str, port: int | None, route: Route) -> str:
    directive = f"handle_path {route.path}/*" if route.strip else f"handle {route.path}*"
    upstream = f"{{${environment_variable(name)}_UPSTREAM:{name}:{port}}}"
    return (
        f"\t{directive} {{\n\t\trequest_body {{\n\t\t\tmax_size {route.max_body}\n\t\t}}\n"
        f"\t\timport behind {upstream}\n\t}}\n"
    )
