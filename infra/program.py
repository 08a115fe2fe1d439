"""Declare a stack: read from top to bottom, the program is the architecture.

settings -> registry -> images (base -> worker; api; web) -> digests -> {API host's release, worker's task} -> outputs
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pulumi
import pulumi_aws as aws

from infra import ROOT, active_rollback
from infra.builds import base_version, buildx, staging
from infra.builds.plan import PARENT_ARGUMENT, BuildPlan, plan_builds
from infra.components import interruptions
from infra.components.api_host import ApiHost, ApiHostArgs
from infra.components.budget import Budget, BudgetArgs
from infra.components.host_release import HostRelease, HostReleaseArgs
from infra.components.image import Image, ImageArgs
from infra.components.interruptions import SingleService, SingleServiceArgs
from infra.components.jobs import Jobs, JobsArgs
from infra.components.network import HTTPS, Network, NetworkArgs
from infra.components.operations import Operations, OperationsArgs
from infra.components.registry import CACHE, Registry, RegistryArgs
from infra.components.secrets import Secrets, SecretsArgs
from infra.components.snapshots import Snapshots, SnapshotsArgs
from infra.components.worker import Worker, WorkerArgs
from infra.lib import alarms, cost, domain_name
from infra.lib.messages import LONGEST_OF_AWS, plain
from infra.placement import zones_of
from infra.product import environment_variable
from infra.releases import graph, host_document, release, verified
from infra.settings import Settings, hosted
from infra.settings.models import LETS_ENCRYPT

PROGRAM_FOLDER = Path(__file__).resolve().parent
REGISTRY_GB = 4
"""Assumed for the bill: two bases (0.5 GB each, compressed), 30 workers and APIs (mostly shared layers), caches."""
LOGS_GB_PER_MONTH = 1
"""Assumed for the bill: the logs of a small service."""
UNTIL_THE_END = contextlib.ExitStack()
"""Holds the staged build folders until the process exits, which waits for every build."""


@dataclass(frozen=True)
class Running:
    """The images that a stack runs."""

    references: Mapping[str, pulumi.Output[str]]
    """`repository@digest` by image."""
    digests: Mapping[str, pulumi.Output[str]]
    content_tags: Mapping[str, str]


def deploy(settings: Settings) -> None:
    """Declare everything that a stack is made of."""
    product = settings.product
    # What can be wrong is found before the first resource is declared.
    released = (
        None if settings.images.builds else release.read_release_file(ROOT / settings.images.source, product.images)
    )
    plans: Mapping[str, BuildPlan] = {}
    if settings.images.builds:
        plans = plan_builds(settings, ROOT, base_version.unresolved(settings))

    host_document.render(graph.graph(settings, graph.stand_in(settings)))

    prefix = settings.prefix
    provider = aws.Provider(
        "aws",
        region=settings.region,
        allowed_account_ids=[settings.account_id] if settings.account_id else None,
        default_tags={"tags": {"Project": settings.project, "Stack": settings.stack}},
    )
    zones = zones_of(settings, provider)
    rolled_back = active_rollback.find(settings, plans) if settings.images.builds else None
    taken = released.images if released else rolled_back.images if rolled_back else None
    if taken is None:
        # Only now: a rollback builds nothing, so it works without a builder too.
        buildx.check(settings.project, settings.images.builder, os.environ)
        settings.build_secrets(os.environ)
    else:
        plans = {}
    versioned = _versioned_base(settings, provider) if taken is None else {}
    if versioned:
        # Plan again: the base's digest, known now, is part of its children's tags.
        plans = plan_builds(settings, ROOT, {image: entry.digest for image, entry in versioned.items()})
    for plan in plans.values():
        UNTIL_THE_END.enter_context(staging.staged(plan.files, ROOT / plan.context))
    for warning in _warnings(settings, plans):
        pulumi.log.warn(warning)

    options = pulumi.ResourceOptions(providers=[provider])
    account_id = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(provider=provider)).account_id

    registry = Registry(
        "registry",
        RegistryArgs(spec=settings.registry, images=tuple(product.images), owned=settings.owns_registry),
        options,
    )
    images = _build(settings, registry, plans, versioned) if taken is None else _take(taken, registry)
    if product.versioned_image and product.versioned_image in plans:
        _name_base(settings, product.versioned_image, images)

    network = Network(
        "network",
        NetworkArgs(
            prefix=prefix,
            spec=settings.network,
            zones=zones,
            http_port=settings.host.http_port,
            https=settings.host.domain is not None,
            acme_port=urlsplit(settings.host.acme_directory).port or HTTPS,
            worker=product.worker is not None,
            host_ports=settings.ports_of(settings.service_secrets),
            worker_ports=settings.ports_of(product.worker.secrets if product.worker else ()),
            worker_services=hosted.worker_services(settings),
        ),
        options,
    )
    secrets = Secrets(
        "secrets",
        SecretsArgs(
            path=settings.parameter_path,
            values=hosted.parameters(settings),
            warnings={
                name: interruptions.new_password(service) for name, service in hosted.passwords(settings).items()
            },
        ),
        options,
    )
    for service, made_from in graph.single_services(settings).items():
        SingleService(service, SingleServiceArgs(made_from), options)
    jobs = Jobs("jobs", JobsArgs(prefix=prefix, spec=settings.jobs), options) if product.worker else None
    host = ApiHost(
        "api-host",
        ApiHostArgs(
            settings=settings,
            network=network,
            jobs=jobs,
            account_id=account_id,
            repository_arns={image: registry.arns[image] for image in product.host_images},
            repository_addresses={image: registry.addresses[image] for image in product.host_images},
        ),
        options,
    )
    _check_domain(settings, host.address)
    snapshots = (
        Snapshots("snapshots", SnapshotsArgs(settings, account_id), options) if settings.snapshots_kept else None
    )
    served = HostRelease(
        "release",
        HostReleaseArgs(
            settings=settings,
            host=host,
            secrets=secrets,
            account_id=account_id,
            references={image: images.references[image] for image in product.host_images},
            digests=images.digests,
            content_tags=images.content_tags,
        ),
        options,
    )
    if rolled_back:
        rolled_back.lift(served.verified, images.content_tags)
    worker = None
    if product.worker and jobs:
        parameters = {secret: hosted.worker_parameter(settings, secret) for secret in product.worker.secrets}
        worker = Worker(
            "worker",
            WorkerArgs(
                prefix=prefix,
                network=network,
                region=settings.region,
                account_id=account_id,
                container=product.worker.image,
                image=images.references[product.worker.image],
                spec=settings.worker,
                health=product.worker.health,
                repository_arn=registry.arns[product.worker.image],
                queue_arn=jobs.arn,
                log_retention_days=settings.logs.retention_days,
                environment={"AWS_REGION": settings.region, "JOBS_QUEUE_URL": jobs.url},
                secrets={environment_variable(secret): secrets.arns[name] for secret, name in parameters.items()},
                secret_versions={secret: secrets.versions[name] for secret, name in parameters.items()},
            ),
            # A failed release leaves the worker as it is, too.
            pulumi.ResourceOptions(providers=[provider], depends_on=[served]),
        )
    if settings.budget.email:
        Budget("budget", BudgetArgs(prefix=prefix, spec=settings.budget, email=settings.budget.email), options)
    operations = Operations(
        "operations",
        OperationsArgs(
            prefix=prefix,
            region=settings.region,
            spec=settings.alerts,
            watched=_watched(settings),
            instance_id=host.instance_id,
            log_group=graph.log_group(settings),
            queues=jobs.names if jobs else (),
            snapshot_policy_id=snapshots.policy_id if snapshots else None,
        ),
        # A host that has no release yet would be silent, and its first alarm a false one.
        pulumi.ResourceOptions(providers=[provider], depends_on=[served]),
    )
    _export(settings, images, network, jobs, worker, host, snapshots, served, operations)


def _check_domain(settings: Settings, address: pulumi.Output[str]) -> None:
    """Say if the domain does not lead to the host: each failed try counts for the limits of Let's Encrypt."""
    domain = settings.host.domain
    if domain is None or settings.host.acme_directory != LETS_ENCRYPT:
        return

    _warn_once_known(address, lambda known: domain_name.note(domain, known))


