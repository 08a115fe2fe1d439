"""The outputs of a stack are what their readers take them for."""

import pytest

from infra.outputs import OutputsError, parse
from tests.infra.conftest import DIGESTS, Run


def test_what_the_program_exports_is_what_its_readers_read(run: Run) -> None:
    _, exported = run()
    outputs = parse("dev", exported)
    assert outputs.digests == DIGESTS
    assert outputs.release_parameter == "/slipway/dev/release"
    assert outputs.verified_parameter == "/slipway/dev/verified"
    assert outputs.worker is not None
    assert outputs.worker.service == "slipway-dev-worker"


@pytest.mark.parametrize("outputs", [{}, {"images": {}}])
def test_a_stack_that_another_version_deployed_is_one_sentence(outputs: dict[str, object]) -> None:
    with pytest.raises(OutputsError, match=r"^Stack dev does not export what this version .*: bring it up first\.$"):
        parse("dev", outputs)
