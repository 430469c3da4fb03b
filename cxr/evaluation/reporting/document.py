"""The whole page in the order of reading: what it cannot show and the audits come before accuracy."""

from cxr.evaluation.reporting.blocks import Section
from cxr.evaluation.reporting.page_audits import audits_section
from cxr.evaluation.reporting.page_comparing import comparisons_section, learning_section
from cxr.evaluation.reporting.page_data import data_section
from cxr.evaluation.reporting.page_end import limitations_section, reproducibility_section, standards_section
from cxr.evaluation.reporting.page_errors import Pictures, errors_section
from cxr.evaluation.reporting.page_model import each_model_section
from cxr.evaluation.reporting.page_models import models_section
from cxr.files import JsonObject


def sections(report: JsonObject, pictures: Pictures, whole: bool = True) -> list[Section]:
    """Return all sections but the verdict, which is the head of the page.

    Args:
        report: The content of reports/report.json.
        pictures: Image and heat map as PNG by model and file.
        whole: False for what stands in Markdown, without pictures and with less of each model.
    """
    return [
        data_section(report),
        audits_section(report),
        models_section(report),
        each_model_section(report, whole),
        learning_section(report),
        comparisons_section(report),
        *([errors_section(report, pictures)] if whole else []),
        reproducibility_section(report),
        standards_section(report, whole),
        limitations_section(report),
    ]
