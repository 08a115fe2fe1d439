"""Checks of single settings: each returns its input, or raises an error that names the legal values."""

import difflib
import ipaddress
import re
import ssl
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from infra.lib.aws_limits import INSTANCE_TYPES, REGIONS
from infra.lib.schema import wrong

PRIVATE_NETWORKS = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""The private networks of RFC 1918."""

CERTIFICATE_MAX_LENGTH = 4096
"""Characters of a certificate: it is a part of the host's document."""
SECRET_MAX_LENGTH = 2048
"""Characters of a secret: half of what a standard SSM parameter holds."""


def registry_address(host: str) -> str:
    """Check the port of a registry's `host[:port]`, whose form was checked before."""
    _, _, port = host.partition(":")
    if port and not 1 <= int(port) <= 65535:
        raise wrong("a registry's host with a port from 1 to 65535, such as 127.0.0.1:5000")
    return host


def ingress_cidr(text: str) -> str:
    """Check a network that may reach the API."""
    _ipv4_network(text, "an IPv4 network such as 203.0.113.0/24")
    return text


def vpc_cidr(text: str) -> str:
    """Check the VPC's network: private, of a legal size, and with room for a subnet in each zone."""
    right = "a private IPv4 network from /16 to /24, such as 10.20.0.0/16"
    network = _ipv4_network(text, right)
    private = any(network.subnet_of(private_network) for private_network in PRIVATE_NETWORKS)
    if not private or not 16 <= network.prefixlen <= 24:
        raise wrong(right)
    return text


def _ipv4_network(text: str, right: str) -> ipaddress.IPv4Network:
    """Return `text` as a network. If its host bits are set, the error names the network that contains it."""
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}", text) is None:
        raise wrong(right)
    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise wrong(right) from None
    if str(network) != text:
        raise wrong(f"the network itself, {network}")
    return network


def region(text: str) -> str:
    """Check the name of a region; the error names the one that is most like it."""
    if text not in REGIONS:
        (like, *_) = (*difflib.get_close_matches(text, REGIONS, 1), REGIONS[0])
        raise wrong(f"an AWS region, such as {like}")
    return text


def acme_directory(text: str) -> str:
    """Check the https address of an ACME server's directory."""
    try:
        parts = urlsplit(text)
        right = re.fullmatch(r"https://[a-z0-9][a-z0-9.-]*(:[0-9]+)?/[A-Za-z0-9/._~-]*", text) and parts.port != 0
    except ValueError:
        right = None
    if not right or len(text) > 200:
        raise wrong("the https address of an ACME server's directory, such as https://acme.example.com/directory")
    return text


def certificate(text: str) -> str:
    """Check the form of a certificate in PEM."""
    try:
        ssl.PEM_cert_to_DER_cert(text)
    except ValueError:
        raise wrong(f"one certificate in PEM, from {ssl.PEM_HEADER} to {ssl.PEM_FOOTER}") from None
    if len(text) > CERTIFICATE_MAX_LENGTH or text.count(ssl.PEM_HEADER) > 1:
        raise wrong(f"one certificate in PEM, of at most {CERTIFICATE_MAX_LENGTH:,} characters")
    return text


def instance_type(text: str) -> str:
    """Check the host's instance type; the error lists all legal ones."""
    if text not in INSTANCE_TYPES:
        raise wrong(f"one of {', '.join(INSTANCE_TYPES)}")
    return text


def database_url(secret: SecretStr) -> SecretStr:
    """Check that the address of a PostgreSQL database is complete."""
    parts = _url(secret, ("postgresql",))
    if not (parts and parts.username and parts.password and len(parts.path) > 1):
        raise wrong("postgresql://user:password@host:port/name")
    return secret


def redis_url(secret: SecretStr) -> SecretStr:
    """Check the address of Redis; user, password and number are optional."""
    if not _url(secret, ("redis", "rediss")):
        raise wrong("redis://host:port/number (or rediss://, for TLS)")
    return secret


def api_key(secret: SecretStr) -> SecretStr:
    """Check the length of a key of an API, whose form is free."""
    if len(_secret_text(secret)) < 8:
        raise wrong("an API key of 8 or more characters")
    return secret


def password(secret: SecretStr) -> SecretStr:
    """Check that a password is too long to be guessed."""
    if len(_secret_text(secret)) < 12:
        raise wrong("a password of 12 or more characters")
    return secret


def _url(secret: SecretStr, schemes: Collection[str]) -> SplitResult | None:
    """Return the parts of an address with a host and one of `schemes`, or None. No message may contain them."""
    text = _secret_text(secret)
    try:
        parts = urlsplit(text)
        # The port is parsed, and refused where it is none, only when it is asked for.
        complete = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if complete else None


def _secret_text(secret: SecretStr) -> str:
    text = secret.get_secret_value()
    if len(text) > SECRET_MAX_LENGTH or re.fullmatch(r"[\x21-\x7e]+", text) is None:
        raise wrong(f"1 to {SECRET_MAX_LENGTH:,} visible ASCII characters, without blanks or an end of line")
    if "{{" in text:
        # SSM takes `{{name}}` for a reference to another parameter (PutParameter, Value).
        raise wrong("a text without {{, which SSM reads as a reference to another parameter (in a URL, write %7B%7B)")
    return text
