// Questions to Python (answers.py), by the name of a method.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include "NvInferRuntime.h"
#include "tables.h"

using namespace nvinfer1;

#define EXPORT extern "C" __attribute__((visibility("default")))

// (method, object, text, numbers, count, out) -> number. `out` takes a shape: the count of its axes, then their sizes.
using Ask = int64_t (*)(char const*, int64_t, char const*, int64_t const*, int32_t, int64_t*);
EXPORT Ask double_ask;
Ask double_ask = nullptr;

inline int64_t ask(char const* method, int64_t object, char const* text = "",
                   std::initializer_list<int64_t> numbers = {}, int64_t* out = nullptr) {
    return double_ask(method, object, text, numbers.begin(), static_cast<int32_t>(numbers.size()), out);
}

inline Dims ask_shape(char const* method, int64_t object, char const* text,
                      std::initializer_list<int64_t> numbers = {}) {
    int64_t out[1 + Dims::MAX_DIMS]{};
    ask(method, object, text, numbers, out);
    Dims made{};
    made.nbDims = static_cast<int32_t>(out[0]);
    for (int32_t i = 0; i < made.nbDims; ++i) made.d[i] = out[1 + i];
    return made;
}

inline char const* ask_text(char const* method, int64_t object, std::initializer_list<int64_t> numbers = {}) {
    return reinterpret_cast<char const*>(ask(method, object, "", numbers));
}

inline int64_t number(void const* pointer) { return reinterpret_cast<int64_t>(pointer); }
