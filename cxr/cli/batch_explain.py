"""`--explain`: what is checked before the run, and what is drawn after it."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from cxr.errors import OutputError, UsageError
from cxr.screening.explain_rows import LIMIT, SUSPECTED, choose_rows, parse_words

if TYPE_CHECKING:
    from cxr.cli.batch_options import Options
    from cxr.model_folder import ScreeningModel
    from cxr.screening.explain import Explained
    from cxr.screening.output import OutputFiles
    from cxr.screening.schema import Schema
    from cxr.screening.work import Work


def check_explain(options: "Options") -> None:
    """Refuse what cannot be explained, before anything is looked for. Raises UsageError."""
    if options.explain is None:
        for given, name in ((options.explain_rows, "--explain-rows"), (options.explain_limit, "--explain-limit")):
            if given is not None:
                raise UsageError(f"{name} is for --explain DIR, which says where the maps go")
        return
    if options.to_stdout:
        raise UsageError("--explain needs a results file; give one with -o")
    if options.explain.exists() and not options.explain.is_dir():
        raise UsageError(f"--explain {options.explain} is not a folder; give the name of a folder, old or new")
    inside = [one for one in options.inputs if one.is_dir() and _is_below(options.explain, one)]
    if inside:
        raise UsageError(
            f"--explain {options.explain} lies in {inside[0]}, where the next run would screen its pictures; "
            "give a folder somewhere else"
        )


def check_words(options: "Options", schema: "Schema") -> None:
    """Refuse rows that no table of this form can have, before anything is screened. Raises UsageError."""
    if options.explain is not None:
        parse_words(options.explain_rows or SUSPECTED, schema)


def write_explained(options: "Options", folder: Path, work: "Work", files: "OutputFiles") -> "Explained":
    """Draw the maps of the rows that were asked for, of the finished table.

    Raises:
        OutputError: The folder cannot be written.
    """
    from cxr.screening.explain import explain
    from cxr.screening.tables import read_table

    words = parse_words(options.explain_rows or SUSPECTED, work.schema)
    limit = options.explain_limit or LIMIT
    records, more = choose_rows(read_table(files.results, work.format), words, limit)
    try:
        return explain(folder, records, more, work, cast("ScreeningModel", work.models[0]))
    except OSError as error:
        raise OutputError(
            f"the maps cannot be written to {folder}: {error.strerror}; the table is whole: give another folder, or "
            "free some space, and run the same command again"
        ) from error


def _is_below(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