def _watched(settings: Settings) -> alarms.Watched:
    """Return the parts of a stack that its alarms watch."""
    return alarms.Watched(
        instance_type=settings.host.instance_type,
        data_volume=settings.keeps_data,
        certificate=settings.host.domain is not None,
        backup=any(service.backup for service in settings.services.values()),
        snapshots=settings.snapshots_kept > 0,
    )


def _versioned_base(settings: Settings, provider: aws.Provider) -> dict[str, release.ReleasedImage]:
    """Return the base of the version that the settings name, by its digest; nothing if they name none."""
    image, version = settings.product.versioned_image, settings.images.base_version
    if image is None or version is None:
        return {}
    repository = f"{settings.registry.namespace}/{image}"
    try:
        found = aws.ecr.get_image(
            repository_name=repository, image_tag=version, opts=pulumi.InvokeOptions(provider=provider)
        )
    except Exception as error:  # noqa: BLE001  the engine raises nothing narrower for what a provider refuses
        raise base_version.VersionError(base_version.not_found(settings, repository, str(error))) from None
    tag = base_version.content_tag(version, repository, found.image_tags)
    return {image: release.ReleasedImage(found.image_digest, tag)}


def _warnings(settings: Settings, plans: Mapping[str, BuildPlan]) -> Iterator[str]:
    """Yield warnings: facts that are no error, but that a user should know before paying for them."""
    for image in plans:
        if settings.product.images[image].extra == "torch" and settings.images.torch.source_in(ROOT) == "pypi":
            yield cost.cuda_sentence(settings.project, settings.images.size_budget_mb[image])
    if settings.host.data_snapshot:
        yield (
            f"{settings.project}:host.dataSnapshot: a new data volume is made of {settings.host.data_snapshot}. If the "
            "preview replaces the present volume, the `up` deletes that with all that was written since, and must "
            "replace the host too (docs/runbook.md, Snapshots)."
        )
    if settings.product.versioned_image not in plans:
        return
    if problem := base_version.problem(ROOT):
        yield problem


