#include "fields.h"

#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace spair {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

const PluginField* FieldReader::find(const char* name, PluginFieldType type, const char* type_name) const {
    for (int32_t i = 0; i < fields_.nbFields; ++i) {
        const PluginField& field = fields_.fields[i];
        if (std::strcmp(field.name, name) != 0) {
            continue;
        }
        if (field.type != type || field.data == nullptr || field.length < 1) {
            throw std::runtime_error(std::string("attribute ") + name + " has type " +
                                     std::to_string(static_cast<int>(field.type)) + " and " +
                                     std::to_string(field.length) + " values, expected " + type_name);
        }
        return &field;
    }
    return nullptr;
}

float FieldReader::real(const char* name, float absent) const {
    const PluginField* field = find(name, PluginFieldType::kFLOAT32, "a float");
    return field == nullptr ? absent : *static_cast<const float*>(field->data);
}

int32_t FieldReader::integer(const char* name, int32_t absent) const {
    const PluginField* field = find(name, PluginFieldType::kINT32, "an integer");
    return field == nullptr ? absent : *static_cast<const int32_t*>(field->data);
}

std::vector<int32_t> FieldReader::integers(const char* name) const {
    const PluginField* field = find(name, PluginFieldType::kINT32, "integers");
    if (field == nullptr) {
        return {};
    }
    const int32_t* values = static_cast<const int32_t*>(field->data);
    return std::vector<int32_t>(values, values + field->length);
}

std::string FieldReader::text(const char* name) const {
    const PluginField* field = find(name, PluginFieldType::kCHAR, "a text");
    if (field == nullptr) {
        return {};
    }
    const char* letters = static_cast<const char*>(field->data);
    return std::string(letters, strnlen(letters, static_cast<size_t>(field->length)));
}

std::string exact(float value) {
    char words[32];
    std::snprintf(words, sizeof words, "%a", static_cast<double>(value));
    return words;
}

}  // namespace spair
