// Products of several rows at a time with packed weights, all sums in registers.
//
// Weights [taps][inputs][outputs] are packed in panels of V vectors of outputs: panel, then tap, then word of inputs,
// then output. A panel of V vectors is computed for M rows at once, so that V * M sums, V weights and one value fill
// the registers. A last vector that only half of the outputs of AVX-512 are left for serves two rows at a time: its
// weights stand in it twice, and its values are those of one row and of the next, eight lanes each.

#pragma once

#include "numbers.h"
#include "pool.h"

namespace SPAIR_SET {

// Most vectors of a panel.
template <class Kind>
constexpr int kWidest = kRegisters == 32 ? 4 : kLanes == 8 ? 3 : 2;

// Vectors of the next panel where `rest` vectors are left; each has so many words of weights. Narrow panels waste loads, so
// that 5 is 3 and 2. Products in tiles pass through weights fast, so that those of a panel have to stay in the nearest cache.
template <class Kind>
constexpr int next_panel(int rest, int64_t words) {
    if constexpr (Kind::kTiled) {
        constexpr int64_t kNear = 42 << 10;  // bytes, of the 48 KB of processors with tiles
        const int64_t fit = most(least(kNear / (words * kLanes * 4), kWidest<Kind>), 1), panels = (rest + fit - 1) / fit;
        return static_cast<int>((rest + panels - 1) / panels);
    }
    if (kWidest<Kind> == 4) return rest <= 4 ? rest : rest <= 6 ? 3 : 4;
    if (kWidest<Kind> == 3) return rest == 1 ? 1 : rest % 2 ? 3 : 2;
    return rest == 1 ? 1 : 2;
}

constexpr int vectors_of(int outputs) { return (outputs + kLanes - 1) / kLanes; }

// Whether the last vector serves two rows.
constexpr bool is_shared(int outputs) { return kLanes == 2 * kStep && outputs % kLanes != 0 && outputs % kLanes <= kStep; }

// Panel of V vectors, the last of which may serve two rows.
template <int V, bool Shared>
struct Shape {
    static constexpr int vectors = V, own = Shared ? V - 1 : V;
    static constexpr bool shared = Shared;
};

// What turns the sums of a layer into values.
struct Factors {
    const float* bias;     // [outputs], and zeros up to a multiple of 16
    const float* scale;    // the same of the factor of a sum; read for steps only
    const int32_t* above;  // [taps][outputs up to a multiple of kLanes], what Steps::kZero adds to a sum; null: nothing
};

// Sums of V vectors before the first product. `taps` has a bit for each tap that will be added, and `wide` is a row of
// Factors::above. What is taken off stands in the sums from the first: registers of its own would push weights out.
template <class Kind, int V>
inline void start_sums(const Factors& factors, int column, unsigned taps, int64_t wide, typename Kind::Sum (&first)[V]) {
    SPAIR_UNROLL
    for (int v = 0; v < V; ++v) {
        if constexpr (Kind::kWhole) first[v] = typename Kind::Sum{};
        else first[v] = load(factors.bias + column + v * kLanes);
    }
    if constexpr (Kind::kWhole && Steps::kZero != 0) {
        const int32_t* above = factors.above + column;
        for (; taps; taps >>= 1, above += wide) {
            if (!(taps & 1)) continue;
            SPAIR_UNROLL
            for (int v = 0; v < V; ++v) first[v] -= load_words(above + v * kLanes);
        }
    }
}

// Values of a vector of sums; `twice`: it serves two rows.
template <class Kind>
inline Vector value_of(const Factors& factors, int column, typename Kind::Sum sum, bool twice) {
    if constexpr (Kind::kWhole) {
        const Vector scale = load(factors.scale + column), bias = load(factors.bias + column);
        return __builtin_convertvector(sum, Vector) * (twice ? doubled(scale) : scale) + (twice ? doubled(bias) : bias);
    } else {
        return sum;
    }
}

// Sums of one panel, from the biases or from zero on to values.
template <class Kind, class Shape, int M>
struct Panel {
    static constexpr int V = Shape::vectors, kOwn = Shape::own, kPairs = Shape::shared ? M / 2 : 0;
    static_assert(!Shape::shared || M % 2 == 0, "pairs of rows");

    typename Kind::Sum sum[M][kOwn ? kOwn : 1];
    typename Kind::Sum pair[kPairs ? kPairs : 1];

