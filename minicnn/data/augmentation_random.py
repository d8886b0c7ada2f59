"""Random numbers for many images at once, identical to those of NumPy's `default_rng([seed, epoch, index])`.

Making a NumPy generator takes as long as warping a small image, and holds Python's global lock meanwhile.  This file
has the same two algorithms as compiled loops: SeedSequence turns the three numbers into 128 bits, which seed PCG64.
NumPy guarantees that neither will change.

Called by augmentation.py, which says what each number is for.

References: O'Neill 2014, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random
Number Generation", and 2015, "Developing a seed_seq Alternative" (the hash).
"""

from collections.abc import Sequence

import numpy as np

from ..runtime.compiling import njit

WORD = (1 << 32) - 1
POOL = 4  # the number of words that SeedSequence mixes
MULTIPLIER = np.uint64(0x2360ED051FC65DA4), np.uint64(0x4385DF649FCCF645)  # PCG64's, high and low half


def uniforms(seed: int, epoch: int, indices: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    """A row of `np.random.default_rng([seed, epoch, index]).random(count)` for each index.

    Parameters
    ----------
    seed, epoch : int, at least 0
    indices : sequence of int (N,), 0 to 2^32 - 1
    count : int

    Returns
    -------
    array (N, count), float64 in [0, 1)

    Examples
    --------
    >>> uniforms(0, 3, [5], 2) == np.random.default_rng([0, 3, 5]).random(2)
    array([[ True,  True]])
    """
    entropy = np.array([*_words(seed), *_words(epoch), 0], np.uint32)
    out = np.empty((len(indices), count))
    with np.errstate(over="ignore"):  # with NUMBA_DISABLE_JIT=1, NumPy computes these sums and would warn
        _uniforms(entropy, np.asarray(indices, np.uint32), out)
    return out


def _words(number):
    """A non-negative int as words of 32 bits, the lowest first; 0 is one word."""
    number = int(number)
    words = [number & WORD]
    while number := number >> 32:
        words.append(number & WORD)
    return words


@njit(cache=True, nogil=True)
def _uniforms(entropy, indices, out):
    pool = np.empty(POOL, np.uint32)
    for n in range(len(indices)):
        entropy[-1] = indices[n]
        _spread(entropy, pool)
        high, low, add_high, add_low = _seed(pool)
        for k in range(out.shape[1]):
            high, low = _step(high, low, add_high, add_low)
            turn = high >> np.uint64(58)
            bits = high ^ low
            bits = (bits >> turn) | (bits << ((np.uint64(64) - turn) & np.uint64(63)))
            out[n, k] = (bits >> np.uint64(11)) * (1.0 / 9007199254740992.0)  # 2^-53


@njit(cache=True, nogil=True)
def _spread(entropy, pool):
    """Mix the entropy into the pool, so that each of its bits affects every word."""
    constant = np.uint32(0x43B0D7E5)
    for i in range(POOL):
        word = entropy[i] if i < len(entropy) else np.uint32(0)
        pool[i], constant = _hash(word, constant)
    for source in range(max(POOL, len(entropy))):
        for target in range(POOL):
            if source != target:
                word = pool[source] if source < POOL else entropy[source]
                word, constant = _hash(word, constant)
                mixed = np.uint32(np.uint32(0xCA01F9DD) * pool[target]) - np.uint32(
                    np.uint32(0x4973F715) * word
                )
                mixed = np.uint32(mixed)
                pool[target] = mixed ^ (mixed >> np.uint32(16))


@njit(cache=True, nogil=True)
def _hash(word, constant):
    word = np.uint32(word ^ constant)
    constant = np.uint32(constant * np.uint32(0x931E8875))
    word = np.uint32(word * constant)
    return np.uint32(word ^ (word >> np.uint32(16))), constant


@njit(cache=True, nogil=True)
def _seed(pool):
    """PCG64's state and increment from the pool, each as two words of 64 bits."""
    constant = np.uint32(0x8B51F9DD)
    state = np.zeros(4, np.uint64)
    for i in range(8):
        word = np.uint32(pool[i % POOL] ^ constant)
        constant = np.uint32(constant * np.uint32(0x58F38DED))
        word = np.uint32(word * constant)
        word = np.uint32(word ^ (word >> np.uint32(16)))
        state[i // 2] |= np.uint64(word) << np.uint64(32 * (i % 2))
    one = np.uint64(1)
    add_high = (state[2] << one) | (state[3] >> np.uint64(63))
    add_low = (state[3] << one) | one
    low = add_low + state[1]  # one step from state 0 gives the increment; then the seed is added
    high = add_high + state[0] + (one if low < add_low else np.uint64(0))
    high, low = _step(high, low, add_high, add_low)
    return high, low, add_high, add_low


@njit(cache=True, nogil=True)
def _step(high, low, add_high, add_low):
    """state * MULTIPLIER + increment, modulo 2^128."""
    times_high, times_low = MULTIPLIER
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    a, b, c, d = low >> half, low & mask, times_low >> half, times_low & mask
    middle = a * d + ((b * d) >> half)  # all 128 bits of low * times_low, from products of 32-bit halves
    carried = (middle & mask) + b * c
    new_high = a * c + (middle >> half) + (carried >> half) + high * times_low + low * times_high
    new_low = low * times_low + add_low
    return new_high + add_high + (np.uint64(1) if new_low < add_low else np.uint64(0)), new_low
