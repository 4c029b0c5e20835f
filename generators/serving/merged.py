"""Weights of base and adapter in one folder, for the runtimes whose OpenAI front cannot give an adapter a model's name.

Triton's front asks for `<model><separator><adapter>` and Ray Serve's for `<model>:<adapter>`. Users ask for the model's
name whatever the runtime, so those two serve one merged model under it, and a version has no name of its own there.
"""

from typing import Any

from generators import restricted
from generators.serving.server import BASE_FOLDER, PERSON, WEIGHTS, Served, adapter_folder, share_of

MERGED_FOLDER = f"{WEIGHTS}/merged"


def weights_folder(served: Served) -> str:
    """What the server loads; the base alone until a first version is promoted."""
    return MERGED_FOLDER if served.version else BASE_FOLDER


def merged(served: Served, template: dict[str, Any]) -> dict[str, Any]:
    """The pod with one more init container, which merges after base and adapter were fetched and verified.

    It takes the cores and the memory that the server gets after it.
    """
    if (version := served.version) is None:
        return template
    spec = template["spec"]
    share = share_of(served.platform.gpu_flavors[served.tenant.training.gpus.flavor], served.gpus)["limits"]
    merge = {
        "name": "merge",
        "image": served.platform.image("trainer"),
        "command": ["python", "-m", "trainer.merge", BASE_FOLDER, adapter_folder(version), MERGED_FOLDER],
        "env": list(PERSON),
        "resources": restricted.resources(share["cpu"], share["memory"]),
        "securityContext": restricted.CONTAINER_SECURITY,
        "volumeMounts": spec["initContainers"][-1]["volumeMounts"],
    }
    return {**template, "spec": {**spec, "initContainers": [*spec["initContainers"], merge]}}
