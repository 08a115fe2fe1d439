"""SSM: a standard parameter's limit, a document's limit, and associations; commands are in `ssm_commands`."""

import datetime
import uuid
from typing import Any, cast

from moto.core.responses import ActionResult, EmptyResult
from moto.ssm import urls
from moto.ssm.models import Documents, Parameter, SimpleSystemManagerBackend, ssm_backends

from devcloud.emulator import moto_overrides, run_command
from devcloud.emulator.moto_overrides import AwsError
from devcloud.emulator.ssm_commands import CommandResponse

# Bytes; "Managing parameter tiers" in the Systems Manager user guide, 2026-11.
STANDARD_LIMIT = 4096
ADVANCED_LIMIT = 8192

# What CreateAssociation and UpdateAssociation take and DescribeAssociation gives back.
ASSOCIATION_SETTINGS = (
    "ApplyOnlyAtCronInterval",
    "AssociationName",
    "AutomationTargetParameterName",
    "CalendarNames",
    "ComplianceSeverity",
    "DocumentVersion",
    "InstanceId",
    "MaxConcurrency",
    "MaxErrors",
    "Name",
    "OutputLocation",
    "Parameters",
    "ScheduleExpression",
    "SyncCompliance",
    "Targets",
)


class SsmBackend(SimpleSystemManagerBackend):
    """moto's, and the associations by their ids."""

    _url_module = urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.associations: dict[str, dict[str, Any]] = {}

    def create_document(self, content: str, *args: Any, **kwargs: Any) -> Documents:
        """CreateDocument, refusing one that is too large."""
        run_command.check_size(content, {})
        return super().create_document(content, *args, **kwargs)

    def _validate_resource_type_and_id(self, resource_type: str, resource_id: str) -> str:
        if resource_type == "Association":
            return str(self.association(resource_id)["AssociationId"])
        return super()._validate_resource_type_and_id(resource_type, resource_id)

    def association(self, association_id: str) -> dict[str, Any]:
        """The association with this id, to read or to change."""
        if association_id not in self.associations:
            raise AwsError("AssociationDoesNotExist", "The specified association does not exist.")
        return self.associations[association_id]

    def put_parameter(
        self,
        name: str,
        description: str,
        value: str,
        parameter_type: str,
        allowed_pattern: str,
        keyid: str,
        overwrite: bool,
        tags: list[dict[str, str]],
        data_type: str,
        tier: str | None,
        policies: str | None,
    ) -> Parameter:
        """PutParameter, refusing a value that is too long for its tier."""
        size = len((value or "").encode())
        tier = self._tier(name, tier, size)
        if tier == "Standard" and size > STANDARD_LIMIT:
            raise AwsError(
                "ValidationException",
                f"Standard tier parameters support a maximum parameter value of {STANDARD_LIMIT} characters. "
                "To create a larger parameter value, upgrade the parameter to use the advanced-parameter "
                "tier. For more information, see https://docs.aws.amazon.com/systems-manager/latest/"
                "userguide/parameter-store-advanced-parameters.html",
            )
        if size > ADVANCED_LIMIT:
            raise AwsError(
                "ValidationException",
                f"Advanced tier parameters support a maximum parameter value of {ADVANCED_LIMIT} characters.",
            )
        return super().put_parameter(
            name, description, value, parameter_type, allowed_pattern, keyid, overwrite, tags, data_type, tier, policies
        )

    def update_document(self, content: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """UpdateDocument, refusing content that is too large, or that the latest version has already.

        moto refuses content of any version, so a document could never go back to what it was. The provider takes the
        refusal for "the latest version has this content" (hashicorp/terraform#13491).
        """
        run_command.check_size(content, {})
        documents = self._documents.get(kwargs["name"])
        if documents is None:
            return super().update_document(content, *args, **kwargs)
        kept = (documents.latest_version, documents.default_version)
        older = {
            version: document
            for version, document in documents.versions.items()
            if document.content == content and version not in kept
        }
        documents.delete(*older)
        try:
            return super().update_document(content, *args, **kwargs)
        finally:
            documents.versions.update(older)

    def _tier(self, name: str, asked: str | None, size: int) -> str:
        """The tier that a parameter's value of `size` bytes goes into."""
        # Not `get`: moto files names under another spelling.
        versions = self._parameters[name] if name in self._parameters else []  # noqa: SIM401
        before = versions[-1].tier if versions else None
        tier = asked or before or self.default_parameter_tier
        if tier == "Intelligent-Tiering":
            tier = "Advanced" if size > STANDARD_LIMIT or before == "Advanced" else "Standard"
        return tier


class Response(CommandResponse):
    """moto's, with the calls that it does not know."""

    @property
    def backend(self) -> SsmBackend:
        return cast(SsmBackend, self.ssm_backend)

    def create_association(self) -> ActionResult:
        """CreateAssociation. Nothing runs: the document that it names is not carried out here."""
        now = datetime.datetime.now(datetime.UTC)
        association = {
            "ApplyOnlyAtCronInterval": False,
            "DocumentVersion": "$DEFAULT",
            **self._settings(),
            "AssociationId": str(uuid.uuid4()),
            "AssociationVersion": "1",
            "Date": now,
            "LastUpdateAssociationDate": now,
            "Status": {"Date": now, "Name": "Success", "Message": ""},
            "Overview": {
                "Status": "Success",
                "DetailedStatus": "Success",
                "AssociationStatusAggregatedCount": {"Success": 1},
            },
        }
        association_id = str(association["AssociationId"])
        self.backend.associations[association_id] = association
        tags = {tag["Key"]: tag["Value"] for tag in self._get_param("Tags") or []}
        self.backend.add_tags_to_resource("Association", association_id, tags)
        return ActionResult({"AssociationDescription": association})

    def update_association(self) -> ActionResult:
        association = self._association()
        association.update(self._settings())
        association["AssociationVersion"] = str(int(association["AssociationVersion"]) + 1)
        association["LastUpdateAssociationDate"] = datetime.datetime.now(datetime.UTC)
        return ActionResult({"AssociationDescription": association})

    def describe_association(self) -> ActionResult:
        return ActionResult({"AssociationDescription": self._association()})

    def delete_association(self) -> ActionResult:
        del self.backend.associations[self._association()["AssociationId"]]
        return EmptyResult()

    def list_associations(self) -> ActionResult:
        return ActionResult({"Associations": list(self.backend.associations.values())})

    def describe_association_executions(self) -> ActionResult:
        """DescribeAssociationExecutions: one, which the provider waits for."""
        association = self._association()
        execution = {
            "AssociationId": association["AssociationId"],
            "AssociationVersion": association["AssociationVersion"],
            "ExecutionId": association["AssociationId"],
            "Status": "Success",
            "DetailedStatus": "Success",
            "CreatedTime": association["LastUpdateAssociationDate"],
        }
        return ActionResult({"AssociationExecutions": [execution]})

    def _settings(self) -> dict[str, Any]:
        given = {name: self._get_param(name) for name in ASSOCIATION_SETTINGS}
        return {name: value for name, value in given.items() if value is not None}

    def _association(self) -> dict[str, Any]:
        return self.backend.association(self._get_param("AssociationId"))


def install() -> None:
    moto_overrides.install(ssm_backends, SsmBackend, urls, Response)
