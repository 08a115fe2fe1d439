"""Give the product's processes on this machine the variables that product.yaml says they read."""

from collections.abc import Mapping

from infra.product import Product

DUMMY_KEY = "local-dummy-key"


def product_environment(
    product: Product, database_url: str, redis_url: str, shell: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the variables of all secrets and settings of a product.

    The API keys and the settings come from `shell`, if it has them; otherwise a dummy key and the defaults stand in.
    """
    set_here = {name: value.strip() for name, value in (shell or {}).items() if value.strip()}
    found: dict[str, str] = {}
    for name, secret in product.secrets.items():
        values = {"postgres-url": database_url, "redis-url": redis_url}
        found[variable(name)] = values.get(secret.check) or set_here.get(variable(name), DUMMY_KEY)
        if found[variable(name)] == DUMMY_KEY:
            found |= {other: set_here.get(other, value) for other, value in secret.without.items()}
    return found | {
        variable(name): set_here.get(variable(name), one.default) for name, one in product.variables.items()
    }


def variable(name: str) -> str:
    """Return the variable that a secret or setting of product.yaml is given in."""
    return name.upper().replace("-", "_")