def _name_base(settings: Settings, image: str, images: Running) -> None:
    """Tag the built base with its version, at every `up`, so that the next one repeats a tag that failed."""
    # A registry of another kind has no API of ECR's; and what the changelog does not describe gets no name.
    if pulumi.runtime.is_dry_run() or settings.registry.address or base_version.problem(ROOT):
        return

    def give_tag(digest: str) -> str | None:
        # Here and not above: it takes a third of a second, which a preview need not wait for.
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        repository = f"{settings.registry.namespace}/{image}"
        try:
            ecr = boto3.client("ecr", region_name=settings.region)
            return base_version.give_tag(ecr, repository, base_version.read(ROOT), digest)
        except (BotoCoreError, ClientError) as error:
            reason = plain(str(error), LONGEST_OF_AWS)
            return f"The base's digest could not be given the tag of its version ({reason}); the next `up` tries again."

    _warn_once_known(images.digests[image], give_tag)


def _warn_once_known(output: pulumi.Output[str], problem: Callable[[str], str | None]) -> None:
    """Ask, beside the program's event loop, what is wrong with an output's value, and warn of it."""

    async def ask(value: str) -> bool:
        warning = await asyncio.to_thread(problem, value)
        if warning:
            pulumi.log.warn(warning)
        return warning is None

    def asked(value: str) -> pulumi.Input[bool]:
        return ask(value)

    # The runtime waits for every output before the program ends, so for this too.
    output.apply(asked)