    Panel(const Factors& factors, int column, unsigned taps = 0, int64_t wide = 0) {
        typename Kind::Sum first[V];
        start_sums<Kind>(factors, column, taps, wide, first);
        SPAIR_UNROLL
        for (int m = 0; m < M; ++m)
            SPAIR_UNROLL
            for (int v = 0; v < kOwn; ++v) sum[m][v] = first[v];
        SPAIR_UNROLL
        for (int j = 0; j < kPairs; ++j) pair[j] = doubled(first[V - 1]);
    }

    // Adds the products of `words` words of rows with the weights; of rows that lie `step` values apart, the last of the
    // `count` that are there stands for those behind it.
    void add_line(const typename Kind::Value* from, int64_t step, int64_t count, const int32_t* weight, int64_t words) {
        const typename Kind::Value* p[M];
        SPAIR_UNROLL
        for (int m = 0; m < M; ++m) p[m] = from + least(m, count - 1) * step;
        add(p, weight, words);
    }

    // The same of rows by their numbers, which stand at `place` in a map of them.
    void add_rows(
        const typename Kind::Value* x, int64_t step, const int32_t* numbers, const int32_t* place, const int32_t* weight, int64_t words
    ) {
        const typename Kind::Value* p[M];
        SPAIR_UNROLL
        for (int m = 0; m < M; ++m) p[m] = x + static_cast<int64_t>(numbers[place[m]]) * step;
        add(p, weight, words);
    }

    void add(const typename Kind::Value* const (&p)[M], const int32_t* weight, int64_t words) {
        for (int64_t i = 0; i < words; ++i, weight += V * kLanes) {
            typename Kind::Weights w[V];
            SPAIR_UNROLL
            for (int v = 0; v < V; ++v) w[v] = Kind::read(weight + v * kLanes);
            SPAIR_UNROLL
            for (int m = 0; m < M; m += kPairs ? 2 : 1) {
                const typename Kind::Spread x = Kind::spread(p[m] + i * Kind::kGroup);
                SPAIR_UNROLL
                for (int v = 0; v < kOwn; ++v) Kind::add(sum[m][v], x, w[v]);
                if constexpr (kPairs > 0) {
                    const typename Kind::Spread next = Kind::spread(p[m + 1] + i * Kind::kGroup);
                    SPAIR_UNROLL
                    for (int v = 0; v < kOwn; ++v) Kind::add(sum[m + 1][v], next, w[v]);
                    Kind::add(pair[m / 2], join(x, next), w[V - 1]);
                }
            }
        }
    }

