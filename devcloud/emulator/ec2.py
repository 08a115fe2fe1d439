"""EC2: a group name that AWS refuses, and a launch template whose own tags stay its own."""

from typing import Any

from moto.ec2 import urls
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.responses import EC2Response

from devcloud.emulator import edge


class Backend(EC2Backend):
    """moto's, with one leak closed."""

    _url_module = urls

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


class Response(EC2Response):
    """moto's, refusing what moto lets through."""

    def create_security_group(self) -> Any:
        """CreateSecurityGroup: `sg-` begins an id, never a name."""
        name = self._get_param("GroupName") or ""
        if name.startswith("sg-"):
            raise edge.Refusal(
                "InvalidParameterValue",
                f"Value ({name}) for parameter GroupName is invalid. "
                "Group names may not be in the format sg-*.",
            )
        return super().create_security_group()


def install() -> None:
    """Put the additions in moto's place."""
    edge.install(ec2_backends, Backend, urls, Response)
