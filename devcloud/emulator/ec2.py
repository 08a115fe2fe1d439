"""EC2: instances whose machines start and stop, interfaces that outlast them, launch templates' tags, and refusals."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2 import urls
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.elastic_ip_addresses import ElasticAddress
from moto.ec2.models.instances import Instance, InstanceState, Reservation
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.models.security_groups import SecurityGroup
from moto.ec2.responses import EC2Response

from devcloud.emulator import ec2_refusals, moto_overrides
from devcloud.emulator.machines import MACHINES, release_interfaces, set_state


class Ec2Backend(EC2Backend):
    """moto's, where an instance's security groups are those of its primary interface, as in a VPC of AWS's.

    moto keeps two lists, and shows an instance without any group that was started as the Terraform provider
    starts it: with the groups named on the interface.
    """

    _url_module = urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.credit_options: dict[str, str] = {}
        """The credit options that were asked for, by instance id."""

    def credits_of(self, instance: Instance) -> str:
        """Return the credit option of an instance: `standard` or `unlimited`."""
        default = "standard" if instance.instance_type.startswith("t2.") else "unlimited"
        return self.credit_options.get(instance.id, default)

    def run_instances(self, *args: Any, **kwargs: Any) -> Reservation:
        """RunInstances: the primary interface goes when the instance goes, unless it was made before."""
        self._refuse_instance(kwargs)
        made_before = set(self.enis)
        reservation = super().run_instances(*args, **kwargs)
        for instance in reservation.instances:
            primary = instance.nics[0]
            share_groups(instance, primary.group_set)
            if primary.id not in made_before:
                primary.delete_on_termination = True
            # moto takes the region's first zone if the interface was made before.
            instance.placement.zone = primary.subnet.availability_zone
            if MACHINES.managed:
                set_state(instance, "pending")
        return reservation

    def _refuse_instance(self, asked: Mapping[str, Any]) -> None:
        primary: Mapping[str, Any] = next(
            (nic for nic in asked.get("nics") or [] if int(nic.get("DeviceIndex") or 0) == 0), {}
        )
        if primary.get("NetworkInterfaceId"):
            interface = self.get_network_interface(primary["NetworkInterfaceId"])
            ec2_refusals.interface_in_use(interface)
            subnet = interface.subnet
        else:
            subnet_id = asked.get("subnet_id") or primary.get("SubnetId")
            subnet = self.get_subnet(subnet_id) if subnet_id else None
            address = asked.get("private_ip") or primary.get("PrivateIpAddress")
            if subnet and address:
                ec2_refusals.private_address(self, subnet, address, of_an_interface=False)
        if not asked.get("is_instance_type_default"):
            zone = subnet.availability_zone if subnet else asked.get("placement")
            ec2_refusals.instance_type(self.region_name, asked["instance_type"], zone)

    def start_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        """StartInstances: the type may have been changed since, to one that the zone does not offer."""
        for instance in self.get_multi_instances_by_id(instance_ids):
            ec2_refusals.instance_type(self.region_name, instance.instance_type, instance.placement.zone)
            ec2_refusals.state(instance, ("stopped", "running"), "started")
        return self._changing(instance_ids, "pending", super().start_instances)

    def stop_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        """StopInstances: the data plane says when it has stopped."""
        for instance in self.get_multi_instances_by_id(instance_ids):
            ec2_refusals.state(instance, ("running", "stopping", "stopped"), "stopped")
        return self._changing(instance_ids, "stopping", super().stop_instances)

    def terminate_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        """TerminateInstances: the data plane says when it is gone."""
        return self._changing(instance_ids, "shutting-down", super().terminate_instances)

    def _changing(
        self,
        instance_ids: list[str],
        state: str,
        change: Callable[[list[str]], list[tuple[Instance, InstanceState]]],
    ) -> list[tuple[Instance, InstanceState]]:
        """Change instances as moto does, at once; with a data plane they are only on their way to their new state."""
        before = {instance.id: instance.state for instance in self.get_multi_instances_by_id(instance_ids)}
        changed = change(instance_ids)
        for instance, _ in changed:
            if before[instance.id] in (state, instance.state):
                set_state(instance, before[instance.id])  # it was there, or on its way, already
            elif MACHINES.managed:
                set_state(instance, state)
            elif instance.state == "terminated":
                release_interfaces(instance)
        return changed

    def reboot_instances(self, instance_ids: list[str]) -> list[Instance]:
        """RebootInstances: the state stays `running` meanwhile."""
        for instance in self.get_multi_instances_by_id(instance_ids):
            ec2_refusals.state(instance, ("running",), "rebooted")
            MACHINES.of(instance.id).reboots += 1
        return super().reboot_instances(instance_ids)

    def associate_address(self, instance: Any = None, eni: Any = None, *args: Any, **kwargs: Any) -> ElasticAddress:
        """Refuse an elastic address in a VPC without a gateway."""
        interface = eni or (instance.nics[0] if instance else None)
        if interface:
            ec2_refusals.address_without_gateway(self, interface.subnet.vpc_id)
        return super().associate_address(instance, eni, *args, **kwargs)

    def detach_internet_gateway(self, internet_gateway_id: str, vpc_id: str) -> None:
        """Refuse while elastic addresses need the gateway."""
        ec2_refusals.gateway_with_addresses(self, vpc_id)
        super().detach_internet_gateway(internet_gateway_id, vpc_id)

    def modify_instance_security_groups(self, instance_id: str, new_group_id_list: list[str]) -> Instance:
        """ModifyInstanceAttribute, of the groups."""
        instance = super().modify_instance_security_groups(instance_id, new_group_id_list)
        share_groups(instance, instance.security_groups)
        return instance

    def modify_network_interface_attribute(
        self, eni_id: str, group_ids: list[str], source_dest_check: bool | None = None, description: str | None = None
    ) -> None:
        """ModifyNetworkInterfaceAttribute, by which the provider changes an instance's groups."""
        super().modify_network_interface_attribute(eni_id, group_ids, source_dest_check, description)
        interface = self.get_network_interface(eni_id)
        if group_ids and interface.instance and interface.device_index == 0:
            share_groups(interface.instance, interface._group_set)

    def create_launch_template(
        self, name: str, description: str, template_data: dict[str, Any], tag_spec: dict[str, Any]
    ) -> LaunchTemplate:
        """CreateLaunchTemplate: moto puts the template's own tags among those that its instances get."""
        specifications = [
            specification
            for specification in template_data.pop("TagSpecifications", [])
            if specification["ResourceType"] != "launch-template"
        ]
        if specifications:
            template_data["TagSpecifications"] = specifications
        return super().create_launch_template(name, description, template_data, tag_spec)


