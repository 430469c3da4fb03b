"""How many of the cores compute the network while the others decode."""

# What one file of 300 x 300 pixels costs before the network, in the network's own currency: on one core, decoding takes
# as long as a quarter of a GFLOP (benchmarks/screening.py).
DECODING_GFLOP = 0.25


def network_threads(gflop: float, cores: int) -> int:
    """Return the number of threads for a network of `gflop` an image beside decoding threads on all `cores`.

    Threads that wait for each other in small operations cost more than they bring: on two cores, one thread of the
    small network takes 0.37 ms of a core for an image, two take 0.45 ms.
    """
    return max(1, round(cores * gflop / (gflop + DECODING_GFLOP)))
