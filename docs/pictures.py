"""Draw docs/images again: the table and the sheet of a folder of drawn films, as Chromium shows them.

make pictures
"""

import csv
import html
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cxr.core.image import SYNTHETIC_KEY
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from tests.browser import browser

IMAGES = Path(__file__).parent / "images"
BARS = 143  # pixels of a window that are no page
COLUMNS = ("path", "status", "reason", "prediction", "probability_covid", "probability_normal",
           "probability_viral_pneumonia", "decision", "refer_reason", "flags")  # fmt: skip
PATIENTS = (0, 1, 2, 3, 5, 6, 8, 9, 10, 18, 19)  # on whom the network's answers differ
STYLE = """
body { margin: 0; padding: 16px; font: 15px/1.5 system-ui, 'DejaVu Sans', sans-serif; background: #fff; color: #222 }
table { border-collapse: collapse } th, td { border: 1px solid #d0d4da; padding: 4px 10px; white-space: nowrap }
th { background: #eef1f5; text-align: left; font-weight: 600 } td.number { text-align: right }
tr.covid_suspected td { background: #fdeceb } tr.refer td { background: #fff7df }
tr.rejected td, tr.error td { color: #888 }
"""


def draw_films(folder: Path) -> None:
    """Save films of twelve drawn patients, and four files that somebody should look at."""
    findings = list(Finding)
    drawn = [draw_phantom(findings[number % len(findings)], (number, 3), 0).luminance for number in PATIENTS]
    drawn.append(draw_phantom(Finding.NONE, (18, 3), 0).luminance)
    others = {"inverted": 255 - drawn[3], "upside down": drawn[0][::-1], "black": np.zeros((299, 299), np.uint8)}
    note = PngInfo()
    note.add_text(SYNTHETIC_KEY, "drawn")
    for name, film in {**{f"patient {n:02}": film for n, film in enumerate(drawn, 1)}, **others}.items():
        Image.fromarray(film).save(folder / f"{name}.png", pnginfo=note)
    (folder / "empty.png").write_bytes(b"")


def page_of(table: Path) -> str:
    """Return a page that shows the first columns of a results table as a spreadsheet does."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    head = "".join(f"<th>{name.removeprefix('probability_')}</th>" for name in COLUMNS)
    body = "".join(
        f"<tr class='{row['decision'] or row['status']}'>"
        + "".join(
            f"<td class='{'number' if name.startswith('prob') else ''}'>{_shown(row[name])}</td>" for name in COLUMNS
        )
        for row in rows
    )
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><table><tr>{head}{body}</table>"


def _shown(cell: str) -> str:
    return html.escape(f"{float(cell):.3f}" if cell[:2] in ("0.", "1.") else cell)


def photograph(page: Path, image: Path, width: int, height: int) -> None:
    """Save what a window of that many pixels shows of a page, in 64 colours."""
    flags = (f"--window-size={width},{height + BARS}", "--hide-scrollbars")
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile), *flags) as driver:
        driver.get(page.as_uri())
        driver.save_screenshot(str(image))
    Image.open(image).convert("RGB").quantize(64).save(image, optimize=True)


def main() -> None:
    """Draw, screen, photograph."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        films, table, sheet = (Path(scratch) / name for name in ("films", "results.csv", "sheet.html"))
        films.mkdir()
        draw_films(films)
        command = [sys.executable, "-c", "from cxr.cli.batch import app; app()", films, "-o", table, "--report", sheet]
        subprocess.run([*command, "--fail-on", "none", "-q"], check=True)
        shown = Path(scratch) / "table.html"
        shown.write_text(page_of(table), encoding="utf-8")
        photograph(shown, IMAGES / "table.png", 1420, 570)
        photograph(sheet, IMAGES / "sheet.png", 1240, 800)
    for image in sorted(IMAGES.glob("*.png")):
        print(image, f"{image.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