def share_groups(instance: Instance, groups: Any) -> None:
    """Let an instance and its primary interface have the same security groups, each once."""
    by_id: dict[str, SecurityGroup] = {group.id: group for group in groups}
    instance.security_groups = list(by_id.values())
    instance.nics[0]._group_set = list(by_id.values())


def _described(operation: str) -> Callable[[EC2Response], Any]:
    """Return moto's operation, refusing descriptions that EC2 does not take."""

    def checked(response: EC2Response) -> Any:
        ec2_refusals.rule_descriptions(response._get_param("IpPermissions") or [])
        return getattr(EC2Response, operation)(response)

    return checked


class Response(EC2Response):
    """moto's, refusing what moto lets through."""

    def create_security_group(self) -> Any:
        """Refuse names and descriptions that EC2 does not take."""
        ec2_refusals.group_name(self._get_param("GroupName") or "")
        ec2_refusals.group_description(self._get_param("Description") or "")
        return super().create_security_group()

    def delete_security_group(self) -> Any:
        """Refuse while the group is in use. Not in the backend: moto deletes a VPC's default group by it."""
        ec2_refusals.group_in_use(self.ec2_backend, self._get_param("GroupId") or self._get_param("GroupName") or "")
        return super().delete_security_group()

    authorize_security_group_ingress = _described("authorize_security_group_ingress")
    authorize_security_group_egress = _described("authorize_security_group_egress")
    update_security_group_rule_descriptions_ingress = _described("update_security_group_rule_descriptions_ingress")
    update_security_group_rule_descriptions_egress = _described("update_security_group_rule_descriptions_egress")

    def modify_security_group_rules(self) -> Any:
        """Refuse descriptions that EC2 does not take."""
        rules = [rule.get("SecurityGroupRule") or {} for rule in self._get_param("SecurityGroupRules") or []]
        ec2_refusals.rule_descriptions([{"IpRanges": rules}])
        return super().modify_security_group_rules()

    def run_instances(self) -> ActionResult:
        """RunInstances: with the credit option that is asked for, which moto drops."""
        asked = self._get_param("CreditSpecification.CpuCredits")
        if asked:
            ec2_refusals.credits_without_bursts(self._get_param("InstanceType", "m1.small"))
        started = super().run_instances()
        if asked:
            for instance in cast(Reservation, started.result).instances:
                self.ec2_backend.credit_options[instance.id] = asked
        return started

    def describe_instance_credit_specifications(self) -> ActionResult:
        """DescribeInstanceCreditSpecifications: moto has `standard` for every instance."""
        instances = self.ec2_backend.get_multi_instances_by_id(self._get_param("InstanceIds", []))
        for instance in instances:
            ec2_refusals.credits_without_bursts(instance.instance_type)
        found = [
            {"InstanceId": instance.id, "CpuCredits": self.ec2_backend.credits_of(instance)} for instance in instances
        ]
        return ActionResult({"InstanceCreditSpecifications": found})

    def modify_instance_credit_specification(self) -> ActionResult:
        """ModifyInstanceCreditSpecification, which moto does not have."""
        asked = self._get_param("InstanceCreditSpecifications", [])
        for instance in self.ec2_backend.get_multi_instances_by_id([each["InstanceId"] for each in asked]):
            ec2_refusals.credits_without_bursts(instance.instance_type)
        self.ec2_backend.credit_options.update({each["InstanceId"]: each["CpuCredits"] for each in asked})
        done = [{"InstanceId": each["InstanceId"]} for each in asked]
        return ActionResult(
            {"SuccessfulInstanceCreditSpecifications": done, "UnsuccessfulInstanceCreditSpecifications": []}
        )

    def create_network_interface(self) -> Any:
        """Refuse a private address that cannot be given."""
        address = self._get_param("PrivateIpAddress")
        if address:
            subnet = self.ec2_backend.get_subnet(self._get_param("SubnetId"))
            ec2_refusals.private_address(self.ec2_backend, subnet, address, of_an_interface=True)
        return super().create_network_interface()

    def get_console_output(self) -> ActionResult:
        """GetConsoleOutput: what the machine's console shows; nothing before it has said something."""
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        machine = MACHINES.of(instance.id)
        found: dict[str, Any] = {"InstanceId": instance.id, "Timestamp": machine.console_at or utcnow()}
        if machine.console:
            found["Output"] = Base64EncodedString.from_raw_string(machine.console)
        return ActionResult(found)


def install() -> None:
    moto_overrides.install(ec2_backends, Ec2Backend, urls, Response)
