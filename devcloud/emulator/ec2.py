"""EC2: an instance and its primary interface agree, a launch template keeps its own tags, and a refusal."""

from typing import Any

from moto.ec2 import urls
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.instances import Instance, Reservation
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.models.security_groups import SecurityGroup
from moto.ec2.responses import EC2Response

from devcloud.emulator import edge


class Backend(EC2Backend):
    """moto's, where an instance's security groups are those of its primary interface, as in a VPC of AWS's.

    moto keeps two lists, and shows an instance without any group that was started as the Terraform provider
    starts it: with the groups named on the interface.
    """

    _url_module = urls

    def run_instances(self, *args: Any, **kwargs: Any) -> Reservation:
        """RunInstances: the primary interface goes when the instance goes, unless it was made before."""
        made_before = set(self.enis)
        reservation = super().run_instances(*args, **kwargs)
        for instance in reservation.instances:
            primary = instance.nics[0]
            share_groups(instance, primary.group_set)
            if primary.id not in made_before:
                primary.delete_on_termination = True
        return reservation

    def modify_instance_security_groups(self, instance_id: str, new_group_id_list: list[str]) -> Instance:
        """ModifyInstanceAttribute, of the groups."""
        instance = super().modify_instance_security_groups(instance_id, new_group_id_list)
        share_groups(instance, instance.security_groups)
        return instance

    def modify_network_interface_attribute(
        self,
        eni_id: str,
        group_ids: list[str],
        source_dest_check: bool | None = None,
        description: str | None = None,
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


class Response(EC2Response):
    """moto's, refusing what moto lets through."""

    def create_security_group(self) -> Any:
        """CreateSecurityGroup: `sg-` begins an id, never a name."""
        name = self._get_param("GroupName") or ""
        if name.startswith("sg-"):
            raise edge.Refusal(
                "InvalidParameterValue",
                f"Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*.",
            )
        return super().create_security_group()


def install() -> None:
    """Put the additions in moto's place."""
    edge.install(ec2_backends, Backend, urls, Response)
