"""Render the host's user data: install Docker, then start the current release if there is one.

cloud-init runs user data once, at the first boot, whatever comes of it. So it only installs a unit, which systemd
starts again until it succeeds: on a network that is late, and after a reboot in the middle of it. Keep it fixed, for a
change replaces the host: everything that changes is delivered through SSM.
"""

SCRIPT = """\
set -euo pipefail
dnf install --assumeyes docker
systemctl enable --now docker

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! aws ssm get-parameter --name "$RELEASE_PARAMETER" --query Parameter.Value --output text \\
    >"$work/release" 2>"$work/error"; then
  cat "$work/error" >&2
  # The first release is still to come.
  if grep -q ParameterNotFound "$work/error"; then exit 0; fi
  exit 1
fi
read -r name version < <(python3 - "$work/release" <<'PYTHON'
import json, sys
release = json.load(open(sys.argv[1]))
print(release["host"], release["hostVersion"])
PYTHON
)
aws ssm get-document --name "$name" --document-version "$version" --query Content --output json >"$work/document"
python3 - "$work/document" >"$work/program" <<'PYTHON'
import json, sys
document = json.loads(json.load(open(sys.argv[1])))
print("\\n".join(document["mainSteps"][0]["inputs"]["runCommand"]))
PYTHON
SSM_Command=boot SSM_Argument= sh "$work/program"
"""
"""Fetch the document that the current release names, and let its program start the release."""

UNIT = """\
[Unit]
Description=Install Docker and start the current release
Wants=network-online.target
After=network-online.target
ConditionPathExists=!/var/lib/slipway/bootstrapped
StartLimitIntervalSec=0

[Service]
Type=oneshot
StateDirectory=slipway
Environment=AWS_DEFAULT_REGION={region} RELEASE_PARAMETER={parameter}
ExecStart=/bin/bash /usr/local/lib/slipway/bootstrap
ExecStartPost=/usr/bin/touch /var/lib/slipway/bootstrapped
Restart=on-failure
RestartSec=5
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
"""

USER_DATA = """\
#!/bin/bash
set -eu
mkdir -p /usr/local/lib/slipway
cat >/usr/local/lib/slipway/bootstrap <<'END'
{script}END
cat >/etc/systemd/system/slipway-bootstrap.service <<'END'
{unit}END
systemctl daemon-reload
systemctl enable slipway-bootstrap
systemctl start --no-block slipway-bootstrap
"""


def user_data(*, region: str, parameter: str) -> str:
    """Return the user data of a host whose release is in the SSM parameter `parameter`."""
    return USER_DATA.format(script=SCRIPT, unit=UNIT.format(region=region, parameter=parameter))
