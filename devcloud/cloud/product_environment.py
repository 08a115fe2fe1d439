"""Give the product's processes on this machine the variables that product.yaml says they read."""

from collections.abc import Mapping

from infra.product import Product, environment_variable

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
        variable = environment_variable(name)
        values = {"postgres-url": database_url, "redis-url": redis_url}
        found[variable] = values.get(secret.check) or set_here.get(variable, DUMMY_KEY)
        if found[variable] == DUMMY_KEY:
            found |= {other: set_here.get(other, value) for other, value in secret.without.items()}
    for name, setting in product.variables.items():
        variable = environment_variable(name)
        found[variable] = set_here.get(variable, setting.default)
    return found
