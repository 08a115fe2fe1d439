"""The API's host: one small EC2 instance, a stable address, and the release that it is to serve."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.components.network import Network
from infra.lib import iam
from infra.releases import bootstrap
from infra.settings import models as settings

AL2023 = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
"""AWS's public parameter that names the current Amazon Linux 2023 image."""
CONTAINER_HOPS = 2
"""A container is one hop further from the metadata service than its host."""


@dataclass(frozen=True)
class ApiHostArgs:
    """The host's settings and wiring."""

    prefix: str
    network: Network
    """The host waits for it: without gateway and routes EC2 refuses the elastic address, and the host's first boot
    installs nothing."""
    path: str
    """The path of the stack's parameters, `/<project>/<stack>`."""
    account_id: pulumi.Input[str]
    region: str
    spec: settings.Host
    repository_arns: list[pulumi.Input[str]]
    """The repositories that it may pull from."""
    send_to: list[pulumi.Input[str]]
    """The queues that it may send to."""
    count: list[pulumi.Input[str]]
    """The queues whose messages it may count."""
    log_retention_days: int
    release: pulumi.Input[str]
    """The release document: canonical JSON within 4,096 bytes."""


class ApiHost(pulumi.ComponentResource):
    """An instance with its role, volume, address and log group, and the release parameter."""

    address: pulumi.Output[str]
    """The public IPv4 address."""
    instance_id: pulumi.Output[str]
    release_parameter: pulumi.Output[str]

    def __init__(self, name: str, args: ApiHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:ApiHost", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        tags = {"Name": f"{args.prefix}-api"}

        logs = aws.cloudwatch.LogGroup(
            "api-logs", name=f"/{args.prefix}/api", retention_in_days=args.log_retention_days, opts=child
        )
        role = aws.iam.Role(
            "host-role",
            name=f"{args.prefix}-host",
            assume_role_policy=iam.assume_role("ec2.amazonaws.com"),
            opts=child,
        )
        policy = aws.iam.RolePolicy(
            "host-policy",
            name="host",
            role=role.id,
            policy=pulumi.Output.all(
                account_id=args.account_id,
                repository_arns=args.repository_arns,
                send_to=args.send_to,
                count=args.count,
                log_group_arn=logs.arn,
            ).apply(lambda known: iam.host_policy(region=args.region, parameter_path=args.path, **known)),
            opts=child,
        )
        profile = aws.iam.InstanceProfile("host-profile", name=f"{args.prefix}-host", role=role.name, opts=child)

        # The private address, the groups and the elastic address outlast every instance.
        interface = aws.ec2.NetworkInterface(
            "host-interface",
            subnet_id=args.network.subnet_ids[0],
            private_ips=[args.network.host_address],
            security_groups=[args.network.host_group_id],
            tags=tags,
            opts=child,
        )
        address = aws.ec2.Eip("address", domain="vpc", tags=tags, opts=child)
        association = aws.ec2.EipAssociation(
            "address-association",
            allocation_id=address.allocation_id,
            network_interface_id=interface.id,
            opts=pulumi.ResourceOptions.merge(
                child,
                pulumi.ResourceOptions(
                    # Without a gateway EC2 refuses the address.
                    depends_on=[args.network],
                    # One address has one association.
                    delete_before_replace=True,
                ),
            ),
        )
        instance = aws.ec2.Instance(
            "host",
            ami=args.spec.image or self._current_image(),
            instance_type=args.spec.instance_type,
            # Deprecated, but `primary_network_interface` is not in version 5 of Terraform's provider.
            network_interfaces=[{"network_interface_id": interface.id, "device_index": 0}],
            iam_instance_profile=profile.name,
            metadata_options={
                "http_endpoint": "enabled",
                "http_tokens": "required",
                "http_put_response_hop_limit": CONTAINER_HOPS,
            },
            root_block_device={
                "volume_type": "gp3",
                "volume_size": args.spec.root_volume_gib,
                "encrypted": True,
                "delete_on_termination": True,
            },
            user_data=bootstrap.user_data(region=args.region, parameter=f"{args.path}/release"),
            # cloud-init runs it at the first boot alone: a host that was made with another one is replaced.
            user_data_replace_on_change=True,
            tags=tags,
            opts=pulumi.ResourceOptions.merge(
                child,
                pulumi.ResourceOptions(
                    # AWS renews the image every few weeks: that alone is no reason to replace a host.
                    ignore_changes=[] if args.spec.image else ["ami"],
                    # The interface is attached to the old one until that is gone.
                    delete_before_replace=True,
                    # The first boot needs a way out, its address, and the right to read the release.
                    depends_on=[args.network, association, policy],
                ),
            ),
        )
        data = aws.ebs.Volume(
            "data",
            availability_zone=args.network.zone,
            size=args.spec.data_volume_gib,
            type="gp3",
            encrypted=True,
            tags={"Name": f"{args.prefix}-data"},
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(protect=args.spec.protect_data)),
        )
        aws.ec2.VolumeAttachment(
            "data-attachment",
            device_name="/dev/sdf",
            instance_id=instance.id,
            volume_id=data.id,
            # The instance goes first where both go: a volume in use cannot be detached safely.
            stop_instance_before_detaching=True,
            opts=child,
        )
        release = aws.ssm.Parameter(
            "release",
            name=f"{args.path}/release",
            type="String",
            insecure_value=args.release,
            opts=child,
        )
        self.address = address.public_ip
        self.instance_id = instance.id
        self.release_parameter = release.name
        self.register_outputs({"address": self.address, "releaseParameter": self.release_parameter})

    def _current_image(self) -> pulumi.Output[str]:
        """Return the current image of Amazon Linux 2023."""
        # Not `value`, which the provider always marks as a secret.
        found = aws.ssm.get_parameter_output(name=AL2023, opts=pulumi.InvokeOptions(parent=self))
        return found.insecure_value
