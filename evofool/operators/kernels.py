"""NumPy's Philox for many streams at once, and the loops that draw from them, in numba.

Every number is the one that ``numpy.random.Generator`` draws from the same counter, in the same
order. There is no arithmetic here that could round in another way: powers are taken by NumPy.

Importing this module imports numba and compiles the kernels, or loads them from numba's cache.
They are in one file because that cache only notices a change of the file a kernel is in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from evofool.jit import jit

STATE = 13
"""uint64 words of a stream: counter (4), key (2), buffer (4), its position, and whether a half of
a word is left, and which."""

_POSITION, _LEFT, _HALF = 10, 11, 12
_ZERO, _ONE, _FOUR = np.uint64(0), np.uint64(1), np.uint64(4)
_LOW, _32, _11 = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(11)
# Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3": Philox4x64, ten rounds.
_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_DOUBLE, _FLOAT = 1.0 / 9007199254740992.0, np.float32(1.0 / 16777216.0)
_INPUTS = 4
"""Nodes of a graph before its outputs (`evofool.render.INPUTS`)."""


def _high_of(_: Any, a: Any, b: Any) -> Any:
    """The high 64 bits of a product of two uint64."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        x, y = (builder.zext(argument, wide) for argument in arguments)
        high = builder.lshr(builder.mul(x, y), wide(64))
        return builder.trunc(high, context.get_value_type(types.uint64))

    return (types.uint64(types.uint64, types.uint64), code)


_high: Any = intrinsic(_high_of)


# --- one stream ----------------------------------------------------------------------------


@jit("UniTuple(u8, 4)(u8, u8, u8, u8, u8, u8)")
def _block(a: Any, b: Any, c: Any, d: Any, k: Any, m: Any) -> Any:
    """Four words of a counter and a key."""
    for _ in range(10):
        p, q = _high(_M0, a), _high(_M1, c)
        a, b, c, d = q ^ b ^ k, _M1 * c, p ^ d ^ m, _M0 * a
        k += _W0
        m += _W1
    return a, b, c, d


@jit("u8(u8[::1])")
def _word(s: Any) -> Any:
    if s[_POSITION] < _FOUR:
        value = s[np.uint64(6) + s[_POSITION]]
        s[_POSITION] += _ONE
        return value
    s[0] += _ONE
    if s[0] == _ZERO:
        s[1] += _ONE
    s[6], s[7], s[8], s[9] = _block(s[0], s[1], s[2], s[3], s[4], s[5])
    s[_POSITION] = _ONE
    return s[6]


@jit("void(u8[::1], u8[::1])")
def _words(s: Any, out: Any) -> None:
    """As many as `out` holds: whole blocks without going through the buffer."""
    n, i = len(out), 0
    while i < n and s[_POSITION] < _FOUR:
        out[i] = _word(s)
        i += 1
    low, high, c, d, k, m = s[0], s[1], s[2], s[3], s[4], s[5]
    while i + 4 <= n:
        low += _ONE
        if low == _ZERO:
            high += _ONE
        out[i], out[i + 1], out[i + 2], out[i + 3] = _block(low, high, c, d, k, m)
        i += 4
    s[0], s[1] = low, high
    while i < n:
        out[i] = _word(s)
        i += 1


@jit("u8(u8[::1])")
def _half(s: Any) -> Any:
    """32 bits: of a word first the low ones."""
    if s[_LEFT] != _ZERO:
        s[_LEFT] = _ZERO
        return s[_HALF]
    word = _word(s)
    s[_LEFT] = _ONE
    s[_HALF] = word >> _32
    return word & _LOW


@jit("f8(u8[::1])")
def _double(s: Any) -> Any:
    return np.float64(_word(s) >> _11) * _DOUBLE


@jit("void(u8[::1], u8[::1], u4[::1])")
def _halves(s: Any, words: Any, out: Any) -> None:
    """As many as `out` holds; `words` is scratch, half as long and one more."""
    n, i = len(out), 0
    if n > 0 and s[_LEFT] != _ZERO:
        out[0] = np.uint32(_half(s))
        i = 1
    whole, odd = (n - i) // 2, (n - i) % 2
    _words(s, words[: whole + odd])
    for k in range(whole):
        out[i + 2 * k] = np.uint32(words[k] & _LOW)
        out[i + 2 * k + 1] = np.uint32(words[k] >> _32)
    if odd:
        out[n - 1] = np.uint32(words[whole] & _LOW)
        s[_LEFT], s[_HALF] = _ONE, words[whole] >> _32


@jit("f4(u4)")
def _single(half: Any) -> Any:
    return np.float32(np.int32(half >> np.uint32(8))) * _FLOAT


@jit("u8(u8[::1], u8)")
def _below(s: Any, n: Any) -> Any:
    """An integer from 0 to n - 1, n from 1 to 2^32 (Lemire 2019, "Fast random integer generation
    in an interval")."""
    if n == _ONE:
        return _ZERO
    product = _half(s) * n
    if (product & _LOW) < n:
        threshold = ((_LOW + _ONE) - n) % n
        while (product & _LOW) < threshold:
            product = _half(s) * n
    return product >> _32


