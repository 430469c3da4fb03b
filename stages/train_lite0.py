"""Train lite0, the first blocks of EfficientNet-Lite0: from random weights as shipped, from ImageNet in a release.

Recipe: 8 epochs of batches of 32, AdamW up to 0.002; in a release 20 epochs at 120 pixels from ImageNet, up to 0.001.
Expect: see docs/recipes.md.
"""

from cxr.cli.train import train_stage

if __name__ == "__main__":
    train_stage("lite0", __doc__)
