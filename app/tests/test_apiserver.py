"""The client of the Kubernetes API: bounded rate, faults told apart, and a mirror that no fault leaves behind."""

import base64
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.apiserver import ApiServer, ApiServerUnavailable, Rate, RefusedError
from app.kubeconfig import Access, AccessError
from app.mirror import Mirror
from app.tests.stub_apiserver import Cluster, serving

PATH = "/apis/argoproj.io/v1alpha1/namespaces/acme-train/workflows"
OTHER = PATH.replace("acme", "globex")
SECONDS = 10.0  # a bound against hanging


def body(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"app": "x"}}, **more}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def access(cluster: Cluster) -> Iterator[Access]:
    with serving(cluster) as url:
        yield Access(url, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), token="mine")


@pytest.fixture
def api(access: Access) -> Iterator[ApiServer]:
    made = ApiServer(access)
    yield made
    made.close()


@pytest.fixture
def mirror(access: Access) -> Iterator[Mirror[str]]:
    made = Mirror(access, lambda found: str(found.get("phase")), selector="app=x", silent_seconds=0.9)
    yield made
    made.close()


def test_what_is_there_already_is_refused_by_its_reason(api: ApiServer) -> None:
    api.request("POST", PATH, body=body("a"))
    with pytest.raises(RefusedError) as refused:
        api.request("POST", PATH, body=body("a"))
    assert (refused.value.status, refused.value.reason) == (409, "AlreadyExists")
    assert api.request("GET", f"{PATH}/a")["metadata"]["name"] == "a"
    with pytest.raises(RefusedError, match="not found"):
        api.request("GET", f"{PATH}/b")


def test_a_server_without_time_is_given_the_time_it_asks_for(api: ApiServer, cluster: Cluster) -> None:
    waited: list[float] = []
    api.rate = Rate(100, 100, clock=lambda: 0.0, wait=waited.append)
    cluster.refuse = [(429, {"Retry-After": "7"}), (503, {"Retry-After": "2"})]
    assert api.request("POST", PATH, body=body("a"))
    assert [round(seconds) for seconds in waited] == [7, 7]


def test_a_server_that_never_has_time_is_an_outage_after_a_few_tries(api: ApiServer, cluster: Cluster) -> None:
    api.rate = Rate(100, 100, wait=lambda _: None)
    cluster.refuse = [(429, {"Retry-After": "1"})] * 9
    with pytest.raises(ApiServerUnavailable, match="429"):
        api.request("POST", PATH, body=body("a"))
    assert len(cluster.refuse) == 5


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_fault_of_the_server_is_an_outage(api: ApiServer, cluster: Cluster, status: int) -> None:
    cluster.refuse = [(status, {})]
    with pytest.raises(ApiServerUnavailable, match=str(status)):
        api.request("GET", PATH)


def test_a_server_that_is_not_there_is_an_outage(access: Access) -> None:
    gone = ApiServer(Access("http://127.0.0.1:1", access.trust))
    with pytest.raises(ApiServerUnavailable, match="see that the API server is up"):
        gone.request("GET", PATH)
    gone.close()


def test_requests_go_out_at_the_rate_and_no_faster() -> None:
    now, waits = [0.0], list[float]()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    rate = Rate(10, 5, clock=lambda: now[0], wait=wait)
    for _ in range(105):
        rate.take()
    assert now[0] == pytest.approx(10.0)
    assert len(waits) == 100


