import numpy as np
import pandas as pd
import pytest

from cxr.core.manifest import file_numbers
from cxr.dataset.audits.change_points import ChangePoint, block_of, find_change_points, strongest_cut, whitened
from tests.dataset.audits.tables import numbered


def planted(count, at, rng, step=2.0):
    """Return a shuffled class whose look changes after file number `at` in three of eight correlated numbers."""
    table = numbered(count)
    mixing = rng.normal(size=(8, 8))
    features = rng.standard_t(4, (count, 8)) @ mixing
    features[:, :3] += step * features[:, :3].std(axis=0) * (file_numbers(table["file"]) > at)[:, None]
    return table, features


@pytest.mark.parametrize(("count", "at"), [(300, 150), (400, 90), (600, 480)])
def test_a_planted_block_switch_is_located_within_thirty_files(count, at):
    table, features = planted(count, at, np.random.default_rng(at))
    change = find_change_points(table, features, np.arange(count), seed=7)["normal"]
    assert change.found
    assert change.auc > 0.9
    assert abs(change.number - at) <= 30
    assert change.blocks == {"lower": change.number, "upper": count - change.number}


def false_alarms(shuffles):
    rng = np.random.default_rng(5)
    table, features = planted(200, 100, rng)
    shuffled = (rng.permutation(features) for _ in range(shuffles))
    changes = [find_change_points(table, rows, np.arange(200), seed)["normal"] for seed, rows in enumerate(shuffled)]
    return sum(change.found for change in changes), sum(change.p < 0.01 for change in changes)


def test_shuffled_files_hardly_ever_give_an_alarm():
    found, significant = false_alarms(15)
    assert found <= significant <= 1


@pytest.mark.long
def test_shuffled_files_give_no_alarm_in_95_of_100_shuffles():
    found, significant = false_alarms(100)
    assert found <= significant <= 5


def test_blocks_follow_the_numbers_and_only_a_change_that_was_found():
    table = pd.DataFrame({"file": ["a/x-3.png", "a/x-4.png", "a/none.png", "b/y-1.png"], "label": [*"aaab"]})
    changes = {"a": ChangePoint(3, 0.005, 0.95, {}, True), "b": ChangePoint(9, 0.5, 0.6, {}, False)}
    assert block_of(table, changes).tolist() == ["lower", "upper", "", ""]


def test_small_classes_and_files_without_numbers_are_left_aside():
    table = numbered(80)
    features = np.random.default_rng(0).normal(size=(80, 4))
    assert find_change_points(table.head(50), features[:50], np.arange(50), 7) == {}
    nameless = table.assign(file=[f"normal/images/{'abcdefgh'[i % 8]}.png" for i in range(80)])
    assert find_change_points(nameless, features, np.arange(80), 7) == {}


def test_the_last_number_of_a_name_counts():
    assert file_numbers(pd.Series(["2/images/scan2-017.png", "a/x.png"])).tolist() == [17, -1]


def test_the_strongest_cut_equals_a_search_through_all_cuts():
    from sklearn.covariance import LedoitWolf

    rng = np.random.default_rng(1)
    rows = rng.uniform(-1, 1, (90, 3)) + np.where(np.arange(90) < 33, 0, 0.8)[:, None]
    low, middle, high = np.percentile(rows, [25, 50, 75], axis=0)
    scaled = (rows - middle) / ((high - low) / 1.349)
    inverse = np.linalg.inv(LedoitWolf().fit(scaled).covariance_)
    t2 = {
        cut: (gap := scaled[:cut].mean(0) - scaled[cut:].mean(0)) @ inverse @ gap * cut * (90 - cut) / 90
        for cut in range(20, 71)
    }
    cut, value = strongest_cut(whitened(rows))
    assert cut == max(t2, key=t2.__getitem__)
    assert value == pytest.approx(max(t2.values()))


def test_constant_numbers_change_nothing():
    table, features = planted(300, 150, np.random.default_rng(150))
    wide = np.hstack([features, np.full((300, 1), 255.0)])
    rows = np.arange(300)
    assert find_change_points(table, wide, rows, 7) == find_change_points(table, features, rows, 7)
