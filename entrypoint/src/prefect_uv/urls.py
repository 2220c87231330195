"""What is secret in a URL."""

from __future__ import annotations

import re

USERINFO = re.compile(r"(?<=://)([^\s/]+)@")
"""The user name and password of a URL, before the last `@` of its host."""
