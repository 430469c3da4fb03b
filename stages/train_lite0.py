"""Train lite0, EfficientNet-Lite0: from random weights at 64 pixels as shipped, or all of it on from ImageNet weights.

Recipe: 8 epochs of batches of 32, AdamW up to 0.002; in a release 12 epochs at 96 pixels from ImageNet, up to 0.0007.
Expect: see docs/recipes.md.
"""

from cxr.cli.console import user_errors
from cxr.cli.train_stage import train_stage

app = train_stage("lite0", __doc__)

if __name__ == "__main__":
    with user_errors():
        app()