def test_a_token_is_read_anew_for_each_request(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    access = Access("http://127.0.0.1:1", ssl.create_default_context(), token_file=file)
    assert access.headers() == {"Authorization": "Bearer one"}
    file.write_text("two")
    assert access.headers() == {"Authorization": "Bearer two"}


@pytest.mark.parametrize(
    ("token", "audience", "namespace"),
    [("good", "finetune-status", "acme-train"), ("good", "another", None), ("forged", "finetune-status", None)],
)
def test_a_token_is_whose_the_server_says(
    api: ApiServer, cluster: Cluster, token: str, audience: str, namespace: str | None
) -> None:
    cluster.tokens["good"] = ("system:serviceaccount:acme-train:trainer", "ft-job-a1-train-rank-0-0-x")
    found = api.review_token(token, audiences=(audience,))
    assert (found.namespace if found else None) == namespace


def test_a_person_is_no_service_account(api: ApiServer, cluster: Cluster) -> None:
    cluster.tokens["person"] = ("jane@acme.example", None)
    assert api.review_token("person", audiences=("finetune-status",)) is None


def test_the_mirror_follows_what_is_made_changed_and_removed(cluster: Cluster, mirror: Mirror[str]) -> None:
    cluster.put(PATH, body("old", phase="1"))
    cluster.put(PATH, {"metadata": {"name": "unlabelled"}})
    mirror.follow([PATH, OTHER])
    assert mirror.wait(lambda: mirror.get("old") == "1", seconds=SECONDS)
    cluster.put(PATH, body("old", phase="2"))
    cluster.put(OTHER, body("new", phase="3"))
    assert mirror.wait(lambda: sorted(mirror.all()) == ["2", "3"], seconds=SECONDS)
    cluster.delete(PATH, "old")
    assert mirror.wait(lambda: mirror.get("old") is None, seconds=SECONDS)
    assert len(cluster.requests) == 4  # a list and a watch for each path, however often it is looked at


def test_a_path_that_is_no_longer_followed_is_forgotten(cluster: Cluster, mirror: Mirror[str]) -> None:
    cluster.put(PATH, body("a"))
    mirror.follow([PATH])
    assert mirror.wait(lambda: len(mirror.all()) == 1, seconds=SECONDS)
    mirror.follow([OTHER])
    assert mirror.all() == []


def test_a_long_list_comes_by_pages(cluster: Cluster, mirror: Mirror[str]) -> None:
    for number in range(1100):
        cluster.put(PATH, body(f"w{number}"))
    mirror.follow([PATH])
    assert mirror.wait(lambda: len(mirror.all()) == 1100, seconds=SECONDS)
    assert len([path for _, path in cluster.requests if "continue=" in path]) == 2


def test_a_stream_that_is_cut_goes_on_from_its_version(cluster: Cluster, mirror: Mirror[str]) -> None:
    mirror.follow([PATH])
    assert mirror.wait(lambda: cluster.streams == 1, seconds=SECONDS)
    with cluster.changed:
        cluster.cut = True
        cluster.changed.notify_all()
    cluster.put(PATH, body("a"))
    assert mirror.wait(lambda: mirror.get("a") is not None, seconds=SECONDS)
    assert len([path for _, path in cluster.requests if "watch" not in path]) == 1


def test_a_version_that_was_forgotten_means_a_new_list(cluster: Cluster, mirror: Mirror[str]) -> None:
    cluster.put(PATH, body("kept"))
    cluster.put(PATH, body("gone"))
    mirror.follow([PATH])
    assert mirror.wait(lambda: cluster.streams == 1 and len(mirror.all()) == 2, seconds=SECONDS)
    with cluster.changed:  # the removal is seen by nobody
        del cluster.objects[PATH]["gone"]
    cluster.version += 5
    cluster.forget()
    assert mirror.wait(lambda: mirror.get("gone") is None, seconds=SECONDS)
    assert mirror.get("kept") is not None


def test_a_half_open_socket_is_noticed_by_its_silence(cluster: Cluster, mirror: Mirror[str]) -> None:
    cluster.mute = True
    mirror.follow([PATH])
    assert mirror.wait(lambda: cluster.streams == 1, seconds=SECONDS)
    assert mirror.wait(lambda: cluster.streams > 1, seconds=SECONDS)
    cluster.mute = False
    cluster.put(PATH, body("a"))
    assert mirror.wait(lambda: mirror.get("a") is not None, seconds=SECONDS)


def test_how_old_the_picture_is_is_known(access: Access, cluster: Cluster) -> None:
    now = [0.0]
    mirror = Mirror(access, lambda _: "x", clock=lambda: now[0])
    cluster.mute = True
    mirror.follow([PATH])
    assert mirror.wait(lambda: mirror.seconds_stale() == 0.0, seconds=SECONDS)
    now[0] = 40.0
    assert mirror.seconds_stale() == 40.0
    cluster.lists_forbidden = True
    mirror.follow([PATH, OTHER])
    assert mirror.seconds_stale() is None  # one was never read
    mirror.close()


def test_a_refusal_is_waited_out(cluster: Cluster, mirror: Mirror[str]) -> None:
    cluster.lists_forbidden = True
    mirror.follow([PATH])
    assert mirror.wait(lambda: len(cluster.requests) > 1, seconds=SECONDS)
    cluster.lists_forbidden = False
    cluster.put(PATH, body("a"))
    assert mirror.wait(lambda: mirror.get("a") is not None, seconds=SECONDS)


def kubeconfig(folder: Path, **user: str) -> Path:
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443"}}],
        "users": [{"name": "u", "user": user}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(document))
    return file


def test_a_kubeconfig_says_who_we_are(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-a-file")
    for user, token in (({"token": "t"}, "t"), ({"tokenFile": "token"}, "of-a-file")):
        access = Access.of(kubeconfig(tmp_path, **user), {})
        assert (access.url, access.headers()) == ("https://127.0.0.1:6443", {"Authorization": f"Bearer {token}"})


def test_a_client_certificate_is_taken_as_data_or_by_file(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "own.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=test", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    files = {"client-certificate": certificate.name, "client-key": key.name}
    data = {f"{name}-data": base64.b64encode((tmp_path / file).read_bytes()).decode() for name, file in files.items()}
    for user in (files, data):
        assert Access.of(kubeconfig(tmp_path, **user), {}).headers() == {}


@pytest.mark.parametrize(
    ("user", "fault"),
    [
        ({}, "a token or client certificate"),
        ({"exec": "aws"}, "exec and auth-provider are not served"),
        ({"client-certificate": "none.pem", "client-key": "none.pem"}, "No such file"),
        ({"client-certificate-data": "%%%"}, "readable kubeconfig"),
    ],
)
def test_a_kubeconfig_that_does_not_serve_says_why(tmp_path: Path, user: dict[str, str], fault: str) -> None:
    with pytest.raises(AccessError, match=fault):
        Access.of(kubeconfig(tmp_path, **user), {})


def test_without_kubeconfig_and_pod_there_is_no_way_in(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="name a kubeconfig file"):
        Access.of_pod({}, folder=tmp_path)


def test_a_pod_is_its_own_account(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-the-pod")
    (tmp_path / "ca.crt").write_text(ssl.get_server_certificate.__doc__ or "")
    with pytest.raises(ssl.SSLError):  # what stands there is no certificate, and nobody else is trusted instead
        Access.of_pod({"KUBERNETES_SERVICE_HOST": "fd00::1"}, folder=tmp_path)


def test_the_mirrors_thread_ends_with_it(access: Access) -> None:
    mirror = Mirror(access, lambda _: "x")
    assert "mirror" in {thread.name for thread in threading.enumerate()}
    mirror.close()
    assert "mirror" not in {thread.name for thread in threading.enumerate()}
