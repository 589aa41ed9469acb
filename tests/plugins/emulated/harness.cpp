// C functions around a plugin library, so that ctypes drives it through TensorRT's own interfaces.
#include <dlfcn.h>

#include <deque>
#include <string>
#include <vector>

#include "NvInferRuntime.h"

using namespace nvinfer1;

namespace {

class Log : public ILogger, public ILoggerFinder {
public:
    void log(Severity, AsciiChar const* message) noexcept override { messages += std::string(message) + "\n"; }
    ILogger* findLogger() override { return this; }
    std::string messages;
};

Log the_log;

class Number : public IDimensionExpr {
public:
    explicit Number(int value) : value_(value) {}

    int value_;
};

class NoBuilder : public IExprBuilder {};

template <typename Interface>
Interface* as(IPluginV3* plugin, PluginCapabilityType type) {
    return static_cast<Interface*>(plugin->getCapabilityInterface(type));
}

IPluginV3OneBuild* build(IPluginV3* plugin) { return as<IPluginV3OneBuild>(plugin, PluginCapabilityType::kBUILD); }
IPluginV3OneRuntime* runtime(IPluginV3* plugin) { return as<IPluginV3OneRuntime>(plugin, PluginCapabilityType::kRUNTIME); }

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

// As TensorRT's library does, it says which version its interfaces are of.
EXPORT int32_t getInferLibVersion() noexcept { return NV_TENSORRT_VERSION; }

EXPORT const char* take_messages() {
    static std::string taken;
    taken = the_log.messages;
    the_log.messages.clear();
    return taken.c_str();
}

// The creator of that name, and of the name only that TensorRT would look up: version "1", namespace "spair".
EXPORT IPluginCreatorV3One* find_creator(void* library, const char* name) {
    reinterpret_cast<void (*)(ILoggerFinder*)>(dlsym(library, "setLoggerFinder"))(&the_log);
    auto* get = reinterpret_cast<IPluginCreatorInterface* const* (*)(int32_t&)>(dlsym(library, "getCreators"));
    int32_t count = 0;
    IPluginCreatorInterface* const* creators = get(count);
    for (int32_t i = 0; i < count; ++i) {
        auto* creator = static_cast<IPluginCreatorV3One*>(creators[i]);
        if (std::string(creator->getPluginName()) == name && std::string(creator->getPluginVersion()) == "1" &&
            std::string(creator->getPluginNamespace()) == "spair") {
            return creator;
        }
    }
    return nullptr;
}

EXPORT int attribute_names(IPluginCreatorV3One* creator, const char** names) {
    const PluginFieldCollection* fields = creator->getFieldNames();
    for (int32_t i = 0; i < fields->nbFields; ++i) {
        names[i] = fields->fields[i].name;
    }
    return fields->nbFields;
}

EXPORT IPluginV3* create(IPluginCreatorV3One* creator, const PluginField* fields, int count, int phase) {
    const PluginFieldCollection collection{count, fields};
    return creator->createPlugin("node", count < 0 ? nullptr : &collection, static_cast<TensorRTPhase>(phase));
}

EXPORT IPluginV3* clone(IPluginV3* plugin) { return plugin->clone(); }
EXPORT IPluginV3* attach(IPluginV3* plugin) { return runtime(plugin)->attachToContext(nullptr); }
EXPORT void destroy(IPluginV3* plugin) { delete plugin; }

EXPORT const char* plugin_name(IPluginV3* plugin) {
    return as<IPluginV3OneCore>(plugin, PluginCapabilityType::kCORE)->getPluginName();
}

EXPORT const char* timing_cache_id(IPluginV3* plugin) { return build(plugin)->getTimingCacheID(); }

EXPORT const PluginFieldCollection* fields(IPluginV3* plugin) { return runtime(plugin)->getFieldsToSerialize(); }

EXPORT int output_count(IPluginV3* plugin) { return build(plugin)->getNbOutputs(); }

// Descriptions of tensors are those of the inputs, then those of the outputs.

EXPORT bool supports(IPluginV3* plugin, int position, const DynamicPluginTensorDesc* tensors, int inputs) {
    return build(plugin)->supportsFormatCombination(position, tensors, inputs, output_count(plugin));
}

EXPORT int configure(IPluginV3* plugin, const DynamicPluginTensorDesc* tensors, int inputs) {
    return build(plugin)->configurePlugin(tensors, inputs, tensors + inputs, output_count(plugin));
}

EXPORT size_t workspace_size(IPluginV3* plugin, const DynamicPluginTensorDesc* tensors, int inputs) {
    return build(plugin)->getWorkspaceSize(tensors, inputs, tensors + inputs, output_count(plugin));
}

// Type of an output, or -1.
EXPORT int output_type(IPluginV3* plugin, const DataType* inputs, int count, int output) {
    std::vector<DataType> out(static_cast<size_t>(output_count(plugin)));
    if (build(plugin)->getOutputDataTypes(out.data(), output_count(plugin), inputs, count) != 0) {
        return -1;
    }
    return static_cast<int>(out.at(static_cast<size_t>(output)));
}

// Writes which dimension of which input each dimension of an output is: 8 * input + axis, at 8 * output + dimension.
// 0, or an error.
EXPORT int output_shape(IPluginV3* plugin, const int* ranks, int inputs, int* sources) {
    std::deque<Number> numbers;  // they stay where they are
    std::vector<DimsExprs> shapes(static_cast<size_t>(inputs));
    for (int i = 0; i < inputs; ++i) {
        shapes[static_cast<size_t>(i)].nbDims = ranks[i];
        for (int axis = 0; axis < 8; ++axis) {
            numbers.emplace_back(8 * i + axis);
            shapes[static_cast<size_t>(i)].d[axis] = &numbers.back();
        }
    }
    std::vector<DimsExprs> out(static_cast<size_t>(output_count(plugin)));
    NoBuilder builder;
    const int result =
        build(plugin)->getOutputShapes(shapes.data(), inputs, nullptr, 0, out.data(), output_count(plugin), builder);
    for (size_t i = 0; result == 0 && i < out.size(); ++i) {
        for (int axis = 0; axis < out[i].nbDims; ++axis) {
            sources[8 * i + static_cast<size_t>(axis)] = static_cast<const Number*>(out[i].d[axis])->value_;
        }
    }
    return result;
}

EXPORT int shape_change(IPluginV3* plugin, const PluginTensorDesc* tensors, int inputs) {
    return runtime(plugin)->onShapeChange(tensors, inputs, tensors + inputs, output_count(plugin));
}

EXPORT int enqueue(IPluginV3* plugin, const PluginTensorDesc* tensors, int inputs, const void* const* in,
                   void* const* outputs, void* workspace, void* stream) {
    return runtime(plugin)->enqueue(tensors, tensors + inputs, in, outputs, workspace, static_cast<cudaStream_t>(stream));
}
