"""Tell which images of product.yaml the bench measures, by what runs from them."""

from bench.plan import PLAN
from devcloud.util.console import UserError
from infra.product import product_of


def service_image() -> str:
    """Return the image of the service that is measured."""
    service = product_of().services.get(PLAN.service)
    if service is None or service.image is None:
        raise UserError(
            f"bench/scenarios.yaml measures the service {PLAN.service!r}, but product.yaml has none of that name: name "
            "another."
        )
    return service.image


def worker_image() -> str:
    """Return the image of the worker."""
    worker = product_of().worker
    if worker is None:
        raise UserError("The bench measures a worker, but product.yaml has none: add `worker` to product.yaml.")
    return worker.image


def images_not_run() -> set[str]:
    """Return the images that nothing runs, so that no host pulls them."""
    return set(product_of().images) - {*product_of().host_images, worker_image()}
