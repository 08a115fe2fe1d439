"""`python -m devcloud.emulator`: AWS at one or more addresses of this machine."""

import argparse
import os

from devcloud.emulator import moto_overrides
from devcloud.emulator.addresses import address
from devcloud.emulator.operator_key import OperatorKey


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m devcloud.emulator", description=__doc__)
    parser.add_argument("--listen", type=address, action="append", required=True, metavar="HOST:PORT")
    parser.add_argument(
        "--operator", type=OperatorKey.read_argument, required=True, metavar="FILE", help="the operator's access key"
    )
    parser.add_argument("--registry", metavar="URL", help="the registry that holds ECR's images; without one, no ECR")
    parser.add_argument(
        "--registry-address", metavar="HOST:PORT", help="where users push to and pull from: registry_proxy's address"
    )
    parser.add_argument(
        "--machines",
        metavar="ADDRESS",
        help="`python -m devcloud.machines` runs the instances, which see this machine at ADDRESS; else none runs",
    )
    arguments = parser.parse_args()
    moto_overrides.require_moto()
    # A page in a browser is told nothing, also not that it may ask. moto reads it when it is imported.
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
    # Only now: importing the additions binds them to moto's internals.
    from devcloud.emulator import server

    server.install(arguments.registry, arguments.registry_address, machines=bool(arguments.machines))
    server.serve(arguments.listen, arguments.operator, arguments.machines)


if __name__ == "__main__":
    main()
