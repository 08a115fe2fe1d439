"""The routes of the edge, made from product.yaml."""

from infra.builds.routes import render, routes_file
from infra.product import Product
from tests.infra.conftest import PRODUCT


def test_the_file_is_beside_the_edges_caddyfile() -> None:
    assert routes_file(PRODUCT) == "images/web/routes.caddy"


def test_a_route_names_path_limit_and_upstream() -> None:
    assert (
        "\thandle_path /api/* {\n\t\trequest_body {\n\t\t\tmax_size 1MB\n\t\t}\n"
        "\t\timport behind {$API_UPSTREAM:api:8000}\n\t}\n"
    ) in render(PRODUCT)


def test_a_service_that_keeps_its_path_is_asked_with_it() -> None:
    assert "\thandle /dashboard* {\n" in render(PRODUCT)


def test_errors_are_json_only_below_paths_that_say_so() -> None:
    assert "@service path /api/* /auth/*\n" in render(PRODUCT)


def test_a_product_without_routes_has_an_edge_that_serves_its_own_files() -> None:
    services = {name: one.model_copy(update={"route": None}) for name, one in PRODUCT.services.items()}
    alone: Product = PRODUCT.model_copy(update={"services": services})
    assert "handle" not in render(alone)
    assert "@service expression false" in render(alone)


def test_the_longest_request_is_what_the_edge_waits_for() -> None:
    made = render(PRODUCT.model_copy(update={"longest_request_seconds": 42}))
    assert "(grace) {\n\tgrace_period 42s\n}\n" in made
    assert "(patience) {\n\tresponse_header_timeout 42s\n}\n" in made
