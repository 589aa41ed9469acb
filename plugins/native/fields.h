// Attributes of a node: read from the fields that a parser or an engine hands over, and given back for the engine.
#pragma once
#include "NvInferRuntime.h"

#include <cstdint>
#include <string>
#include <vector>

namespace spair {

// Version of what is serialized into engines; an engine with another one is refused.
constexpr int32_t kSerialVersion = 1;

// Reads fields by name, checking type and length.
class FieldReader {
public:
    explicit FieldReader(const nvinfer1::PluginFieldCollection& fields) : fields_(fields) {}

    // The value, or `absent` where there is no such field. Throws std::runtime_error on another type or length.
    float real(const char* name, float absent) const;
    int32_t integer(const char* name, int32_t absent) const;

    // All values; empty where there is no such field.
    std::vector<int32_t> integers(const char* name) const;

private:
    const nvinfer1::PluginField* find(const char* name, nvinfer1::PluginFieldType type, const char* type_name) const;

    const nvinfer1::PluginFieldCollection& fields_;
};

}  // namespace spair
