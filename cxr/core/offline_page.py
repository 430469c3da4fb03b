"""An HTML page that opens offline: a policy that forbids every request, and data that cannot end its script."""

import base64
import hashlib
import json
from collections.abc import Sequence

INLINE = "'unsafe-inline'"  # of styles, where a script sets some


def content_policy(images: str, styles: str, scripts: Sequence[str] = (), *, more: str = "") -> str:
    """Return a Content-Security-Policy under which a page fetches nothing.

    Args:
        images: Where pictures may come from, such as `data:`.
        styles: INLINE, or the page's own style sheet, allowed by its digest.
        scripts: The page's own scripts, allowed by their digests; without any, none runs.
        more: Further directives.
    """
    allowed = {
        "default-src": "'none'",
        "img-src": images,
        "style-src": styles if styles == INLINE else _digest_source(styles),
        "script-src": " ".join(map(_digest_source, scripts)),
        "base-uri": "'none'",
    }
    directives = [f"{name} {sources}" for name, sources in allowed.items() if sources]
    return "; ".join([*directives, more] if more else directives)


def script_json(value: object) -> str:
    """Return JSON for a script element, which it cannot end, whatever a file is called."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def base64_text(content: bytes) -> str:
    """Return bytes as the part of a data address after its comma."""
    return base64.b64encode(content).decode()


def _digest_source(text: str) -> str:
    return f"'sha256-{base64_text(hashlib.sha256(text.encode()).digest())}'"
