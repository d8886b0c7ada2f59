"""Batch normalisation in few passes over memory: forward reads x twice, backward reads x and dy twice.

Statistics are summed over a few rows at a time, in the type of x while these rows are in the L1 cache, and then added
in float64.  So one pass gives the mean and the squared distances from it without losing digits.  Each of CHUNKS chunks
of rows has its own sums, which are added in order: results are bit-identical for any number of threads.  If channels
are few, several rows are treated as one wide row, so that vectors are full.  The equations are in `reference`.

A following ReLU is applied in the same pass.  Backward recomputes where the ReLU was active from the values that it
reads anyway.  Also here: `add`, the sum of a branch and its shortcut, and `relu_normalize`, with which
`depthwise/separable.py` normalises its input.  Called by `layers/normalization.py` through the contract and by
`fusion.py`.
"""

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from ...runtime.compiling import as_contiguous, njit
from ..reference import underflow_is_zero
from .memory import CHUNKS, empty
from .tiles.vectors import Vectors

CACHED = 1 << 12  # values in the rows that are summed together
WIDE = 128  # rows of few channels are joined until they have at least this many values, if their number allows it


def batchnorm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y, and the mean and variance of each channel over the batch."""
    return _forward(x, gamma, beta, epsilon, False)


def batchnorm_relu_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `batchnorm_forward`, with y = max(0, .)."""
    return _forward(x, gamma, beta, epsilon, True)


def batchnorm_inference(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float
) -> np.ndarray:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    return _apply(x, gamma, beta, mean, variance, epsilon, False)


def batchnorm_relu_inference(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float
) -> np.ndarray:
    """As `batchnorm_inference`, with y = max(0, .)."""
    return _apply(x, gamma, beta, mean, variance, epsilon, True)


def batchnorm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
    need_dx: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """dx, dgamma and dbeta."""
    return _backward(dy, x, gamma, gamma, mean, variance, epsilon, need_dx, False)


