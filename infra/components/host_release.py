"""The release of the API host: its parameter behind the gate, the check of every `up`, and the verified images."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import boto3
import pulumi
import pulumi_aws as aws

from infra.components.api_host import ApiHost
from infra.components.secrets import Secrets
from infra.releases import graph, release, verified
from infra.releases.gate import Gate, GateError, Patience
from infra.releases.run_command import Host
from infra.settings import Settings

Result = TypeVar("Result")


@dataclass(frozen=True)
class HostReleaseArgs:
    """The images that are to serve, and the host that is to run them."""

    settings: Settings
    host: ApiHost
    secrets: Secrets
    account_id: pulumi.Output[str]
    references: Mapping[str, pulumi.Output[str]]
    """`repository@digest` of the images that the host runs, by image. The release waits for no other."""
    digests: Mapping[str, pulumi.Output[str]]
    """Of all images, for what was verified."""
    content_tags: Mapping[str, str]


def _hooks(gate: Callable[[pulumi.ResourceHookArgs], Awaitable[None]]) -> pulumi.ResourceHookBinding:
    """Return the binding that holds the parameter back until the gate has let the release through."""
    hook = pulumi.ResourceHook("release-gate", gate)
    return pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])


class HostRelease(pulumi.ComponentResource):
    """A parameter that changes only if the host serves the release, and one that says what was verified."""

    parameter: pulumi.Output[str]
    """Name of the parameter with the release."""
    verified_parameter: pulumi.Output[str]
    verified: pulumi.Output[str]
    """Value of that parameter, known once it was written."""

    def __init__(self, name: str, args: HostReleaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:HostRelease", name, None, opts)
        self._args = args
        settings = args.settings
        current = aws.ssm.Parameter(
            "release",
            name=graph.release_parameter(settings),
            type="String",
            insecure_value=self._text(),
            opts=pulumi.ResourceOptions(
                parent=self,
                # The gate speaks to the host, so all of it has to be there.
                depends_on=[args.host],
                hooks=_hooks(self._gate),
            ),
        )
        seen = pulumi.Output.all(current.insecure_value, args.host.instance_id, args.account_id).apply(self._verify)
        last = aws.ssm.Parameter(
            "verified",
            name=graph.verified_parameter(settings),
            type="String",
            insecure_value=pulumi.Output.all(text=current.insecure_value, digests=dict(args.digests), seen=seen).apply(
                lambda known: verified.render(
                    release.release_id(known["text"]),
                    {
                        image: release.ReleasedImage(digest, args.content_tags[image])
                        for image, digest in known["digests"].items()
                    },
                )
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[current]),
        )
        self.parameter = current.name
        self.verified_parameter = last.name
        self.verified = last.insecure_value
        self.register_outputs({"parameter": self.parameter, "verifiedParameter": self.verified_parameter})

    def _text(self) -> pulumi.Output[str]:
        """Return the release document: unknown in a preview that changes an image, a secret or the host's program."""
        settings = self._args.settings
        return pulumi.Output.all(
            version=self._args.host.document_version,
            program=self._args.host.program,
            images=dict(self._args.references),
            secrets={secret: self._args.secrets.versions[secret] for secret in settings.service_secrets},
        ).apply(
            lambda known: release.render(
                release.Release(
                    host=graph.document_name(settings),
                    host_version=known["version"],
                    program=known["program"],
                    services=graph.references(settings, known["images"]),
                    # Numbers come from the engine as floats.
                    secrets={secret: int(version) for secret, version in known["secrets"].items()},
                )
            )
        )

    async def _gate(self, hook: pulumi.ResourceHookArgs) -> None:
        """Hand the release to the host before the parameter is written; an exception keeps the parameter as it is."""
        text = str((hook.new_inputs or {})["insecureValue"])
        instance_id = await self._args.host.instance_id.future()
        account_id = await self._args.account_id.future()
        await self._in_thread(instance_id, account_id, lambda gate: gate.release(text))

    def _verify(self, known: Sequence[str]) -> pulumi.Input[bool]:
        """Ask the host at the end of every `up` what serves."""
        text, instance_id, account_id = known
        if pulumi.runtime.is_dry_run():
            return True

        async def ask() -> bool:
            try:
                await self._in_thread(instance_id, account_id, lambda gate: gate.verify(text))
            except GateError as error:
                # Any other exception ends with a traceback.
                raise pulumi.RunError(str(error)) from None
            return True

        return ask()

    async def _in_thread(
        self, instance_id: str | None, account_id: str | None, work: Callable[[Gate], Result]
    ) -> Result:
        """Do work that waits for AWS beside the program's event loop, which its progress is told through."""
        loop = asyncio.get_running_loop()
        settings = self._args.settings
        times = settings.host.release
        region = settings.region

        def say(line: str) -> None:
            loop.call_soon_threadsafe(pulumi.log.info, line)

        def run() -> Result:
            gate = Gate(
                host=Host(boto3.client("ssm", region_name=region), str(instance_id), graph.document_name(settings)),
                ec2=boto3.client("ec2", region_name=region),
                sts=boto3.client("sts", region_name=region),
                account_id=str(account_id),
                patience=Patience(agent=times.agent_seconds, release=settings.release_seconds),
                say=say,
                once=[name for name, service in settings.services.items() if service.once],
            )
            return work(gate)

        return await asyncio.to_thread(run)
