"""The site of docs/, built by `make docs`; its source is the whole repository, so that a link to a file is a link."""

from pygments.lexers.special import TextLexer
from sphinx.highlighting import lexers

import cxr

project, author, release = "cxr-batch", "the authors of cxr-batch", cxr.__version__
project_copyright = author
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "benchmarks/README.md", "weights/*/README.md", "*.md"]
exclude_patterns = ["README.md", ".*", "data", "models", "runs", "work"]  # docs/index.md stands for the first
lexers["csv"] = TextLexer()
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
html_theme = "furo"
html_title = "cxr-batch"
html_copy_source = False