def _build(
    settings: Settings,
    registry: Registry,
    plans: Mapping[str, BuildPlan],
    versioned: Mapping[str, release.ReleasedImage],
) -> Running:
    """Build every image from its staged context, a parent before its children; take a versioned base as it is."""
    taken = _take(versioned, registry)
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


def _image_outputs(images: Running, served: HostRelease) -> dict[str, pulumi.Input[object]]:
    """Return the outputs that name images: in an `up` those that were verified, so never others than those that serve.

    With `--target` they may differ from this checkout's, because the release was skipped.
    """
    if pulumi.runtime.is_dry_run():
        return {"images": images.references, "digests": images.digests, "contentTags": images.content_tags}

    def outputs(text: str, references: Mapping[str, str]) -> dict[str, dict[str, str]]:
        found = verified.parse(text)
        if warning := verified.skipped_release(found, images.content_tags):
            pulumi.log.warn(warning)
        repositories = {image: reference.partition("@")[0] for image, reference in references.items()}
        return {
            "images": {image: f"{repositories[image]}@{entry.digest}" for image, entry in found.items()},
            "digests": {image: entry.digest for image, entry in found.items()},
            "contentTags": {image: entry.content_tag for image, entry in found.items()},
        }

    made = pulumi.Output.all(text=served.verified, references=dict(images.references)).apply(
        lambda known: outputs(known["text"], known["references"])
    )
    return {name: made[name] for name in ("images", "digests", "contentTags")}


def _export(
    settings: Settings,
    images: Running,
    network: Network,
    jobs: Jobs | None,
    worker: Worker | None,
    host: ApiHost,
    snapshots: Snapshots | None,
    served: HostRelease,
    operations: Operations,
) -> None:
    """Export the outputs for people and scripts: infra/outputs.py has them as types."""
    product, watched = settings.product, _watched(settings)
    bill = cost.estimate(
        instance_type=settings.host.instance_type,
        volumes_gib=settings.host.root_volume_gib + settings.host.data_volume_gib,
        snapshots_gib=cost.snapshots_gib(settings.host.data_volume_gib, settings.snapshots_kept),
        worker_cpu=settings.worker.cpu,
        worker_memory_mib=settings.worker.memory_mib,
        worker_tasks=settings.worker.desired_tasks if worker else 0,
        ecr_gb=REGISTRY_GB if settings.owns_registry else 0,
        logs_gb=LOGS_GB_PER_MONTH,
        alarms=len(alarms.alarms(watched)),
        metrics=len(alarms.metrics(watched)),
        dashboards=1,
    )
    outputs: dict[str, pulumi.Input[object]] = {
        "region": settings.region,
        **_image_outputs(images, served),
        "sizeBudgetsMb": dict(settings.images.size_budget_mb),
        "apiUrl": f"https://{settings.host.domain}"
        if settings.host.domain
        else pulumi.Output.concat("http://", host.address, ":", str(settings.host.http_port)),
        "apiAddress": host.address,
        "apiInstanceId": host.instance_id,
        "releaseParameter": served.parameter,
        "verifiedParameter": served.verified_parameter,
        "worker": {
            "cluster": worker.cluster_name,
            "service": worker.service_name,
            "taskDefinition": worker.task_definition_arn,
            "queueUrl": jobs.url,
            "deadLetterQueueUrl": jobs.dead_letter_url,
            "selfTest": list(product.worker.self_test),
        }
        if product.worker and worker and jobs
        else None,
        "databaseHost": network.host_address,
        "snapshotPolicy": snapshots.policy_id if snapshots else None,
        "smokeTest": product.smoke_test,
        "dashboardUrl": pulumi.Output.concat(
            f"https://{settings.region}.console.aws.amazon.com/cloudwatch/home?region={settings.region}#dashboards/",
            "dashboard/",
            operations.dashboard_name,
        ),
        "monthlyCostUsd": cost.total(bill),
        "monthlyCostUsdByPart": bill,
        "monthlyBudgetUsd": settings.budget.monthly_usd,
    }
    for name, value in outputs.items():
        pulumi.export(name, value)
