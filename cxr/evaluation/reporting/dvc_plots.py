"""Let `dvc plots show` draw without a network: python -m cxr.evaluation.reporting.dvc_plots.

DVC's own page loads Vega from the network. This one has it inside; it is made here because it is too large for Git.
"""

import subprocess
import sys
from pathlib import Path

from cxr.core.errors import DataError
from cxr.core.files import write_text
from cxr.evaluation.reporting.page import vega_library

TEMPLATE = "tmp/plots_offline.html"  # in .dvc, where Git ignores it
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8">{refresh_tag}<title>DVC plots</title><script>LIBRARY</script></head>
<body>{plot_divs}</body>
</html>
"""


def use_offline_page(root: Path) -> Path:
    """Write the page's template into `root`/.dvc, name it in .dvc/config.local, and return its path.

    Raises:
        DataError: `root` is not a DVC project.
    """
    if not (root / ".dvc").is_dir():
        raise DataError(f"{root.absolute()} has no folder .dvc; run this in the folder of the project")
    path = root / ".dvc" / TEMPLATE
    path.parent.mkdir(exist_ok=True)
    write_text(path, _PAGE.replace("LIBRARY", vega_library()))
    named = [sys.executable, "-m", "dvc", "config", "--quiet", "--local", "plots.html_template", TEMPLATE]
    subprocess.run(named, cwd=root, check=True)
    return path


if __name__ == "__main__":
    try:
        use_offline_page(Path())
    except DataError as error:
        sys.exit(f"error: {error}")
    sys.stdout.write(
        "'dvc plots show' now draws without a network; undo with: dvc config --local --unset plots.html_template\n"
    )