    // Writes the values of all rows, [M][V]; only the lower half of a vector that serves two rows counts.
    void write(const Factors& factors, int column, Vector* to) const {
        SPAIR_UNROLL
        for (int m = 0; m < M; ++m)
            SPAIR_UNROLL
            for (int v = 0; v < kOwn; ++v) to[m * V + v] = value_of<Kind>(factors, column + v * kLanes, sum[m][v], false);
        SPAIR_UNROLL
        for (int j = 0; j < kPairs; ++j) {
            Vector* both = to + 2 * j * V + V - 1;
            *both = value_of<Kind>(factors, column + kOwn * kLanes, pair[j], true);
            *reinterpret_cast<Half*>(both + V) = reinterpret_cast<const Half*>(both)[1];
        }
    }
};

// What follows the products of some rows: an activation, a row that is added, a ReLU.
struct Epilogue {
    float slope;           // of the activation below zero
    const void* add;       // row 0 of what is added, float32 or bfloat16; null: nothing
    const int32_t* add_at; // numbers of the rows that are added; null: the rows' own
    int32_t halves;        // whether bfloat16 is added
    int32_t relu;
    int32_t outputs;       // of a row
};

template <bool Out, int Rounded, int V>
inline void finish_as(const Results& to, int64_t at, const Vector* values, int column, const Epilogue& a, int64_t count) {
    for (int64_t m = 0; m < count; ++m, at += a.outputs, values += V) {
        const int64_t add = (a.add_at ? a.add_at[m] : m) * a.outputs + column;
        SPAIR_UNROLL
        for (int v = 0; v < V; ++v) {
            Vector y = values[v];
            if (a.slope != 1.0f) y = y < 0.0f ? y * a.slope : y;
            if (a.add && a.halves) y += load_halves(static_cast<const uint16_t*>(a.add) + add + v * kLanes);
            if (a.add && !a.halves) y += load(static_cast<const float*>(a.add) + add + v * kLanes);
            if (a.relu) y = y < 0.0f ? all(0.0f) : y;  // NaN stays NaN, so that it is noticed
            store_forms<Out, Rounded>(to, at + column + v * kLanes, y, a.outputs - column - v * kLanes);
        }
    }
}

// Finishes `count` rows of values [count][V], for results from `at` on.
template <int V>
SPAIR_APART inline void finish_rows(
    const Results& to, int64_t at, const Vector* values, int column, const Epilogue& a, int64_t count
) {
    with_forms(to, [&](auto forms) { finish_as<forms.out, forms.rounded, V>(to, at, values, column, a, count); });
}

// Calls f with a shape of so many vectors, V or more.
template <class Kind, int V, class Function>
inline void with_shape(int vectors, bool shared, Function f) {
    if constexpr (V < kWidest<Kind>)
        if (vectors > V) return with_shape<Kind, V + 1>(vectors, shared, f);
    if constexpr (kLanes == 2 * kStep)
        if (shared) return f(Shape<V, true>{});
    f(Shape<V, false>{});
}

// Calls f with the shape of each panel, the weights' place and the first output; `words` counts the words of inputs.
template <class Kind, class Function>
inline void for_panels(int outputs, int64_t words, Function f) {
    int64_t at = 0;
    for (int first = 0, rest = vectors_of(outputs); rest > 0;) {
        const int vectors = next_panel<Kind>(rest, words);
        const bool shared = vectors == rest && is_shared(outputs);
        with_shape<Kind, 1>(vectors, shared, [&](auto shape) { f(shape, at, first); });
        at += words * vectors * kLanes;
        first += vectors * kLanes;
        rest -= vectors;
    }
}

struct Packing {
    const void* weight;  // [taps][inputs][outputs] of the kind's weights: float, int8_t, bfloat16
    void* packed;        // taps * words_of(inputs) * vectors_of(outputs) * kLanes words
    int32_t* above;      // see Factors; null: not wanted
    int64_t taps, inputs;
    int32_t outputs;
};

template <class Kind, class Given>
inline void pack(const Packing& a) {
    const Given* weight = static_cast<const Given*>(a.weight);
    const int64_t words = words_of<Kind>(a.inputs), wide = vectors_of(a.outputs) * kLanes;
    for_panels<Kind>(a.outputs, a.taps * words, [&](auto shape, int64_t at, int first) {
        typename Kind::Packed* to = reinterpret_cast<typename Kind::Packed*>(static_cast<int32_t*>(a.packed) + at);
        for (int64_t word = 0; word < a.taps * words; ++word)
            for (int v = 0; v < shape.vectors; ++v, to += kLanes * Kind::kGroup)
                for (int k = 0; k < kLanes; ++k)
                    for (int j = 0; j < Kind::kGroup; ++j) {
                        const int64_t tap = word / words, input = word % words * Kind::kGroup + j;
                        const int64_t output = first + v * kLanes + (v < shape.own ? k : k % kStep);
                        const bool given = input < a.inputs && output < a.outputs;
                        to[Kind::place(k, j)] = given ? weight[(tap * a.inputs + input) * a.outputs + output] : Given{};
                    }
    });
    if (!a.above) return;
    for (int64_t i = 0; i < a.taps * wide; ++i) a.above[i] = 0;
    for (int64_t row = 0; row < a.taps * a.inputs; ++row)
        for (int64_t k = 0; k < a.outputs; ++k)
            a.above[row / a.inputs * wide + k] += Steps::kZero * static_cast<int32_t>(weight[row * a.outputs + k]);
}

struct Rounding {
    const float* x;
    Results to;  // `out` is not written
    int64_t count;
};

// Rounds values; up to a vector behind the last one is written as well.
inline void round_values(SpairPool* pool, const Rounding& a) {
    constexpr int64_t kTask = 16384;
    in_parallel(pool, (a.count + kTask - 1) / kTask, [&a](int64_t task) {
        const Results to{nullptr, a.to.rounded, a.to.step, a.to.form};
        for (int64_t i = task * kTask; i < least((task + 1) * kTask, a.count); i += kLanes) store_results(to, i, load(a.x + i), kLanes);
    });
}

}  // namespace SPAIR_SET
