"""The program: read from top to bottom, it is the architecture.

settings -> registry -> images (base -> worker; api; web) -> digests -> {API host's release, worker's task} -> outputs
"""

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra import ROOT
from infra.builds import base_version, buildx, staging
from infra.builds.plan import PARENT_ARGUMENT, RECIPES, BuildPlan, plan_builds
from infra.components.api_host import ApiHost, ApiHostArgs
from infra.components.budget import Budget, BudgetArgs
from infra.components.image import Image, ImageArgs
from infra.components.jobs import Jobs, JobsArgs
from infra.components.network import Network, NetworkArgs
from infra.components.registry import CACHE, Registry, RegistryArgs
from infra.components.secrets import Secrets, SecretsArgs
from infra.components.worker import Worker, WorkerArgs
from infra.lib import cost
from infra.placement import zones_of
from infra.releases import release
from infra.settings import Settings

REPOSITORIES = ("base", "worker", "api", "web")
SERVICES = {"migrate": "api", "auth": "api", "api": "api", "dashboard": "api", "caddy": "web"}
"""What the API's host serves: each service, and the image that it is in."""
PROGRAM_FOLDER = Path(__file__).resolve().parent
REGISTRY_GB = 4
"""Assumed for the bill: two bases (0.5 GB each, compressed), 30 workers and APIs (mostly shared layers), caches."""
NO_HOST_DOCUMENT = "0"
"""The host's own program, an SSM document, is still to come."""
LOGS_GB_PER_MONTH = 1
"""Assumed for the bill: what a small service writes."""
UNTIL_THE_END = contextlib.ExitStack()
"""What a run keeps for as long as its process lives, which waits for every build: the folders that it builds from."""


@dataclass(frozen=True)
class Running:
    """The images that a stack runs."""

    references: Mapping[str, pulumi.Output[str]]
    """`repository@digest` by image."""
    digests: Mapping[str, pulumi.Output[str]]
    content_tags: Mapping[str, str]


def deploy(settings: Settings) -> None:
    """Declare everything that a stack is made of."""
    # What can be wrong is found before the first resource is declared.
    released = None if settings.images.builds else release.read_release_file(ROOT / settings.images.source, RECIPES)
    plans: Mapping[str, BuildPlan] = {}
    if settings.images.builds:
        buildx.check(settings.images.builder, os.environ)
        settings.build_secrets(os.environ)
        plans = plan_builds(settings, ROOT, base_version.unresolved(settings.images.base_version))

    prefix, path = settings.prefix, f"/{settings.project}/{settings.stack}"
    provider = aws.Provider(
        "aws",
        region=settings.region,
        allowed_account_ids=[settings.account_id] if settings.account_id else None,
        default_tags={"tags": {"Project": settings.project, "Stack": settings.stack}},
    )
    zones = zones_of(settings, provider)
    pinned = _pinned(settings, provider)
    if pinned:
        # Again, for what is built from a pinned base has a tag by the digest that the registry told.
        plans = plan_builds(settings, ROOT, {image: entry.digest for image, entry in pinned.items()})
    for plan in plans.values():
        UNTIL_THE_END.enter_context(staging.staged(plan.files, ROOT / plan.context))
    for warning in _warnings(settings, plans):
        pulumi.log.warn(warning)

    options = pulumi.ResourceOptions(providers=[provider])
    account_id = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(provider=provider)).account_id

    registry = Registry(
        "registry",
        RegistryArgs(
            namespace=settings.registry.namespace,
            images=REPOSITORIES,
            owned=settings.owns_registry,
            address=settings.registry.address,
            protect=settings.registry.protect,
            force_delete=settings.registry.force_delete,
            keep_images=settings.registry.keep_images,
            keep_promoted=settings.registry.keep_promoted,
            promoted_to=settings.registry.promoted_to,
            keep_caches=settings.registry.keep_caches,
        ),
        options,
    )
    images = _build(settings, registry, plans, pinned) if released is None else _take(released.images, registry)
    if base_version.IMAGE in plans:
        _name_base(settings, registry, images)

    network = Network(
        "network",
        NetworkArgs(
            prefix=prefix,
            cidr=settings.network.cidr,
            subnet_cidrs=settings.network.subnet_cidrs,
            zones=zones,
            ingress_cidrs=settings.network.ingress_cidrs,
            http_port=settings.host.http_port,
        ),
        options,
    )
    secrets = Secrets(
        "secrets",
        SecretsArgs(
            path=path,
            values={
                "database-url": settings.database_url.get_secret_value(),
                "redis-url": settings.redis_url.get_secret_value(),
                "openai-api-key": settings.openai_api_key.get_secret_value(),
            },
        ),
        options,
    )
    jobs = Jobs(
        "jobs",
        JobsArgs(
            prefix=prefix,
            visibility_timeout_seconds=settings.jobs.visibility_timeout_seconds,
            max_receive_count=settings.jobs.max_receive_count,
            retention_days=settings.jobs.retention_days,
        ),
        options,
    )
    worker = Worker(
        "worker",
        WorkerArgs(
            prefix=prefix,
            network=network,
            region=settings.region,
            image=images.references["worker"],
            cpu=settings.worker.cpu,
            memory_mib=settings.worker.memory_mib,
            desired_tasks=settings.worker.desired_tasks,
            subnet_ids=network.subnet_ids,
            security_group_id=network.worker_group_id,
            repository_arn=registry.arns["worker"],
            queue_arn=jobs.arn,
            log_retention_days=settings.logs.retention_days,
            environment={"AWS_REGION": settings.region, "JOBS_QUEUE_URL": jobs.url},
            secrets={"DATABASE_URL": secrets.arns["database-url"]},
        ),
        options,
    )
    # Only the images that the host runs: the release waits for no other.
    served = {image: images.references[image] for image in SERVICES.values() if image in RECIPES}
    host = ApiHost(
        "api-host",
        ApiHostArgs(
            prefix=prefix,
            network=network,
            path=path,
            account_id=account_id,
            region=settings.region,
            instance_type=settings.host.instance_type,
            root_volume_gib=settings.host.root_volume_gib,
            data_volume_gib=settings.host.data_volume_gib,
            protect_data=settings.host.protect_data,
            subnet_id=network.subnet_ids[0],
            zone=network.zone,
            private_address=network.host_address,
            security_group_id=network.host_group_id,
            repository_arns=[registry.arns[image] for image in sorted(set(SERVICES.values()))],
            queue_arn=jobs.arn,
            dead_letter_queue_arn=jobs.dead_letter_arn,
            log_retention_days=settings.logs.retention_days,
            release=pulumi.Output.all(**served).apply(lambda known: _release_document(settings, known)),
        ),
        options,
    )
    if settings.budget.email:
        Budget(
            "budget",
            BudgetArgs(prefix=prefix, monthly_usd=settings.budget.monthly_usd, email=settings.budget.email),
            options,
        )
    _export(settings, images, network, jobs, worker, host, secrets)


