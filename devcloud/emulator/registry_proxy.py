"""`python -m devcloud.emulator.registry_proxy`: the registry protocol as ECR serves it, before a plain registry.

A reverse proxy that asks the emulator, over ECR's own API, what ECR would ask itself: is this the token, is
there such a repository, may this tag move. What it lets through it streams both ways.
"""

import argparse
import asyncio
import base64
import binascii
import json
import re
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from devcloud.emulator import mutability
from devcloud.emulator.addresses import PULL_THROUGH, address
from devcloud.emulator.operator_key import OperatorKey
from devcloud.util.registry import MANIFEST_TYPES, digest_of

REGION = "us-east-1"
BELIEVED_SECONDS = 2.0  # how long an answer of ECR's is taken for granted
CHUNK_BYTES = 4 * 1024 * 1024  # read ahead on either side; a base image is 1.3 GB
MANIFEST_BYTES = 4 * 1024 * 1024  # the most that a manifest may have, as in the distribution specification

# RFC 9110, 7.6.1: these concern one connection. Host goes through: the registry builds addresses from it.
HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
NOT_FOR_THE_REGISTRY = {*HOP_BY_HOP, "authorization", "expect"}

ADDRESS = re.compile(
    r"/v2/(?P<repository>.+)/(?:manifests/(?P<reference>[^/]+)|tags/list|blobs/(?P<blob>[^/]+|uploads/[^/]*))"
)


class RegistryProxyError(Exception):
    """An answer of the registry protocol's own kind: a status, a code (`NAME_UNKNOWN`), a message."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def response(self) -> web.Response:
        """The answer as the distribution specification writes it."""
        body = {"errors": [{"code": self.code, "message": str(self)}]}
        return web.json_response(body, status=self.status)


@dataclass(frozen=True)
class Repository:
    """What the front must know of a repository of ECR's."""

    name: str
    mutability: str
    exclusions: tuple[str, ...]