def batchnorm_relu_backward(
    dy: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
    need_dx: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """As `batchnorm_backward`, through a ReLU: dy counts only where y is above 0."""
    return _backward(dy, x, gamma, beta, mean, variance, epsilon, need_dx, True)


@underflow_is_zero
def batchnorm_inference_backward(
    dy: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
    need_dx: bool = True,
    need_dweight: bool = True,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Gradients of `batchnorm_inference`, whose mean and variance are constants."""
    _, rows, times = _rows(x)
    dy, scale = as_contiguous(dy).reshape(rows.shape), _scale(gamma, variance, epsilon)
    dx = dgamma = dbeta = None
    if need_dx:
        dx = empty(x.shape, x.dtype)
        _multiply(dy, np.tile(scale, times), dx.reshape(rows.shape))
    if need_dweight:
        sums, products = np.zeros((2, CHUNKS, rows.shape[1]))
        # the third, beta, is not used without a ReLU
        tiled_terms = np.tile(mean, times), np.tile(scale, times), np.tile(mean, times)
        _gradient_sums(dy, rows, *tiled_terms, False, sums, products)
        dbeta, product = (part.reshape(-1, times, len(gamma)).sum((0, 1)) for part in (sums, products))
        dgamma = (product / np.sqrt(variance.astype("float64") + epsilon)).astype(x.dtype)
        dbeta = dbeta.astype(x.dtype)
    return dx, dgamma, dbeta


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """y = a + b."""
    y = empty(a.shape, a.dtype)
    _add(as_contiguous(a).reshape(-1), as_contiguous(b).reshape(-1), y.reshape(-1))
    return y


@underflow_is_zero
def _forward(x, gamma, beta, epsilon, relu):
    n, rows, times = _rows(x)
    sums, squares = np.zeros((2, CHUNKS, rows.shape[1]))
    _moments(rows, sums, squares)
    total = sums.reshape(-1, times, len(gamma)).sum((0, 1))
    # the squares of all rows: those within each chunk, plus those of its mean's distance from the overall mean
    counts = np.diff(np.arange(CHUNKS + 1) * len(rows) // CHUNKS)[:, None]
    difference = np.where(counts > 0, sums / np.maximum(counts, 1) - np.tile(total / n, times), 0)
    square = (squares + counts * difference**2).reshape(-1, times, len(gamma)).sum((0, 1))
    mean, variance = (total / n).astype(x.dtype), (square / n).astype(x.dtype)
    return _apply(x, gamma, beta, mean, variance, epsilon, relu), mean, variance


@underflow_is_zero
def _apply(x, gamma, beta, mean, variance, epsilon, relu):
    _, rows, times = _rows(x)
    y = empty(x.shape, x.dtype)
    terms = [np.tile(term, times) for term in terms_of(gamma, beta, mean, variance, epsilon)]
    _normalize(rows, *terms, relu, y.reshape(rows.shape))
    return y


@underflow_is_zero
def terms_of(
    gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean, scale, beta) of y = (x - mean) * scale + beta."""
    return mean, _scale(gamma, variance, epsilon), beta


@underflow_is_zero
def _backward(dy, x, gamma, beta, mean, variance, epsilon, need_dx, relu):
    n, rows, times = _rows(x)
    dy, scale = as_contiguous(dy).reshape(rows.shape), _scale(gamma, variance, epsilon)
    tiled_terms = [np.tile(term, times) for term in (mean, scale, beta)]
    sums, products = np.zeros((2, CHUNKS, rows.shape[1]))
    _gradient_sums(dy, rows, *tiled_terms, relu, sums, products)
    inverse = 1 / np.sqrt(variance.astype("float64") + epsilon)
    dbeta, product = (part.reshape(-1, times, len(gamma)).sum((0, 1)) for part in (sums, products))
    dgamma, dx = product * inverse, None
    if need_dx:
        # dx = gamma / deviation (dy - dbeta / n - (x - mean) dgamma / (n deviation))
        shift, slope = (np.tile(term.astype(x.dtype), times) for term in (dbeta / n, dgamma * inverse / n))
        dx = empty(x.shape, x.dtype)
        _dx(dy, rows, *tiled_terms, relu, shift, slope, dx.reshape(rows.shape))
    return dx, dgamma.astype(x.dtype), dbeta.astype(x.dtype)


def _rows(x):
    """(n, rows, times): x has n rows of channels, and each of the wide `rows` joins `times` of them."""
    C = x.shape[-1]
    n, times = x.size // C, 1
    while times * C < WIDE and n % (2 * times) == 0:
        times *= 2
    return n, as_contiguous(x).reshape(-1, times * C), times


def _scale(gamma, variance, epsilon):
    return gamma / np.sqrt(variance + variance.dtype.type(epsilon))


@njit(cache=True, nogil=True, parallel=True)
def _moments(x, sums, squares):
    """For each chunk: the sum of its rows, and their squared distances from their mean."""
    N, C = x.shape
    flat = x.reshape(-1)
    step = max(1, CACHED // C)
    for chunk in prange(CHUNKS):
        first, last = chunk * N // CHUNKS, (chunk + 1) * N // CHUNKS
        total, square, mean = np.empty(C, x.dtype), np.empty(C, x.dtype), np.empty(C, x.dtype)
        for start in range(first, last, step):
            end = min(start + step, last)
            rows, before = end - start, start - first
            total[:] = 0
            square[:] = 0
            for row in range(start, end):
                for c in range(C):
                    total[np.uintp(c)] += flat[np.uintp(row * C + c)]
            for c in range(C):
                mean[np.uintp(c)] = total[np.uintp(c)] / rows
            for row in range(start, end):
                for c in range(C):
                    distance = flat[np.uintp(row * C + c)] - mean[np.uintp(c)]
                    square[np.uintp(c)] += distance * distance
            for c in range(C):
                squares[chunk, c] += square[c]
                if before > 0:
                    difference = sums[chunk, c] * (rows / before) - total[c]
                    squares[chunk, c] += difference * difference * (before / (rows * (before + rows)))
                sums[chunk, c] += total[c]


@njit(cache=True, nogil=True, parallel=True)
def _normalize(x, mean, scale, beta, relu, y):
    N, C = x.shape
    flat_x, flat_y, zero = x.reshape(-1), y.reshape(-1), x.dtype.type(0)
    for chunk in prange(CHUNKS):
        for row in range(chunk * N // CHUNKS, (chunk + 1) * N // CHUNKS):
            for c in range(C):
                value = _value(flat_x, row * C, mean, scale, beta, c)
                flat_y[np.uintp(row * C + c)] = zero if relu and value <= zero else value


@njit(cache=False, inline="always")
def _value(x, at, mean, scale, beta, c):
    """The normalised value; every caller gets the same bits."""
    return (x[np.uintp(at + c)] - mean[np.uintp(c)]) * scale[np.uintp(c)] + beta[np.uintp(c)]


def make_relu_normalize() -> Callable:
    """y[i*C + v] = max(0, (x[i*C + v] - mean[v]) * scale[v] + beta[v]) for one vector of channels and i < count.

    `terms` holds C means, C scales and C betas.  The result has the same bits as that of `_normalize`.
    """

    @intrinsic
    def relu_normalize(typing_context, y, y0, x, x0, terms, c, C, count):
        n = types.intp
        signature = types.void(y, n, x, n, terms, n, n, n)

        def codegen(context, builder, sig, arguments):
            y, y0, x, x0, terms, c, C, count = arguments
            e, b = Vectors(context, builder, sig.args[0].dtype), builder
            terms = e.pointer(sig.args[4], terms, c)
            mean, scale, beta = (e.load(e.move(terms, b.mul(C, e.constant(i)))) for i in range(3))
            zero = ir.Constant(e.vector, [0.0] * e.lanes)

            def step(pointers, _):
                x, y = pointers
                value = b.fadd(b.fmul(b.fsub(e.load(x), mean), scale), beta)
                e.store(b.select(b.fcmp_ordered("<=", value, zero), zero, value), y)
                return []

            x, y = e.pointer(sig.args[2], x, x0), e.pointer(sig.args[0], y, y0)
            e.run(count, (x, y), (C, C), [], step)
            return context.get_dummy_value()

        return signature, codegen

    return relu_normalize


relu_normalize = make_relu_normalize()


@njit(cache=True, nogil=True, parallel=True)
def _gradient_sums(dy, x, mean, scale, beta, relu, sums, products):
    """For each chunk of rows: the sums of dy and of dy (x - mean)."""
    N, C = x.shape
    flat_x, flat_dy, zero = x.reshape(-1), dy.reshape(-1), x.dtype.type(0)
    step = max(1, CACHED // C)
    for chunk in prange(CHUNKS):
        total, product = np.empty(C, x.dtype), np.empty(C, x.dtype)
        last = (chunk + 1) * N // CHUNKS
        for start in range(chunk * N // CHUNKS, last, step):
            total[:] = 0
            product[:] = 0
            for row in range(start, min(start + step, last)):
                at = row * C
                for c in range(C):
                    active = not relu or _value(flat_x, at, mean, scale, beta, c) > zero
                    gradient = flat_dy[np.uintp(at + c)] if active else zero
                    total[np.uintp(c)] += gradient
                    product[np.uintp(c)] += gradient * (flat_x[np.uintp(at + c)] - mean[np.uintp(c)])
            for c in range(C):
                sums[chunk, c] += total[c]
                products[chunk, c] += product[c]


@njit(cache=True, nogil=True, parallel=True)
def _dx(dy, x, mean, scale, beta, relu, shift, slope, dx):
    """dx = scale (dy - shift - (x - mean) slope)."""
    N, C = x.shape
    flat_x, flat_dy, flat_dx, zero = x.reshape(-1), dy.reshape(-1), dx.reshape(-1), x.dtype.type(0)
    for chunk in prange(CHUNKS):
        for row in range(chunk * N // CHUNKS, (chunk + 1) * N // CHUNKS):
            at = row * C
            for c in range(C):
                active = not relu or _value(flat_x, at, mean, scale, beta, c) > zero
                gradient = flat_dy[np.uintp(at + c)] if active else zero
                distance = flat_x[np.uintp(at + c)] - mean[np.uintp(c)]
                gradient = gradient - shift[np.uintp(c)] - distance * slope[np.uintp(c)]
                flat_dx[np.uintp(at + c)] = scale[np.uintp(c)] * gradient


@njit(cache=True, nogil=True, parallel=True)
def _multiply(dy, scale, dx):
    """dx = scale dy."""
    N, C = dy.shape
    flat_dy, flat_dx = dy.reshape(-1), dx.reshape(-1)
    for chunk in prange(CHUNKS):
        for row in range(chunk * N // CHUNKS, (chunk + 1) * N // CHUNKS):
            for c in range(C):
                flat_dx[np.uintp(row * C + c)] = scale[np.uintp(c)] * flat_dy[np.uintp(row * C + c)]


@njit(cache=True, nogil=True, parallel=True)
def _add(a, b, y):
    for i in prange(len(a)):
        y[i] = a[i] + b[i]