def _pinned(settings: Settings, provider: aws.Provider) -> dict[str, release.ReleasedImage]:
    """The base of the version that the settings pin, by its digest; nothing where they pin none."""
    version = settings.images.base_version
    if version is None:
        return {}
    repository = f"{settings.registry.namespace}/{base_version.IMAGE}"
    try:
        found = aws.ecr.get_image(
            repository_name=repository, image_tag=version, opts=pulumi.InvokeOptions(provider=provider)
        )
    except Exception as error:  # noqa: BLE001  the engine raises nothing narrower for what a provider refuses
        raise base_version.VersionError(
            base_version.not_found(version, repository, settings.registry.owner, str(error))
        ) from None
    tag = base_version.content_tag(version, repository, found.image_tags)
    return {base_version.IMAGE: release.ReleasedImage(found.image_digest, tag)}


def _warnings(settings: Settings, plans: Mapping[str, BuildPlan]) -> Iterator[str]:
    """What is no error, and should be known before it is paid for."""
    if base_version.IMAGE not in plans:
        return
    if settings.images.torch.source_in(ROOT) == "pypi":
        yield cost.cuda_sentence(settings.images.size_budget_mb[base_version.IMAGE])
    if problem := base_version.problem(ROOT):
        yield problem


def _name_base(settings: Settings, registry: Registry, images: Running) -> None:
    """Give the base that was built the tag of its version; at every `up`, so that none is missed for ever."""
    # A registry of another kind has no API of ECR's; and what the changelog does not describe gets no name.
    if pulumi.runtime.is_dry_run() or settings.registry.address or base_version.problem(ROOT):
        return

    def give_tag(digest: str) -> str | None:
        # Here and not above: it takes a third of a second, which a preview need not wait for.
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        repository = f"{settings.registry.namespace}/{base_version.IMAGE}"
        try:
            ecr = boto3.client("ecr", region_name=settings.region)
            return base_version.give_tag(ecr, repository, base_version.read(ROOT), digest)
        except (BotoCoreError, ClientError) as error:
            return f"The base's digest could not be given the tag of its version ({error}); the next `up` tries again."

    async def name_or_warn(digest: str) -> bool:
        warning = await asyncio.to_thread(give_tag, digest)
        if warning:
            pulumi.log.warn(warning)
        return warning is None

    def name(digest: str) -> pulumi.Input[bool]:
        return name_or_warn(digest)

    # The runtime waits for every output before the program ends, so for this too.
    images.digests[base_version.IMAGE].apply(name)


