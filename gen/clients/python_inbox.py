"""The inbox belongs to development and not to the document, so no generated code reads it."""

import json
import re
import time
import urllib.parse
import urllib.request


def mailed_token(base_url: str, email: str, path: str) -> str:
    """Wait for the mail with a link to this path and take the token out of it, as the reader's browser would."""
    link = re.compile(re.escape(base_url + path) + r"(\S+)")
    request = urllib.request.Request(
        f"{base_url}/dev/inbox?{urllib.parse.urlencode({'to': email})}", headers={"Accept": "application/json"}
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with urllib.request.urlopen(request, timeout=10) as response:
            for mail in json.load(response)["items"]:
                if found := link.search(mail["text"]):
                    return found[1]
        time.sleep(0.2)
    raise TimeoutError(f"no mail came for {email}")
