"""Judge calls by IAM's policy documents, as AWS does: pure functions.

moto's own judge (`moto.iam.access_control`) leaves out resources and conditions, so it allows too much. Here only what
the program's policies use is known: `Action`, `Resource`, `Principal`, and the operators in OPERATORS. Anything else in
a statement that concerns the call raises NotJudgedError, and the caller refuses the call by that name.
"""

import enum
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

IDENTITY_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Condition"}
TRUST_ELEMENTS = {"Sid", "Effect", "Action", "Principal", "Condition"}
ARN_PARTS = 6


class NotJudgedError(Exception):
    """A policy or a call has something that this judge does not know; the message names it."""


class Verdict(enum.Enum):
    """The outcome for a call."""

    ALLOWED = "allowed"
    DENIED = "explicitly denied"
    UNMENTIONED = "in no statement"


@dataclass(frozen=True)
class Call:
    """A call to AWS, as policies see it."""

    action: str
    """Such as `ssm:GetParameter`."""
    resources: tuple[str, ...] | None = ("*",)
    """The ARNs that it concerns, each of which must be allowed; None if they are not known."""
    context: Mapping[str, str | None] = field(default_factory=dict)
    """Values of condition keys, by lower-case name; None for a key that AWS does not set for this call."""


@dataclass(frozen=True)
class Judgement:
    """The verdict, and the first resource that it is not `allowed` for."""

    verdict: Verdict
    resource: str = ""


@dataclass(frozen=True)
class Principal:
    """Who asks: an AWS service by its name, or a session by the ARNs that a trust policy may name it by."""

    kind: str
    """`Service` or `AWS`."""
    names: tuple[str, ...]
    """Names of exactly this principal: a service's name; the ARNs of the role and of its session."""
    account_names: tuple[str, ...] = ()
    """Names of everybody in its account. The principal's own policies must then allow the call too."""


class Trust(enum.Enum):
    """How a role's trust policy names a principal."""

    NAMED = "named itself"
    BY_ACCOUNT = "named by its account"
    REFUSED = "not named, or denied"


def judge(documents: Sequence[str], call: Call) -> Judgement:
    """Return the verdict of a principal's policies on a call: a denial anywhere outweighs every permission."""
    statements = [each for document in documents for each in _statements(document, IDENTITY_ELEMENTS)]
    if call.resources is None:
        return _judge_unknown_resource(statements, call)
    for resource in call.resources:
        verdict = _verdict(statements, call, resource)
        if verdict is not Verdict.ALLOWED:
            return Judgement(verdict, resource)
    return Judgement(Verdict.ALLOWED)


def trusts(document: str, principal: Principal, call: Call) -> Trust:
    """Return what a role's trust policy says of a principal that wants to assume it."""
    found = Trust.REFUSED
    for statement in _statements(document, TRUST_ELEMENTS):
        named = _named(statement, principal)
        if named is Trust.REFUSED or not _has_action(statement, call.action) or not _holds(statement, call):
            continue
        if statement["Effect"] == "Deny":
            return Trust.REFUSED
        if found is not Trust.NAMED:
            found = named
    return found


def _judge_unknown_resource(statements: Iterable[Mapping[str, Any]], call: Call) -> Judgement:
    """Judge an action whose resources nobody has described yet: by statements for every resource alone."""
    concerned = [statement for statement in statements if _has_action(statement, call.action)]
    if any(_texts(statement["Resource"]) != ["*"] for statement in concerned):
        raise NotJudgedError(f"the resources of {call.action}")
    verdict = _verdict(concerned, call, "*")
    return Judgement(verdict, "" if verdict is Verdict.ALLOWED else "*")


def _verdict(statements: Iterable[Mapping[str, Any]], call: Call, resource: str) -> Verdict:
    verdict = Verdict.UNMENTIONED
    for statement in statements:
        if not _has_action(statement, call.action) or not _has_resource(statement, resource):
            continue
        if not _holds(statement, call):
            continue
        if statement["Effect"] == "Deny":
            return Verdict.DENIED
        verdict = Verdict.ALLOWED
    return verdict


def _statements(document: str, known: set[str]) -> Iterator[Mapping[str, Any]]:
    content = json.loads(document)
    listed = content["Statement"]
    for statement in listed if isinstance(listed, list) else [listed]:
        if unknown := sorted(statement.keys() - known):
            raise NotJudgedError(f"the element {unknown[0]} of a policy")
        if missing := sorted(known - statement.keys() - {"Sid", "Condition"}):
            raise NotJudgedError(f"a policy's statement without {missing[0]}")
        yield statement


def _has_action(statement: Mapping[str, Any], action: str) -> bool:
    return any(matches(pattern.lower(), action.lower()) for pattern in _texts(statement["Action"]))


def _has_resource(statement: Mapping[str, Any], resource: str) -> bool:
    return any(arn_matches(pattern, resource) for pattern in _texts(statement["Resource"]))


def _named(statement: Mapping[str, Any], principal: Principal) -> Trust:
    said = statement["Principal"]
    if said == "*":
        said = {"AWS": "*"}
    if unknown := sorted(said.keys() - {"AWS", "Service"}):
        raise NotJudgedError(f"the principal {unknown[0]} of a trust policy")
    names = _texts(said.get(principal.kind, []))
    if set(names) & set(principal.names):
        return Trust.NAMED
    everybody = principal.kind == "AWS" and "*" in names
    return Trust.BY_ACCOUNT if everybody or set(names) & set(principal.account_names) else Trust.REFUSED


def _holds(statement: Mapping[str, Any], call: Call) -> bool:
    """Return whether all of a statement's conditions hold for a call. Raises NotJudgedError."""
    for operator, tests in statement.get("Condition", {}).items():
        if operator not in OPERATORS:
            raise NotJudgedError(f"the condition operator {operator}")
        for key, allowed in tests.items():
            if key.lower() not in call.context:
                raise NotJudgedError(f"the condition key {key} for {call.action}")
            value = call.context[key.lower()]
            if value is None or not any(OPERATORS[operator](wanted, value) for wanted in _texts(allowed)):
                return False
    return True


def _texts(said: Any) -> list[str]:
    """Return one text or several as a list. Raises NotJudgedError for a policy variable."""
    texts = [str(each) for each in (said if isinstance(said, list) else [said])]
    if variable := next((text for text in texts if "${" in text), None):
        raise NotJudgedError(f"the policy variable in {variable}")
    return texts


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(character, re.escape(character)) for character in pattern), re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    """Return whether a text matches a pattern, in which `*` is any text and `?` any one character."""
    return _compiled(pattern).fullmatch(text) is not None


def arn_matches(pattern: str, arn: str) -> bool:
    """Return whether an ARN matches a pattern, part by part: a `*` before the resource never crosses a colon."""
    if pattern == "*":
        return True
    wanted, given = pattern.split(":", ARN_PARTS - 1), arn.split(":", ARN_PARTS - 1)
    return len(wanted) == len(given) and all(map(matches, wanted, given))


OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": str.__eq__,
    "StringLike": matches,
    "ArnEquals": arn_matches,
    "ArnLike": arn_matches,
}
"""Whether a value is what a condition wants; the last two are the same to AWS."""