class Ecr:
    """ECR's API at the emulator. Answers are believed for two seconds, but a refusal is never remembered."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: str, operator: OperatorKey) -> None:
        self.session = session
        self.endpoint = endpoint
        self._signer = SigV4Auth(Credentials(operator.access_key, operator.secret_key), "ecr", REGION)
        self._allowed: dict[tuple[str, str, str], float] = {}
        """When the emulator last said that a token may do something in a repository."""
        self._repositories: dict[str, tuple[Repository, float]] = {}

    async def allows(self, token: str, operation: str = "", repository: str = "") -> None:
        """Refuse a token that GetAuthorizationToken did not hand out, and what its owner may not do."""
        key = (token, operation, repository)
        if time.monotonic() - self._allowed.get(key, -BELIEVED_SECONDS) < BELIEVED_SECONDS:
            return
        asked = {"token": token, "operation": operation, "repository": repository, "region": REGION}
        _, answer = await self._post("/_registry/allows", asked, {"Content-Type": "application/json"})
        if not answer.get("known"):
            # What ECR says of a token of yesterday; here it is one of an emulator that was started before.
            raise RegistryProxyError(
                HTTPStatus.FORBIDDEN, "DENIED", "Your authorization token has expired. Reauthenticate and try again."
            )
        if answer["problem"]:
            raise RegistryProxyError(HTTPStatus.FORBIDDEN, "DENIED", answer["problem"])
        self._allowed = {
            old: asked for old, asked in self._allowed.items() if time.monotonic() - asked < BELIEVED_SECONDS
        }
        self._allowed[key] = time.monotonic()

    async def repository(self, name: str, fresh: bool = False) -> Repository:
        """The repository of this name; `fresh` asks even if the answer is known. Refuses an unknown one."""
        known = self._repositories.get(name)
        if known and not fresh and time.monotonic() - known[1] < BELIEVED_SECONDS:
            return known[0]
        self._repositories.pop(name, None)
        found = (await self.call("DescribeRepositories", {"repositoryNames": [name]}))["repositories"][0]
        exclusions = found.get("imageTagMutabilityExclusionFilters") or []
        repository = Repository(name, found["imageTagMutability"], tuple(each["filter"] for each in exclusions))
        self._repositories[name] = (repository, time.monotonic())
        return repository

    async def pushed(self, repository: str, digest: str) -> None:
        """Let ECR see an image right after its push: it dates an image by when it first sees it."""
        await self.call("BatchGetImage", {"repositoryName": repository, "imageIds": [{"imageDigest": digest}]})

    async def call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Call ECR's API as the operator."""
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{operation}",
        }
        status, answer = await self._post("/", parameters, headers)
        if status == HTTPStatus.OK:
            return answer
        error = str(answer.get("__type", "")).rpartition("#")[2]
        if error == "RepositoryNotFoundException":
            raise RegistryProxyError(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN", answer["message"])
        raise RegistryProxyError(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", f"ECR's {operation} failed: {error}")

    async def _post(
        self, path: str, parameters: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        """Send the emulator a request that the operator signs. Return the status and the content of the answer."""
        url = f"{self.endpoint}{path}"
        request = AWSRequest(method="POST", url=url, data=json.dumps(parameters).encode(), headers=dict(headers))
        self._signer.add_auth(request)
        async with self.session.post(url, data=request.data, headers=dict(request.headers.items())) as response:
            return response.status, await response.json(content_type=None)


def token_of(request: web.Request) -> str:
    """Return the token of a request. Refuse one without the user AWS."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise RegistryProxyError(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED", "Not Authorized")
    try:
        user, _, token = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user, token = "", ""
    return token if user == "AWS" else ""


def operation(method: str, reference: str | None, blob: str | None) -> str:
    """Return the operation of ECR's API that a request of the registry protocol stands for."""
    reads = method in ("GET", "HEAD")
    if reference:
        return "BatchGetImage" if reads else "PutImage" if method == "PUT" else "BatchDeleteImage"
    if not blob:
        return "ListImages"
    if blob.startswith("uploads"):
        return {"POST": "InitiateLayerUpload", "PUT": "CompleteLayerUpload"}.get(method, "UploadLayerPart")
    return "BatchCheckLayerAvailability" if method == "HEAD" else "GetDownloadUrlForLayer"


class Front:
    def __init__(self, session: aiohttp.ClientSession, ecr: Ecr, registry: str) -> None:
        self.session = session
        self.ecr = ecr
        self.registry = registry.rstrip("/")
        # One push at a time to a tag: who looks and who moves must not be two.
        self.tags: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, as ECR would."""
        try:
            token = token_of(request)
            if request.path in ("/v2", "/v2/"):
                await self.ecr.allows(token)
                return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})
            match = ADDRESS.fullmatch(request.path)
            if not match or ".." in request.path.split("/"):
                raise RegistryProxyError(HTTPStatus.NOT_FOUND, "UNSUPPORTED", "The operation is unsupported.")
            name, reference = match["repository"], match["reference"]
            public = name.startswith(f"{PULL_THROUGH}library/") and request.method in ("GET", "HEAD")
            if not public:
                await self.ecr.allows(token, operation(request.method, reference, match["blob"]), name)
            if reference and request.method == "PUT":
                return await self.put_manifest(request, name, reference)
            if not public:
                await self.ecr.repository(name)
            return await self.forward(request, await self.query(request))
        except RegistryProxyError as refusal:
            response = refusal.response()
            if refusal.status == HTTPStatus.UNAUTHORIZED:
                response.headers["WWW-Authenticate"] = (
                    f'Basic realm="http://{request.host}/",service="ecr.amazonaws.com"'
                )
            return response
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            message = f"ECR's registry or API cannot be reached ({type(error).__name__}): is the cloud running?"
            return RegistryProxyError(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", message).response()

    async def query(self, request: web.Request) -> str:
        """The query to send on: a blob is mounted only out of a repository that ECR has."""
        source = request.query.get("from")
        if request.method == "POST" and source:
            try:
                await self.ecr.repository(source)
            except RegistryProxyError:
                return ""  # an ordinary upload, as where mounting finds nothing
        return request.rel_url.raw_query_string

    async def put_manifest(self, request: web.Request, name: str, reference: str) -> web.StreamResponse:
        """Take a manifest, unless it would move a tag that may not move."""
        repository = await self.ecr.repository(name, fresh=True)
        manifest = await read(request, MANIFEST_BYTES)
        refuse_cache_index(manifest)
        digest = digest_of(manifest)
        is_tag = ":" not in reference
        async with self.tags[(name, reference)]:
            if is_tag and mutability.is_immutable(repository.mutability, repository.exclusions, reference):
                named = await self.digest(name, reference)
                if named and named != digest:
                    message = mutability.refusal(reference, name)
                    raise RegistryProxyError(HTTPStatus.BAD_REQUEST, "TAG_INVALID", message)
            response = await self.forward(request, request.rel_url.raw_query_string, manifest)
        if response.status == HTTPStatus.CREATED:
            await self.ecr.pushed(name, digest)
        return response

    async def digest(self, name: str, reference: str) -> str | None:
        """The digest that a tag names in the registry, or None."""
        url = f"{self.registry}/v2/{name}/manifests/{reference}"
        async with self.session.head(url, headers={"Accept": ", ".join(MANIFEST_TYPES)}) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return None
            response.raise_for_status()
            return response.headers["Docker-Content-Digest"]

    async def forward(self, request: web.Request, query: str, body: bytes | None = None) -> web.StreamResponse:
        """Send a request on and its answer back; `body` where it was read already."""
        # The registry behind has stand-ins for them, where public.ecr.aws would be asked.
        path = quote(request.path.replace(f"/v2/{PULL_THROUGH}", "/v2/", 1), safe="/:@")
        url = URL(f"{self.registry}{path}{'?' + query if query else ''}", encoded=True)
        data = body if body is not None or not request.can_read_body else request.content
        headers = without(request.headers, NOT_FOR_THE_REGISTRY)
        async with self.session.request(
            request.method, url, headers=headers, data=data, allow_redirects=False
        ) as upstream:
            answer = web.StreamResponse(status=upstream.status, headers=without(upstream.headers, HOP_BY_HOP))
            if location := upstream.headers.get("Location"):
                # Relative, so that it holds at whichever address the client knows us by.
                answer.headers["Location"] = (
                    str(URL(location, encoded=True).relative()) if "://" in location else location
                )
            await answer.prepare(request)
            async for chunk in upstream.content.iter_any():
                await answer.write(chunk)
            await answer.write_eof()
            return answer


def without(headers: CIMultiDictProxy[str], names: set[str]) -> CIMultiDict[str]:
    """The headers but for these."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in names)


async def read(request: web.Request, limit: int) -> bytes:
    """A request's body of at most `limit` bytes."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise RegistryProxyError(
                HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", f"A manifest has at most {limit} bytes."
            )
    return bytes(body)


def refuse_cache_index(manifest: bytes) -> None:
    """Refuse an index of anything but images: BuildKit's cache in its default form, as ECR does."""
    try:
        content = json.loads(manifest)
        entries = [entry.get("mediaType") for entry in content.get("manifests") or []]
    except (ValueError, AttributeError):
        message = "The manifest is not valid JSON."
        raise RegistryProxyError(HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", message) from None
    if any(kind not in MANIFEST_TYPES for kind in entries):
        raise RegistryProxyError(
            HTTPStatus.BAD_REQUEST,
            "MANIFEST_INVALID",
            "Invalid JSON syntax: an index may only refer to images "
            "(a cache must be exported with image-manifest=true,oci-mediatypes=true).",
        )


@web.middleware
async def log(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """One line a request on standard error: when, what, how it ended, milliseconds. No query, no body."""
    started, status = time.monotonic(), "aborted"
    try:
        response = await handler(request)
        status = str(response.status)
        return response
    finally:
        milliseconds = (time.monotonic() - started) * 1000
        line = f"{time.strftime('%H:%M:%S')} {request.method} {request.path} {status} {milliseconds:.0f} ms"
        print(line, file=sys.stderr, flush=True)


async def serve(addresses: list[tuple[str, int]], registry: str, endpoint: str, operator: OperatorKey) -> None:
    """Serve on each address until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, connect=10)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, auto_decompress=False, read_bufsize=CHUNK_BYTES
    ) as session:
        front = Front(session, Ecr(session, endpoint, operator), registry)
        application = web.Application(middlewares=[log])
        application.router.add_route("*", "/{path:.*}", front.handle)
        runner = web.AppRunner(application, access_log=None, read_bufsize=CHUNK_BYTES, auto_decompress=False)
        await runner.setup()
        for host, port in addresses:
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                await runner.cleanup()
                raise SystemExit(
                    f"devcloud's ECR cannot listen on {host}:{port} ({error.strerror}): "
                    "stop what listens there, or give it another address with --listen."
                ) from None
        listening = ", ".join(f"{host}:{port}" for host, port in addresses)
        print(f"{time.strftime('%H:%M:%S')} listening on {listening}", file=sys.stderr, flush=True)
        await stop.wait()
        await runner.cleanup()


def main() -> None:
    """Serve ECR's registry until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m devcloud.emulator.registry_proxy", description=__doc__)
    parser.add_argument("--listen", type=address, action="append", required=True, metavar="HOST:PORT")
    parser.add_argument("--registry", required=True, metavar="URL", help="the registry that holds the images")
    parser.add_argument("--aws", required=True, metavar="URL", help="the emulator of `python -m devcloud.emulator`")
    parser.add_argument(
        "--operator", type=OperatorKey.read_argument, required=True, metavar="FILE", help="the operator's access key"
    )
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.listen, arguments.registry, arguments.aws, arguments.operator))


if __name__ == "__main__":
    main()
