// Attributes of a node, read from the fields that a parser or an engine hands over, and written for an engine.
#pragma once
#include "NvInferRuntime.h"

#include <cstdint>
#include <string>
#include <vector>

namespace spair {

// Version of the fields that are serialized into engines; an engine with another version is refused.
constexpr int32_t kSerialVersion = 2;

// Reads fields by name, checking type and length.
class FieldReader {
public:
    explicit FieldReader(const nvinfer1::PluginFieldCollection& fields) : fields_(fields) {}

    // Returns the value, or `absent` without such a field. Throws std::runtime_error on another type or length.
    float real(const char* name, float absent) const;
    int32_t integer(const char* name, int32_t absent) const;

    // Returns all values, or an empty list without such a field.
    std::vector<int32_t> integers(const char* name) const;

    // Returns the text up to its end or its first NUL, or "" without such a field.
    std::string text(const char* name) const;

private:
    const nvinfer1::PluginField* find(const char* name, nvinfer1::PluginFieldType type, const char* type_name) const;

    const nvinfer1::PluginFieldCollection& fields_;
};

// Writes a float with all its digits, so that other values have other words.
std::string exact(float value);

}  // namespace spair
