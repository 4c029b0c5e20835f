"""What every container of a model server's pod is told about itself."""

import pytest

from app.contract.models import Stage
from generators.tests.samples import pods, record, version
from generators.tests.served import served


@pytest.mark.parametrize("runtime", ["ray", "transformers", "triton", "vllm"])
def test_a_user_without_a_line_in_passwd_has_a_name_and_a_home(runtime: str) -> None:
    made = served(record(version("replies-a", Stage.STABLE), runtime=runtime, strategy="blueGreen"))
    containers = [
        one for pod in pods(list(made.values())) for one in (*pod["containers"], *pod.get("initContainers", ()))
    ]
    assert containers
    for container in containers:
        told = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert told["HOME"] == "/tmp"  # noqa: S108 - inside the container
        assert told["USER"], container["name"]