@jit("void(u8[::1], i8[::1])")
def _shuffle(s: Any, items: Any) -> None:
    """Fisher and Yates from the end; a place is drawn by its bits, again if these are too many."""
    for k in range(len(items) - 1, 0, -1):
        mask = 1
        while mask < k:
            mask = 2 * mask + 1
        other = np.int64(_half(s)) & mask
        while other > k:
            other = np.int64(_half(s)) & mask
        items[k], items[other] = items[other], items[k]


# --- many streams --------------------------------------------------------------------------


@jit("void(u8, u8, u8, u8[::1], u8[:,::1])")
def begin(seed: Any, stream: Any, outer: Any, inner: Any, states: Any) -> None:
    """Writes the states (N x `STATE`) of the generators of N `inner` counters."""
    for n in range(len(inner)):
        s = states[n]
        s[:] = _ZERO
        s[1], s[2], s[4], s[5] = inner[n], outer, seed, stream
        s[_POSITION] = _FOUR


@jit("void(u8[:,::1], f8[::1])")
def doubles(states: Any, out: Any) -> None:
    """One number on [0, 1) from each."""
    for n in range(len(states)):
        out[n] = _double(states[n])


@jit("void(u8[:,::1], u8, i8[:,::1])")
def integers(states: Any, below: Any, out: Any) -> None:
    """Integers from 0 to `below` - 1: N x k."""
    for n in range(len(states)):
        for k in range(out.shape[1]):
            out[n, k] = np.int64(_below(states[n], below))