def _build(
    settings: Settings,
    registry: Registry,
    plans: Mapping[str, BuildPlan],
    pinned: Mapping[str, release.ReleasedImage],
) -> Running:
    """Build every image from its staged context, a parent before its children; take those that are pinned."""
    taken = _take(pinned, registry)
    login = registry.login()
    tokens = {secret: pulumi.Output.secret(value) for secret, value in settings.build_secrets(os.environ).items()}
    built: dict[str, Image] = {}
    for image, plan in plans.items():
        build_args: dict[str, pulumi.Input[str]] = dict(plan.build_args)
        if plan.parent:
            parent = built.get(plan.parent)
            build_args[PARENT_ARGUMENT] = parent.reference if parent else taken.references[plan.parent]
        built[image] = Image(
            image,
            ImageArgs(
                image=image,
                # Relative to where Pulumi runs the program: the provider's hash of the context holds the path.
                context=os.path.relpath(ROOT / plan.context, PROGRAM_FOLDER),
                dockerfile=plan.dockerfile,
                repository=registry.addresses[image],
                content_tag=plan.content_tag,
                cache=registry.addresses[CACHE],
                platform=settings.images.platform,
                compression=settings.images.compression,
                compression_level=settings.images.compression_level,
                builder=settings.images.builder,
                login=login,
                build_args=build_args,
                secrets=tokens,
            ),
        )
    return Running(
        references={**taken.references, **{image: made.reference for image, made in built.items()}},
        digests={**taken.digests, **{image: made.digest for image, made in built.items()}},
        content_tags={**taken.content_tags, **{image: made.content_tag for image, made in built.items()}},
    )


def _take(taken: Mapping[str, release.ReleasedImage], registry: Registry) -> Running:
    """Take images by digests that are known: nothing is built."""
    return Running(
        references={
            image: pulumi.Output.concat(registry.addresses[image], "@", entry.digest) for image, entry in taken.items()
        },
        digests={image: pulumi.Output.from_input(entry.digest) for image, entry in taken.items()},
        content_tags={image: entry.content_tag for image, entry in taken.items()},
    )


def _release_document(settings: Settings, references: Mapping[str, str]) -> str:
    """What the host is to serve, given the reference of each image that it runs."""
    return release.render(
        release.Release(
            host=f"{settings.prefix}-host",
            host_version=NO_HOST_DOCUMENT,
            services={service: references[image] for service, image in SERVICES.items() if image in references},
        )
    )


def _export(
    settings: Settings,
    images: Running,
    network: Network,
    jobs: Jobs,
    worker: Worker,
    host: ApiHost,
    secrets: Secrets,
) -> None:
    """What a person or a script wants next."""
    bill = cost.estimate(
        instance_type=settings.host.instance_type,
        volumes_gib=settings.host.root_volume_gib + settings.host.data_volume_gib,
        worker_cpu=settings.worker.cpu,
        worker_memory_mib=settings.worker.memory_mib,
        worker_tasks=settings.worker.desired_tasks,
        ecr_gb=REGISTRY_GB if settings.owns_registry else 0,
        logs_gb=LOGS_GB_PER_MONTH,
    )
    outputs: dict[str, pulumi.Input[object]] = {
        "region": settings.region,
        "images": images.references,
        "digests": images.digests,
        "contentTags": images.content_tags,
        "sizeBudgetsMb": dict(settings.images.size_budget_mb),
        "apiUrl": pulumi.Output.concat("http://", host.address, ":", str(settings.host.http_port)),
        "apiAddress": host.address,
        "apiInstanceId": host.instance_id,
        "releaseParameter": host.release_parameter,
        # What the API's containers get; the secrets by the parameters that hold them.
        "apiEnvironment": {
            "AWS_REGION": settings.region,
            "JOBS_QUEUE_URL": jobs.url,
            "OPENAI_MODEL": settings.openai_model,
            "RELEASE_PARAMETER": host.release_parameter,
        },
        "apiSecrets": {
            "DATABASE_URL": secrets.arns["database-url"],
            "REDIS_URL": secrets.arns["redis-url"],
            "OPENAI_API_KEY": secrets.arns["openai-api-key"],
        },
        "queueUrl": jobs.url,
        "deadLetterQueueUrl": jobs.dead_letter_url,
        "cluster": worker.cluster_name,
        "workerService": worker.service_name,
        "taskDefinition": worker.task_definition_arn,
        "databaseHost": network.host_address,
        "monthlyCostUsd": bill.total_usd,
        "monthlyCostUsdByPart": bill.by_part(),
        "monthlyBudgetUsd": settings.budget.monthly_usd,
    }
    for name, value in outputs.items():
        pulumi.export(name, value)
