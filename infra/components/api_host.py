"""The API's host: one small EC2 instance, its addresses and its program."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.components import snapshots
from infra.components.jobs import Jobs
from infra.components.network import Network
from infra.components.service_roles import ServiceRoles, ServiceRolesArgs
from infra.lib import iam
from infra.lib.aws_limits import BURSTABLE
from infra.releases import bootstrap, graph, host_document
from infra.settings import Settings

AL2023 = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
"""AWS's public parameter that names the current Amazon Linux 2023 image."""
METADATA_HOPS = 1
"""A container is one hop further from the metadata service than its host, and so out of its reach."""


@dataclass(frozen=True)
class ApiHostArgs:
    """The host's settings and wiring."""

    settings: Settings
    network: Network
    """The host waits for it: without gateway and routes EC2 refuses the elastic address, and the host's first boot
    installs nothing."""
    jobs: Jobs | None
    account_id: pulumi.Input[str]
    repository_arns: Mapping[str, pulumi.Input[str]]
    """The repositories of the images that the host runs, by image."""
    repository_addresses: Mapping[str, pulumi.Input[str]]


class ApiHost(pulumi.ComponentResource):
    """An instance with its roles, volume, addresses, log group and program."""

    address: pulumi.Output[str]
    """The public IPv4 address."""
    instance_id: pulumi.Output[str]
    document_version: pulumi.Output[str]
    """Version of the document with the host's program; unknown in a preview that changes the program."""
    program: pulumi.Output[str]
    """Name of the host's program in the document."""

    def __init__(self, name: str, args: ApiHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:ApiHost", name, None, opts)
        self._args = args
        self._settings = args.settings
        self._child = pulumi.ResourceOptions(parent=self)
        self._tags = {"Name": f"{args.settings.prefix}-api"}

        role = aws.iam.Role(
            "host-role",
            name=f"{args.settings.prefix}-host",
            assume_role_policy=iam.assume_role("ec2.amazonaws.com"),
            opts=self._child,
        )
        services = ServiceRoles(
            "service-roles",
            ServiceRolesArgs(
                settings=args.settings,
                host_role_arn=role.arn,
                jobs=args.jobs,
                verified_arn=pulumi.Output.from_input(args.account_id).apply(
                    lambda account: iam.parameter_arn(
                        args.settings.region, account, graph.verified_parameter(args.settings)
                    )
                ),
            ),
            self._child,
        )
        policy = self._allow(role, services)
        instance = self._instance(role, policy)
        data = self._data(instance)

        services_graph = pulumi.Output.all(
            data_volume_id=data.id,
            queue_url=args.jobs.url if args.jobs else None,
            roles=dict(services.arns),
            repositories=dict(args.repository_addresses),
        ).apply(lambda known: graph.graph(args.settings, graph.Wiring(**known)))
        document = aws.ssm.Document(
            "host-document",
            name=graph.document_name(args.settings),
            document_type="Command",
            document_format="JSON",
            content=services_graph.apply(host_document.render),
            opts=self._child,
        )
        self.instance_id = instance.id
        self.document_version = document.latest_version
        self.program = services_graph.apply(host_document.program_name)
        self.register_outputs({"address": self.address})

    def _allow(self, role: aws.iam.Role, services: ServiceRoles) -> aws.iam.RolePolicy:
        """Declare what the host may do, and the log group that it writes to."""
        settings = self._settings
        logs = aws.cloudwatch.LogGroup(
            "api-logs",
            name=graph.log_group(settings),
            retention_in_days=settings.logs.retention_days,
            opts=self._child,
        )
        return aws.iam.RolePolicy(
            "host-policy",
            name="host",
            role=role.id,
            policy=pulumi.Output.all(
                account_id=self._args.account_id,
                repository_arns=[self._args.repository_arns[image] for image in sorted(self._args.repository_arns)],
                service_roles=list(services.arns.values()),
                log_group_arn=logs.arn,
            ).apply(
                lambda known: iam.host_policy(
                    region=settings.region,
                    release=graph.release_parameter(settings),
                    secrets=[f"{settings.parameter_path}/{secret}" for secret in settings.service_secrets],
                    document=graph.document_name(settings),
                    metric_namespace=settings.prefix,
                    **known,
                )
            ),
            opts=self._child,
        )

    def _instance(self, role: aws.iam.Role, policy: aws.iam.RolePolicy) -> aws.ec2.Instance:
        """Declare the instance, on an interface of its own."""
        spec = self._settings.host
        profile = aws.iam.InstanceProfile(
            "host-profile", name=f"{self._settings.prefix}-host", role=role.name, opts=self._child
        )
        # The private address, the groups and the elastic address outlast every instance.
        interface = aws.ec2.NetworkInterface(
            "host-interface",
            subnet_id=self._args.network.subnet_ids[0],
            private_ips=[self._args.network.host_address],
            security_groups=[self._args.network.host_group_id],
            tags=self._tags,
            opts=self._child,
        )
        association = self._elastic_address(interface)
        return aws.ec2.Instance(
            "host",
            ami=spec.image or self._current_image(),
            instance_type=spec.instance_type,
            # Deprecated, but `primary_network_interface` is not in version 5 of Terraform's provider.
            network_interfaces=[{"network_interface_id": interface.id, "device_index": 0}],
            # t3 is `unlimited` by default, and any family in an account that says so: then credits cost money unseen.
            credit_specification={"cpu_credits": "standard"} if spec.instance_type.startswith(BURSTABLE) else None,
            iam_instance_profile=profile.name,
            metadata_options={
                "http_endpoint": "enabled",
                "http_tokens": "required",
                "http_put_response_hop_limit": METADATA_HOPS,
            },
            root_block_device={
                "volume_type": "gp3",
                "volume_size": spec.root_volume_gib,
                "encrypted": True,
                "delete_on_termination": True,
            },
            user_data=bootstrap.user_data(
                region=self._settings.region, parameter=graph.release_parameter(self._settings)
            ),
            # cloud-init runs it at the first boot alone: a host that was made with another one is replaced.
            user_data_replace_on_change=True,
            tags=self._tags,
            opts=pulumi.ResourceOptions.merge(
                self._child,
                pulumi.ResourceOptions(
                    # AWS renews the image every few weeks: that alone is no reason to replace a host.
                    ignore_changes=[] if spec.image else ["ami"],
                    # The interface is attached to the old one until that is gone.
                    delete_before_replace=True,
                    # The first boot needs a way out, its address, and the right to read the release.
                    depends_on=[self._args.network, association, policy],
                ),
            ),
        )

    def _elastic_address(self, interface: aws.ec2.NetworkInterface) -> aws.ec2.EipAssociation:
        """Declare the public address, and give it to the interface."""
        address = aws.ec2.Eip("address", domain="vpc", tags=self._tags, opts=self._child)
        self.address = address.public_ip
        return aws.ec2.EipAssociation(
            "address-association",
            allocation_id=address.allocation_id,
            network_interface_id=interface.id,
            opts=pulumi.ResourceOptions.merge(
                self._child,
                pulumi.ResourceOptions(
                    # Without a gateway EC2 refuses the address.
                    depends_on=[self._args.network],
                    # One address has one association.
                    delete_before_replace=True,
                ),
            ),
        )

    def _data(self, instance: aws.ec2.Instance) -> aws.ebs.Volume:
        """Declare the volume of the databases, which outlasts every instance."""
        spec = self._settings.host
        data = aws.ebs.Volume(
            "data",
            availability_zone=self._args.network.zone,
            size=spec.data_volume_gib,
            snapshot_id=spec.data_snapshot,
            type="gp3",
            encrypted=True,
            tags=snapshots.tags(self._settings.prefix),
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(protect=spec.protect_data)),
        )
        aws.ec2.VolumeAttachment(
            "data-attachment",
            device_name=graph.DATA_DEVICE,
            instance_id=instance.id,
            volume_id=data.id,
            # The instance goes first where both go: a volume in use cannot be detached safely.
            stop_instance_before_detaching=True,
            opts=self._child,
        )
        return data

    def _current_image(self) -> pulumi.Output[str]:
        """Return the current image of Amazon Linux 2023."""
        # Not `value`, which the provider always marks as a secret.
        found = aws.ssm.get_parameter_output(name=AL2023, opts=pulumi.InvokeOptions(parent=self))
        return found.insecure_value