@jit("i8(u8[:,::1], i8[::1], f4, i8[::1], f8[::1])")
def mutations(states: Any, ends: Any, rate: Any, places: Any, us: Any) -> Any:
    """Which genes change and a number on [0, 1) for each of them; returns how many.

    Args:
        states: N x `STATE`.
        ends: (N + 1,), row n has the genes ``ends[n]`` to ``ends[n + 1]``.
        rate: of a gene to change.
        places: as long as there are genes and one more; written.
        us: as long as there are genes; written.
    """
    found, longest = 0, 0
    for n in range(len(states)):
        longest = max(longest, ends[n + 1] - ends[n])
    words, halves = np.empty(longest // 2 + 1, np.uint64), np.empty(longest, np.uint32)
    for n in range(len(states)):
        s, first, count = states[n], found, ends[n + 1] - ends[n]
        _halves(s, words, halves[:count])
        for i in range(count):
            places[found] = ends[n] + i  # without a branch: the next one overwrites it or not
            found += _single(halves[i]) < rate
        for k in range(first, found):
            us[k] = _double(s)
    return found


@jit("void(u8[:,::1], f4[:,::1], b1[:,::1])")
def crossovers(states: Any, us: Any, swap: Any) -> None:
    """A number on [0, 1) and then a fair coin for each of n genes, N x n."""
    genes = us.shape[1]
    words, halves = np.empty(genes // 2 + 1, np.uint64), np.empty(genes, np.uint32)
    coins = halves[: (genes + 3) // 4]
    for n in range(len(states)):
        _halves(states[n], words, halves)
        for i in range(genes):
            us[n, i] = _single(halves[i])
        _halves(states[n], words, coins)
        for i in range(genes):  # the high bit of a byte, the low bytes first
            swap[n, i] = ((coins[i >> 2] >> np.uint32(8 * (i & 3))) & np.uint32(128)) != 0


# --- graphs --------------------------------------------------------------------------------


@jit("i8(i8, i8, i2[::1], i2[::1], f4[::1], i8, i8[::1], f8, f8)")
def _add(
    outputs: Any,
    count: Any,
    sources: Any,
    targets: Any,
    genes: Any,
    edges: Any,
    order: Any,
    u: Any,
    gene: Any,
) -> Any:
    """Adds a connection that closes no cycle, if there is room for one; returns how many there are.

    The first of `order`, indices of the `count` nodes, that can have one is its target.
    """
    nodes = _INPUTS + count
    begin = np.zeros(nodes + 1, np.int64)
    for e in range(edges):
        begin[sources[e] + 1] += 1
    for node in range(nodes):
        begin[node + 1] += begin[node]
    filled = begin.copy()
    following = np.empty(edges, np.int64)
    for e in range(edges):
        following[filled[sources[e]]] = targets[e]
        filled[sources[e]] += 1
    taken = np.empty(nodes, np.bool_)  # the target, what it leads to, what leads to it directly
    stack = np.empty(nodes, np.int64)
    for index in order:
        target = index + _INPUTS
        for node in range(nodes):
            taken[node] = node == target
        stack[0], depth = target, 1
        while depth > 0:
            depth -= 1
            node = stack[depth]
            for e in range(begin[node], begin[node + 1]):
                if not taken[following[e]]:
                    taken[following[e]] = True
                    stack[depth] = following[e]
                    depth += 1
        for e in range(edges):
            if targets[e] == target:
                taken[sources[e]] = True
        for node in range(_INPUTS, _INPUTS + outputs):
            taken[node] = True
        free = 0
        for node in range(nodes):
            free += not taken[node]
        if free:
            chosen = int(u * free)
            node = -1
            while chosen >= 0:
                node += 1
                chosen -= not taken[node]
            sources[edges], targets[edges], genes[edges] = node, target, gene
            return edges + 1
    return edges


@jit("void(i2[::1], i2[::1], f4[::1], i8, i8)")
def _remove(sources: Any, targets: Any, genes: Any, edges: Any, edge: Any) -> None:
    for e in range(edge, edges - 1):
        sources[e], targets[e], genes[e] = sources[e + 1], targets[e + 1], genes[e + 1]


@jit("i8(i2[::1], i2[::1], f4[::1], i8, i8)")
def _without(sources: Any, targets: Any, genes: Any, edges: Any, node: Any) -> Any:
    """Takes the connections of a node away, and moves later nodes up; returns how many are left."""
    kept = 0
    for e in range(edges):
        a, b = sources[e], targets[e]
        if a != node and b != node:
            sources[kept], targets[kept], genes[kept] = a - (a > node), b - (b > node), genes[e]
            kept += 1
    return kept


@jit("void(i2[::1], i2[::1], f4[::1], i8)")
def _sort(sources: Any, targets: Any, genes: Any, edges: Any) -> None:
    """By target, then source: all but the last few are in order."""
    for e in range(1, edges):
        a, b, gene = sources[e], targets[e], genes[e]
        k = e
        while k > 0 and (targets[k - 1] > b or (targets[k - 1] == b and sources[k - 1] > a)):
            sources[k], targets[k], genes[k] = sources[k - 1], targets[k - 1], genes[k - 1]
            k -= 1
        sources[k], targets[k], genes[k] = a, b, gene


_GRAPHS = "i8[::1], i8[::1], u1[::1], i2[::1], i2[::1], f4[::1]"


@jit(f"void(u8[:,::1], i8, {_GRAPHS}, {_GRAPHS}, u1[::1], f8[::1], i8)")
def mutate_graphs(
    states: Any,
    outputs: Any,
    nodes: Any,
    edges: Any,
    activations: Any,
    sources: Any,
    targets: Any,
    genes: Any,
    new_nodes: Any,
    new_edges: Any,
    new_activations: Any,
    new_sources: Any,
    new_targets: Any,
    new_genes: Any,
    codes: Any,
    rates: Any,
    max_hidden: Any,
) -> None:
    """Activations and structure of N graphs; see `evofool.operators.graphs.mutate_graphs`."""
    node_at, edge_at = 0, 0
    u = np.empty(9)
    for n in range(len(states)):
        s = states[n]
        count, m = nodes[n + 1] - nodes[n], edges[n + 1] - edges[n]
        c = new_activations[node_at:]
        a, b, g = new_sources[edge_at:], new_targets[edge_at:], new_genes[edge_at:]
        for k in range(count):
            c[k] = activations[nodes[n] + k]
        for e in range(m):  # loops compile in a fraction of the time that assigned slices take
            a[e], b[e], g[e] = sources[edges[n] + e], targets[edges[n] + e], genes[edges[n] + e]
        changes = np.empty(count, np.bool_)
        for node in range(count):
            changes[node] = _double(s) < rates[0]
        for node in range(count):
            if changes[node]:
                c[node] = codes[int(_double(s) * len(codes))]
        for k in range(9):
            u[k] = _double(s)
        if u[0] < rates[1]:
            order = np.arange(count)
            _shuffle(s, order)
            m = _add(outputs, count, a, b, g, m, order, u[1], _double(s))
        if u[2] < rates[2] and m > 0:
            _remove(a, b, g, m, int(u[3] * m))
            m -= 1
        if u[4] < rates[3] and count - outputs < max_hidden and m > 0:
            edge = int(u[5] * m)
            source, target, gene = a[edge], b[edge], g[edge]
            _remove(a, b, g, m, edge)
            c[count] = codes[int(u[6] * len(codes))]
            a[m - 1], b[m - 1], g[m - 1] = source, _INPUTS + count, gene
            a[m], b[m], g[m] = _INPUTS + count, target, gene
            count += 1
            m += 1
        if u[7] < rates[4] and count > outputs:
            hidden = outputs + int(u[8] * (count - outputs))
            for node in range(hidden, count - 1):
                c[node] = c[node + 1]
            count -= 1
            m = _without(a, b, g, m, _INPUTS + hidden)
        _sort(a, b, g, m)
        node_at += count
        edge_at += m
        new_nodes[n + 1], new_edges[n + 1] = node_at, edge_at
