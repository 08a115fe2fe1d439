"""The network: public subnets in two zones and no NAT gateway, which would cost more than the worker."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.settings import models as settings
from infra.settings.models import ANYWHERE

HTTPS = 443


@dataclass(frozen=True)
class NetworkArgs:
    """The network's wiring and settings."""

    prefix: str
    spec: settings.Network
    zones: tuple[str, ...]
    """The zone of each subnet, the host's first. A subnet that is there already stays in its own (`ignore_changes`)."""
    http_port: int
    """The port that the API host is reached on."""
    https: bool
    """Whether the host has a domain, and so is reached by HTTPS too."""
    acme_port: int
    """The port of the ACME server that the host asks for certificates."""
    worker: bool
    """Whether there are tasks beside the host."""
    host_ports: tuple[int, ...]
    """The ports of the databases that the host reaches outside."""
    worker_ports: tuple[int, ...]
    worker_services: Mapping[str, int]
    """The services of the host that the tasks reach, and their ports."""


class Network(pulumi.ComponentResource):
    """A VPC, its public subnets, and the two security groups, open for nothing that is not used. No SSH."""

    subnet_ids: list[pulumi.Output[str]]
    zone: pulumi.Output[str]
    """The zone of the first subnet: the host's, and so its data volume's. A subnet stays where it was made."""
    host_address: str
    """The API host's private address, which outlasts every instance."""
    host_group_id: pulumi.Output[str]
    worker_group_id: pulumi.Output[str] | None

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Network", name, None, opts)
        self._prefix = args.prefix
        self._child = pulumi.ResourceOptions(parent=self)
        self.host_address = args.spec.host_address

        vpc = aws.ec2.Vpc(
            "vpc",
            cidr_block=args.spec.cidr,
            enable_dns_support=True,
            tags=self._tags("vpc"),
            opts=self._child,
        )
        gateway = aws.ec2.InternetGateway("gateway", vpc_id=vpc.id, tags=self._tags("gateway"), opts=self._child)
        routes = aws.ec2.RouteTable(
            "routes",
            vpc_id=vpc.id,
            routes=[{"cidr_block": ANYWHERE, "gateway_id": gateway.id}],
            tags=self._tags("routes"),
            opts=self._child,
        )
        subnets = []
        for index, (cidr, zone) in enumerate(zip(args.spec.subnet_cidrs, args.zones, strict=True)):
            subnet = aws.ec2.Subnet(
                f"subnet-{index}",
                vpc_id=vpc.id,
                cidr_block=cidr,
                availability_zone=zone,
                map_public_ip_on_launch=True,
                tags=self._tags(f"subnet-{index}"),
                # AWS adds zones and takes them out of the list: that alone is no reason to replace what lives in one.
                opts=pulumi.ResourceOptions.merge(
                    self._child, pulumi.ResourceOptions(ignore_changes=["availabilityZone"])
                ),
            )
            aws.ec2.RouteTableAssociation(
                f"subnet-{index}-routes", subnet_id=subnet.id, route_table_id=routes.id, opts=self._child
            )
            subnets.append(subnet)
        self.subnet_ids = [subnet.id for subnet in subnets]
        self.zone = subnets[0].availability_zone

        host = self._group("host", "The API host", vpc.id)
        for cidr in args.spec.ingress_cidrs:
            self._ingress(host, f"http-from-{_label(cidr)}", args.http_port, cidr=cidr)
            if args.https:
                # TCP alone, so no HTTP/3: its connections could not be sent from one edge to the next.
                self._ingress(host, f"https-from-{_label(cidr)}", HTTPS, cidr=cidr)
        # Out: the registries, AWS's endpoints and OpenAI, all HTTPS.
        self._egress("host", host, "https", HTTPS, cidr=ANYWHERE)
        # The addresses of managed databases change, so only their ports are named.
        for port in args.host_ports:
            self._egress("host", host, str(port), port, cidr=ANYWHERE)
        if args.https and args.acme_port not in (HTTPS, *args.host_ports):
            self._egress("host", host, "acme", args.acme_port, cidr=ANYWHERE)
        self.host_group_id = host.id
        self.worker_group_id = None
        if args.worker:
            worker = self._group("worker", "Tasks of the worker", vpc.id)
            self._egress("worker", worker, "https", HTTPS, cidr=ANYWHERE)
            for service, port in args.worker_services.items():
                self._ingress(host, f"{service}-from-worker", port, group=worker)
                self._egress("worker", worker, service, port, group=host)
            for port in args.worker_ports:
                self._egress("worker", worker, str(port), port, cidr=ANYWHERE)
            self.worker_group_id = worker.id
        self.register_outputs({"hostAddress": self.host_address})

    def _tags(self, what: str) -> dict[str, str]:
        return {"Name": f"{self._prefix}-{what}"}

    def _group(self, what: str, description: str, vpc_id: pulumi.Input[str]) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            f"{what}-group",
            # EC2 deletes no group that is in use, so a replacement is created first, under another name
            # (hashicorp/terraform-provider-aws#2445).
            name_prefix=f"{self._prefix}-{what}-",
            description=description,
            vpc_id=vpc_id,
            tags=self._tags(what),
            opts=self._child,
        )

    def _ingress(
        self,
        to: aws.ec2.SecurityGroup,
        what: str,
        port: int,
        cidr: str | None = None,
        group: aws.ec2.SecurityGroup | None = None,
    ) -> None:
        aws.vpc.SecurityGroupIngressRule(
            f"host-{what}",
            security_group_id=to.id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            cidr_ipv4=cidr,
            referenced_security_group_id=group.id if group else None,
            tags=self._tags(f"host-{what}"),
            opts=self._child,
        )

    def _egress(
        self,
        source: str,
        group_of_source: aws.ec2.SecurityGroup,
        what: str,
        port: int,
        cidr: str | None = None,
        group: aws.ec2.SecurityGroup | None = None,
    ) -> None:
        aws.vpc.SecurityGroupEgressRule(
            f"{source}-to-{what}",
            security_group_id=group_of_source.id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            cidr_ipv4=cidr,
            referenced_security_group_id=group.id if group else None,
            tags=self._tags(f"{source}-to-{what}"),
            opts=self._child,
        )


def _label(cidr: str) -> str:
    """Return a CIDR as part of a resource's name."""
    return "anywhere" if cidr == ANYWHERE else cidr.replace(".", "-").replace("/", "-")
