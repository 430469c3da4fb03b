"""Train VGG16: from random weights at 48 pixels as shipped, or a head and then the last block on those of a file.

Recipe: 14 epochs of batches of 32, AdamW up to 0.0003.
Expect, on 2,352 radiographs of the public database: validation log loss 0.211, balanced accuracy on test
0.905 [0.881, 0.926]; 15 minutes on two shared cores. docs/recipes.md has more.
"""

from cxr.cli.train import train_stage

if __name__ == "__main__":
    train_stage("vgg16", __doc__)
